import type { components } from '../../api/schema';

export type Campaign = components['schemas']['Campaign'];

/** Nothing will happen any more, unless somebody orders a resend. */
export const ended = (c: Campaign) => c.status === 'done' || c.status === 'stopped' || c.status === 'failed';

/** It is at work, or would be. */
export const active = (c: Campaign) => c.status !== 'draft' && !ended(c);

/** It is at work and has somebody left to write to. */
export const moving = (c: Campaign) => active(c) && c.gate !== 'stopped' && c.queued > 0;

/** What the provider took. */
export const accepted = (c: Campaign) => c.sent + c.delivered + c.read;

/** One that gets new figures while it moves: every so many milliseconds, or never. */
export const every = (ms: number, c: Campaign): number | false => (active(c) ? ms : false);
