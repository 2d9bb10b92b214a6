import { IconCheck, IconFlame, IconHourglass, IconMinus, IconX } from '@tabler/icons-react';
import { useEffect, useState } from 'react';
import { duration } from '../../parts/format';
import { type Drill, isOpen, type Part } from './marks';

const names: Record<Part['event'], string> = {
  detected: 'Detected',
  alerted: 'Alerted',
  acknowledged: 'Acknowledged',
  mitigated: 'Mitigated',
  recovered: 'Recovered',
  steady: 'Steady again',
};

/** Seconds as a drill tells them: tenths below a minute. */
export const took = (s: number) => (s < 60 ? `${s.toFixed(1)} s` : duration(s));

const afterwards = (e: Part['event']) => e === 'recovered' || e === 'steady';

/** The whole loop as a picture: what came after how long, of how long it had, and what is still waited for. */
export function Loop({ of: d }: { of: Drill }) {
  const running = useRunning(d);
  const began = d.injected_at !== undefined;
  return (
    <ol className="loop" aria-label="The loop">
      <li data-tone={d.status === 'injected' ? 'live' : began ? 'good' : 'quiet'}>
        <span className="loop-sign">
          <IconFlame size={16} aria-hidden />
        </span>
        <div>
          <div className="loop-name">Fault</div>
          <div className="loop-time">
            {d.status === 'injected' ? 'is there' : d.reverted_at ? 'was there, is gone' : 'not yet'}
          </div>
        </div>
      </li>
      {(d.score_parts ?? []).map((p) => {
        const state = standing(d, p);
        const shown = p.after ?? (state === 'waits' ? (afterwards(p.event) ? running.reverted : running.injected) : 0);
        return (
          <li key={p.event} data-tone={tones[state]}>
            <span className="loop-sign">{signs[state]}</span>
            <div>
              <div className="loop-name">{names[p.event]}</div>
              <span className="loop-bar">
                <span style={{ width: `${Math.min(100, (100 * shown) / p.within)}%` }} />
              </span>
              <div className="loop-time">
                {state === 'met' || state === 'missed' ? `${p.after === null ? p.why : took(p.after)} of ${took(p.within)}` : ''}
                {state === 'waits' && `waits, ${took(p.within)} at most`}
                {state === 'later' && `within ${took(p.within)}`}
                {state === 'never' && 'never run'}
              </div>
            </div>
          </li>
        );
      })}
    </ol>
  );
}

type Standing = 'met' | 'missed' | 'waits' | 'later' | 'never';

function standing(d: Drill, p: Part): Standing {
  if (p.met) return 'met';
  const told = (d.run ?? []).some((e) => e.type === 'event' && e.name === p.event);
  if (p.after !== null || told) return 'missed';
  if (!isOpen(d.status)) return d.injected_at ? 'missed' : 'never';
  return d.status === (afterwards(p.event) ? 'recovering' : 'injected') ? 'waits' : 'later';
}

const tones = { met: 'good', missed: 'bad', waits: 'live', later: 'quiet', never: 'quiet' } as const;

const signs = {
  met: <IconCheck size={16} aria-label="in time" />,
  missed: <IconX size={16} aria-label="missed" />,
  waits: <IconHourglass size={16} aria-label="waits" />,
  later: <IconMinus size={16} aria-label="not yet" />,
  never: <IconMinus size={16} aria-label="never run" />,
};

/** Seconds since the fault began and since it was gone, by the server's clock, running on between two answers. */
function useRunning(d: Drill) {
  const since = (at: string | undefined, now: number) => (at ? Math.max(0, (now - Date.parse(at)) / 1000) : 0);
  const [now, set] = useState(() => Date.parse(d.now));
  useEffect(() => {
    const server = Date.parse(d.now);
    set(server);
    if (!isOpen(d.status)) return;
    const began = performance.now();
    const timer = setInterval(() => set(server + performance.now() - began), 250);
    return () => clearInterval(timer);
  }, [d.now, d.status]);
  return { injected: since(d.injected_at, now), reverted: since(d.reverted_at, now) };
}
