import { type DBSchema, type IDBPDatabase, openDB } from 'idb';
import type { Device, Receipt, Session, Trouble } from './call';
import type { Key } from './token';

// What the phone keeps, in IndexedDB: the outbox, what became of what was in it, and what it has to know without a connection.

/** A redemption that has no final answer yet. */
export type Row = {
  /** Its idempotency key, and its name here. */
  key: string;
  /** When it was asked for, ms by the server's clock. */
  at: number;
  qr?: string;
  code?: string;
  /** The voucher's id, as far as it is known. */
  voucher?: string;
  amount?: string;
  currency?: string;
  /** Accepted without a connection; the guest has been served. */
  offline?: {
    /** The last contact with the server before: it was accepted after that. */
    contact: number;
    /** What is sent as offline_at: fixed when it is sent first, since a repeated request must be the same. */
    told?: string;
  };
  /** Why it is still here. */
  trouble?: { status: number; code: string; message: string };
};

/** What became of a redemption that had to wait for its answer. */
export type Outcome = {
  key: string;
  /** When the answer came. */
  at: number;
  /** When it was asked for. */
  asked: number;
  offline: boolean;
  receipt?: Receipt;
  refused?: { code: string; message: string; redeemed?: Trouble['redeemed'] };
};

/** A voucher that this phone has redeemed, or accepted, until it expires. */
type Seen = { voucher: string; at: number; expires: number };

/** `box` names this storage: another name means that the browser cleared it and another was made. */
export type Facts = { session: Session; device: Device; keys: Key[]; box: string };

interface Schema extends DBSchema {
  outbox: { key: string; value: Row };
  outcomes: { key: string; value: Outcome };
  seen: { key: string; value: Seen };
  facts: { key: keyof Facts; value: Facts[keyof Facts] };
}

let opened: Promise<IDBPDatabase<Schema>> | undefined;

function box() {
  opened ??= openDB<Schema>('lastcall-station', 1, {
    upgrade(db) {
      db.createObjectStore('outbox', { keyPath: 'key' });
      db.createObjectStore('outcomes', { keyPath: 'key' });
      db.createObjectStore('seen', { keyPath: 'voucher' });
      db.createObjectStore('facts').put(`${Date.now()}-${Math.random()}`, 'box');
    },
    terminated: () => {
      opened = undefined;
    },
  });
  opened.catch(() => {
    opened = undefined; // another try may find room
  });
  return opened;
}

/** What waits, oldest first. */
export const rows = async () => (await (await box()).getAll('outbox')).sort((a, b) => a.at - b.at);

export const row = async (key: string) => (await box()).get('outbox', key);

export const putRow = async (r: Row) => void (await (await box()).put('outbox', r));

export const dropRow = async (key: string) => void (await (await box()).delete('outbox', key));

/**
 * Accepts a voucher without a connection: it is in the outbox, on the disk, and noted as seen, both or neither. False when
 * this phone has accepted or redeemed it before, in whichever tab.
 */
export async function accept(r: Row & { voucher: string }, expires: number): Promise<boolean> {
  const tx = (await box()).transaction(['outbox', 'seen'], 'readwrite', { durability: 'strict' });
  const seen = tx.objectStore('seen');
  if (await seen.get(r.voucher)) {
    await tx.done;
    return false;
  }
  await Promise.all([seen.put({ voucher: r.voucher, at: r.at, expires }), tx.objectStore('outbox').put(r), tx.done]);
  return true;
}

/** A final answer came: the row goes, and what became of it stays for people to see, both or neither. */
export async function settle(key: string, outcome: Outcome | undefined, seen?: Seen) {
  const tx = (await box()).transaction(['outbox', 'outcomes', 'seen'], 'readwrite');
  const work: Promise<unknown>[] = [tx.objectStore('outbox').delete(key)];
  if (outcome) work.push(tx.objectStore('outcomes').put(outcome));
  if (seen) work.push(tx.objectStore('seen').put(seen));
  await Promise.all([...work, tx.done]);
}

/** What became of what waited, newest first. */
export const outcomes = async () => (await (await box()).getAll('outcomes')).sort((a, b) => b.at - a.at);

export const dropOutcome = async (key: string) => void (await (await box()).delete('outcomes', key));

/** Forgets what is of no use any more: vouchers that have expired, and good news of yesterday. */
export async function tidy(now: number) {
  const tx = (await box()).transaction(['seen', 'outcomes'], 'readwrite');
  for (const s of await tx.objectStore('seen').getAll()) {
    if (s.expires < now) await tx.objectStore('seen').delete(s.voucher);
  }
  for (const o of await tx.objectStore('outcomes').getAll()) {
    if (o.receipt && o.at < now - 24 * 3600_000) await tx.objectStore('outcomes').delete(o.key);
  }
  await tx.done;
}

export async function fact<K extends keyof Facts>(name: K): Promise<Facts[K] | undefined> {
  return (await (await box()).get('facts', name)) as Facts[K] | undefined;
}

export async function keep<K extends keyof Facts>(name: K, value: Facts[K] | undefined) {
  const db = await box();
  if (value === undefined) await db.delete('facts', name);
  else await db.put('facts', value, name);
}
