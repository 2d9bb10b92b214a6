// A voucher's short code, as people type it. The rule is domain/voucher/code.go's: the same vectors test both.

/** Crockford's base 32: no I, L, O and U. */
const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** How many characters a code has, the check character among them. */
export const codeLength = 8;

/** What was typed, without what does not matter: capitals, I and L as 1, O as 0, no blanks and dashes. */
export const plain = (typed: string) =>
  typed
    .replace(/[\s\p{Pd}\p{Cf}]/gu, '')
    .toUpperCase()
    .replace(/[IL]/g, '1')
    .replace(/O/g, '0');

/** K7QM-42XD, of a plain code, or as much of it as there is. */
export const shown = (code: string) => (code.length > 4 ? `${code.slice(0, 4)}-${code.slice(4)}` : code);

/** Whether a plain code may be one: its check character finds a slip of the finger before the network does. */
export function checks(code: string): boolean {
  if (code.length !== codeLength) return false;
  let sum = 0;
  for (const c of code) {
    const value = alphabet.indexOf(c);
    if (value < 0) return false;
    sum = times(sum) ^ value;
  }
  return sum === 0;
}

/** Times a in the field of 32 elements, whose polynomial is x^5 + x^2 + 1. */
function times(n: number): number {
  const twice = n << 1;
  return twice >= 32 ? twice ^ 0b100101 : twice;
}
