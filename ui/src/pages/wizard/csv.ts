// What a file of recipients looks like, from its first bytes: the rest is never read here. Names and rules are
// those by which the server reads it (domain/audience); it has the last word.

/** The beginning of a file, as far as a mapping needs it. */
export type Head = {
  columns: string[];
  /** The first line below the header, by column; empty if there is none. */
  sample: string[];
};

/** How much is read at first, and at most: the longest header the server takes. */
const first = 4 << 10;
const most = 64 << 10;

/** Reads the head of a file, or throws an Error that says for people why it is none. */
export async function headOf(file: Blob): Promise<Head> {
  if (file.size === 0) throw new Error('The file is empty. Its first line must name the columns.');
  for (let size = first; ; size = most) {
    const whole = file.size <= size;
    const text = decode(new Uint8Array(await file.slice(0, size).arrayBuffer()), whole);
    const lines = text.split(/\r?\n/);
    if (!whole) lines.pop(); // it may be torn
    const delimiters = (line: string) => line.replaceAll(sniff(line), '').trim() === '';
    const at = lines.findIndex((l) => !delimiters(l));
    if (at < 0 && !whole && size < most) continue;
    const header = lines[at];
    if (header === undefined) {
      throw new Error(
        whole
          ? 'The file is empty. Its first line must name the columns.'
          : 'The first line is longer than 64 KiB: this is no CSV file.',
      );
    }
    const delimiter = sniff(header);
    const columns = split(header, delimiter);
    while (columns.at(-1) === '') columns.pop();
    if (columns.some(looksLikeNumber))
      throw new Error('The first line holds a phone number. It must name the columns, like msisdn, name, locale.');
    const twice = columns.find((c, i) => c !== '' && columns.findIndex((o) => normal(o) === normal(c)) < i);
    if (twice) throw new Error(`Two columns are called “${twice.slice(0, 40)}”. Give each a name of its own.`);
    const below = lines.slice(at + 1).find((l) => !delimiters(l));
    return { columns, sample: below === undefined ? [] : split(below, delimiter) };
  }
}

/** The text of a file's first bytes, by its byte order mark, else as UTF-8. */
function decode(bytes: Uint8Array, whole: boolean): string {
  const starts = (...mark: number[]) => mark.every((b, i) => bytes[i] === b);
  if (starts(0x50, 0x4b, 0x03, 0x04) || starts(0xd0, 0xcf, 0x11, 0xe0))
    throw new Error('This is a spreadsheet, not CSV. Save it as “CSV UTF-8” and choose that file.');
  const kind = starts(0xff, 0xfe) ? 'utf-16le' : starts(0xfe, 0xff) ? 'utf-16be' : 'utf-8';
  if (kind === 'utf-8' && bytes.includes(0))
    throw new Error('This is no UTF-8 text. Save the file as “CSV UTF-8” and choose it again.');
  try {
    // Half a character at the cut is none of the file's faults.
    return new TextDecoder(kind, { fatal: true }).decode(bytes, { stream: !whole });
  } catch {
    throw new Error('This is neither UTF-8 nor UTF-16 text. Save the file as “CSV UTF-8” and choose it again.');
  }
}

/** The delimiter a header holds most often, outside quotes. */
function sniff(header: string): string {
  const counts: Record<string, number> = {};
  let quoted = false;
  for (const c of header) {
    if (c === '"') quoted = !quoted;
    if (!quoted) counts[c] = (counts[c] ?? 0) + 1;
  }
  let best = ',';
  for (const c of [';', '\t', '|']) if ((counts[c] ?? 0) > (counts[best] ?? 0)) best = c;
  return best;
}

function split(line: string, delimiter: string): string[] {
  const fields: string[] = [];
  let rest = line;
  for (;;) {
    rest = rest.replace(/^ +/, '');
    if (!rest.startsWith('"')) {
      const end = rest.indexOf(delimiter);
      if (end < 0) return [...fields, rest.trim()];
      fields.push(rest.slice(0, end).trim());
      rest = rest.slice(end + 1);
      continue;
    }
    const quoted = /^"((?:[^"]|"")*)"/.exec(rest);
    if (!quoted) throw new Error('A quote in the first lines is not closed.');
    fields.push((quoted[1] ?? '').replaceAll('""', '"').trim());
    rest = rest.slice(quoted[0].length).trimStart();
    if (!rest.startsWith(delimiter)) return fields;
    rest = rest.slice(1);
  }
}

function looksLikeNumber(field: string) {
  return /^\+?[\d ()./-]{7,20}$/.test(field) && field.replace(/\D/g, '').length >= 7;
}

/** The form in which column names are compared. */
const normal = (name: string) => name.toLowerCase().replace(/[ _]/g, '');

const aliases: Record<string, string[]> = {
  msisdn: ['phone', 'phonenumber', 'number', 'mobile', 'telephone', 'tel', 'whatsapp', 'recipient'],
  zone: ['timezone', 'tz'],
};

/** The column that the server takes for a field by itself: the one called like it, else the only one by another of its names. */
export function columnFor(field: string, columns: string[]): string | undefined {
  const same = columns.find((c) => normal(c) === normal(field));
  if (same) return same;
  const others = columns.filter((c) => aliases[field]?.includes(normal(c)));
  return others.length === 1 ? others[0] : undefined;
}

/** The same for people, for a spreadsheet: what starts like a formula is none there. */
export function csvLine(fields: (string | number)[]): string {
  return `${fields
    .map((f) => {
      const text = /^[=+\-@\t\r]/.test(String(f)) ? `'${f}` : String(f);
      return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    })
    .join(',')}\r\n`;
}
