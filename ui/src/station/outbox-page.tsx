import { money, Title, when } from './parts';
import { dismiss, giveUp } from './receipt';
import { useStation, work } from './state';

/** What waits to be sent, and what became of what did. */
export function Outbox() {
  const { rows, outcomes, held, online } = useStation();
  return (
    <>
      <Title>Waiting and sent</Title>
      {rows.length > 0 && (
        <p className="note" role="status">
          {held?.message ?? (online ? 'Being sent.' : 'Sent as soon as there is a connection.')}
        </p>
      )}
      {rows.length === 0 && outcomes.length === 0 && (
        <p>Nothing waits. What was accepted without a connection shows here.</p>
      )}
      <ul className="list">
        {rows.map((row) => (
          <li key={row.key}>
            <b>{row.offline ? 'Accepted, not yet redeemed' : 'Not confirmed yet'}</b>
            <span>{when(row.at)}</span>
            {row.trouble && <span>{row.trouble.message}</span>}
            {!row.offline && (
              <button type="button" onClick={() => void giveUp(row.key)}>
                Ask no more (History shows whether it arrived)
              </button>
            )}
          </li>
        ))}
        {outcomes.map((o) => (
          <li key={o.key} className={o.refused ? 'bad' : ''}>
            <b>{o.receipt ? `Redeemed: ${money(o.receipt.amount, o.receipt.currency)}` : 'Refused'}</b>
            <span>
              {o.offline ? 'Accepted' : 'Asked for'} {when(o.asked)}, answered {when(o.at)}
            </span>
            {o.refused && <span>{o.refused.message}</span>}
            {o.refused && o.offline && <span>Support has been told, since the guest was served.</span>}
            <button type="button" onClick={() => void dismiss(o.key)}>
              Seen
            </button>
          </li>
        ))}
      </ul>
      {rows.length > 0 && (
        <button type="button" className="primary" onClick={() => void work()}>
          Send now
        </button>
      )}
    </>
  );
}
