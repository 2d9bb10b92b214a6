import { expect, test } from 'vitest';
import { daysInWords, quietStretches, readHours, windowFault, windowsInWords, writeHours } from './hours';

const night = { start: '22:00', end: '06:00', days: [] };

test('the setting is read in each of its forms, and written back', () => {
  const read = readHours({
    RW: { start: '22:00', end: '06:00' },
    MT: { windows: [{ start: '00:00', end: '24:00', days: ['sun'] }], overrides: [{ locale: 'en', windows: [] }] },
    SE: { windows: [] },
  });
  expect(read.RW).toEqual({ windows: [night], overrides: [] });
  expect(read.SE).toEqual({ windows: [], overrides: [] });
  expect(read.MT?.overrides).toEqual([{ locale: 'en', channel: '', windows: [] }]);
  expect(readHours(writeHours(read))).toEqual(read);
});

test('a window over midnight is quiet on two days, and overlaps are one', () => {
  expect(quietStretches([night])[0]).toEqual([
    [0, 360],
    [1320, 1440],
  ]);
  const friday = quietStretches([{ ...night, days: ['fri'] }]);
  expect(friday[3]).toEqual([]);
  expect(friday[4]).toEqual([[1320, 1440]]);
  expect(friday[5]).toEqual([[0, 360]]);
  expect(quietStretches([{ ...night, days: ['sun'] }])[0]).toEqual([[0, 360]]);
  expect(quietStretches([night, { start: '05:00', end: '07:00', days: [] }])[2]?.[0]).toEqual([0, 420]);
  expect(quietStretches([{ start: '00:00', end: '24:00', days: [] }])[6]).toEqual([[0, 1440]]);
});

test('in words', () => {
  expect(windowsInWords([night])).toBe('22:00–06:00 every day');
  expect(daysInWords(['sun', 'mon', 'tue', 'wed', 'fri'])).toBe('Mon–Wed, Fri, Sun');
  expect(daysInWords(['sat', 'sun'])).toBe('Sat, Sun');
  expect(windowFault({ start: '24:00', end: '06:00', days: [] }).start).toBeTruthy();
  expect(windowFault({ start: '6', end: '06:00', days: [] }).start).toBeTruthy();
  expect(windowFault({ start: '06:00', end: '06:00', days: [] }).end).toBeTruthy();
  expect(windowFault({ start: '06:00', end: '24:00', days: [] })).toEqual({});
});
