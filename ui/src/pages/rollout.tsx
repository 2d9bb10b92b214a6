import { Alert, Button, Drawer, Group, Modal, Stack, Text, Textarea, TextInput, Title } from '@mantine/core';
import { useForm } from '@mantine/form';
import { getRouteApi, Link } from '@tanstack/react-router';
import { useState } from 'react';
import { api, client } from '../api/client';
import { Can } from '../app/session';
import { useConfirm } from '../parts/confirm';
import { showProblem } from '../parts/form';
import { FormEnd } from '../parts/form-end';
import { dayTimeZone } from '../parts/format';
import { Page } from '../parts/page';
import { Failed, Loading } from '../parts/states';
import { Mark } from '../parts/status';
import { tell } from '../parts/toast';
import { Gate } from './rollout/gate';
import { ItemCard, ItemDrawer } from './rollout/item';
import { allows, type Phase, phases, type Rollout, rolloutChanged } from './rollout/rollout';
import { Signals } from './rollout/signals';
import { Stations } from './rollout/stations';

const route = getRouteApi('/rollout');

/** From a trial to everybody: the phases with all that must be so, and the gate to the next one. */
export function RolloutPage() {
  const { item } = route.useSearch();
  const navigate = route.useNavigate();
  const query = api.useQuery('get', '/rollout', undefined, { staleTime: 0, refetchInterval: 5_000 });
  const [starting, setStarting] = useState(false);
  if (query.isPending) return <Loading label="Loading the rollout" />;
  if (!query.data) return <Failed level={1} error={query.error} retry={() => void query.refetch()} />;
  const rollout = query.data;
  const none = rollout.phase === 'none';
  return (
    <Page
      title="Rollout"
      about={
        none
          ? 'No rollout is under way, so nothing is held back. This is the plan that one would follow.'
          : `${rollout.name}, since ${dayTimeZone(rollout.started_at ?? rollout.now)} by ${rollout.started_by?.name}: “${rollout.reason}”`
      }
      action={
        none ? (
          <Can do="rollout.run">
            <Button onClick={() => setStarting(true)}>Start a rollout…</Button>
          </Can>
        ) : (
          <Ending of={rollout} />
        )
      }
    >
      <Stack gap="lg">
        {rollout.plan_differs && <OtherPlan />}
        {!none && (
          <Group gap="lg">
            <Link to="/rollout/announcements" className="text-link">
              Announcements
            </Link>
            <Link to="/rollout/reviews" className="text-link">
              Daily reviews
            </Link>
          </Group>
        )}
        {rollout.gate && <Gate of={rollout} gate={rollout.gate} />}
        {rollout.phase === 'live' && (
          <Alert color="gray">
            It is live: everybody takes part. What stays is that only locked templates are sent.
          </Alert>
        )}
        {!none && <Signals of={rollout} />}
        <div className="board">
          {rollout.phases
            .filter((p) => p.items.length > 0)
            .map((p) => (
              <Column key={p.phase} of={p} now={rollout.now} />
            ))}
        </div>
        {!none && <Stations of={rollout} />}
        {rollout.temporal_web && (
          <Text size="sm" c="dimmed">
            <a href={rollout.temporal_web} className="text-link" target="_blank" rel="noreferrer">
              Its workflow in Temporal Web
            </a>
          </Text>
        )}
      </Stack>
      <Drawer
        opened={item !== undefined}
        onClose={() => void navigate({ search: {} })}
        title={none ? 'Item of the plan' : 'Item'}
        size="lg"
      >
        {item && <ItemDrawer id={item} of={rollout} />}
      </Drawer>
      <Modal opened={starting} onClose={() => setStarting(false)} title="Start a rollout" centered>
        <Start close={() => setStarting(false)} />
      </Modal>
    </Page>
  );
}

function Column({ of, now }: { of: Phase; now: string }) {
  const passed = of.items.filter((i) => i.outcome === 'passed' || i.outcome === 'waived').length;
  return (
    <section className="board-column" aria-label={of.title} data-state={of.state}>
      <Group justify="space-between" gap="xs" wrap="nowrap">
        <Title order={2} size="h4">
          {of.title}
        </Title>
        <Mark {...phases[of.state]} />
      </Group>
      <Text size="sm" c="dimmed">
        {of.state === 'later' ? `${of.items.length} items.` : `${passed} of ${of.items.length} passed.`}{' '}
        {allows(of.guardrails)}
      </Text>
      <ul className="board-items">
        {of.items.map((item) => (
          <li key={item.id}>
            <ItemCard of={item} now={now} state={of.state} />
          </li>
        ))}
      </ul>
    </section>
  );
}

function Start({ close }: { close: () => void }) {
  const form = useForm({ initialValues: { name: 'lastcall', reason: '' } });
  const [failure, setFailure] = useState('');
  const [busy, setBusy] = useState(false);

  async function submit(body: typeof form.values) {
    setFailure('');
    setBusy(true);
    try {
      await client.POST('/rollout', { body: { name: body.name.trim(), reason: body.reason.trim() } });
      rolloutChanged();
      tell.done('The rollout has begun', 'It is in staging.');
      close();
    } catch (error) {
      setFailure(showProblem(form, error));
    } finally {
      setBusy(false);
    }
  }

  return (
    <form onSubmit={form.onSubmit((values) => void submit(values))} noValidate>
      <Stack gap="md">
        <Text size="sm">
          From then on messages go to the sandbox only, and stations only rehearse, until the gate to the pilot opens.
          Whoever starts it signs nothing in staging.
        </Text>
        <TextInput label="Name" maxLength={40} {...form.getInputProps('name')} />
        <Textarea
          label="Reason"
          description="For everybody."
          withAsterisk
          maxLength={500}
          autosize
          minRows={2}
          data-autofocus
          {...form.getInputProps('reason')}
        />
        <FormEnd failure={failure} close={close}>
          <Button type="submit" loading={busy} disabled={form.values.reason.trim() === ''}>
            Start rollout
          </Button>
        </FormEnd>
      </Stack>
    </form>
  );
}

/** The configured plan is another than the one that is followed. */
function OtherPlan() {
  const ask = useConfirm();
  return (
    <Alert color="gray" title="The configured plan is another one">
      <Group justify="space-between" gap="sm">
        <Text size="sm">
          The rollout follows the plan that it has, until a project lead takes over the configured one.
        </Text>
        <Can do="rollout.lead">
          <Button
            size="xs"
            variant="default"
            onClick={() =>
              ask({
                title: 'Follow the configured plan?',
                impact: [
                  'Phases that have begun must stay as they are, else it is refused.',
                  'Every signature and waiver of this phase is void, and must be given anew.',
                ],
                reason: 'required',
                action: 'Follow it',
                run: async (reason) => {
                  await client.POST('/rollout/plan', { body: { reason } });
                  rolloutChanged();
                  tell.done('The configured plan is followed');
                },
              })
            }
          >
            Follow it…
          </Button>
        </Can>
      </Group>
    </Alert>
  );
}

/** A rollout ends in staging, when it is live, or when it was rolled back. */
function Ending({ of: r }: { of: Rollout }) {
  const ask = useConfirm();
  const rolledBack = r.gate?.open.some((o) => o.code === 'rollback');
  if (r.phase !== 'staging' && r.phase !== 'live' && !rolledBack) return null;
  return (
    <Can do="rollout.lead">
      <Button
        variant="default"
        onClick={() =>
          ask({
            title: 'End the rollout?',
            impact: [
              'Its guardrails do not hold any more.',
              'What was proved and signed stays readable in the audit log.',
            ],
            reason: 'required',
            action: 'End rollout',
            final: true,
            run: async (reason) => {
              await client.POST('/rollout/end', { body: { reason } });
              rolloutChanged();
              tell.done('The rollout has ended');
            },
          })
        }
      >
        End rollout…
      </Button>
    </Can>
  );
}
