import { Drawer, Group, SegmentedControl, Text } from '@mantine/core';
import { keepPreviousData } from '@tanstack/react-query';
import { getRouteApi } from '@tanstack/react-router';
import { api } from '../api/client';
import { localZone, upper, words, zoneName } from '../parts/format';
import { Page } from '../parts/page';
import { Empty, Failed, Loading } from '../parts/states';
import { type Column, DataTable, usePager } from '../parts/table';
import { Time } from '../parts/time';
import { isOpen, type Override, OverrideFacts, OverrideMark, Standing, scope } from './override/override';

const route = getRouteApi('/overrides');

const columns: Column<Override>[] = [
  {
    header: 'For',
    width: 208,
    cell: (o) => (
      <>
        <span className="wrap">{scope(o)}</span>
        <Text size="xs" c="dimmed" fw={400}>
          {upper(words(o.kind))}
        </Text>
      </>
    ),
  },
  { header: 'State', width: 144, cell: (o) => <OverrideMark of={o} /> },
  { header: `From (${zoneName(localZone)})`, width: 120, cell: (o) => <Time at={o.starts_at} bare /> },
  { header: `To (${zoneName(localZone)})`, width: 120, cell: (o) => <Time at={o.ends_at} bare /> },
  { header: 'Asked by', width: 104, cell: (o) => <span className="wrap">{o.requested_by.name}</span> },
  {
    header: 'Decided by',
    width: 104,
    cell: (o) => (o.decision ? <span className="wrap">{o.decision.by.name}</span> : <Text c="dimmed">–</Text>),
  },
  {
    header: 'Stands',
    width: 168,
    cell: (o) => (
      <span className="wrap">
        <Standing of={o} />
      </span>
    ),
  },
];

const open = ['requested', 'approved', 'active'] as const;

/** What somebody asked to let go on although a rule holds it back, and what became of it. */
export function OverridesPage() {
  const { after, override, show } = route.useSearch();
  const navigate = route.useNavigate();
  const query = api.useQuery(
    'get',
    '/overrides',
    { params: { query: { limit: 25, after, state: show === 'open' ? [...open] : undefined } } },
    {
      placeholderData: keepPreviousData,
      staleTime: 0,
      refetchInterval: ({ state }) => (state.data?.overrides.some(isOpen) ? 5_000 : 15_000),
    },
  );
  const pager = usePager(after, (to) => void navigate({ search: (s) => ({ ...s, after: to }) }));
  return (
    <Page
      title="Overrides"
      about="What a project lead let go in quiet hours, for a while. Ask for one where a campaign or a message waits."
    >
      <Group mb="md">
        <SegmentedControl
          aria-label="Show"
          value={show ?? 'all'}
          data={[
            { value: 'all', label: 'All' },
            { value: 'open', label: 'Open' },
          ]}
          onChange={(to) => void navigate({ search: { show: to === 'open' ? 'open' : undefined } })}
        />
      </Group>
      <DataTable
        caption="overrides"
        query={query}
        rows={({ overrides }) => overrides}
        rowKey={(o) => o.override_id}
        rowLink={(o) => ({ to: '/overrides', search: { show, after, override: o.override_id } })}
        columns={columns}
        pager={pager}
        next={({ next }) => next}
        empty={
          <Empty title="There are no overrides">
            Where a campaign or a message waits for quiet hours to end, one can be asked for.
          </Empty>
        }
      />
      <Drawer
        opened={override !== undefined}
        onClose={() => void navigate({ search: (s) => ({ ...s, override: undefined }) })}
        title="Override"
        size="lg"
      >
        {override && <One id={override} />}
      </Drawer>
    </Page>
  );
}

function One({ id }: { id: string }) {
  const query = api.useQuery(
    'get',
    '/overrides/{id}',
    { params: { path: { id } } },
    { staleTime: 0, refetchInterval: ({ state }) => (state.data && !isOpen(state.data) ? false : 5_000) },
  );
  if (query.isPending) return <Loading label="Loading the override" />;
  if (!query.data) return <Failed error={query.error} retry={() => void query.refetch()} />;
  return <OverrideFacts of={query.data} />;
}
