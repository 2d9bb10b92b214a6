import { expect, test } from 'vitest';
import { instantOf, wallOf } from './moment';

test('a wall clock is an instant in its zone', () => {
  expect(instantOf('2026-11-23T20:00', 'Africa/Kigali')?.toISOString()).toBe('2026-11-23T18:00:00.000Z');
  expect(instantOf('2026-07-01T20:00', 'Europe/Malta')?.toISOString()).toBe('2026-07-01T18:00:00.000Z');
  expect(instantOf('2026-01-01T00:30', 'UTC')?.toISOString()).toBe('2026-01-01T00:30:00.000Z');
  expect(instantOf('', 'UTC')).toBeUndefined();
});

test('an hour that the clocks skip is none, and of one they show twice it is the first', () => {
  expect(instantOf('2026-03-29T02:30', 'Europe/Malta')).toBeUndefined();
  expect(instantOf('2026-10-25T02:30', 'Europe/Malta')?.toISOString()).toBe('2026-10-25T00:30:00.000Z');
});

test('there and back', () => {
  for (const zone of ['Africa/Kigali', 'Europe/Malta', 'America/New_York', 'UTC'])
    expect(instantOf(wallOf(new Date('2026-11-23T18:07:00Z'), zone), zone)?.toISOString()).toBe(
      '2026-11-23T18:07:00.000Z',
    );
});
