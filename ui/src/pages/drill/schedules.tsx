import { Button, Checkbox, Group, Modal, Select, Stack, Switch, Text, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { IconCalendarClock, IconPlayerPause } from '@tabler/icons-react';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import { api, client, queries } from '../../api/client';
import type { components } from '../../api/schema';
import { Can, useMay } from '../../app/session';
import { useConfirm } from '../../parts/confirm';
import { showProblem } from '../../parts/form';
import { FormEnd } from '../../parts/form-end';
import { localZone, upper } from '../../parts/format';
import { Section } from '../../parts/page';
import { Empty } from '../../parts/states';
import { Mark } from '../../parts/status';
import { type Column, DataTable } from '../../parts/table';
import { Time } from '../../parts/time';
import { tell } from '../../parts/toast';
import { zoneChoices } from '../../parts/zones';

type Schedule = components['schemas']['DrillSchedule'];

const week = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'];

const changed = () => void queries.invalidateQueries({ queryKey: ['get', '/drill-schedules'] });

/** The drills that begin by themselves. */
export function DrillSchedules() {
  const query = api.useQuery('get', '/drill-schedules', {}, { staleTime: 0, refetchInterval: 15_000 });
  const scenarios = api.useQuery('get', '/drill-scenarios', {}, { staleTime: 300_000 });
  const [edited, setEdited] = useState<Schedule | 'new'>();
  const may = useMay();
  const title = (name: string) => scenarios.data?.scenarios.find((s) => s.name === name)?.title ?? name;
  const columns: Column<Schedule>[] = [
    {
      header: 'Scenario',
      width: 216,
      cell: (s) => (
        <>
          <span className="wrap">{title(s.scenario)}</span>
          <Text size="xs" c="dimmed" fw={400}>
            {s.scenario}
            {s.fast && ' · fast'}
          </Text>
        </>
      ),
    },
    {
      header: 'When',
      width: 176,
      cell: (s) => (
        <>
          <span className="wrap">{daysTold(s.days)}</span>
          <Text size="xs" c="dimmed">
            {s.at} ({s.zone})
          </Text>
        </>
      ),
    },
    {
      header: 'Next',
      width: 152,
      cell: (s) => (s.next ? <Time at={s.next} /> : <Mark word="Paused" tone="waits" icon={IconPlayerPause} />),
    },
    { header: 'Last', width: 200, cell: (s) => <Last of={s} /> },
    ...(may('drills.run')
      ? [{ header: 'Change', width: 96, cell: (s: Schedule) => <Change of={s} open={() => setEdited(s)} /> }]
      : []),
  ];
  return (
    <Stack mt="xl">
      <Section
        title="By themselves"
        about="As if somebody began them by hand: what would be refused then is refused, and said in the Ops channel."
        aside={
          <Can do="drills.run">
            <Button
              variant="default"
              size="compact-sm"
              leftSection={<IconCalendarClock size={16} />}
              onClick={() => setEdited('new')}
            >
              Schedule…
            </Button>
          </Can>
        }
      >
        <DataTable
          caption="schedules"
          query={query}
          rows={({ schedules }) => schedules}
          rowKey={(s) => s.scenario}
          columns={columns}
          empty={<Empty title="None begins by itself">Each begins when somebody starts it.</Empty>}
        />
      </Section>
      <Modal
        opened={edited !== undefined}
        onClose={() => setEdited(undefined)}
        title="Schedule drills"
        size={560}
        centered
      >
        {edited && scenarios.data && (
          <Form
            of={edited === 'new' ? undefined : edited}
            scenarios={scenarios.data.scenarios.map((s) => ({ value: s.name, label: s.title }))}
            close={() => setEdited(undefined)}
          />
        )}
      </Modal>
    </Stack>
  );
}

function daysTold(days: string[]) {
  if (days.length === 7) return 'Every day';
  return week
    .filter((d) => days.includes(d))
    .map(upper)
    .join(', ');
}

function Last({ of: s }: { of: Schedule }) {
  if (!s.last_due) return <Text c="dimmed">–</Text>;
  return (
    <>
      {s.last_drill ? (
        <Link to="/drills/$id" params={{ id: s.last_drill }} className="text-link">
          <Time at={s.last_due} />
        </Link>
      ) : (
        <Time at={s.last_due} />
      )}
      {s.last_refused && (
        <Text size="xs" c="dimmed" className="wrap">
          Refused: {s.last_refused}
        </Text>
      )}
    </>
  );
}

function Change({ of: s, open }: { of: Schedule; open: () => void }) {
  return (
    <Button variant="subtle" size="compact-sm" onClick={open} aria-label={`Change the schedule of ${s.scenario}`}>
      Change…
    </Button>
  );
}

function Form({
  of,
  scenarios,
  close,
}: {
  of?: Schedule;
  scenarios: { value: string; label: string }[];
  close: () => void;
}) {
  const [failure, setFailure] = useState('');
  const ask = useConfirm();
  const form = useForm({
    initialValues: {
      scenario: of?.scenario ?? 'messaging-outage',
      days: of?.days ?? ['monday'],
      at: of?.at ?? '10:00',
      zone: of?.zone ?? localZone,
      fast: of?.fast ?? true,
      paused: of?.paused ?? false,
      reason: of?.reason ?? '',
    },
    validate: {
      days: (v) => (v.length > 0 ? null : 'Choose a day.'),
      at: (v) => (v ? null : 'Choose a time.'),
      reason: (v) => (v.trim() ? null : 'Say what it is for.'),
    },
  });
  const save = api.useMutation('put', '/drill-schedules/{scenario}', {
    meta: { inPlace: true },
    onSettled: changed,
    onSuccess: () => {
      tell.done('Drills scheduled');
      close();
    },
    onError: (error) => setFailure(showProblem(form, error)),
  });
  const remove = (scenario: string) =>
    ask({
      title: 'Begin it by hand only?',
      impact: ['No more drills of this scenario begin by themselves. One that runs goes on.'],
      action: 'Remove schedule',
      reason: 'required',
      run: async (reason) => {
        await client.DELETE('/drill-schedules/{scenario}', { params: { path: { scenario }, query: { reason } } });
        changed();
        close();
      },
    });
  return (
    <form
      noValidate
      onSubmit={form.onSubmit(({ scenario, ...body }) => {
        setFailure('');
        save.mutate({ params: { path: { scenario } }, body });
      })}
    >
      <Stack gap="md">
        <Select
          label="Scenario"
          description="One schedule each: another takes its place."
          data={scenarios}
          allowDeselect={false}
          disabled={of !== undefined}
          comboboxProps={{ transitionProps: { duration: 100 } }}
          {...form.getInputProps('scenario')}
        />
        <Checkbox.Group label="On" {...form.getInputProps('days')}>
          <Group gap="sm" mt={8}>
            {week.map((d) => (
              <Checkbox key={d} value={d} label={upper(d.slice(0, 3))} aria-label={upper(d)} />
            ))}
          </Group>
        </Checkbox.Group>
        <Group align="flex-start" gap="md">
          <TextInput type="time" label="At" w={128} {...form.getInputProps('at')} />
          <Select
            label="By the clocks of"
            w={240}
            searchable
            allowDeselect={false}
            nothingFoundMessage="No such zone"
            data={zoneChoices}
            {...form.getInputProps('zone')}
          />
        </Group>
        <Switch
          label="Fast"
          description="Within minutes, with thresholds of seconds. The drill acknowledges its own alert."
          {...form.getInputProps('fast', { type: 'checkbox' })}
        />
        <Switch
          label="Paused"
          description="None begins meanwhile."
          {...form.getInputProps('paused', { type: 'checkbox' })}
        />
        <TextInput
          label="Reason"
          description="For the audit log, and of each drill."
          maxLength={500}
          withAsterisk
          {...form.getInputProps('reason')}
        />
        <FormEnd failure={failure} close={close}>
          {of && (
            <Button variant="default" color="red" onClick={() => remove(of.scenario)}>
              Remove…
            </Button>
          )}
          <Button type="submit" loading={save.isPending}>
            Save schedule
          </Button>
        </FormEnd>
      </Stack>
    </form>
  );
}
