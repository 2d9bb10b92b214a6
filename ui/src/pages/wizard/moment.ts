// Wall clocks. A date and a time in a zone are an instant, or none, or two: what the browser's field gives has no zone.

/** The instant at which the clocks of a zone show a wall time like 2026-11-23T20:00; undefined if they never do. The first of two. */
export function instantOf(wall: string, zone: string): Date | undefined {
  const asUTC = /^\d{4}-\d\d-\d\dT\d\d:\d\d$/.test(wall) ? Date.parse(`${wall}:00Z`) : Number.NaN;
  if (Number.isNaN(asUTC)) return undefined;
  const candidates = [asUTC - offset(asUTC - 864e5, zone), asUTC - offset(asUTC + 864e5, zone)].sort((a, b) => a - b);
  const found = candidates.find((at) => at + offset(at, zone) === asUTC);
  return found === undefined ? undefined : new Date(found);
}

/** What the clocks of a zone show at an instant, as the browser's field wants it. */
export const wallOf = (at: Date, zone: string) =>
  new Date(at.getTime() + offset(at.getTime(), zone)).toISOString().slice(0, 16);

/** How far a zone's clocks are ahead of UTC, in milliseconds. */
function offset(at: number, zone: string): number {
  const minute = Math.floor(at / 60_000) * 60_000;
  const parts = new Intl.DateTimeFormat('en-GB', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
  }).formatToParts(minute);
  const of = Object.fromEntries(parts.map((p) => [p.type, p.value]));
  return Date.parse(`${of.year}-${of.month}-${of.day}T${of.hour}:${of.minute}:00Z`) - minute;
}
