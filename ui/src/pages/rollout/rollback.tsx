import { Anchor, Button, Group, Loader, Stack, Text } from '@mantine/core';
import { IconAlertTriangle, IconCheck, IconHourglass, IconLifebuoy, IconX } from '@tabler/icons-react';
import { getRouteApi, Link } from '@tanstack/react-router';
import { api, client, queries } from '../../api/client';
import type { components } from '../../api/schema';
import { Can } from '../../app/session';
import { useConfirm } from '../../parts/confirm';
import { Facts } from '../../parts/facts';
import { upper } from '../../parts/format';
import { Page, Section } from '../../parts/page';
import { Failed, Loading } from '../../parts/states';
import { Mark } from '../../parts/status';
import { Time } from '../../parts/time';
import { tell } from '../../parts/toast';

type Rollback = components['schemas']['Rollback'];

const route = getRouteApi('/rollout/rollbacks/$id');

const states = {
  running: { word: 'Running', tone: 'bad', icon: IconAlertTriangle },
  done: { word: 'Rolled back', tone: 'live', icon: IconLifebuoy },
  recovering: { word: 'Recovering', tone: 'waits', icon: IconHourglass },
  recovered: { word: 'Recovered', tone: 'good', icon: IconCheck },
  abandoned: { word: 'Abandoned', tone: 'quiet', icon: IconX },
} as const;

/** One rollback: its steps live, what was read back, the time to safe, and the way out. */
export function RollbackPage() {
  const { id } = route.useParams();
  const query = api.useQuery(
    'get',
    '/rollbacks/{id}',
    { params: { path: { id } } },
    {
      staleTime: 0,
      refetchInterval: ({ state }) =>
        state.data?.state === 'recovered' || state.data?.state === 'abandoned' ? false : 1_000,
    },
  );
  if (query.isPending) return <Loading label="Loading the rollback" />;
  if (!query.data) return <Failed level={1} error={query.error} retry={() => void query.refetch()} />;
  const b = query.data;
  const safe = b.time_to_safe_seconds;
  return (
    <Page
      title={b.rehearsal ? 'Rehearsal of a rollback' : 'Rollback'}
      about={
        <>
          {b.automatic ? 'Ordered by Lastcall itself' : `Ordered by ${b.by}`} <Time at={b.started_at} />: “{b.reason}”
        </>
      }
      above={
        <Anchor size="sm" className="text-link" renderRoot={(props) => <Link to="/rollout" {...props} />}>
          Rollout
        </Anchor>
      }
      action={<Actions of={b} />}
    >
      <Stack gap="lg">
        <Section
          title={safe === undefined ? 'Not safe yet' : `Safe after ${safe.toFixed(1)} s`}
          about={
            safe === undefined
              ? 'It is safe when it was read back that nothing goes any more.'
              : 'Toggles were effective then, and nothing was in flight.'
          }
          aside={
            <span role="status">
              <Mark {...states[b.state]} />
            </span>
          }
        >
          <ol className="history">
            {b.steps.map((s) => (
              <li key={s.step} data-state={s.state}>
                <Group gap="sm" wrap="nowrap" align="flex-start">
                  <span className="step-mark">
                    {s.state === 'done' ? (
                      <IconCheck size={18} aria-label="Done" />
                    ) : s.state === 'running' ? (
                      <Loader size={16} aria-label="Tried" />
                    ) : (
                      <IconHourglass size={18} aria-label="Waits" />
                    )}
                  </span>
                  <div>
                    <Text size="sm" fw={500}>
                      {s.title}
                    </Text>
                    {s.detail && (
                      <Text size="sm" className="wrap">
                        {upper(s.detail)}.
                      </Text>
                    )}
                    {s.done_at && (
                      <Text size="xs" c="dimmed">
                        <Time at={s.done_at} bare seconds />
                        {s.tries > 1 && ` · tried ${s.tries} times`}
                      </Text>
                    )}
                  </div>
                </Group>
              </li>
            ))}
          </ol>
          {b.state === 'recovering' && (
            <Text size="sm" mt="sm" className="wrap">
              The toggles are as they were; campaigns stay paused until somebody resumes each. Smoke tests must pass
              now, and somebody else than who asked must sign: “{b.recovery_reason}”
            </Text>
          )}
        </Section>
        <Facts
          of={[
            ['Phase', upper(b.phase)],
            ['Stations', b.redemptions_off ? 'Redeem nothing' : 'Redeem as before'],
            ...(b.incident_id
              ? [
                  [
                    'Incident',
                    <Link key="incident" to="/incidents/$id" params={{ id: b.incident_id }} className="text-link">
                      What happened
                    </Link>,
                  ] as [string, React.ReactNode],
                ]
              : []),
            ...(b.signal ? [['Signal', b.signal] as [string, React.ReactNode]] : []),
          ]}
        />
      </Stack>
    </Page>
  );
}

function changed() {
  for (const path of ['/rollbacks/{id}', '/rollouts/{name}/rollbacks', '/rollout', '/approvals'])
    void queries.invalidateQueries({ queryKey: ['get', path] });
}

function Actions({ of: b }: { of: Rollback }) {
  const ask = useConfirm();
  const path = { params: { path: { id: b.rollback_id } } };
  const sign = (verdict: 'approved' | 'rejected') => async (note: string) => {
    try {
      await client.POST('/rollbacks/{id}/recovery/sign-off', {
        ...path,
        body: { verdict, note, digest: b.digest ?? '' },
      });
    } finally {
      changed();
    }
    tell.done(verdict === 'approved' ? 'Signed' : 'Everything is off again');
  };
  return (
    <Group gap="xs">
      {b.legacy_asked && (
        <Can do="rollout.sign">
          <Button
            onClick={() =>
              ask({
                title: 'Sign about the legacy tooling?',
                impact: ['No webhook says whether it serves: switch it by hand, and see that it is so.'],
                reason: 'required',
                action: 'Sign',
                run: async (note) => {
                  await client.POST('/rollbacks/{id}/legacy', { ...path, body: { note } });
                  changed();
                  tell.done('Signed');
                },
              })
            }
          >
            Legacy tooling…
          </Button>
        </Can>
      )}
      {b.state === 'done' && (
        <Can do="rollout.roll_back">
          <Button
            onClick={() =>
              ask({
                title: 'Recover?',
                impact: [
                  'The toggles are as they were before; campaigns stay paused.',
                  'Smoke tests must pass then, and another person sign.',
                ],
                reason: 'required',
                action: 'Ask to recover',
                run: async (reason) => {
                  await client.POST('/rollbacks/{id}/recovery', { ...path, body: { reason } });
                  changed();
                  tell.done('The toggles are as they were');
                },
              })
            }
          >
            Recover…
          </Button>
        </Can>
      )}
      {b.state === 'recovering' && b.digest && (
        <Can do="rollout.recover">
          <Button
            onClick={() =>
              ask({
                title: 'Sign that it is over?',
                impact: ['The legacy tooling is switched off, and everybody is told.', 'Gates may open again.'],
                reason: 'required',
                action: 'Sign',
                run: sign('approved'),
              })
            }
          >
            Sign…
          </Button>
          <Button
            variant="default"
            onClick={() =>
              ask({
                title: 'It is not over?',
                impact: ['What the rollback switched off is off again.'],
                reason: 'required',
                action: 'It is not over',
                final: true,
                run: sign('rejected'),
              })
            }
          >
            It is not over…
          </Button>
        </Can>
      )}
    </Group>
  );
}
