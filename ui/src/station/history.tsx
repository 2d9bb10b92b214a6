import { useCallback, useEffect, useState } from 'react';
import { useAnswer } from './balance';
import { type Redemption, type RedemptionPage, troubleOf } from './call';
import { Amount, Facts, Failed, money, Title, when } from './parts';
import { go } from './route';
import { ask } from './state';

const page = 20;

/** What this station has redeemed, newest first, a page at a time. */
export function History() {
  const [shown, setShown] = useState<Redemption[]>();
  const [next, setNext] = useState<string>();
  const [failed, setFailed] = useState<string>();
  const more = useCallback(async (after?: string) => {
    setFailed(undefined);
    try {
      const told = await ask<RedemptionPage>('GET', `/history?limit=${page}${after ? `&after=${after}` : ''}`);
      setShown((before) => [...(after ? (before ?? []) : []), ...told.redemptions]);
      setNext(told.next);
    } catch (error) {
      setFailed(troubleOf(error).message);
    }
  }, []);
  useEffect(() => void more(), [more]);
  return (
    <>
      <Title>History</Title>
      {!shown && !failed && <p role="status">Looking it up…</p>}
      {shown?.length === 0 && <p>Nothing has been redeemed here yet.</p>}
      <ul className="list">
        {shown?.map((r) => (
          <li key={r.id}>
            <button type="button" className="row" onClick={() => go(`/history/${r.id}`)}>
              <b>{money(r.amount, r.currency)}</b>
              <span>{when(r.redeemed_at)}</span>
              <span className="mono">{r.code_masked}</span>
              <span>{r.operator}</span>
            </button>
          </li>
        ))}
      </ul>
      {failed && <Failed retry={() => void more(next)}>{failed}</Failed>}
      {next && !failed && (
        <button type="button" onClick={() => void more(next)}>
          Show older ones
        </button>
      )}
    </>
  );
}

/** One of them. */
export function Detail({ id }: { id: string }) {
  const { told, failed, load } = useAnswer<Redemption>(`/history/${encodeURIComponent(id)}`);
  return (
    <>
      <Title>Redeemed</Title>
      {failed && <Failed retry={load}>{failed}</Failed>}
      {!told && !failed && <p role="status">Looking it up…</p>}
      {told && (
        <>
          <Amount amount={told.amount} currency={told.currency} />
          <Facts
            of={[
              ['When', when(told.redeemed_at)],
              ['Guest', told.msisdn || 'Forgotten'],
              [
                'Code',
                <span key="code" className="mono">
                  {told.code_masked}
                </span>,
              ],
              ['By', told.operator],
              ...(told.offline_at ? ([['Accepted offline', when(told.offline_at)]] as [string, string][]) : []),
              ['Settled', told.settled_at ? when(told.settled_at) : 'Pending'],
              [
                'Reference',
                <span key="id" className="mono">
                  {told.id.slice(0, 8)}
                </span>,
              ],
            ]}
          />
        </>
      )}
      <button type="button" onClick={() => history.back()}>
        Back
      </button>
    </>
  );
}
