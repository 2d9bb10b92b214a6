import { Alert, Group, Stack, Text, Title } from '@mantine/core';
import { keepPreviousData } from '@tanstack/react-query';
import { useState } from 'react';
import { api } from '../api/client';
import type { EdgeFunction } from '../api/edge';
import type { components } from '../api/schema';
import { EdgeState } from '../parts/edge';
import { Strip } from '../parts/edge-strip';
import { Facts } from '../parts/facts';
import { count, localZone, zoneName } from '../parts/format';
import { Empty, Failed, Loading } from '../parts/states';
import { type Column, DataTable, usePager } from '../parts/table';
import { Time } from '../parts/time';
import { Available, Recheck } from './integrations';

type Result = components['schemas']['ProbeResult'];

const columns: Column<Result>[] = [
  { header: `Probed (${zoneName(localZone)})`, width: 136, cell: (r) => <Time at={r.at} bare seconds /> },
  {
    header: 'Found',
    width: 200,
    cell: (r) => (
      <Stack gap={4} align="flex-start">
        <EdgeState of={r.state} />
        {(r.detail || r.is_drill) && (
          <Text size="xs" c="dimmed" className="wrap">
            {r.detail} {r.is_drill && 'A fault was in the way on purpose.'}
          </Text>
        )}
      </Stack>
    ),
  },
  {
    header: 'Answer',
    width: 80,
    align: 'right',
    cell: (r) => (r.latency_ms === undefined ? '–' : `${count(r.latency_ms)} ms`),
  },
];

/** One service: how it is, what that means, and what its probes found. */
export function EdgeStory({ name }: { name: EdgeFunction['name'] }) {
  const [after, setAfter] = useState<number>();
  const query = api.useQuery(
    'get',
    '/edge-functions/{name}',
    { params: { path: { name }, query: { after, limit: 20 } } },
    { placeholderData: keepPreviousData, staleTime: 0, refetchInterval: 15_000 },
  );
  const pager = usePager(after?.toString(), (to) => setAfter(to ? Number(to) : undefined));
  if (query.isPending) return <Loading label="Loading the service" />;
  if (!query.data) return <Failed error={query.error} retry={() => void query.refetch()} />;
  const f = query.data.function;
  return (
    <Stack gap="md">
      <Group justify="space-between">
        <EdgeState of={f.state} />
        <Recheck of={f} />
      </Group>
      {f.state !== 'green' && (
        <Alert color={f.state === 'red' ? 'red' : f.state === 'amber' ? 'amber' : 'violet'} role="status">
          <Text size="sm">{f.detail || 'It was not probed lately.'}</Text>
          <Text size="sm" mt={4}>
            {f.state === 'red' ? f.impact : `If it goes down: ${f.impact}`}
          </Text>
        </Alert>
      )}
      <Strip of={f} />
      <Facts
        of={[
          ['Since', f.since ? <Time at={f.since} /> : '–'],
          ['Last probed', f.checked_at ? <Time at={f.checked_at} seconds /> : 'Never'],
          ['Answered in', f.latency_ms === undefined ? '–' : `${count(f.latency_ms)} ms`],
          ['Green in 24 hours', <Available key="a" of={f} />],
          ['Critical', f.critical ? 'Yes: down for long is a reason to roll back' : 'No'],
        ]}
      />
      <Title order={3} size="h4">
        Probes
      </Title>
      <DataTable
        caption="probes"
        query={query}
        rows={({ results }) => results}
        next={({ next }) => next}
        rowKey={(r) => String(r.id)}
        columns={columns}
        pager={pager}
        empty={<Empty title="Nobody has probed it yet" />}
      />
    </Stack>
  );
}
