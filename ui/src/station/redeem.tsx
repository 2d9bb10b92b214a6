import { useCallback, useEffect, useState } from 'react';
import * as box from './box';
import { type Look, type Receipt, Trouble, troubleOf } from './call';
import * as clock from './clock';
import { judge } from './offline';
import { newOfflineRow, newRow, redeem, type Sent } from './outbox';
import { Amount, Facts, Failed, Title, when } from './parts';
import { Confirmed, Provisional, Refused, Unconfirmed } from './receipt';
import { go } from './route';
import { ask, heard, known, refresh, useStation } from './state';
import type { Claims } from './token';

type Presented = { qr: string } | { code: string };

/** From a voucher in somebody's hand to a receipt. */
type Step =
  | { at: 'looking' }
  | { at: 'confirm'; look: Look }
  | { at: 'confirm-offline'; claims: Claims }
  | { at: 'redeeming' }
  | { at: 'confirmed'; receipt: Receipt }
  | { at: 'provisional'; row: box.Row }
  | { at: 'unconfirmed'; row: box.Row; trouble: Trouble }
  | { at: 'refused'; why: string; redeemed?: Trouble['redeemed'] }
  | { at: 'failed'; trouble: Trouble };

/** `again` goes back to the camera, or the field. */
export function Redeem({ presented: given, again }: { presented: Presented; again: () => void }) {
  const [presented] = useState(given); // one voucher, looked at once
  const [step, setStep] = useState<Step>({ at: 'looking' });

  const look = useCallback(async () => {
    setStep({ at: 'looking' });
    setStep(await lookAt(presented));
  }, [presented]);
  useEffect(() => void look(), [look]);

  const confirm = async (found: Look) => {
    setStep({ at: 'redeeming' });
    const more = { voucher: found.voucher_id, amount: found.amount, currency: found.currency };
    const row = newRow(presented, more);
    setStep(stepOf(row, await redeem(row, Date.parse(found.expires_at))));
    await refresh();
  };
  const accept = async (claims: Claims, qr: string) => {
    setStep({ at: 'redeeming' });
    const row = newOfflineRow(qr, claims.voucher);
    try {
      const fresh = await box.accept(row, claims.expires);
      setStep(
        fresh ? { at: 'provisional', row } : { at: 'refused', why: 'This phone has accepted this voucher before.' },
      );
    } catch {
      // What is not on the disk would be lost with the page: then nothing has been accepted.
      setStep({
        at: 'refused',
        why: 'This phone has no room to keep it until there is a connection. Nothing was accepted.',
      });
    }
    await refresh();
  };

  switch (step.at) {
    case 'looking':
      return <Title>Looking it up…</Title>;
    case 'redeeming':
      return <Title>Redeeming…</Title>;
    case 'confirm':
      return <Confirm look={step.look} redeem={() => void confirm(step.look)} />;
    case 'confirm-offline':
      return (
        'qr' in presented && (
          <ConfirmOffline claims={step.claims} accept={() => void accept(step.claims, presented.qr)} />
        )
      );
    case 'confirmed':
      return <Confirmed receipt={step.receipt} again={again} />;
    case 'provisional':
      return <Provisional row={step.row} again={again} />;
    case 'unconfirmed':
      return <Unconfirmed row={step.row} trouble={step.trouble} again={again} />;
    case 'refused':
      return <Refused why={step.why} redeemed={step.redeemed} again={again} />;
  }
  return (
    <>
      <Title>Not looked up</Title>
      <Failed retry={() => void look()}>{step.trouble.message}</Failed>
      <button type="button" onClick={() => go('/', true)}>
        Home
      </button>
    </>
  );
}

/** What the server says about a voucher, else what the phone can tell. */
async function lookAt(presented: Presented): Promise<Step> {
  try {
    const look = await ask<Look>('POST', '/vouchers/check', presented);
    return (await waitsAlready(look.voucher_id)) ?? { at: 'confirm', look };
  } catch (error) {
    const trouble = troubleOf(error);
    if (trouble.status === 404 || trouble.status === 409 || trouble.status === 422) {
      return { at: 'refused', why: trouble.message, redeemed: trouble.redeemed };
    }
    if (trouble.status !== 0) return { at: 'failed', trouble };
    if ('code' in presented) {
      return {
        at: 'failed',
        trouble: new Trouble(0, 'unreachable', 'No connection, and codes take one. Scan the QR code, or try again.'),
      };
    }
    const verdict = await judge(presented.qr, known());
    if ('refused' in verdict) return { at: 'refused', why: verdict.refused };
    return (await waitsAlready(verdict.claims.voucher)) ?? { at: 'confirm-offline', claims: verdict.claims };
  }
}

/** A voucher that this phone has accepted and not sent yet: the server does not know of it. */
async function waitsAlready(voucher: string): Promise<Step | undefined> {
  const row = (await box.rows().catch(() => [])).find((r) => r.voucher === voucher);
  if (!row) return undefined;
  return {
    at: 'refused',
    why: `This phone accepted this voucher on ${when(row.at)}, and has not been able to send that yet.`,
  };
}

function stepOf(row: box.Row, sent: Sent): Step {
  if ('receipt' in sent) return { at: 'confirmed', receipt: sent.receipt };
  if ('refused' in sent) return { at: 'refused', why: sent.refused.message, redeemed: sent.refused.redeemed };
  void heard(sent.waits);
  return { at: 'unconfirmed', row, trouble: sent.waits };
}

function Confirm({ look, redeem }: { look: Look; redeem: () => void }) {
  return (
    <>
      <Title>Redeem this voucher?</Title>
      <Amount amount={look.amount} currency={look.currency} />
      <Facts
        of={[
          ['Guest', look.msisdn || 'Forgotten'],
          ['Good until', when(look.expires_at)],
        ]}
      />
      <button type="button" className="primary" onClick={redeem}>
        Redeem
      </button>
      <button type="button" onClick={() => go('/', true)}>
        Cancel
      </button>
    </>
  );
}

function ConfirmOffline({ claims, accept }: { claims: Claims; accept: () => void }) {
  const { session } = useStation();
  return (
    <>
      <Title>Accept without a connection?</Title>
      <p>
        The voucher is ours, for {session?.station.code}, and has not expired. How much it is worth stands on the
        guest’s card.
      </p>
      <Facts of={[['Good until', when(claims.expires)]]} />
      <p className="note">
        Whether it was redeemed before, nobody can tell now. It is sent as soon as there is a connection, by{' '}
        {when(limit(session?.offline_minutes))} at the latest.
      </p>
      <button type="button" className="primary" onClick={accept}>
        Accept
      </button>
      <button type="button" onClick={() => go('/', true)}>
        Cancel
      </button>
    </>
  );
}

const limit = (minutes = 0) => clock.now() + minutes * 60_000;
