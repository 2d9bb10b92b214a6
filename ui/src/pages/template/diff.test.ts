import { expect, test } from 'vitest';
import { diff } from './diff';

const shown = (before: string, after: string) =>
  diff(before, after)
    .map((p) => ({ both: p.text, before: `[-${p.text}]`, after: `[+${p.text}]` })[p.of])
    .join('');

test.each([
  ['Hello {{name}}.', 'Hello {{name}}.', 'Hello {{name}}.'],
  ['Jazz tonight at nine.', 'Jazz tomorrow at nine.', 'Jazz [-tonight][+tomorrow] at nine.'],
  ['Hi {{name}}!', 'Hi {{guest}}!', 'Hi [-{{name}}][+{{guest}}]!'],
  ['', 'New', '[+New]'],
  ['Old', '', '[-Old]'],
  ['', '', ''],
  ['a b', 'a  b', 'a[- ][+  ]b'],
])('%j becomes %j', (before, after, want) => {
  expect(shown(before, after)).toBe(want);
});

test('what both have is all of both', () => {
  const [a, b] = ['Muraho {{name}}, jazz nijoro.', 'Muraho neza {{name}}, soul nijoro!'];
  const pieces = diff(a, b);
  const side = (of: string) =>
    pieces
      .filter((p) => p.of === 'both' || p.of === of)
      .map((p) => p.text)
      .join('');
  expect(side('before')).toBe(a);
  expect(side('after')).toBe(b);
});

test('long texts are not compared word by word', () => {
  const a = 'a '.repeat(3000);
  const b = 'b '.repeat(3000);
  expect(diff(a, b)).toEqual([
    { of: 'before', text: a },
    { of: 'after', text: b },
  ]);
});
