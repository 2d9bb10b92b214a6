// What a voucher's QR code says, and whether it is ours: domain/voucher/token.go in the phone, for when there is no
// connection. The same vectors test both.

/** What the code says. It holds no amount and no number. */
export type Claims = {
  voucher: string;
  scope: 'all' | 'set' | 'station';
  /** With scope station: which. */
  station?: string;
  /** The first moment at which it is worth nothing, ms since 1970. */
  expires: number;
};

/** A public key as the API lists it: its id in hexadecimal, its 32 bytes in base 64. */
export type Key = { id: string; public_key: string };

export type Verified = { claims: Claims } | { wrong: 'malformed' | 'unknown_key' | 'forged' };

const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const scopes = { 1: 'all', 2: 'set', 3: 'station' } as const;
const headSize = 22;
const idSize = 16;
const tailSize = 5 + 64; // expiry, signature

/** Reads a token and checks its signature; whether it has expired is another question. */
export async function verify(token: string, keys: Key[]): Promise<Verified> {
  const bytes = decode(token);
  if (!bytes || bytes.length < headSize || bytes[0] !== 1) return { wrong: 'malformed' };
  const scope = scopes[bytes[21] as keyof typeof scopes];
  const body = headSize + (scope === 'station' ? idSize : 0);
  if (!scope || bytes.length !== body + tailSize) return { wrong: 'malformed' };
  const id = hex(bytes.subarray(1, 5));
  const key = keys.find((k) => k.id === id);
  if (!key) return { wrong: 'unknown_key' };
  const publicKey = Uint8Array.from(atob(key.public_key), (c) => c.charCodeAt(0));
  if (!(await signed(publicKey, bytes.slice(body + 5), bytes.slice(0, body + 5)))) return { wrong: 'forged' };
  let seconds = 0;
  for (const b of bytes.subarray(body, body + 5)) seconds = seconds * 256 + b;
  return {
    claims: {
      voucher: uuid(bytes.subarray(5, 21)),
      scope,
      station: scope === 'station' ? uuid(bytes.subarray(headSize, body)) : undefined,
      expires: seconds * 1000,
    },
  };
}

/** Base 32, in the one spelling there is; undefined for anything else. */
function decode(token: string): Uint8Array | undefined {
  if (token.length > 200) return undefined;
  const bytes = new Uint8Array(Math.floor((token.length * 5) / 8));
  let bits = 0;
  let held = 0;
  let at = 0;
  for (const letter of token) {
    const value = letters.indexOf(letter);
    if (value < 0) return undefined;
    held = (held << 5) | value;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes[at++] = held >> bits;
      held &= (1 << bits) - 1;
    }
  }
  return held === 0 && bits < 5 ? bytes : undefined;
}

const hex = (bytes: Uint8Array) => Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('');
const uuid = (bytes: Uint8Array) => hex(bytes).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');

type Bytes = Uint8Array<ArrayBuffer>;

async function signed(key: Uint8Array, signature: Uint8Array, message: Uint8Array): Promise<boolean> {
  try {
    const imported = await crypto.subtle.importKey('raw', key as Bytes, 'Ed25519', false, ['verify']);
    return await crypto.subtle.verify('Ed25519', imported, signature as Bytes, message as Bytes);
  } catch {
    return signedSlowly(key, signature, message); // a browser that has no Ed25519, as many phones' of 2024
  }
}

/** The same without the browser's help. */
export async function signedSlowly(key: Uint8Array, signature: Uint8Array, message: Uint8Array): Promise<boolean> {
  const { verifyAsync } = await import('@noble/ed25519');
  return verifyAsync(signature, message, key).catch(() => false);
}
