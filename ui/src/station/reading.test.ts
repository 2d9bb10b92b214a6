import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { checks, plain, shown } from './code';
import { type Key, signedSlowly, verify } from './token';

type Vectors = {
  keys: Key[];
  tokens: { token: string; wrong?: string; voucher?: string; scope?: string; station?: string; expires?: number }[];
  codes: Record<string, boolean>;
};
const vectors: Vectors = JSON.parse(readFileSync(new URL('vectors.json', import.meta.url), 'utf8'));

test.each(Object.entries(vectors.codes))('the code “%s” is read as the server reads it: %s', (text, good) => {
  expect(checks(plain(text))).toBe(good);
});

test('codes are shown as on the card', () => {
  expect([shown(plain('k7qm 42xd')), shown('K7QM'), shown('K7QM4')]).toEqual(['K7QM-42XD', 'K7QM', 'K7QM-4']);
});

describe.each([true, false])('tokens are read as the server reads them, with Ed25519 in the browser: %s', (native) => {
  test.each(vectors.tokens)('$wrong $scope $token', async ({ token, wrong, ...claims }) => {
    const has = crypto.subtle.importKey;
    if (!native)
      crypto.subtle.importKey = () => Promise.reject(new DOMException('no such algorithm', 'NotSupportedError'));
    try {
      const found = await verify(token, vectors.keys);
      expect(found).toEqual(wrong ? { wrong } : { claims });
    } finally {
      crypto.subtle.importKey = has;
    }
  });
});

test('a signature of another message is none', async () => {
  const key = new Uint8Array(32).fill(1);
  expect(await signedSlowly(key, new Uint8Array(64), new Uint8Array(3))).toBe(false);
});
