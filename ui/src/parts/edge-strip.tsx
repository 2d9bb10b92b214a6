import type { EdgeFunction } from '../api/edge';

const names: Record<string, string> = {
  green: 'working',
  amber: 'degraded',
  red: 'down',
  drill: 'in a drill',
  unknown: 'unknown',
};

/** The last 24 hours of a service, a quarter of an hour each: the worse, the higher and the louder. */
export function Strip({ of: f }: { of: EdgeFunction }) {
  const strip = f.strip ?? [];
  const bars = strip.reduce<{ state: string; from: number; n: number }[]>((all, state, from) => {
    const last = all.at(-1);
    if (last?.state === state) last.n++;
    else all.push({ state, from, n: 1 });
    return all;
  }, []);
  return (
    <svg
      viewBox="0 0 96 16"
      preserveAspectRatio="none"
      className="edge-strip"
      role="img"
      aria-label={inWords(f.title, bars)}
    >
      {bars.map(({ state, from, n }) => (
        <rect key={from} x={from} width={n} data-state={state} {...(state === 'unknown' ? low : full)} />
      ))}
    </svg>
  );
}

const full = { y: 0, height: 16 };
const low = { y: 12, height: 4 };

function inWords(title: string, bars: { state: string; n: number }[]): string {
  const hours = new Map<string, number>();
  for (const b of bars) hours.set(b.state, (hours.get(b.state) ?? 0) + b.n / 4);
  return `${title}, last 24 hours: ${[...hours].map(([state, h]) => `${names[state] ?? state} ${h} h`).join(', ')}`;
}
