import { type FormEvent, useState } from 'react';
import { useAnswer } from './balance';
import { call, type Lease, type Session, troubleOf } from './call';
import { Facts, Failed, Title, when } from './parts';
import { ask, signedIn, start, tellTabs, useStation } from './state';

/** This phone: who works on it, whether it accepts vouchers without a connection, and signing out. */
export function Phone() {
  const { session, rows, install } = useStation();
  const [failed, setFailed] = useState<string>();
  if (!session) return null;
  const signOut = async () => {
    try {
      await call('DELETE', '/session');
      tellTabs();
      await start();
    } catch (error) {
      setFailed(troubleOf(error).message);
    }
  };
  return (
    <>
      <Title>This phone</Title>
      <Facts
        of={[
          ['Signed in', session.operator.name],
          ['Station', `${session.station.code}, ${session.station.name}`],
          ['Phone', session.device.name],
          ['Until', `${when(session.expires_at)}, later when it is used`],
        ]}
      />
      <h2>Without a connection</h2>
      {session.offline_minutes === 0 ? (
        <p>Vouchers are not accepted without a connection. Ops can allow it in the settings.</p>
      ) : (
        <Offline session={session} />
      )}
      {install && (
        <button type="button" onClick={install}>
          Install the app on this phone
        </button>
      )}
      {failed && <Failed>{failed}</Failed>}
      {rows.length > 0 && (
        <p className="note">What waits to be sent stays here, and goes when somebody has signed in again.</p>
      )}
      <button type="button" onClick={() => void signOut()}>
        Sign out
      </button>
    </>
  );
}

/** Which one phone of the station accepts vouchers without a connection. */
function Offline({ session }: { session: Session }) {
  const { told: lease, failed, load } = useAnswer<Lease>('/lease');
  const [reason, setReason] = useState('');
  const [trouble, setTrouble] = useState<string>();
  const change = async (method: string, body?: object) => {
    setTrouble(undefined);
    try {
      await ask(method, '/lease', body);
      await signedIn(await ask<Session>('GET', '/session'));
      load();
    } catch (error) {
      setTrouble(troubleOf(error).message);
    }
  };
  const takeOver = (event: FormEvent) => {
    event.preventDefault();
    void change('POST', { take_over: true, reason });
  };
  const other = lease?.device && !lease.mine ? lease.device.name : undefined;
  return (
    <>
      {failed && <Failed retry={load}>{failed}</Failed>}
      {session.lease && (
        <>
          <p>This phone accepts QR codes of vouchers for this station without a connection.</p>
          <button type="button" onClick={() => void change('DELETE')}>
            Stop accepting on this phone
          </button>
        </>
      )}
      {!session.lease && lease && !other && (
        <>
          <p>No phone of this station accepts vouchers without a connection.</p>
          <button type="button" className="primary" onClick={() => void change('POST', {})}>
            Accept on this phone
          </button>
        </>
      )}
      {!session.lease && other && (
        <form onSubmit={takeOver}>
          <p>
            {other} does, one phone a station. What it has accepted and not sent yet may be refused if this phone takes
            over.
          </p>
          <label htmlFor="reason">Why this phone takes over</label>
          <input id="reason" value={reason} onChange={(e) => setReason(e.target.value)} required maxLength={500} />
          <button type="submit">Take over from {other}</button>
        </form>
      )}
      {trouble && <Failed>{trouble}</Failed>}
    </>
  );
}
