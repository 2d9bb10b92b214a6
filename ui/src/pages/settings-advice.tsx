import { Anchor, Button, Group, Stack, Text } from '@mantine/core';
import { IconArrowDown, IconArrowUp, IconCheck, IconHelpCircle } from '@tabler/icons-react';
import { useState } from 'react';
import { api, client, queries } from '../api/client';
import type { components } from '../api/schema';
import { useMay } from '../app/session';
import { useConfirm } from '../parts/confirm';
import { Facts } from '../parts/facts';
import { count, percent, upper } from '../parts/format';
import { Failed, Loading } from '../parts/states';
import { Mark } from '../parts/status';
import { Time } from '../parts/time';
import { tell } from '../parts/toast';

// What the pilot's figures say about the caps, and the review that a rollout asks for.

export type Advice = components['schemas']['ThrottleAdvice'];
type Measure = components['schemas']['Measure'];

const titles = {
  per_minute: 'Messages a minute',
  per_second: 'Messages a second',
  tier: 'People a day',
  pair_seconds: 'Pause for a person, seconds',
} as const;

const verdicts = {
  keep: { word: 'Keep', tone: 'good', icon: IconCheck },
  tighten: { word: 'Tighten', tone: 'live', icon: IconArrowDown },
  loosen: { word: 'Loosen', tone: 'waits', icon: IconArrowUp },
  unknown: { word: 'Unknown', tone: 'quiet', icon: IconHelpCircle },
} as const;

/** The advice about the caps, below the setting; apply saves what is proposed as any setting is saved. */
export function SpeedAdvice({ apply }: { apply: (advice: Advice) => void }) {
  const [open, setOpen] = useState(false);
  const query = api.useQuery('get', '/settings/throttle/advice', {}, { staleTime: 0 });
  const may = useMay();
  const ask = useConfirm();
  if (query.isPending) return <Loading label="Loading the advice" rows={2} />;
  if (!query.data) return <Failed error={query.error} retry={() => void query.refetch()} level={2} />;
  const a = query.data;
  const changes = a.proposals.some((p) => p.proposed !== null && p.proposed !== p.now);
  const keep = () =>
    ask({
      title: 'Keep the caps as they are?',
      impact: [
        'You reviewed them with these figures, which are kept with your name. Nothing changes.',
        ...a.proposals
          .filter((p) => p.verdict === 'tighten')
          .map((p) => `${titles[p.setting]}: the figures speak against ${count(p.now)}.`),
      ],
      reason: 'required',
      action: 'Keep the caps',
      run: async (reason) => {
        try {
          await client.POST('/settings/throttle/review', { body: { advice: a.digest, reason } });
        } finally {
          await queries.invalidateQueries({ queryKey: ['get', '/settings/throttle/advice'] });
        }
        tell.done('Reviewed', 'The caps stay as they are.');
      },
    });
  return (
    <section className="advice" aria-label="What the figures say">
      <Text fw={500} size="sm">
        What the figures say
      </Text>
      <Text size="sm" c="dimmed" className="wrap">
        {a.rollout ? (
          <>
            Of all that went since the pilot of {a.rollout} began, <Time at={a.from} />.
          </>
        ) : (
          'Of all that went in the last 30 days; no pilot has begun.'
        )}
      </Text>
      <ol className="history">
        {a.proposals.map((p) => (
          <li key={p.setting}>
            <Group gap="sm">
              <Text size="sm" fw={500}>
                {titles[p.setting]}
              </Text>
              <Mark {...verdicts[p.verdict]} />
              <Text size="sm">
                {p.proposed === null || p.proposed === p.now
                  ? said(p.setting, p.now)
                  : `${said(p.setting, p.now)} → ${said(p.setting, p.proposed)}`}
              </Text>
            </Group>
            {p.reasons.map((r) => (
              <Text key={r} size="sm" c="dimmed" className="wrap">
                {upper(r)}.
              </Text>
            ))}
          </li>
        ))}
      </ol>
      <Stack gap="sm" mt="md">
        <Group gap="xs">
          {changes && may('settings.write') && (
            <Button variant="default" onClick={() => apply(a)}>
              Apply…
            </Button>
          )}
          {may('throttle.review') && (
            <Button variant="default" onClick={keep}>
              Reviewed, keep…
            </Button>
          )}
          <Button variant="subtle" onClick={() => setOpen(!open)} aria-expanded={open}>
            {open ? 'Hide the figures' : 'Show the figures'}
          </Button>
        </Group>
        {open && <Facts of={a.figures.map((f) => [f.title, figure(f)])} />}
        {a.review && (
          <Text size="xs" c="dimmed" className="wrap">
            Reviewed and {a.review.verdict} by {a.review.actor}, <Time at={a.review.created_at} />: “{a.review.reason}”{' '}
            <Anchor href="/rollout" size="xs" className="text-link">
              The rollout
            </Anchor>
          </Text>
        )}
      </Stack>
    </section>
  );
}

const said = (setting: keyof typeof titles, n: number) =>
  n === 0
    ? { per_minute: 'stopped', per_second: 'no limit', tier: 'no limit', pair_seconds: 'none' }[setting]
    : count(n);

function figure(f: Measure) {
  const of = f.of ? `${count(f.n)} of ${count(f.of)}` : count(f.n);
  return f.share === null ? of : `${of}, ${percent(f.share)}`;
}
