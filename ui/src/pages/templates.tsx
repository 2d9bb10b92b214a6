import { Text } from '@mantine/core';
import { api } from '../api/client';
import type { components } from '../api/schema';
import { localeName, localZone, zoneName } from '../parts/format';
import { Page } from '../parts/page';
import { Empty } from '../parts/states';
import { Status } from '../parts/status';
import { type Column, DataTable } from '../parts/table';
import { Time } from '../parts/time';

type Template = components['schemas']['Template'];

const columns: Column<Template>[] = [
  { header: 'Template', width: 184, cell: (t) => <span className="wrap">{t.name}</span> },
  { header: 'Newest version', width: 120, cell: (t) => `v${t.version}` },
  { header: 'Status', width: 120, cell: (t) => <Status of={t.status} /> },
  { header: 'For', width: 104, cell: (t) => (t.category === 'marketing' ? 'Marketing' : 'Service') },
  {
    header: 'Languages',
    width: 200,
    cell: (t) => (
      <Text size="sm">
        {Object.keys(t.texts)
          .map((l) => localeName(l))
          .sort()
          .join(', ')}
      </Text>
    ),
  },
  { header: `Changed (${zoneName(localZone)})`, width: 136, cell: (t) => <Time at={t.updated_at} bare /> },
];

export function TemplatesPage() {
  const query = api.useQuery('get', '/templates');
  return (
    <Page
      title="Templates"
      about="What campaigns send, as WhatsApp approved it. A campaign keeps the version it was made with."
    >
      <DataTable
        caption="templates"
        query={query}
        rows={({ templates }) => templates.filter((t, i) => templates[i - 1]?.name !== t.name)}
        rowKey={(t) => t.id}
        rowLink={(t) => ({ to: '/templates/$name', params: { name: t.name } })}
        columns={columns}
        empty={<Empty title="No templates">A campaign needs one that may be sent.</Empty>}
      />
    </Page>
  );
}
