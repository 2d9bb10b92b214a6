import { Button, Stack, Text } from '@mantine/core';
import { IconFlame } from '@tabler/icons-react';
import { keepPreviousData } from '@tanstack/react-query';
import { getRouteApi } from '@tanstack/react-router';
import { api } from '../api/client';
import { Can } from '../app/session';
import { duration, localZone, zoneName } from '../parts/format';
import { Page } from '../parts/page';
import { Empty } from '../parts/states';
import { type Column, DataTable, usePager } from '../parts/table';
import { Time } from '../parts/time';
import { type DrillHead, DrillMark, isOpen, Score } from './drill/marks';
import { DrillSchedules } from './drill/schedules';
import { StartDrill } from './drill/start';

const route = getRouteApi('/drills');

const columns: Column<DrillHead>[] = [
  {
    header: 'Scenario',
    width: 216,
    cell: (d) => (
      <>
        <span className="wrap">{d.title}</span>
        <Text size="xs" c="dimmed" fw={400}>
          {d.scenario}
          {d.fast && ' · fast'}
        </Text>
      </>
    ),
  },
  { header: 'State', width: 128, cell: (d) => <DrillMark of={d.status} /> },
  { header: 'Score', width: 96, cell: (d) => <Score of={d} /> },
  { header: `Began (${zoneName(localZone)})`, width: 128, cell: (d) => <Time at={d.start} bare /> },
  {
    header: 'Took',
    width: 88,
    cell: (d) => (d.end ? duration((Date.parse(d.end) - Date.parse(d.start)) / 1000) : <Text c="dimmed">–</Text>),
  },
  {
    header: 'By',
    width: 168,
    cell: (d) => (
      <Stack gap={0}>
        <span className="wrap">{d.by}</span>
        <Text size="xs" c="dimmed" className="wrap">
          {d.why || d.reason}
        </Text>
      </Stack>
    ),
  },
];

/** Incidents on purpose, and how well they were met. */
export function DrillsPage() {
  const { after, start } = route.useSearch();
  const navigate = route.useNavigate();
  const query = api.useQuery(
    'get',
    '/drills',
    { params: { query: { limit: 25, after } } },
    {
      placeholderData: keepPreviousData,
      staleTime: 0,
      refetchInterval: ({ state }) => (state.data?.drills.some((d) => isOpen(d.status)) ? 2_000 : 15_000),
    },
  );
  const pager = usePager(after, (to) => void navigate({ search: { after: to } }));
  const running = query.data?.drills.some((d) => isOpen(d.status)) ?? false;
  const open = () => void navigate({ search: (s) => ({ ...s, start: true }) });
  return (
    <Page
      title="Drills"
      about="Incidents on purpose: a fault is put in the way, and the whole loop is measured. What a drill makes is in no figure."
      action={
        <Can do="drills.run">
          <Button leftSection={<IconFlame size={16} />} onClick={open} disabled={running}>
            Start drill…
          </Button>
        </Can>
      }
    >
      <DataTable
        caption="drills"
        query={query}
        rows={({ drills }) => drills}
        rowKey={(d) => d.drill_id}
        rowLink={(d) => ({ to: '/drills/$id', params: { id: d.drill_id } })}
        columns={columns}
        pager={pager}
        next={({ next }) => next}
        empty={
          <Empty title="There was no drill yet">
            A drill of the messaging outage takes two minutes, and shows whether an alert would reach you.
          </Empty>
        }
      />
      <DrillSchedules />
      <StartDrill
        opened={start === true}
        close={() => void navigate({ search: (s) => ({ ...s, start: undefined }) })}
      />
    </Page>
  );
}
