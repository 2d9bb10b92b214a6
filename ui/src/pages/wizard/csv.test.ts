import { expect, test } from 'vitest';
import { columnFor, csvLine, headOf } from './csv';

const head = (text: string | Uint8Array<ArrayBuffer>) => headOf(new Blob([text]));

function utf16(text: string, big: boolean) {
  const bytes = new Uint8Array(2 + 2 * text.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 0xfeff, !big);
  for (let i = 0; i < text.length; i++) view.setUint16(2 + 2 * i, text.charCodeAt(i), !big);
  return bytes;
}

test('the header and the first line, whatever wrote them', async () => {
  const want = { columns: ['Mobile', 'Name, full'], sample: ['+250788000001', 'Żeża'] };
  const text = 'Mobile;"Name, full"\r\n\r\n;\r\n+250788000001; Żeża \r\n';
  expect(await head(text)).toEqual(want);
  expect(await head(`\ufeff${text}`)).toEqual(want);
  expect(await head(utf16(text, false))).toEqual(want);
  expect(await head(utf16(text, true))).toEqual(want);
  expect(await head('msisdn')).toEqual({ columns: ['msisdn'], sample: [] });
  expect(await head('\n\nmsisdn,,\n"+250 788, ""x""",\n')).toEqual({
    columns: ['msisdn'],
    sample: ['+250 788, "x"', ''],
  });
});

test('a header longer than the first bytes is read all the same, and no more than that', async () => {
  const columns = Array.from({ length: 2000 }, (_, i) => `column ${i}`);
  const file = new Blob([`${columns.join(',')}\n`, '+250788000001,'.repeat(1 << 18)]);
  let read = 0;
  const watched = {
    size: file.size,
    slice: (from: number, to: number) => {
      read = Math.max(read, to);
      return file.slice(from, to);
    },
  } as Blob;
  expect((await headOf(watched)).columns).toHaveLength(2000);
  expect(read).toBe(64 << 10);
});

test('what is no file of recipients says so', async () => {
  await expect(head('')).rejects.toThrow('empty');
  await expect(head('\n \n,,\n')).rejects.toThrow('empty');
  await expect(head('\ufeff')).rejects.toThrow('empty');
  await expect(head('+250788000001,Amina\n')).rejects.toThrow('phone number');
  await expect(head('0788 000 001\n')).rejects.toThrow('phone number');
  await expect(head('name,Name\n')).rejects.toThrow('Two columns');
  await expect(head(utf16('msisdn\n', false).slice(2))).rejects.toThrow('UTF-8');
  await expect(head(new Uint8Array([0x6d, 0xe9, 0x0a]))).rejects.toThrow('UTF-8');
  await expect(head(new Uint8Array([0x50, 0x4b, 3, 4]))).rejects.toThrow('spreadsheet');
  await expect(head('"msisdn\n')).rejects.toThrow('not closed');
  await expect(head('x'.repeat(70 << 10))).rejects.toThrow('64 KiB');
});

test('a column goes by its name, else by the only other name it may have', () => {
  expect(columnFor('msisdn', ['Mobile', 'MSISDN'])).toBe('MSISDN');
  expect(columnFor('msisdn', ['Phone Number'])).toBe('Phone Number');
  expect(columnFor('msisdn', ['phone', 'mobile'])).toBeUndefined();
  expect(columnFor('zone', ['TZ'])).toBe('TZ');
  expect(columnFor('event_day', ['Event Day'])).toBe('Event Day');
  expect(columnFor('name', ['city'])).toBeUndefined();
});

test('a line for a spreadsheet holds no formula', () => {
  expect(csvLine([4, 'msisdn', '=1+1', 'says "no", twice'])).toBe('4,msisdn,\'=1+1,"says ""no"", twice"\r\n');
});
