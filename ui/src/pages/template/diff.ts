/** A piece of two texts: in both of them, only in the earlier or only in the later one. */
export type Piece = { of: 'both' | 'before' | 'after'; text: string };

/**
 * What of a text changed, word by word; a variable is one word. The longest run of words that both have stays. Of texts of
 * more than some thousand words together all is changed: nobody reads such a comparison.
 */
export function diff(before: string, after: string): Piece[] {
  const a = words(before);
  const b = words(after);
  if (a.length * b.length > 4_000_000) return join([piece('before', before), piece('after', after)]);
  // common[i][j] is how many words the rests from i and from j have in common, in order.
  const common = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  const at = (i: number, j: number) => common[i]?.[j] ?? 0;
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--) {
      const row = common[i];
      if (row) row[j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  const pieces: Piece[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      pieces.push(piece('both', a[i]));
      i++;
      j++;
    } else if (j >= b.length || (i < a.length && at(i + 1, j) >= at(i, j + 1))) pieces.push(piece('before', a[i++]));
    else pieces.push(piece('after', b[j++]));
  }
  return join(pieces);
}

const words = (text: string) => text.match(/\{\{[^}]*\}\}|[\p{L}\p{N}_'’]+|\s+|./gsu) ?? [];

const piece = (of: Piece['of'], text = ''): Piece => ({ of, text });

/** Joins neighbours of a kind. */
function join(pieces: Piece[]): Piece[] {
  const joined: Piece[] = [];
  for (const p of pieces) {
    const last = joined.at(-1);
    if (last?.of === p.of) last.text += p.text;
    else if (p.text) joined.push({ ...p });
  }
  return joined;
}
