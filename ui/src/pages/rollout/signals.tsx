import { Button, Checkbox, Group, Modal, Progress, Stack, Text, Textarea } from '@mantine/core';
import { useForm } from '@mantine/form';
import { IconAlertTriangle, IconCheck, IconFlame, IconHelpCircle } from '@tabler/icons-react';
import { Link, useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { api, client } from '../../api/client';
import type { components } from '../../api/schema';
import { Can } from '../../app/session';
import { showProblem } from '../../parts/form';
import { FormEnd } from '../../parts/form-end';
import { duration, upper } from '../../parts/format';
import { Section } from '../../parts/page';
import { Mark } from '../../parts/status';
import { Time } from '../../parts/time';
import { type Rollout, rolloutChanged } from './rollout';

type Signal = components['schemas']['RolloutSignal'];

const states = {
  ok: { word: 'Well', tone: 'good', icon: IconCheck },
  unknown: { word: 'Unknown', tone: 'waits', icon: IconHelpCircle },
  burning: { word: 'Burns', tone: 'live', icon: IconFlame },
  tripped: { word: 'Tripped', tone: 'bad', icon: IconAlertTriangle },
} as const;

/** What would make one roll back, each with its clock; and the way to do so by hand. */
export function Signals({ of: r }: { of: Rollout }) {
  const name = r.name ?? '';
  const path = { params: { path: { name } } };
  const often = { staleTime: 0, refetchInterval: 5_000, enabled: name !== '' };
  const query = api.useQuery('get', '/rollouts/{name}/signals', path, often);
  const { data: past } = api.useQuery('get', '/rollouts/{name}/rollbacks', path, often);
  const [ordering, setOrdering] = useState(false);
  if (!query.data || query.data.signals.length === 0) return null;
  const { signals, watched, now } = query.data;
  const rollbacks = past?.rollbacks ?? [];
  const last = rollbacks[0];
  const open = rollbacks.find((b) => ['running', 'done', 'recovering'].includes(b.state));
  return (
    <Section
      title="Signals to roll back"
      about={
        watched
          ? 'While one holds no gate opens. When one trips, Lastcall acts by itself.'
          : 'They are watched from the pilot on.'
      }
      aside={
        open && (
          <Link to="/rollout/rollbacks/$id" params={{ id: open.rollback_id }} className="text-link">
            {open.rehearsal ? 'The rehearsal' : 'The rollback'} is {open.state}
          </Link>
        )
      }
    >
      <ul className="signals">
        {signals.map((s) => (
          <One key={s.name} of={s} now={now} watched={watched} />
        ))}
      </ul>
      {last && !open && (
        <Text size="sm" c="dimmed" mt="sm" className="wrap">
          Last {last.rehearsal ? 'rehearsed' : 'rolled back'} <Time at={last.started_at} />:{' '}
          <Link to="/rollout/rollbacks/$id" params={{ id: last.rollback_id }} className="text-link">
            {last.reason}
          </Link>
        </Text>
      )}
      {watched && !open && (
        <Can do="rollout.roll_back">
          <Button mt="md" variant="default" onClick={() => setOrdering(true)}>
            Roll back…
          </Button>
        </Can>
      )}
      <Modal opened={ordering} onClose={() => setOrdering(false)} title="Roll back?" centered>
        <Order name={name} close={() => setOrdering(false)} />
      </Modal>
    </Section>
  );
}

function One({ of: s, now, watched }: { of: Signal; now: string; watched: boolean }) {
  const left = s.trips_at ? Math.max(0, (Date.parse(s.trips_at) - Date.parse(now)) / 1000) : undefined;
  const gone = left === undefined || s.for_seconds === 0 ? 0 : 100 * (1 - left / s.for_seconds);
  return (
    <li className="signal">
      <Group justify="space-between" gap="sm" wrap="nowrap" align="flex-start">
        <Text size="sm" fw={500} className="wrap">
          {s.text}
        </Text>
        {watched && (
          <span className="signal-mark">
            <Mark {...states[s.state]} />
          </span>
        )}
      </Group>
      {watched && s.detail && (
        <Text size="sm" className="wrap">
          {upper(s.subject ? `${s.subject}: ${s.detail}` : s.detail)}.
        </Text>
      )}
      {left !== undefined && (
        <>
          <Progress value={gone} size="sm" aria-label={`${s.title}: clock`} />
          <Text size="xs">{left > 0 ? `Trips in ${duration(left)}` : 'Trips now'}</Text>
        </>
      )}
      <Text size="xs" c="dimmed" className="wrap">
        {s.action === 'roll_back' ? 'Then it rolls back by itself' : 'Then nothing new is sent, and somebody is paged'}
        {s.min_n ? ` · of ${s.min_n} at least` : ''}
        {watched && s.since && (
          <>
            {' '}
            · so since <Time at={s.since} />
          </>
        )}
        {s.held && ' · new sends are stopped'}
      </Text>
    </li>
  );
}

/** One screen: why, what will happen, and what else is to be off. */
function Order({ name, close }: { name: string; close: () => void }) {
  const form = useForm({ initialValues: { reason: '', redemptions_off: false, rehearsal: false } });
  const [failure, setFailure] = useState('');
  const [busy, setBusy] = useState(false);
  const navigate = useNavigate();

  async function submit(body: typeof form.values) {
    setFailure('');
    setBusy(true);
    try {
      const { data } = await client.POST('/rollouts/{name}/rollbacks', {
        params: { path: { name } },
        body: { ...body, reason: body.reason.trim() },
      });
      rolloutChanged();
      close();
      if (data) void navigate({ to: '/rollout/rollbacks/$id', params: { id: data.rollback_id } });
    } catch (error) {
      setFailure(showProblem(form, error));
    } finally {
      setBusy(false);
    }
  }

  return (
    <form onSubmit={form.onSubmit((values) => void submit(values))} noValidate>
      <Stack gap="md">
        <ul className="impact">
          <li>All campaigns are paused, and dispatch is off: nothing goes out any more.</li>
          <li>The legacy tooling is switched on and read back.</li>
          <li>Ops are told, and an incident is opened.</li>
          <li>No gate opens until smoke tests have passed and another person has signed that it is over.</li>
        </ul>
        <Textarea
          label="Reason"
          description="For everybody, for good."
          withAsterisk
          maxLength={500}
          autosize
          minRows={2}
          data-autofocus
          {...form.getInputProps('reason')}
        />
        <Checkbox
          label="Stations redeem nothing, either"
          {...form.getInputProps('redemptions_off', { type: 'checkbox' })}
        />
        <Checkbox
          label="It is a rehearsal"
          description="The same steps are taken, to see that they work."
          {...form.getInputProps('rehearsal', { type: 'checkbox' })}
        />
        <FormEnd failure={failure} close={close}>
          <Button type="submit" color="red" loading={busy} disabled={form.values.reason.trim() === ''}>
            {form.values.rehearsal ? 'Rehearse' : 'Roll back'}
          </Button>
        </FormEnd>
      </Stack>
    </form>
  );
}
