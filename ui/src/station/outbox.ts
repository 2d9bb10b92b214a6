import * as box from './box';
import { call, type Receipt, Trouble, troubleOf } from './call';
import { contact, now } from './clock';

// Every redemption goes through here, with a connection or without: first onto the disk, then to the server, with one
// idempotency key and one body however often it is sent, and off the disk only when the server has said the last word.
// So neither a lost answer nor a closed tab nor a second tab redeems anything twice, or loses it.

/** What came of sending. */
export type Sent =
  | { receipt: Receipt }
  /** The last word: it is not redeemed, for this reason. */
  | { refused: Trouble }
  /** No last word: it stays in the outbox and is sent again. */
  | { waits: Trouble };

const sending = new Set<string>();

/** A key, to the day unique in the world. */
export const newKey = () => crypto.randomUUID();

/** Redeems a voucher now. A phone that has no room to keep it until the answer comes sends nothing. */
export async function redeem(row: box.Row, expires?: number): Promise<Sent> {
  try {
    await box.putRow(row);
  } catch {
    return {
      refused: new Trouble(
        -1,
        'no_room',
        'This phone has no room to keep it until the answer comes. Nothing was sent.',
      ),
    };
  }
  return deliver(row, expires);
}

/**
 * Sends everything that waits, oldest first, in one tab at a time. Tells why something still waits: without a connection or
 * anybody signed in nothing more is tried, else one row that has to wait keeps no other.
 */
export async function sendAll(): Promise<Trouble | undefined> {
  const work = async () => {
    let held: Trouble | undefined;
    for (const row of await box.rows()) {
      if (sending.has(row.key)) continue;
      const sent = await deliver(row);
      if (!('waits' in sent)) continue;
      held ??= sent.waits;
      if (sent.waits.status === 0 || sent.waits.status === 401) return sent.waits;
    }
    return held;
  };
  if (!navigator.locks) return work(); // an older phone; twice the same is the same
  return navigator.locks.request('lastcall-outbox', { ifAvailable: true }, async (lock) => (lock ? work() : undefined));
}

async function deliver(row: box.Row, expires?: number): Promise<Sent> {
  sending.add(row.key);
  try {
    const body = await bodyOf(row);
    const receipt = await call<Receipt>('POST', '/redemptions', body, row.key);
    if (!receipt?.id || !receipt.voucher_id)
      throw new Trouble(0, 'unreachable', 'Lastcall cannot be reached. Check the connection.');
    const outcome = waited(row) ? { ...head(row), receipt } : undefined;
    const seen = receipt.mock
      ? undefined
      : { voucher: receipt.voucher_id, at: now(), expires: expires ?? now() + 30 * 86_400_000 };
    await box.settle(row.key, outcome, seen).catch(() => undefined);
    return { receipt };
  } catch (error) {
    const trouble = troubleOf(error);
    if (!isLastWord(trouble)) {
      const kept = { ...row, trouble: { status: trouble.status, code: trouble.code, message: trouble.message } };
      await box
        .row(row.key)
        .then((held) => held && box.putRow({ ...held, trouble: kept.trouble }))
        .catch(() => undefined);
      return { waits: trouble };
    }
    const refused = { code: trouble.code, message: trouble.message, redeemed: trouble.redeemed };
    await box.settle(row.key, waited(row) ? { ...head(row), refused } : undefined).catch(() => undefined);
    return { refused: trouble };
  } finally {
    sending.delete(row.key);
  }
}

/**
 * Whether an answer is final. A 401, 403, 429 and 5xx are not: somebody signs in, time passes, and the same is sent again;
 * nor is a 404 of an address that is not there.
 */
export function isLastWord({ status, code }: Pick<Trouble, 'status' | 'code'>): boolean {
  if (status === 404) return code === 'wrong_code' || code === 'wrong_qr';
  return status === 400 || status === 409 || status === 410 || status === 422;
}

/** Whether somebody was told to wait for this answer, and so wants to know of it. */
const waited = (row: box.Row) => row.offline !== undefined || row.trouble !== undefined;

const head = (row: box.Row) => ({ key: row.key, at: now(), asked: row.at, offline: row.offline !== undefined });

/** What is sent: the same each time. When it was accepted offline is fixed the first time, on the disk before it leaves. */
async function bodyOf(row: box.Row) {
  const body = row.qr ? { qr: row.qr } : { code: row.code };
  if (!row.offline) return body;
  if (!row.offline.told) {
    const told = new Date(acceptedAt(row.at, row.offline.contact, now())).toISOString();
    row.offline = { ...row.offline, told };
    await box.putRow(row);
  }
  return { ...body, offline_at: row.offline.told };
}

/**
 * When something was accepted offline, which lies between the last contact before and now: what a clock that was changed
 * meanwhile says outside of that is put to its nearer end.
 */
export const acceptedAt = (said: number, before: number, sent: number) => Math.max(before, Math.min(said, sent));

/** A new row. */
export function newRow(presented: { qr: string } | { code: string }, more: Partial<box.Row> = {}): box.Row {
  return { key: newKey(), at: now(), ...presented, ...more };
}

/** A new row of what is accepted without a connection. */
export const newOfflineRow = (qr: string, voucher: string) => ({
  ...newRow({ qr }, { offline: { contact: contact() } }),
  voucher,
});
