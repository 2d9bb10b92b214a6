import type { components } from '../api/schema';
import { learn } from './clock';

// Every call to the API. What fails is thrown as Trouble; only an answer of Lastcall's own counts as one.

type Schemas = components['schemas'];
export type Session = Schemas['StationSession'];
export type Device = Schemas['StationDevice'];
export type Look = Schemas['StationLook'];
export type Receipt = Schemas['Redeemed'];
export type Balance = Schemas['StationBalance'];
export type Redemption = Schemas['Redemption'];
export type RedemptionPage = Schemas['RedemptionPage'];
export type Lease = Schemas['Lease'];
export type Keys = Schemas['StationKeys'];

/** Why a call failed. */
export class Trouble extends Error {
  /** The HTTP status; 0 when no answer of Lastcall's came: nobody knows then whether the call arrived. */
  readonly status: number;
  /** Stable; `unreachable` with status 0. */
  readonly code: string;
  /** Of a voucher that was redeemed already: when, where and whose. */
  readonly redeemed?: Schemas['RedeemedBefore'];
  /** In how many seconds to try again, if the server said so. */
  readonly retryAfter?: number;

  constructor(
    status: number,
    code: string,
    message: string,
    more: Pick<Partial<Trouble>, 'redeemed' | 'retryAfter'> = {},
  ) {
    super(message);
    this.status = status;
    this.code = code;
    this.redeemed = more.redeemed;
    this.retryAfter = more.retryAfter;
  }
}

const patience = 15_000; // ms

export async function call<T>(method: string, path: string, body?: object, key?: string): Promise<T> {
  let response: Response;
  let said: unknown;
  try {
    response = await fetch(`/api/v1/station${path}`, {
      method,
      body: body && JSON.stringify(body),
      headers: { ...(body && { 'Content-Type': 'application/json' }), ...(key && { 'Idempotency-Key': key }) },
      credentials: 'same-origin',
      cache: 'no-store',
      redirect: 'error',
      signal: AbortSignal.timeout(patience),
    });
    // A hotel's sign-in page is no answer, whatever its status.
    said = response.status === 204 ? undefined : isJSON(response) ? await response.json() : unreachable();
  } catch {
    throw unreachable();
  }
  if (said instanceof Trouble) throw said;
  if (response.ok) {
    learn(response.headers.get('Date'));
    return said as T;
  }
  const told = said as Partial<Schemas['Problem']> | null;
  if (!told?.code) throw unreachable();
  learn(response.headers.get('Date'));
  const wait = Number(response.headers.get('Retry-After') ?? Number.NaN);
  throw new Trouble(response.status, told.code, sentence(told.detail ?? told.title ?? 'Something went wrong'), {
    redeemed: told.redeemed,
    retryAfter: Number.isFinite(wait) ? wait : undefined,
  });
}

const isJSON = (response: Response) =>
  /^application\/(problem\+)?json/.test(response.headers.get('Content-Type') ?? '');

const unreachable = () => new Trouble(0, 'unreachable', 'Lastcall cannot be reached. Check the connection.');

/** The trouble in an error; what is none is a mistake of the app's. */
export function troubleOf(error: unknown): Trouble {
  if (error instanceof Trouble) return error;
  console.error(error);
  return new Trouble(-1, 'in_the_app', 'The app made a mistake. Reload it to go on.');
}

/** Server texts begin small, as parts of sentences. */
function sentence(s: string) {
  const text = s.charAt(0).toUpperCase() + s.slice(1);
  return /[.!?…]$/.test(text) ? text : `${text}.`;
}
