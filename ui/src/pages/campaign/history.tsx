import { Text } from '@mantine/core';
import { keepPreviousData } from '@tanstack/react-query';
import { getRouteApi } from '@tanstack/react-router';
import { api } from '../../api/client';
import type { components } from '../../api/schema';
import { localZone, upper, zoneName } from '../../parts/format';
import { Empty } from '../../parts/states';
import { type Column, DataTable, usePager } from '../../parts/table';
import { Time } from '../../parts/time';
import { type Campaign, every } from './campaign';

type Event = components['schemas']['Event'];

const route = getRouteApi('/campaigns/$id');

const columns: Column<Event>[] = [
  {
    header: 'What happened',
    width: 280,
    cell: (e) => (
      <span className="wrap">
        {upper(e.what)}
        {e.note && (
          <Text span display="block" size="sm" c="dimmed" fw={400}>
            “{e.note}”
          </Text>
        )}
      </span>
    ),
  },
  { header: 'By', width: 176, cell: (e) => <span className="wrap">{e.by ?? 'Lastcall'}</span> },
  { header: `When (${zoneName(localZone)})`, width: 144, cell: (e) => <Time at={e.at} bare seconds /> },
];

/** Who ordered what and why, and which rule held whom back: what the audit log has of it. */
export function HistoryView({ campaign: c }: { campaign: Campaign }) {
  const { after } = route.useSearch();
  const navigate = route.useNavigate();
  const query = api.useQuery(
    'get',
    '/campaigns/{id}/history',
    { params: { path: { id: c.campaign_id }, query: { limit: 25, after } } },
    { placeholderData: keepPreviousData, refetchInterval: every(3000, c) },
  );
  const pager = usePager(
    after === undefined ? undefined : String(after),
    (to) =>
      void navigate({
        search: (s) => ({ ...s, after: to === undefined ? undefined : Number(to) }),
        resetScroll: false,
      }),
  );
  return (
    <DataTable
      caption="events"
      query={query}
      rows={(page) => page.events}
      next={(page) => page.next}
      rowKey={(e) => String(e.id)}
      columns={columns}
      pager={pager}
      empty={<Empty title="Nothing happened yet" />}
    />
  );
}
