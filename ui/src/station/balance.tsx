import { useCallback, useEffect, useState } from 'react';
import { type Balance as Told, troubleOf } from './call';
import { Failed, money, Title } from './parts';
import { ask, useStation } from './state';

/** Asks for something when the page opens, and again on retry. */
export function useAnswer<T>(path: string) {
  const [told, setTold] = useState<T>();
  const [failed, setFailed] = useState<string>();
  const load = useCallback(async () => {
    setFailed(undefined);
    try {
      setTold(await ask<T>('GET', path));
    } catch (error) {
      setFailed(troubleOf(error).message);
    }
  }, [path]);
  useEffect(() => void load(), [load]);
  return { told, failed, load: () => void load() };
}

/** What the station has redeemed, what it has not been paid for, and the days. */
export function Balance() {
  const { session, rows } = useStation();
  const { told, failed, load } = useAnswer<Told>('/balance');
  const unit = session?.station.currency ?? 'RWF';
  const all =
    told && told.redeemed.length === 0
      ? [{ currency: unit, redemptions: 0, amount: '0', pending: '0' }]
      : told?.redeemed;
  return (
    <>
      <Title>Balance</Title>
      {failed && <Failed retry={load}>{failed}</Failed>}
      {!told && !failed && <p role="status">Adding up…</p>}
      {all?.map((b) => (
        <section key={b.currency} className="sums" aria-label={b.currency}>
          <div>
            <span>Redeemed</span>
            <strong>{money(b.amount, b.currency)}</strong>
            <span>{b.redemptions === 1 ? '1 voucher' : `${b.redemptions.toLocaleString('en')} vouchers`}</span>
          </div>
          <div>
            <span>Pending settlement</span>
            <strong>{money(b.pending, b.currency)}</strong>
            <span>not paid to the station yet</span>
          </div>
        </section>
      ))}
      {rows.some((r) => r.offline) && <p className="note">What waits on this phone is not in these sums yet.</p>}
      {told && told.days.length > 0 && (
        <table>
          <caption>By day, {told.zone.split('/').pop()?.replaceAll('_', ' ')} time</caption>
          <thead>
            <tr>
              <th scope="col">Day</th>
              <th scope="col">Vouchers</th>
              <th scope="col">Amount</th>
            </tr>
          </thead>
          <tbody>
            {told.days.map((d) => (
              <tr key={d.day + d.currency}>
                <th scope="row">{day(d.day)}</th>
                <td>{d.redemptions.toLocaleString('en')}</td>
                <td>{money(d.amount, d.currency)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </>
  );
}

/** Mon 23 Nov, of 2026-11-23. */
const day = (date: string) =>
  new Date(`${date}T00:00:00Z`)
    .toLocaleDateString('en-GB', { weekday: 'short', day: '2-digit', month: 'short', timeZone: 'UTC' })
    .replace(',', '');
