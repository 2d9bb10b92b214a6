// How numbers and times are written. Everything the panel shows goes through here.

/** The zone of whoever looks. */
export const localZone = Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';

/** 12,345 */
export const count = (n: number) => n.toLocaleString('en');

/** 12,345 RWF, 12.50 EUR; francs have no cents. */
export function money(n: number, currency = 'RWF') {
  const digits = currency === 'RWF' ? 0 : 2;
  return `${n.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits })} ${currency}`;
}

/** 41 %: never 100 % before everything is in, nor 0 % once something is. */
export function share(part: number, whole: number): string {
  if (whole <= 0 || part <= 0) return '0 %';
  if (part >= whole) return '100 %';
  return `${Math.min(99, Math.max(1, Math.round((100 * part) / whole)))} %`;
}

/** 97.6 %, of 0.976, cut off to a tenth: never 100 % before everything is in, nor 0 % once something is. */
export function percent(of: number): string {
  if (of >= 1) return '100 %';
  if (of <= 0) return '0 %';
  if (of < 0.001) return '< 0.1 %';
  return `${(Math.floor(of * 1000 + 1e-9) / 10).toFixed(1)} %`;
}

const regions = new Intl.DisplayNames('en', { type: 'region' });
const languages = new Intl.DisplayNames('en', { type: 'language', languageDisplay: 'standard' });

/** Rwanda, of RW. */
export const countryName = (code: string) => named(regions, code);

/** Kinyarwanda (Rwanda), of rw-RW. */
export const localeName = (code: string) => named(languages, code);

function named(names: Intl.DisplayNames, code: string): string {
  try {
    return names.of(code) ?? code;
  } catch {
    return code; // what is no code is shown as it is
  }
}

/** A zone by its city, as people say it: Africa/Kigali is Kigali. */
export function zoneName(zone: string): string {
  if (/^(Etc\/)?(UTC|UCT|Universal|Zulu|GMT)$/.test(zone)) return 'UTC';
  return (zone.split('/').pop() ?? zone).replaceAll('_', ' ');
}

/** 23 Nov, 06:02; with the year when it is not this one. */
export function dayTime(at: string | Date, zone = localZone, now = new Date()): string {
  const part = parts(new Date(at), zone);
  const year = part.year === parts(now, zone).year ? '' : ` ${part.year}`;
  return `${part.day} ${part.month}${year}, ${part.hour}:${part.minute}`;
}

/** 23 Nov, 06:02 (Kigali) */
export const dayTimeZone = (at: string | Date, zone = localZone, now = new Date()) =>
  `${dayTime(at, zone, now)} (${zoneName(zone)})`;

/** :07, to be put behind a dayTime. */
export const secondsOf = (at: string | Date) => `:${String(new Date(at).getUTCSeconds()).padStart(2, '0')}`;

/** Server texts begin small, as parts of sentences. */
export const upper = (s: string) =>
  s.startsWith('whatsapp') ? `WhatsApp${s.slice(8)}` : s.charAt(0).toUpperCase() + s.slice(1);

/** provider_refused is provider refused. */
export const words = (code: string) => code.replaceAll('_', ' ');

/** 2 h 5 min, from seconds; two units at most. */
export function duration(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  const [d, h, m] = [Math.floor(s / 86400), Math.floor((s % 86400) / 3600), Math.floor((s % 3600) / 60)];
  const two = d ? [d, 'd', h, 'h'] : h ? [h, 'h', m, 'min'] : [m, 'min', s % 60, 's'];
  return two[2] ? `${two[0]} ${two[1]} ${two[2]} ${two[3]}` : `${two[0]} ${two[1]}`;
}

const formats = new Map<string, Intl.DateTimeFormat>();

function parts(at: Date, zone: string) {
  let format = formats.get(zone);
  if (!format) {
    format = new Intl.DateTimeFormat('en-GB', {
      timeZone: zone,
      year: 'numeric',
      month: 'short',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      hourCycle: 'h23',
    });
    formats.set(zone, format);
  }
  const found = Object.fromEntries(format.formatToParts(at).map((p) => [p.type, p.value]));
  return { year: found.year, month: found.month?.slice(0, 3), day: found.day, hour: found.hour, minute: found.minute };
}
