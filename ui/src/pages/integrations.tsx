import { Button, Drawer, Text } from '@mantine/core';
import { IconFlame, IconRefresh } from '@tabler/icons-react';
import { getRouteApi } from '@tanstack/react-router';
import { useState } from 'react';
import { api, queries } from '../api/client';
import { type EdgeFunction, useEdgeFunctions } from '../api/edge';
import { Can } from '../app/session';
import { EdgeState } from '../parts/edge';
import { Strip } from '../parts/edge-strip';
import { count, duration } from '../parts/format';
import { Page } from '../parts/page';
import { Empty } from '../parts/states';
import { type Column, DataTable } from '../parts/table';
import { Time } from '../parts/time';
import { tell } from '../parts/toast';
import { EdgeStory } from './integrations-drawer';
import { NewFaultForm } from './integrations-fault';

const route = getRouteApi('/integrations');

const columns: Column<EdgeFunction>[] = [
  {
    header: 'Service',
    width: 208,
    cell: (f) => (
      <>
        {f.title}
        <Text size="xs" c="dimmed" fw={400} maw={280} className="wrap">
          {f.state === 'green' ? (f.critical ? 'Critical' : ' ') : f.detail || f.impact}
        </Text>
      </>
    ),
  },
  { header: 'State', width: 124, cell: (f) => <EdgeState of={f.state} /> },
  { header: 'Since', width: 124, cell: (f) => (f.since ? <Time at={f.since} bare /> : '–') },
  {
    header: 'Answer',
    width: 80,
    align: 'right',
    cell: (f) => (f.latency_ms === undefined ? '–' : `${count(f.latency_ms)} ms`),
  },
  { header: 'Green in 24 h', width: 112, align: 'right', cell: (f) => <Available of={f} /> },
  { header: 'Last 24 h', width: 148, cell: (f) => <Strip of={f} /> },
  { header: 'Recheck', width: 112, cell: (f) => <Recheck of={f} /> },
];

export function IntegrationsPage() {
  const { edge } = route.useSearch();
  const navigate = route.useNavigate();
  const query = useEdgeFunctions();
  const [failing, setFailing] = useState(false);
  return (
    <Page
      title="Integrations"
      about={`The services that Lastcall leans on, each probed every ${duration(query.data?.every_seconds ?? 60)}. What faults do on purpose counts in no figure.`}
      action={
        <Can do="faults.inject">
          <Button variant="default" leftSection={<IconFlame size={16} />} onClick={() => setFailing(true)}>
            Make one fail
          </Button>
        </Can>
      }
    >
      <DataTable
        caption="integrations"
        query={query}
        rows={({ functions }) => functions}
        rowKey={(f) => f.name}
        rowLink={(f) => ({ to: '/integrations', search: { edge: f.name } })}
        columns={columns}
        empty={<Empty title="Nothing is probed" />}
      />
      <Drawer
        opened={edge !== undefined}
        onClose={() => void navigate({ search: {} })}
        size={480}
        title={query.data?.functions.find((f) => f.name === edge)?.title ?? 'Service'}
      >
        {edge !== undefined && <EdgeStory name={edge} />}
      </Drawer>
      <Drawer opened={failing} onClose={() => setFailing(false)} title="Make a service fail">
        {failing && <NewFaultForm functions={query.data?.functions ?? []} close={() => setFailing(false)} />}
      </Drawer>
    </Page>
  );
}

/** The share of the day in which it was green; of a shorter time where nobody had probed it before. */
export function Available({ of: { availability: a } }: { of: EdgeFunction }) {
  if (a.watched_seconds === 0) return <>–</>;
  return (
    <>
      {percent(a.green)}
      {a.of_seconds < 0.99 * 86_400 && (
        <Text size="xs" c="dimmed">
          of {duration(a.of_seconds)}
        </Text>
      )}
    </>
  );
}

/** 99.93 %: never rounded up to 100. */
function percent(share: number): string {
  const p = Math.floor(Math.min(1, share + 1e-9) * 10_000) / 100;
  return `${p === 100 || p === 0 ? p : p.toFixed(2)} %`;
}

/** Has a service probed now. */
export function Recheck({ of: f }: { of: EdgeFunction }) {
  const check = api.useMutation('post', '/edge-functions/{name}/check', {
    onSuccess: (found, _, __) => {
      void queries.invalidateQueries({ queryKey: ['get', '/edge-functions'] });
      void queries.invalidateQueries({ queryKey: ['get', '/edge-functions/{name}'] });
      if (found.checked_at === f.checked_at) tell.problem(late);
    },
  });
  return (
    <Can do="probes.check">
      <Button
        size="compact-sm"
        variant="default"
        leftSection={<IconRefresh size={14} />}
        loading={check.isPending}
        aria-label={`Recheck ${f.title}`}
        onClick={() => check.mutate({ params: { path: { name: f.name } } })}
      >
        Recheck
      </Button>
    </Can>
  );
}

const late = {
  status: 202,
  code: 'not_probed_yet',
  message: 'Nobody has probed it within five seconds. What is shown is from before; it changes by itself.',
} as Parameters<typeof tell.problem>[0];
