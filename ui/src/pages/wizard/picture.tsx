import { Stack, Table, Text, Title } from '@mantine/core';
import { useElementSize } from '@mantine/hooks';
import type { components } from '../../api/schema';
import { count, dayTime, dayTimeZone, duration, localZone, zoneName } from '../../parts/format';
import { Time } from '../../parts/time';

type Forecast = components['schemas']['Forecast'];

const reasons: Record<string, string> = {
  dispatch_disabled: 'dispatch to be switched on',
  channel_suspended: 'the provider to take our messages',
  template_suspended: 'the provider to take this template',
  opt_out: 'an opt-in after an opt-out',
  no_consent: 'a consent',
  quiet_hours: 'the end of quiet hours',
  channel_slowed: 'the provider’s pause',
  throttled: 'the throttle',
  frequency_cap: 'the frequency cap',
  provider_retry: 'the provider to be asked again',
};
export const reason = (r: string) => reasons[r] ?? r.replaceAll('_', ' ');

/** A forecast in words, as a picture, and why who waits. */
export function ForecastPicture({ forecast: f }: { forecast: Forecast }) {
  const end = f.finishes_at;
  return (
    <Stack gap="lg">
      <section aria-labelledby="forecast" className="card">
        <Title id="forecast" order={3} size="h4">
          {f.sendable === 0 ? (
            'Nobody would get it'
          ) : end ? (
            <>
              All gone by <Time at={end} />
            </>
          ) : (
            'It would not finish'
          )}
        </Title>
        <Text size="sm" c="dimmed" mt={4}>
          {inWords(f)}
        </Text>
        {f.never && (
          <Text size="sm" mt={8} c="var(--bad)">
            {count(f.never.targets)} never go, as things stand: {f.never.why}.
          </Text>
        )}
        {f.steps.length > 1 && end && <Curve f={f} end={end} />}
        <Text size="xs" c="dimmed" mt="sm">
          {f.rate_measured
            ? `Reckoned with the ${count(Math.round(f.assumed_rate))} messages a second measured now`
            : `Reckoned with ${count(Math.round(f.assumed_rate))} messages a second where no rule limits them`}
          ; the rules are those of now (revision {f.policy_revision}). Receipts come later.
        </Text>
      </section>
      {f.blocked.length > 0 && (
        <Listing
          title="Who does not go at once"
          heads={['Why', 'Recipients', `Until (${zoneName(localZone)})`]}
          rows={f.blocked.map((b) => ({
            key: b.reason,
            cells: [b.why, count(b.targets), b.until ? <Time key="t" at={b.until} bare /> : 'not by time alone'],
          }))}
        />
      )}
      {f.waves.length > 1 && (
        <Listing
          title="The waves"
          heads={[`From (${zoneName(localZone)})`, 'Recipients', 'Takes', 'After waiting for']}
          rows={f.waves.slice(0, 12).map((w) => ({
            key: w.from + w.waited,
            cells: [
              <Time key="t" at={w.from} bare />,
              count(w.targets),
              duration((Date.parse(w.to) - Date.parse(w.from)) / 1000),
              w.waited ? reason(w.waited) : 'nothing',
            ],
          }))}
          more={f.waves.length - 12}
        />
      )}
    </Stack>
  );
}

function inWords(f: Forecast) {
  const waits = f.sendable - Math.min(f.permitted, f.sendable);
  const out = f.targets - f.sendable;
  return [
    `${count(f.permitted)} of ${count(f.targets)} may go at once.`,
    waits > 0 && `${count(waits)} go later.`,
    out > 0 && `${count(out)} are left out.`,
    f.peak_per_minute > 0 && `At most ${count(f.peak_per_minute)} go in a minute.`,
  ]
    .filter(Boolean)
    .join(' ');
}

const height = 200;
const pad = { top: 24, right: 8, bottom: 24, left: 56 };

/** How many have gone by when; shaded where nobody goes. */
function Curve({ f, end }: { f: Forecast; end: string }) {
  const { ref, width } = useElementSize<HTMLElement>();
  const from = Date.parse(f.at);
  const to = Math.max(Date.parse(end), Date.parse(f.steps.at(-1)?.at ?? end), from + 4000); // less says nothing
  const most = Math.max(f.sendable, 1);
  const w = Math.max(width, 240);
  const x = (at: number) => pad.left + ((at - from) / (to - from)) * (w - pad.left - pad.right);
  const y = (n: number) => height - pad.bottom - (n / most) * (height - pad.top - pad.bottom);
  const gone = f.steps.at(-1)?.sent_total ?? 0;
  const points = [{ at: f.at, sent_total: 0 }, ...f.steps, { at: new Date(to).toISOString(), sent_total: gone }].map(
    (s) => `${x(Date.parse(s.at)).toFixed(1)},${y(s.sent_total).toFixed(1)}`,
  );
  const gaps = f.waves.flatMap((wave, i) => {
    const before = i === 0 ? from : Date.parse(f.waves[i - 1]?.to ?? f.at);
    const begins = Date.parse(wave.from);
    return begins - before > (to - from) / 100 ? [{ from: before, to: begins, why: wave.waited }] : [];
  });
  const ticks = timeTicks(from, to, w < 480 ? 2 : 4);
  const said = [
    `${count(f.sendable)} messages from ${dayTimeZone(f.at)} to ${dayTimeZone(end)}.`,
    ...gaps
      .slice(0, 6)
      .map(
        (g) =>
          `Nobody goes from ${dayTime(new Date(g.from))} to ${dayTime(new Date(g.to))}${g.why ? `, waiting for ${reason(g.why)}` : ''}.`,
      ),
  ].join(' ');
  return (
    <figure ref={ref} className="curve">
      <svg width="100%" height={height} viewBox={`0 0 ${w} ${height}`} role="img" aria-label={said}>
        {gaps.map((g) => (
          <g key={g.from}>
            <rect
              x={x(g.from)}
              y={pad.top}
              width={x(g.to) - x(g.from)}
              height={height - pad.top - pad.bottom}
              className="curve-wait"
            />
            {x(g.to) - x(g.from) > 96 && (
              <text x={(x(g.from) + x(g.to)) / 2} y={pad.top - 8} textAnchor="middle" className="curve-why">
                {g.why ? reason(g.why) : 'waits'}
              </text>
            )}
          </g>
        ))}
        {[0, most / 2, most].map((n) => (
          <g key={n}>
            <line x1={pad.left} x2={w - pad.right} y1={y(n)} y2={y(n)} className="curve-grid" />
            {(n !== most / 2 || most > 3) && (
              <text x={pad.left - 8} y={y(n) + 4} textAnchor="end">
                {short(n)}
              </text>
            )}
          </g>
        ))}
        {ticks.map((t, i) => (
          <text
            key={t.at}
            x={x(t.at)}
            y={height - 6}
            textAnchor={i === 0 ? 'start' : i === ticks.length - 1 ? 'end' : 'middle'}
          >
            {t.label}
          </text>
        ))}
        <polygon points={`${points.join(' ')} ${x(to)},${y(0)} ${x(from)},${y(0)}`} className="curve-area" />
        <polyline points={points.join(' ')} className="curve-line" />
      </svg>
      <figcaption>
        Sent in total, by the clocks of {zoneName(localZone)}
        {gaps.length > 0 && '; shaded: nobody may go'}
      </figcaption>
    </figure>
  );
}

/** Instants along an axis, each as short as it can be told from the others. */
function timeTicks(from: number, to: number, parts: number) {
  const span = to - from;
  return Array.from({ length: parts + 1 }, (_, i) => {
    const at = from + (span * i) / parts;
    const label =
      span < 600_000
        ? i === 0
          ? dayTime(new Date(at)).split(', ')[1]
          : `+${duration((at - from) / 1000)}`
        : span < 72_000_000
          ? dayTime(new Date(at)).split(', ')[1]
          : dayTime(new Date(at));
    return { at, label };
  });
}

const short = (n: number) =>
  new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 }).format(Math.round(n));

function Listing({
  title,
  heads,
  rows,
  more = 0,
}: {
  title: string;
  heads: string[];
  rows: { key: string; cells: React.ReactNode[] }[];
  more?: number;
}) {
  return (
    <section>
      <Title order={3} size="h4" mb="xs">
        {title}
      </Title>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable */}
      <section className="table-scroll" aria-label={title} tabIndex={0}>
        <Table>
          <Table.Thead>
            <Table.Tr>
              {heads.map((h) => (
                <Table.Th key={h} scope="col" ta={h === 'Recipients' ? 'right' : undefined}>
                  {h}
                </Table.Th>
              ))}
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {rows.map((r) => (
              <Table.Tr key={r.key}>
                {r.cells.map((c, i) => (
                  <Table.Td key={heads[i]} ta={heads[i] === 'Recipients' ? 'right' : undefined}>
                    {c}
                  </Table.Td>
                ))}
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </section>
      {more > 0 && (
        <Text size="sm" c="dimmed" mt={8}>
          And {count(more)} more.
        </Text>
      )}
    </section>
  );
}
