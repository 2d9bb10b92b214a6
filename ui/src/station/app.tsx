import { useEffect } from 'react';
import { Bell } from '../parts/bell';
import { Balance } from './balance';
import { Enrol, enrolmentToken } from './enrol';
import { EnterCode } from './enter-code';
import { Detail, History } from './history';
import { Home } from './home';
import { Outbox } from './outbox-page';
import { Phone } from './phone';
import { go, usePath } from './route';
import { Scan } from './scan';
import { SignIn } from './sign-in';
import { type Station, useStation } from './state';

/** The station app: who may not work yet signs in; who works sees the page of the address. */
export function App() {
  const at = useStation();
  const path = usePath();
  const token = enrolmentToken();
  useEffect(() => {
    document.title = at.session ? `${at.session.station.code} · Lastcall` : 'Lastcall station';
  }, [at.session]);
  return (
    <>
      <Bar at={at} home={path === '/'} />
      <main>{token ? <Enrol token={token} /> : <Page at={at} path={path} />}</main>
    </>
  );
}

function Page({ at, path }: { at: Station; path: string }) {
  switch (at.phase) {
    case 'starting':
      return <h1>One moment…</h1>;
    case 'unreachable':
      return <Unreachable />;
    case 'enrol':
      return <Enrol />;
    case 'sign-in':
      return <SignIn />;
  }
  if (path.startsWith('/history/')) return <Detail key={path} id={path.slice('/history/'.length)} />;
  switch (path) {
    case '/scan':
      return <Scan />;
    case '/code':
      return <EnterCode />;
    case '/balance':
      return <Balance />;
    case '/history':
      return <History />;
    case '/outbox':
      return <Outbox />;
    case '/phone':
      return <Phone />;
  }
  return <Home />;
}

function Unreachable() {
  return (
    <>
      <h1>No connection</h1>
      <p>Lastcall cannot be reached. This page goes on by itself as soon as it can.</p>
    </>
  );
}

/** ENG-001; on the first page, which has room, the bar too. */
function placeOf({ device }: Station, home: boolean): string {
  if (!device) return 'Lastcall';
  return home ? `${device.station.bar} · ${device.station.code}` : device.station.code;
}

/** Where one is, and whether there is a connection: in words, not by colour. */
function Bar({ at, home }: { at: Station; home: boolean }) {
  const inside = at.phase === 'ready';
  return (
    <header>
      {inside && !home ? (
        <button type="button" className="quiet" onClick={() => go('/')}>
          <span aria-hidden="true">‹</span> Home
        </button>
      ) : (
        <Bell size={32} />
      )}
      <span className="where">{placeOf(at, home)}</span>
      <span className={at.online ? 'line on' : 'line off'} role="status">
        {at.online ? 'Online' : 'No connection'}
      </span>
      {inside && (
        <button type="button" className="quiet" onClick={() => go('/phone')}>
          {at.session?.operator.name.split(' ')[0]}
        </button>
      )}
    </header>
  );
}
