import { Group, Text, Title } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { type ReactNode, useEffect, useRef, useState } from 'react';
import { useLine } from '../../api/live';
import { count, duration } from '../../parts/format';
import { Legend, Progress } from '../../parts/progress';
import { Time } from '../../parts/time';
import { accepted, active, type Campaign, ended } from './campaign';

/** The figures of a campaign as they move: how far, how fast, and when it will be over. */
export function Progressing({ campaign: c }: { campaign: Campaign }) {
  return (
    <section className="card" aria-labelledby="progress">
      <Group justify="space-between" mb="md">
        <Title order={2} size="h3" id="progress">
          Progress
        </Title>
        <Fresh />
      </Group>
      <dl className="figures">
        <Figure name="Sent" value={count(accepted(c))} unit={`of ${count(c.targets)}`} />
        {c.status !== 'draft' && (
          <>
            <Pace campaign={c} />
            <End campaign={c} />
          </>
        )}
      </dl>
      <Progress counts={c} thick />
      <Legend
        counts={c}
        link={(state, content) => (
          <Link to="." search={{ state }} resetScroll={false} hash="recipients">
            {content}
          </Link>
        )}
      />
    </section>
  );
}

function Figure({ name, value, unit }: { name: string; value: ReactNode; unit?: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        <strong>{value}</strong> {unit && <span>{unit}</span>}
      </dd>
    </div>
  );
}

/** Says so while the figures are not live. */
function Fresh() {
  const line = useLine();
  const [since, setSince] = useState('');
  useEffect(() => setSince(line === 'live' ? '' : new Date().toISOString()), [line]);
  if (line !== 'reconnecting' || !since) return null;
  return (
    <Text size="xs" c="dimmed" role="status">
      Reconnecting… figures as of <Time at={since} />
    </Text>
  );
}

const window = 60_000; // ms

function Pace({ campaign: c }: { campaign: Campaign }) {
  const through = accepted(c) + c.failed + c.unknown;
  const sending = c.status === 'running' && c.gate === 'open';
  const seen = useRef<{ at: number; through: number }[]>([]);
  const [pace, setPace] = useState<{ messages: number; seconds: number }>();

  useEffect(() => {
    const last = seen.current.at(-1);
    if (last && through < last.through) seen.current = []; // sent again
    seen.current.push({ at: Date.now(), through });
  }, [through]);
  useEffect(() => {
    seen.current = sending ? seen.current.slice(-1).map((s) => ({ ...s, at: Date.now() })) : [];
    setPace(undefined);
    if (!sending) return;
    const timer = setInterval(() => {
      const now = Date.now();
      while (seen.current[1] && seen.current[1].at <= now - window) seen.current.shift();
      const [first, last] = [seen.current[0], seen.current.at(-1)];
      if (!first || !last) return;
      const seconds = Math.min(window, now - first.at) / 1000;
      if (seconds >= 2) setPace({ messages: last.through - first.through, seconds: Math.round(seconds) });
    }, 1000);
    return () => clearInterval(timer);
  }, [sending]);

  if (ended(c)) return <Figure name="Took" value={c.report ? duration(c.report.seconds) : '–'} />;
  if (!sending) return <Figure name="Pace" value="–" />;
  if (!pace) return <Figure name="Pace" value="…" unit="measuring" />;
  return (
    <Figure
      name="Pace"
      value={count(pace.messages)}
      unit={pace.seconds >= 60 ? 'in the last minute' : `in the last ${pace.seconds} s`}
    />
  );
}

function End({ campaign: c }: { campaign: Campaign }) {
  const now = useNow(active(c));
  if (c.finished_at) return <Figure name="Ended" value={<Time at={c.finished_at} />} />;
  if (c.finishes_at) {
    const seconds = (Date.parse(c.finishes_at) - now) / 1000;
    return (
      <Figure
        name="All sent by"
        value={<Time at={c.finishes_at} />}
        unit={seconds > 1 ? `in ${duration(seconds)}` : 'any moment'}
      />
    );
  }
  if (c.status === 'settling' || (active(c) && c.queued === 0))
    return <Figure name="All sent by" value="now" unit="receipts still come" />;
  return <Figure name="All sent by" value="–" unit={active(c) ? 'not as things stand' : undefined} />;
}

/** The time, every second while `ticks`. */
function useNow(ticks: boolean): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    if (!ticks) return;
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [ticks]);
  return now;
}
