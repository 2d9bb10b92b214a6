import type { components } from './schema';

type Told = components['schemas']['Problem'];

/** Whatever went wrong with a request: RFC 9457 as the API tells it, or that no answer came at all. */
export class Problem extends Error {
  /** The HTTP status; 0 when there was no answer. */
  readonly status: number;
  /** Stable; code may branch on it. `unreachable` when there was no answer. */
  readonly code: string;
  /** By this the log knows the request. */
  readonly reference?: string;
  /** What is wrong with which field; '' for what is about none. */
  readonly faults: { field: string; message: string }[];
  /** What a message says instead, where there is no picture. */
  readonly text?: string;
  /** What the operation tells with this code. */
  readonly facts?: unknown;
  /** In how many seconds to try again, if the server said so. */
  readonly retryAfter?: number;

  constructor(told: Partial<Told>, status: number, headers?: Headers) {
    super(sentence(told.detail ?? told.title ?? 'Something went wrong'));
    this.name = 'Problem';
    this.status = status;
    this.code = told.code ?? 'unknown';
    this.reference = told.request_id ?? headers?.get('X-Request-Id') ?? undefined;
    this.text = told.text;
    this.facts = told.facts;
    const seconds = Number(headers?.get('Retry-After') ?? Number.NaN);
    this.retryAfter = Number.isFinite(seconds) ? seconds : undefined;
    const all = told.errors ?? (told.field ? [{ field: told.field, detail: told.detail ?? '' }] : []);
    this.faults = all.map((f) => ({ field: f.field ?? '', message: sentence(f.detail) }));
  }

  /** It may work by itself in a while: the server is away, busy or half up. */
  get passing() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** The problem in an error of whatever origin. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  return new Problem({ code: 'in_the_panel', detail: 'The panel made a mistake. Reload the page to go on.' }, -1);
}

/** The answer's problem; proxies and crashes answer with something else. */
export async function problemIn(response: Response): Promise<Problem> {
  const told = await response.json().catch(() => undefined);
  const readable = told && typeof told === 'object' && 'detail' in told;
  const fallback = { code: 'unreadable', detail: `Lastcall does not answer as it should (HTTP ${response.status}).` };
  return new Problem(readable ? told : fallback, response.status, response.headers);
}

/** No answer came. */
export const unreachable = () =>
  new Problem({ code: 'unreachable', detail: 'Lastcall cannot be reached. Check the connection.' }, 0);

function sentence(s: string) {
  const text = s.charAt(0).toUpperCase() + s.slice(1);
  return /[.!?…]$/.test(text) ? text : `${text}.`;
}
