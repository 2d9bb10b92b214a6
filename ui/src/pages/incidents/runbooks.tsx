import { Drawer, Text } from '@mantine/core';
import { getRouteApi } from '@tanstack/react-router';
import { api } from '../../api/client';
import type { components } from '../../api/schema';
import { Page } from '../../parts/page';
import { Empty } from '../../parts/states';
import { type Column, DataTable } from '../../parts/table';
import { Runbook } from './runbook';
import { IncidentTabs } from './tabs';

const route = getRouteApi('/runbooks');

type Book = components['schemas']['Runbook'];

const columns: Column<Book>[] = [
  { header: 'Runbook', width: 240, cell: (b) => <span className="wrap">{b.title}</span> },
  { header: 'When', width: 480, cell: (b) => <span className="wrap">{b.lead}</span> },
];

/** What to do when something is wrong. */
export function RunbooksPage() {
  const { runbook } = route.useSearch();
  const navigate = route.useNavigate();
  const query = api.useQuery('get', '/runbooks');
  const shown = query.data?.runbooks.find((b) => b.name === runbook);
  return (
    <Page
      title="Runbooks"
      about="What to do when something is wrong. Beside an incident its steps can be ticked and run."
    >
      <IncidentTabs at="/runbooks" />
      <DataTable
        caption="runbooks"
        query={query}
        rows={({ runbooks }) => runbooks}
        rowKey={(b) => b.name}
        rowLink={(b) => ({ to: '/runbooks', search: { runbook: b.name } })}
        columns={columns}
        empty={<Empty title="There are no runbooks">They come with Lastcall.</Empty>}
      />
      {query.data && (
        <Text size="xs" c="dimmed" mt="md" className="wrap">
          Digest of all, to which a review is bound: {query.data.digest}
        </Text>
      )}
      <Drawer
        opened={runbook !== undefined}
        onClose={() => void navigate({ search: {} })}
        title={shown?.title ?? 'Runbook'}
        size="lg"
      >
        {runbook && <Runbook name={runbook} />}
      </Drawer>
    </Page>
  );
}
