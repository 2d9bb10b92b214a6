// Quiet hours as the setting has them, and in words. A window belongs to the day on which it starts and may end
// on the next; times are those of the recipient's clock.

export const days = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
export type Day = (typeof days)[number];

/** No days: every day. An end may be 24:00. */
export type Window = { start: string; end: string; days: Day[] };

/** Other hours for some of a country's recipients, in place of its own. '' is any. */
export type Override = { locale: string; channel: string; windows: Window[] };

export type Hours = { windows: Window[]; overrides: Override[] };

/** By country. */
export type QuietHours = Record<string, Hours>;

type Written = { start?: string; end?: string; days?: Day[]; windows?: Written[]; overrides?: Written[] } & {
  locale?: string;
  channel?: string;
};

/** Reads the setting, whose windows may be written in three ways. */
export function readHours(value: unknown): QuietHours {
  const entries = Object.entries((value ?? {}) as Record<string, Written>);
  return Object.fromEntries(
    entries.map(([country, h]) => [
      country,
      {
        windows: windowsOf(h),
        overrides: (h.overrides ?? []).map((o) => ({
          locale: o.locale ?? '',
          channel: o.channel ?? '',
          windows: windowsOf(o),
        })),
      },
    ]),
  );
}

function windowsOf(h: Written): Window[] {
  const all = h.windows ?? [h];
  return all.map((w) => ({ start: w.start ?? '', end: w.end ?? '', days: w.days ?? [] }));
}

/** Writes the setting. */
export function writeHours(hours: QuietHours): unknown {
  const windows = (all: Window[]) =>
    all.map(({ start, end, days: on }) => (on.length === 0 ? { start, end } : { start, end, days: on }));
  return Object.fromEntries(
    Object.entries(hours).map(([country, h]) => [
      country,
      {
        windows: windows(h.windows),
        overrides: h.overrides.map((o) => ({
          ...(o.locale && { locale: o.locale }),
          ...(o.channel && { channel: o.channel }),
          windows: windows(o.windows),
        })),
      },
    ]),
  );
}

/** Minutes of a day from its midnight; NaN when it is no time. */
export function minutes(clock: string): number {
  const found = /^([01]\d|2[0-4]):([0-5]\d)$/.exec(clock);
  const n = found ? Number(found[1]) * 60 + Number(found[2]) : Number.NaN;
  return n <= 1440 ? n : Number.NaN;
}

/** What is wrong with a window, if anything. */
export function windowFault(w: Window): { start?: string; end?: string } {
  const use = 'Use 00:00 to';
  if (Number.isNaN(minutes(w.start)) || minutes(w.start) === 1440) return { start: `${use} 23:59.` };
  if (Number.isNaN(minutes(w.end))) return { end: `${use} 24:00.` };
  if (w.start === w.end) return { end: 'Not the start again.' };
  return {};
}

/** The quiet stretches of each day, Monday first, in minutes from midnight; none overlap. */
export function quietStretches(windows: Window[]): [from: number, to: number][][] {
  const week: [number, number][][] = days.map(() => []);
  for (const w of windows) {
    const [from, to] = [minutes(w.start), minutes(w.end)];
    if (Number.isNaN(from) || Number.isNaN(to) || from === to) continue;
    days.forEach((day, i) => {
      if (w.days.length > 0 && !w.days.includes(day)) return;
      if (from < to) week[i]?.push([from, to]);
      else {
        week[i]?.push([from, 1440]);
        if (to > 0) week[(i + 1) % 7]?.push([0, to]);
      }
    });
  }
  return week.map((stretches) => {
    const merged: [number, number][] = [];
    for (const [from, to] of stretches.sort((a, b) => a[0] - b[0])) {
      const last = merged.at(-1);
      if (last && from <= last[1]) last[1] = Math.max(last[1], to);
      else merged.push([from, to]);
    }
    return merged;
  });
}

const names: Record<Day, string> = {
  mon: 'Mon',
  tue: 'Tue',
  wed: 'Wed',
  thu: 'Thu',
  fri: 'Fri',
  sat: 'Sat',
  sun: 'Sun',
};
export const dayName = (day: Day) => names[day];

/** 22:00–06:00 every day, 00:00–24:00 Sun */
export function windowsInWords(windows: Window[]): string {
  if (windows.length === 0) return 'no quiet hours';
  return windows.map((w) => `${w.start}–${w.end} ${daysInWords(w.days)}`).join(', ');
}

/** Mon–Fri; runs of three and more are drawn together. */
export function daysInWords(on: Day[]): string {
  if (on.length === 0 || on.length === 7) return 'every day';
  const at = on.map((d) => days.indexOf(d)).sort((a, b) => a - b);
  const runs: number[][] = [];
  for (const i of at) {
    const run = runs.at(-1);
    if (run && run.at(-1) === i - 1) run.push(i);
    else runs.push([i]);
  }
  const name = (i: number | undefined) => names[days[i ?? 0] ?? 'mon'];
  return runs
    .map((run) => (run.length > 2 ? `${name(run[0])}–${name(run.at(-1))}` : run.map((i) => name(i)).join(', ')))
    .join(', ');
}
