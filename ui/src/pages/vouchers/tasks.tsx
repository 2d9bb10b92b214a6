import { Button, Group, Switch, Text } from '@mantine/core';
import { keepPreviousData } from '@tanstack/react-query';
import { getRouteApi, Link } from '@tanstack/react-router';
import { api, client, queries } from '../../api/client';
import type { components } from '../../api/schema';
import { Can } from '../../app/session';
import { useConfirm } from '../../parts/confirm';
import { localZone, upper, zoneName } from '../../parts/format';
import { Empty } from '../../parts/states';
import { type Column, DataTable, usePager } from '../../parts/table';
import { Time } from '../../parts/time';
import { tell } from '../../parts/toast';

type Task = components['schemas']['SupportTask'];

const route = getRouteApi('/vouchers');

/** What stations accepted offline and that was refused when it came in: the guests have been served. */
export function SupportTasks() {
  const { after, resolved } = route.useSearch();
  const navigate = route.useNavigate();
  const query = api.useQuery(
    'get',
    '/support/tasks',
    { params: { query: { all: resolved, limit: 25, after } } },
    { placeholderData: keepPreviousData },
  );
  const pager = usePager(after, (next) => void navigate({ search: (s) => ({ ...s, after: next }) }));
  const columns: Column<Task>[] = [
    {
      header: 'What happened',
      width: 256,
      cell: (t) => (
        <>
          <span className="wrap">{upper(t.detail)}</span>
          {t.voucher_id && (
            <Text size="xs" fw={400}>
              <Link to="/vouchers" search={{ voucher: t.voucher_id }} className="text-link">
                The voucher
              </Link>
            </Text>
          )}
        </>
      ),
    },
    {
      header: 'Station',
      width: 136,
      cell: (t) => (
        <>
          {t.station_code}
          <Text size="xs" c="dimmed" className="wrap">
            {t.operator}
          </Text>
        </>
      ),
    },
    { header: `Accepted (${zoneName(localZone)})`, width: 136, cell: (t) => <Time at={t.offline_at} bare /> },
    { header: 'Came in', width: 120, cell: (t) => <Time at={t.created_at} bare /> },
    {
      header: 'Resolved',
      width: 184,
      cell: (t) =>
        t.resolved_at ? (
          <>
            <span className="wrap">{t.note}</span>
            <Text size="xs" c="dimmed" className="wrap">
              {t.resolved_by}, <Time at={t.resolved_at} bare />
            </Text>
          </>
        ) : (
          <Can do="vouchers.void">
            <Resolve task={t} />
          </Can>
        ),
    },
  ];
  return (
    <>
      <Group mb="md" justify="space-between">
        <Text size="sm" c="dimmed" maw={640}>
          Vouchers that a station accepted without a connection, and that were refused when that came in. The guest has
          been served: settle it with the station, and note how.
        </Text>
        <Switch
          label="Resolved ones, too"
          checked={resolved === true}
          onChange={(e) => {
            const on = e.currentTarget.checked || undefined;
            void navigate({ search: (s) => ({ ...s, resolved: on, after: undefined }) });
          }}
        />
      </Group>
      <DataTable
        caption="tasks"
        query={query}
        rows={(page) => page.tasks}
        next={(page) => page.next}
        rowKey={(t) => t.id}
        columns={columns}
        pager={pager}
        empty={<Empty title="Nothing to see to">No voucher that was accepted offline was refused.</Empty>}
      />
    </>
  );
}

function Resolve({ task }: { task: Task }) {
  const ask = useConfirm();
  return (
    <Button
      size="sm"
      variant="default"
      onClick={() =>
        ask({
          title: 'Resolve this task?',
          impact: [
            `${upper(task.detail)}. ${task.station_code} served the guest.`,
            'Say below what was done about it.',
          ],
          reason: 'required',
          action: 'Resolve task',
          run: async (note) => {
            await client.POST('/support/tasks/{id}/resolve', {
              params: { path: { id: task.id } },
              body: { note },
            });
            tell.done('Task resolved');
            void queries.invalidateQueries({ queryKey: ['get', '/support/tasks'] });
          },
        })
      }
    >
      Resolve…
    </Button>
  );
}
