import { expect, test } from 'vitest';
import { count, countryName, dayTime, dayTimeZone, duration, localeName, money, share, zoneName } from './format';

const now = new Date('2026-11-23T08:00:00Z');

test('a time has its zone, and its year when that is another', () => {
  expect(dayTime('2026-11-23T04:02:00Z', 'Africa/Kigali', now)).toBe('23 Nov, 06:02');
  expect(dayTimeZone('2026-09-01T22:00:00Z', 'Africa/Kigali', now)).toBe('02 Sep, 00:00 (Kigali)');
  expect(dayTimeZone('2025-12-31T23:30:00Z', 'UTC', now)).toBe('31 Dec 2025, 23:30 (UTC)');
  // New Year comes to Kigali before it comes to UTC.
  expect(dayTime('2026-12-31T23:30:00Z', 'Africa/Kigali', now)).toBe('01 Jan 2027, 01:30');
});

test('a zone goes by its city', () => {
  expect(zoneName('America/Port_of_Spain')).toBe('Port of Spain');
  expect(zoneName('Etc/UTC')).toBe('UTC');
});

test('numbers have separators and units', () => {
  expect(count(1234567)).toBe('1,234,567');
  expect(money(2000)).toBe('2,000 RWF');
});

test('a share is 100 % only when all is in, and 0 % only when nothing is', () => {
  expect(share(0, 1000)).toBe('0 %');
  expect(share(1, 1000)).toBe('1 %');
  expect(share(999, 1000)).toBe('99 %');
  expect(share(1000, 1000)).toBe('100 %');
  expect(share(0, 0)).toBe('0 %');
});

test('a duration has two units at most', () => {
  expect(duration(59)).toBe('59 s');
  expect(duration(60)).toBe('1 min');
  expect(duration(7500)).toBe('2 h 5 min');
  expect(duration(90000)).toBe('1 d 1 h');
});

test('countries and languages have names', () => {
  expect(countryName('RW')).toBe('Rwanda');
  expect(countryName('?')).toBe('?');
  expect(localeName('en-MT')).toBe('English (Malta)');
});
