import type { Session } from './call';
import { type Claims, type Key, verify } from './token';

// May this phone accept this voucher without a connection? Everything the server will ask when it hears of it is asked
// here first, as far as a phone can know.

/** What the phone knows. Times are ms by the server's clock. */
export type Known = {
  session: Session | undefined;
  keys: Key[];
  now: number;
  /** When the server was heard of last. */
  contact: number;
  /** The phone's clock was put back since. */
  putBack: boolean;
};

export type Verdict = { claims: Claims } | { refused: string };

const online = 'try again with a connection.';

export async function judge(qr: string, known: Known): Promise<Verdict> {
  const verified = await verify(qr, known.keys);
  if ('wrong' in verified && verified.wrong !== 'unknown_key') return { refused: 'This QR code is none of ours.' };
  const refused = stationRefuses(known);
  if (refused) return { refused };
  if ('wrong' in verified) return { refused: `This QR code cannot be checked on this phone: ${online}` };
  const { claims } = verified;
  if (claims.expires <= known.now) return { refused: 'This voucher has expired.' };
  if (claims.scope !== 'station') {
    return { refused: `This voucher is good at more than one station, so another may have redeemed it: ${online}` };
  }
  if (claims.station !== known.session?.station.id) return { refused: 'This voucher is for another station.' };
  return { claims };
}

/** Why nothing can be accepted on this phone without a connection now; undefined when it can. */
export function stationRefuses(known: Known): string | undefined {
  const { session } = known;
  if (!session) return `Nobody has signed in here: ${online}`;
  if (session.offline_minutes === 0) return `No connection, and vouchers are not accepted without one: ${online}`;
  if (!session.lease) return `No connection, and another phone is the one that accepts vouchers without: ${online}`;
  if (known.putBack) return `This phone’s clock was changed, so nobody knows what has expired: ${online}`;
  if (known.now - known.contact >= session.offline_minutes * 60_000) {
    return `There was no connection for too long: ${online}`;
  }
  return undefined;
}
