import { Button, Group, Modal, Select, Stack, Text, TextInput } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { keepPreviousData } from '@tanstack/react-query';
import { getRouteApi, useNavigate } from '@tanstack/react-router';
import { type FormEvent, useState } from 'react';
import { api } from '../../api/client';
import { problemOf } from '../../api/problem';
import { Can } from '../../app/session';
import { FormEnd } from '../../parts/form-end';
import { localZone, zoneName } from '../../parts/format';
import { Page } from '../../parts/page';
import { Empty } from '../../parts/states';
import { type Column, DataTable, usePager } from '../../parts/table';
import { Time } from '../../parts/time';
import { alertsChanged, DrillMark, type Incident, IncidentMark, SeverityMark } from './marks';
import { IncidentTabs, ShowAll } from './tabs';

const route = getRouteApi('/incidents');

const columns: Column<Incident>[] = [
  {
    header: 'Incident',
    width: 280,
    cell: (i) => (
      <>
        <span className="wrap">{i.title}</span>
        <Text size="xs" c="dimmed" fw={400}>
          INC-{i.number}
        </Text>
      </>
    ),
  },
  {
    header: 'State',
    width: 168,
    cell: (i) => (
      <Group gap={4}>
        <IncidentMark of={i} />
        {i.is_drill && <DrillMark />}
      </Group>
    ),
  },
  { header: 'Severity', width: 112, cell: (i) => <SeverityMark of={i.severity} /> },
  { header: `Opened (${zoneName(localZone)})`, width: 136, cell: (i) => <Time at={i.opened_at} bare /> },
  { header: 'Owner', width: 128, cell: (i) => <span className="wrap">{i.owner?.name ?? 'Nobody yet'}</span> },
  { header: 'Firing', width: 80, align: 'right', cell: (i) => i.alerts_firing },
];

/** What somebody sees to, or saw to. */
export function IncidentsPage() {
  const { after, show } = route.useSearch();
  const navigate = route.useNavigate();
  const [opened, { open, close }] = useDisclosure();
  const query = api.useQuery(
    'get',
    '/incidents',
    { params: { query: { limit: 25, after, open: show !== 'all' || undefined } } },
    { placeholderData: keepPreviousData, staleTime: 0, refetchInterval: 15_000 },
  );
  const pager = usePager(
    after === undefined ? undefined : String(after),
    (to) => void navigate({ search: (s) => ({ ...s, after: to === undefined ? undefined : Number(to) }) }),
  );
  return (
    <Page
      title="Incidents"
      about={<OnCall />}
      action={
        <Can do="incidents.write">
          <Button onClick={open}>Open incident…</Button>
        </Can>
      }
    >
      <IncidentTabs at="/incidents" />
      <ShowAll show={show} set={(to) => void navigate({ search: { show: to } })} />
      <DataTable
        caption="incidents"
        query={query}
        rows={({ incidents }) => incidents}
        rowKey={(i) => i.incident_id}
        rowLink={(i) => ({ to: '/incidents/$id', params: { id: i.incident_id } })}
        columns={columns}
        pager={pager}
        next={({ next }) => next}
        empty={<Empty title="There is no incident">Alerts open them by themselves, and so can you.</Empty>}
      />
      <Modal opened={opened} onClose={close} title="Open an incident" centered>
        <OpenForm close={close} />
      </Modal>
    </Page>
  );
}

/** Who is to be woken now. */
function OnCall() {
  const { data } = api.useQuery('get', '/on-call', {}, { staleTime: 60_000 });
  if (!data) return <>What somebody sees to, with all that happened.</>;
  if (!data.now) return <>Nobody is on call: the rota is on the page Settings.</>;
  return (
    <>
      On call: {data.now.member}, until <Time at={data.now.until} />
    </>
  );
}

function OpenForm({ close }: { close: () => void }) {
  const navigate = useNavigate();
  const books = api.useQuery('get', '/runbooks');
  const [title, setTitle] = useState('');
  const [severity, setSeverity] = useState<Incident['severity']>('warning');
  const [runbook, setRunbook] = useState<string | null>(null);
  const [key] = useState(() => crypto.randomUUID());
  const make = api.useMutation('post', '/incidents', { meta: { inPlace: true }, onSettled: alertsChanged });

  function submit(event: FormEvent) {
    event.preventDefault();
    make.mutate(
      { params: { header: { 'Idempotency-Key': key } }, body: { title, severity, runbook: runbook ?? undefined } },
      { onSuccess: (i) => void navigate({ to: '/incidents/$id', params: { id: i.incident_id } }) },
    );
  }
  return (
    <form onSubmit={submit}>
      <Stack gap="md">
        <TextInput
          label="What is wrong"
          description="No number, name or message."
          value={title}
          onChange={(e) => setTitle(e.currentTarget.value)}
          maxLength={200}
          withAsterisk
          data-autofocus
        />
        <Select
          label="Severity"
          value={severity}
          data={[
            { value: 'critical', label: 'Critical: now, at night too' },
            { value: 'warning', label: 'Warning' },
            { value: 'info', label: 'Info' },
          ]}
          allowDeselect={false}
          onChange={(to) => setSeverity(to as Incident['severity'])}
        />
        <Select
          label="Runbook"
          placeholder="None"
          value={runbook}
          data={(books.data?.runbooks ?? []).map((b) => ({ value: b.name, label: b.title }))}
          onChange={setRunbook}
          clearable
        />
        <FormEnd failure={make.error ? problemOf(make.error).message : ''} close={close}>
          <Button type="submit" loading={make.isPending} disabled={!title.trim()}>
            Open incident
          </Button>
        </FormEnd>
      </Stack>
    </form>
  );
}
