import { stationRefuses } from './offline';
import { Title } from './parts';
import { go } from './route';
import { waiting } from './sign-in';
import { known, lostSeen, useStation } from './state';

/** Four tiles, and what wants to be known before the next guest. */
export function Home() {
  const { online, rows, outcomes, held, lost, update, session } = useStation();
  const refused = outcomes.filter((o) => o.refused).length;
  const stops = online ? undefined : stationRefuses(known());
  return (
    <>
      <div className="unseen">
        <Title>{session?.station.name ?? 'Home'}</Title>
      </div>
      {!online && (
        <p className="note" role="status">
          {stops ??
            'No connection. QR codes of vouchers for this station can be accepted; codes that are typed cannot.'}
        </p>
      )}
      {lost !== undefined && (
        <div className="failed" role="alert">
          <p>
            <b>This phone lost {lost === 1 ? 'a voucher' : `${lost} vouchers`}.</b> The browser cleared its storage
            before {lost === 1 ? 'it was' : 'they were'} sent: {lost === 1 ? 'it is' : 'they are'} not redeemed. Tell
            Support.
          </p>
          <button type="button" onClick={lostSeen}>
            Support knows
          </button>
        </div>
      )}
      {refused > 0 && (
        <button type="button" className="note bad" onClick={() => go('/outbox')}>
          <b>{refused === 1 ? '1 voucher was refused' : `${refused} vouchers were refused`}</b> when it was sent. See
          which
        </button>
      )}
      {rows.length > 0 && (
        <button type="button" className="note" onClick={() => go('/outbox')}>
          <b>{waiting(rows.length)}</b> to be sent{held ? `: ${held.message}` : ''}
        </button>
      )}
      {update && (
        <button type="button" className="note" onClick={update}>
          <b>A newer app is here.</b> Change over now
        </button>
      )}
      <nav className="tiles" aria-label="What to do">
        <Tile to="/scan" label="Scan" picture="M3 8V3h5M16 3h5v5M21 16v5h-5M8 21H3v-5M7 12h10" first />
        <Tile to="/code" label="Enter code" picture="M3 6h18v12H3zM7 10h.01M11 10h.01M15 10h.01M8 14h8" />
        <Tile to="/balance" label="Balance" picture="M4 20V10M10 20V4M16 20v-7M21 20H3" />
        <Tile to="/history" label="History" picture="M12 7v5l3 2M3.5 9A9 9 0 1 1 3 12M3 4v5h5" />
      </nav>
    </>
  );
}

function Tile({ to, label, picture, first }: { to: string; label: string; picture: string; first?: boolean }) {
  return (
    <button type="button" className={first ? 'tile first' : 'tile'} onClick={() => go(to)}>
      <svg viewBox="0 0 24 24" width="48" height="48" aria-hidden="true" focusable="false">
        <path
          d={picture}
          fill="none"
          stroke="currentColor"
          strokeWidth="1.75"
          strokeLinecap="round"
          strokeLinejoin="round"
        />
      </svg>
      {label}
    </button>
  );
}
