import { Alert, Group, Skeleton, Text, Title } from '@mantine/core';
import { IconHourglass } from '@tabler/icons-react';
import { api } from '../../api/client';
import { problemOf } from '../../api/problem';
import type { components } from '../../api/schema';
import { count, dayTime, dayTimeZone, localZone, upper, zoneName } from '../../parts/format';
import { Time } from '../../parts/time';
import { type Campaign, every } from './campaign';

type Wave = components['schemas']['Wave'];

/** Why the queued ones wait and until when, and when they will go. */
export function Rest({ campaign: c }: { campaign: Campaign }) {
  const halted = c.gate === 'paused' || c.status === 'paused';
  return (
    <div className="halves no-print">
      <section className="card" aria-labelledby="waiting">
        <Title order={2} size="h3" mb="md" id="waiting">
          What {count(c.queued)} wait for
        </Title>
        {halted && (
          <Text size="sm" mb="xs">
            Somebody to resume the campaign{c.waiting.length > 0 && ', and then'}
          </Text>
        )}
        {c.waiting.length === 0 ? (
          <Text size="sm" c="dimmed">
            {halted ? 'No rule keeps them back.' : 'Only their turn.'}
          </Text>
        ) : (
          <ul className="lines">
            {c.waiting.map((w) => (
              <li key={`${w.reason} ${w.why}`}>
                <span className="amount">{count(w.targets)}</span>
                <span>
                  {upper(w.why)}
                  <Text span size="xs" c="dimmed" display="block">
                    {w.until ? (
                      <>
                        until <Time at={w.until} />
                      </>
                    ) : (
                      'until somebody changes something'
                    )}
                  </Text>
                </span>
              </li>
            ))}
          </ul>
        )}
      </section>
      <Forecast campaign={c} />
    </div>
  );
}

const shown = 4; // waves

function Forecast({ campaign: c }: { campaign: Campaign }) {
  const query = api.useQuery(
    'get',
    '/campaigns/{id}/forecast',
    { params: { path: { id: c.campaign_id } } },
    { refetchInterval: every(10_000, c) },
  );
  const f = query.data;
  const halted = c.gate === 'paused' || c.status === 'paused';
  return (
    <section className="card" aria-labelledby="rest">
      <Group justify="space-between" mb="md" gap="xs">
        <Title order={2} size="h3" id="rest">
          When the rest goes
        </Title>
        <Text size="xs" c="dimmed">
          {zoneName(localZone)} time
        </Text>
      </Group>
      {!f && query.isPending && <Skeleton height={64} />}
      {!f && query.isError && (
        <Text size="sm" c="dimmed">
          Not known now. {problemOf(query.error).message}
        </Text>
      )}
      {f && (
        <>
          {halted && !f.assumes?.length && (
            <Text size="sm" c="dimmed" mb="xs">
              As if it were resumed now.
            </Text>
          )}
          {f.assumes?.map((a) => (
            <Text key={a} size="sm" c="dimmed" mb="xs">
              {upper(a)}.
            </Text>
          ))}
          <ol className="lines">
            {f.waves.slice(0, shown).map((w) => (
              <li key={w.from}>
                <span className="amount">{count(w.targets)}</span>
                <span>
                  {span(w)}
                  <Text span size="xs" c="dimmed" display="block">
                    {[places(w), w.waited && upper(w.waited)].filter(Boolean).join(' · ')}
                  </Text>
                </span>
              </li>
            ))}
          </ol>
          {f.waves.length > shown && (
            <Text size="sm" c="dimmed" mt="xs">
              and {count(f.waves.slice(shown).reduce((sum, w) => sum + w.targets, 0))} in {f.waves.length - shown} more
              waves
              {f.finishes_at && <> until {dayTimeZone(f.finishes_at)}</>}
            </Text>
          )}
          {f.never && (
            <Alert color="violet" icon={<IconHourglass size={16} />} mt="sm">
              {count(f.never.targets)} never go as things stand: {f.never.why}
            </Alert>
          )}
        </>
      )}
    </section>
  );
}

/** "23 Nov, 06:00 – 06:12" */
function span(w: Wave): string {
  const [from, to] = [dayTime(w.from), dayTime(w.to)];
  if (from === to) return from;
  const [day, time] = [from.split(', ')[0], to.split(', ')];
  return `${from} – ${time[0] === day ? time[1] : to}`;
}

/** "Kigali, Malta", by zone; at most three. */
function places(w: Wave): string {
  const all = [...new Set(w.cohorts.map((k) => (k.zone ? zoneName(k.zone) : `${k.country}, zone unknown`)))];
  return all.length > 3 ? `${all.slice(0, 3).join(', ')} and ${all.length - 3} more` : all.join(', ');
}
