import { useEffect, useState } from 'react';
import { call, type Session, troubleOf } from './call';
import { Failed, Title } from './parts';
import { go } from './route';
import { signedIn, tellTabs, useStation, work } from './state';

const digits = 6;

/** The station's code is known from the phone; people type their PIN, which is sent with its last digit. */
export function SignIn() {
  const { device, rows, online } = useStation();
  const [pin, setPin] = useState('');
  const [failed, setFailed] = useState<string>();
  const [busy, setBusy] = useState(false);

  const press = (digit: string) => setPin((now) => (now.length < digits && !busy ? now + digit : now));
  const back = () => setPin((now) => now.slice(0, -1));

  useEffect(() => {
    if (pin.length < digits || !device) return;
    const enter = async () => {
      setBusy(true);
      setFailed(undefined);
      try {
        await signedIn(await call<Session>('POST', '/session', { station: device.station.code, pin }));
        go('/', true);
        tellTabs();
        void work();
      } catch (error) {
        const trouble = troubleOf(error);
        const wrong = trouble.code === 'wrong_credentials';
        setFailed(wrong ? 'This PIN is nobody’s here. Try again.' : trouble.message);
        setPin('');
      }
      setBusy(false);
    };
    void enter();
  }, [pin, device]);

  useEffect(() => {
    const typed = (event: KeyboardEvent) => {
      if (/^\d$/.test(event.key)) setPin((now) => (now.length < digits ? now + event.key : now));
      if (event.key === 'Backspace') setPin((now) => now.slice(0, -1));
    };
    addEventListener('keydown', typed);
    return () => removeEventListener('keydown', typed);
  }, []);

  return (
    <div className="sign-in">
      <div>
        <Title>{device?.station.name ?? 'Sign in'}</Title>
        <p>
          {device?.station.code}, {device?.device.name}
        </p>
        {rows.length > 0 && (
          <p className="note" role="status">
            <b>{waiting(rows.length)}</b> to be sent. Sign in, and {rows.length === 1 ? 'it goes' : 'they go'}.
          </p>
        )}
        {!online && <p className="note">Signing in takes a connection.</p>}
        <p className="dots">
          <span aria-hidden="true">
            {'●'.repeat(pin.length)}
            {'○'.repeat(digits - pin.length)}
          </span>
          <span className="unseen" role="status">
            {busy ? 'Signing in' : `${pin.length} of ${digits} digits of your PIN`}
          </span>
        </p>
        {failed && <Failed>{failed}</Failed>}
      </div>
      <fieldset className="pad">
        <legend className="unseen">Your PIN</legend>
        {['1', '2', '3', '4', '5', '6', '7', '8', '9'].map((digit) => (
          <button type="button" key={digit} onClick={() => press(digit)} disabled={busy}>
            {digit}
          </button>
        ))}
        <span />
        <button type="button" onClick={() => press('0')} disabled={busy}>
          0
        </button>
        <button type="button" onClick={back} disabled={busy || pin === ''} aria-label="Delete a digit">
          ⌫
        </button>
      </fieldset>
    </div>
  );
}

/** 2 vouchers wait */
export const waiting = (n: number) => (n === 1 ? '1 voucher waits' : `${n} vouchers wait`);
