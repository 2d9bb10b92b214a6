import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { Session } from './call';
import { judge, type Known } from './offline';
import { acceptedAt, isLastWord } from './outbox';

const { keys, tokens } = JSON.parse(readFileSync(new URL('vectors.json', import.meta.url), 'utf8'));
const [here, everywhere, some, unknownKey, forged] = tokens as { token: string; station: string; expires: number }[];
const session = { station: { id: here?.station }, lease: true, offline_minutes: 60 } as Session;
const now = (here?.expires ?? 0) - 1000;
const known: Known = { session, keys, now, contact: now - 30 * 60_000, putBack: false };

describe('without a connection', () => {
  test('a voucher for this station, in time, on the phone that may, is accepted', async () => {
    expect(await judge(here?.token ?? '', known)).toMatchObject({ claims: { station: here?.station } });
  });
  test.each([
    ['the setting is off', here, { session: { ...session, offline_minutes: 0 } }, /not accepted without one/],
    ['another phone has the lease', here, { session: { ...session, lease: false } }, /another phone/],
    ['nobody has signed in', here, { session: undefined }, /Nobody has signed in/],
    ['it has expired this moment', here, { now: now + 1000 }, /expired/],
    ['the clock was put back', here, { putBack: true }, /clock was changed/],
    ['nobody heard of the server for as long as the setting says', here, { contact: now - 3_600_000 }, /too long/],
    ['it is for another station', here, { session: { ...session, station: { id: 'other' } } }, /another station/],
    ['it is good everywhere', everywhere, {}, /more than one station/],
    ['it is good at some stations', some, {}, /more than one station/],
    ['its key is not known here', unknownKey, {}, /cannot be checked/],
    ['it is forged', forged, {}, /none of ours/],
    ['it is no voucher', { token: 'HELLO' }, {}, /none of ours/],
  ])('refused, because %s', async (_why, voucher, change, says) => {
    const verdict = await judge(voucher?.token ?? '', { ...known, ...change } as Known);
    expect(verdict).toEqual({ refused: expect.stringMatching(says) });
  });
});

test.each([
  [409, 'already_redeemed', true],
  [410, 'gone', true],
  [422, 'idempotency_key_reused', true],
  [404, 'wrong_qr', true],
  [404, 'not_found', false],
  [0, 'unreachable', false],
  [401, 'not_signed_in', false],
  [403, 'cross_origin', false],
  [429, 'code_entry_locked', false],
  [500, 'internal', false],
  [503, 'station_redeem_off', false],
])('%d %s is the last word: %s', (status, code, last) => {
  expect(isLastWord({ status, code })).toBe(last);
});

test('what was accepted offline was so after the last contact and before it is sent, whatever a changed clock says', () => {
  const day = 86_400_000;
  expect([acceptedAt(500, 100, 900), acceptedAt(500 + day, 100, 900), acceptedAt(500 - day, 100, 900)]).toEqual([
    500, 900, 100,
  ]);
});
