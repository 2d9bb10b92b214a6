import { Alert, Button, Group, Text } from '@mantine/core';
import { IconAlertTriangle, IconCheck, IconHourglass, IconX } from '@tabler/icons-react';
import { keepPreviousData } from '@tanstack/react-query';
import { useState } from 'react';
import { api } from '../../api/client';
import type { components } from '../../api/schema';
import { count, localZone, upper, zoneName } from '../../parts/format';
import { Empty } from '../../parts/states';
import { Mark, type Tone } from '../../parts/status';
import { type Column, DataTable, usePager } from '../../parts/table';
import { Time } from '../../parts/time';
import type { Campaign } from './campaign';

type Import = components['schemas']['Import'];
type Line = components['schemas']['ImportLine'];

const atOnce = 25;

/** Where the recipients came from, and which lines could not be taken. */
export function AudienceView({ campaign: c }: { campaign: Campaign }) {
  const [after, setAfter] = useState<string>();
  const [shown, setShown] = useState<string>();
  const id = c.campaign_id;
  const query = api.useQuery(
    'get',
    '/campaigns/{id}/imports',
    { params: { path: { id }, query: { limit: atOnce, after } } },
    { placeholderData: keepPreviousData, refetchInterval: c.status === 'draft' ? 3000 : false },
  );
  const pager = usePager(after, setAfter);
  const columns: Column<Import>[] = [
    {
      header: `Imported (${zoneName(localZone)})`,
      width: 168,
      cell: (i) => (
        <>
          <Time at={i.created_at} bare />
          <Text size="xs" c="dimmed" fw={400}>
            {i.source === 'contacts' ? 'from contacts' : 'from a file'}
          </Text>
        </>
      ),
    },
    { header: 'State', width: 120, cell: (i) => <Phase of={i} /> },
    { header: 'Lines', width: 96, align: 'right', cell: (i) => count(i.lines) },
    { header: 'Recipients', width: 104, align: 'right', cell: (i) => count(i.targets) },
    { header: 'Duplicates', width: 104, align: 'right', cell: (i) => count(i.duplicates) },
    {
      header: 'Invalid',
      width: 136,
      align: 'right',
      cell: (i) => (
        <>
          {count(i.invalid)}
          {i.invalid > 0 && (
            <Button
              size="compact-xs"
              variant="default"
              ml={8}
              aria-expanded={shown === i.import_id}
              aria-label={`${shown === i.import_id ? 'Hide' : 'Show'} the ${count(i.invalid)} invalid lines`}
              onClick={() => setShown(shown === i.import_id ? undefined : i.import_id)}
            >
              {shown === i.import_id ? 'Hide' : 'Show'}
            </Button>
          )}
        </>
      ),
    },
  ];
  const chosen = query.data?.imports.find((i) => i.import_id === shown);
  const problems = (query.data?.imports ?? []).filter((i) => i.problem);
  return (
    <>
      {problems.map((i) => (
        <Alert key={i.import_id} color="red" icon={<IconAlertTriangle size={16} />} mb="md">
          <Text size="sm" className="wrap">
            The import of <Time at={i.created_at} />: {i.problem}
          </Text>
        </Alert>
      ))}
      <DataTable
        caption="imports"
        query={query}
        rows={(page) => page.imports}
        next={(page) => page.next}
        rowKey={(i) => i.import_id}
        columns={columns}
        pager={pager}
        empty={<Empty title="No imports">No recipients were imported into this campaign.</Empty>}
      />
      {chosen && <BadLines key={chosen.import_id} campaign={c} of={chosen} />}
    </>
  );
}

function BadLines({ campaign: c, of }: { campaign: Campaign; of: Import }) {
  const [after, setAfter] = useState<string>();
  const query = api.useQuery(
    'get',
    '/campaigns/{id}/imports/{import_id}/lines',
    {
      params: {
        path: { id: c.campaign_id, import_id: of.import_id },
        query: { limit: atOnce, after: after === undefined ? undefined : Number(after) },
      },
    },
    { placeholderData: keepPreviousData },
  );
  const pager = usePager(after, setAfter);
  return (
    <div>
      <Group mt="lg" mb="sm" justify="space-between">
        <Text size="sm" fw={500}>
          {count(of.invalid)} lines that could not be taken
        </Text>
        {of.invalid > 10_000 && (
          <Text size="xs" c="dimmed">
            The first 10,000 are kept.
          </Text>
        )}
      </Group>
      <DataTable
        caption="invalid lines"
        query={query}
        rows={(page) => page.lines}
        next={(page) => page.next}
        rowKey={(l) => String(l.line)}
        columns={badLines}
        pager={pager}
        empty={<Empty title="None is kept" />}
      />
    </div>
  );
}

const badLines: Column<Line>[] = [
  { header: 'Line', width: 72, cell: (l) => count(l.line) },
  { header: 'Column', width: 120, cell: (l) => <span className="wrap">{l.field || '–'}</span> },
  {
    header: 'What is wrong',
    width: 280,
    cell: (l) => <span className="wrap">{upper(l.reason)}</span>,
  },
];

const phases: Record<Import['phase'], { word: string; tone: Tone; icon: typeof IconCheck }> = {
  uploading: { word: 'Uploading', tone: 'live', icon: IconHourglass },
  staging: { word: 'Reading', tone: 'live', icon: IconHourglass },
  merging: { word: 'Merging', tone: 'live', icon: IconHourglass },
  done: { word: 'Done', tone: 'good', icon: IconCheck },
  failed: { word: 'Failed', tone: 'bad', icon: IconAlertTriangle },
  cancelled: { word: 'Cancelled', tone: 'quiet', icon: IconX },
};

function Phase({ of }: { of: Import }) {
  return <Mark {...phases[of.phase]} />;
}
