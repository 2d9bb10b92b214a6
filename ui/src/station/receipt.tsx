import { type ReactNode, useEffect } from 'react';
import * as box from './box';
import type { Receipt, Trouble } from './call';
import { Amount, Facts, Title, when } from './parts';
import { go } from './route';
import { refresh, useStation, work } from './state';

// What is held up to the guest: a sign, a word, and what it is about. Nothing is told by colour alone.

const signs = {
  good: 'M20 50 42 72 80 28',
  open: 'M50 22v30l18 12',
  bad: 'M28 28 72 72M72 28 28 72',
};

function Result({
  kind,
  title,
  children,
  again,
}: {
  kind: keyof typeof signs;
  title: string;
  children: ReactNode;
  again: () => void;
}) {
  useEffect(() => void navigator.vibrate?.(kind === 'good' ? 80 : [80, 80, 80]), [kind]);
  return (
    <div className={`result ${kind}`}>
      <div role={kind === 'bad' ? 'alert' : 'status'}>
        <svg viewBox="0 0 100 100" width="112" height="112" aria-hidden="true" focusable="false">
          <circle cx="50" cy="50" r="46" />
          <path d={signs[kind]} />
        </svg>
        <Title>{title}</Title>
        {children}
      </div>
      <div className="actions">
        <button type="button" className="primary" onClick={again}>
          Next voucher
        </button>
        <button type="button" onClick={() => go('/', true)}>
          Home
        </button>
      </div>
    </div>
  );
}

export function Confirmed({ receipt, again }: { receipt: Receipt; again: () => void }) {
  return (
    <Result kind="good" title={receipt.mock ? 'Rehearsed' : 'Redeemed'} again={again}>
      <Amount amount={receipt.amount} currency={receipt.currency} />
      {receipt.mock && <p>Redemptions are rehearsed: this voucher can still be redeemed.</p>}
      <Facts
        of={[
          ['Guest', receipt.msisdn || 'Forgotten'],
          ['When', when(receipt.redeemed_at)],
        ]}
      />
    </Result>
  );
}

/** Accepted without a connection. As soon as it has been sent, the receipt says what came of it. */
export function Provisional({ row, again }: { row: box.Row; again: () => void }) {
  const { outcomes } = useStation();
  const outcome = outcomes.find((o) => o.key === row.key);
  if (outcome?.receipt) return <Confirmed receipt={outcome.receipt} again={again} />;
  if (outcome?.refused)
    return <Refused why={outcome.refused.message} redeemed={outcome.refused.redeemed} again={again} served />;
  return (
    <Result kind="open" title="Accepted, not yet redeemed" again={again}>
      <p>It waits on this phone and is sent as soon as there is a connection. Only then is it certain.</p>
      <Facts of={[['Accepted', when(row.at)]]} />
    </Result>
  );
}

/** Sent, and no answer came: nobody knows whether it was redeemed. The app asks until it does. */
export function Unconfirmed({ row, trouble, again }: { row: box.Row; trouble: Trouble; again: () => void }) {
  const { outcomes, rows } = useStation();
  const outcome = outcomes.find((o) => o.key === row.key);
  if (outcome?.receipt) return <Confirmed receipt={outcome.receipt} again={again} />;
  if (outcome?.refused)
    return <Refused why={outcome.refused.message} redeemed={outcome.refused.redeemed} again={again} />;
  const now = rows.find((r) => r.key === row.key)?.trouble ?? trouble;
  return (
    <Result kind="open" title="Not confirmed yet" again={again}>
      {row.amount && row.currency && <Amount amount={row.amount} currency={row.currency} />}
      <p>
        {now.message} {now.status === 0 && 'It may have been redeemed, or not.'} The app sends it again by itself, and
        never redeems it twice. Wait for the check.
      </p>
      <p>
        <button type="button" onClick={() => void work()}>
          Send again now
        </button>
      </p>
    </Result>
  );
}

/** `served`: it had been accepted before the refusal came. */
export function Refused({
  why,
  redeemed,
  again,
  served,
}: {
  why: string;
  redeemed?: Trouble['redeemed'];
  again: () => void;
  served?: boolean;
}) {
  return (
    <Result kind="bad" title="Refused" again={again}>
      <p className="why">{why}</p>
      {served && <p>Support has been told, since the guest was served.</p>}
      {redeemed && (
        <Facts
          of={[
            ['Redeemed', when(redeemed.at)],
            ['At', redeemed.station],
            ['Guest', redeemed.msisdn || 'Forgotten'],
          ]}
        />
      )}
    </Result>
  );
}

/** Takes an outcome off the list: somebody has seen it. */
export async function dismiss(key: string) {
  await box.dropOutcome(key);
  await refresh();
}

/** Sends a redemption no more whose answer never came. If it arrived, the voucher is redeemed, and History has it. */
export async function giveUp(key: string) {
  await box.dropRow(key);
  await refresh();
}
