import { useState } from 'react';
import { call, type Device, troubleOf } from './call';
import { Failed, Title } from './parts';
import { go } from './route';
import { start, useStation } from './state';

/** The token of the enrolment link that was opened, which stands behind # and goes to no server but in a body. */
export function enrolmentToken(): string | undefined {
  return /^#enrol=(.+)$/.exec(location.hash)?.[1];
}

/** Makes this phone a device of a station. Without a link it says how to get one. */
export function Enrol({ token }: { token?: string }) {
  const { device, rows } = useStation();
  const [failed, setFailed] = useState<string>();
  const [busy, setBusy] = useState(false);
  if (!token) {
    return (
      <>
        <Title>This phone is not enrolled</Title>
        <p>
          Ask an admin to open the station in the panel and to choose <b>Enrol a device</b>. Then scan the code they
          show with this phone’s camera.
        </p>
      </>
    );
  }
  const enrol = async () => {
    setBusy(true);
    setFailed(undefined);
    try {
      await call<Device>('POST', '/device', { token });
      await navigator.storage?.persist?.().catch(() => false); // what waits to be sent is not the browser's to clear
      go('/', true);
      await start();
    } catch (error) {
      setFailed(troubleOf(error).message);
    }
    setBusy(false);
  };
  return (
    <>
      <Title>Enrol this phone</Title>
      <p>It will be known at the station until an admin revokes it. People sign in on it with their PIN.</p>
      {device && <p>It is enrolled at {device.station.code} now, and will not be any more.</p>}
      {rows.length > 0 && (
        <Failed>
          Vouchers that were accepted here wait to be sent. Send them first: enrolled anew, they may be refused.
        </Failed>
      )}
      {failed && <Failed>{failed}</Failed>}
      <button type="button" className="primary" onClick={() => void enrol()} disabled={busy}>
        {busy ? 'Enrolling…' : 'Enrol this phone'}
      </button>
    </>
  );
}
