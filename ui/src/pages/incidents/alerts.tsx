import { Button, Drawer, Group, List, Stack, Text } from '@mantine/core';
import { keepPreviousData } from '@tanstack/react-query';
import { getRouteApi, Link } from '@tanstack/react-router';
import { api } from '../../api/client';
import { Can } from '../../app/session';
import { Facts } from '../../parts/facts';
import { localZone, upper, zoneName } from '../../parts/format';
import { Page } from '../../parts/page';
import { Empty, Failed, Loading } from '../../parts/states';
import { type Column, DataTable, usePager } from '../../parts/table';
import { Time } from '../../parts/time';
import { tell } from '../../parts/toast';
import { type Alert, AlertMark, alertsChanged, DrillMark, SeverityMark } from './marks';
import { IncidentTabs, ShowAll } from './tabs';

const route = getRouteApi('/alerts');

const columns: Column<Alert>[] = [
  {
    header: 'What',
    width: 240,
    cell: (a) => (
      <>
        <span className="wrap">{a.title}</span>
        {a.subject && (
          <Text size="xs" c="dimmed" fw={400}>
            {a.subject}
          </Text>
        )}
      </>
    ),
  },
  {
    header: 'State',
    width: 160,
    cell: (a) => (
      <Group gap={4}>
        <AlertMark of={a} />
        {a.is_drill && <DrillMark />}
      </Group>
    ),
  },
  { header: 'Severity', width: 112, cell: (a) => <SeverityMark of={a.severity} /> },
  { header: `Since (${zoneName(localZone)})`, width: 136, cell: (a) => <Time at={a.pending_since} bare seconds /> },
  { header: 'Seen by', width: 160, cell: (a) => <span className="wrap">{a.acknowledged_by ?? '–'}</span> },
];

/** What is or was wrong, and who has seen it. */
export function AlertsPage() {
  const { after, alert, show } = route.useSearch();
  const navigate = route.useNavigate();
  const query = api.useQuery(
    'get',
    '/alerts',
    { params: { query: { limit: 25, after, state: show === 'all' ? undefined : ['pending', 'firing'] } } },
    { placeholderData: keepPreviousData, staleTime: 0, refetchInterval: 10_000 },
  );
  const test = api.useMutation('post', '/alerts/test', {
    onSettled: alertsChanged,
    onSuccess: () => tell.done('Test alert sent', 'Acknowledge it once you see it in the Ops channel.'),
  });
  const pager = usePager(after, (to) => void navigate({ search: (s) => ({ ...s, after: to }) }));
  return (
    <Page
      title="Alerts"
      about="What a rule found wrong. No data is unknown: it ends nothing, and clocks run on."
      action={
        <Can do="alerts.ack">
          <Button variant="default" loading={test.isPending} onClick={() => test.mutate({ body: {} })}>
            Send test alert
          </Button>
        </Can>
      }
    >
      <IncidentTabs at="/alerts" />
      <ShowAll show={show} set={(to) => void navigate({ search: { show: to } })} />
      <DataTable
        caption="alerts"
        query={query}
        rows={({ alerts }) => alerts}
        rowKey={(a) => a.alert_id}
        rowLink={(a) => ({ to: '/alerts', search: { show, after, alert: a.alert_id } })}
        columns={columns}
        pager={pager}
        next={({ next }) => next}
        empty={<Empty title="Nothing is wrong">No rule finds anything to tell of.</Empty>}
      />
      <Drawer
        opened={alert !== undefined}
        onClose={() => void navigate({ search: (s) => ({ ...s, alert: undefined }) })}
        title="Alert"
        size="lg"
      >
        {alert && <One id={alert} />}
      </Drawer>
    </Page>
  );
}

function One({ id }: { id: string }) {
  const query = api.useQuery(
    'get',
    '/alerts/{id}',
    { params: { path: { id } } },
    { staleTime: 0, refetchInterval: 5_000 },
  );
  const acknowledge = api.useMutation('post', '/alerts/{id}/acknowledge', {
    onSettled: alertsChanged,
    onSuccess: () => tell.done('Alert acknowledged'),
  });
  if (query.isPending) return <Loading label="Loading the alert" />;
  if (!query.data) return <Failed error={query.error} retry={() => void query.refetch()} />;
  const a = query.data;
  return (
    <Stack gap="lg">
      <Group gap="xs">
        <AlertMark of={a} />
        <SeverityMark of={a.severity} />
        {a.is_drill && <DrillMark />}
      </Group>
      <Text fw={600}>
        {a.title}
        {a.subject && ` (${a.subject})`}
      </Text>
      <Facts
        of={[
          ['Rule', a.rule],
          ['Since', <Time key="since" at={a.pending_since} />],
          a.fires_at
            ? ['Fires', <Time key="fires" at={a.fires_at} />]
            : ['Fired', a.fired_at ? <Time key="fired" at={a.fired_at} /> : '–'],
          ['Unknown since', a.unknown_since ? <Time key="unknown" at={a.unknown_since} /> : 'There is data'],
          ['Symptom of', a.symptom_of ?? 'Nothing'],
          ['Seen by', a.acknowledged_by ?? 'Nobody yet'],
          [
            'Incident',
            a.incident_id ? (
              <Link key="incident" to="/incidents/$id" params={{ id: a.incident_id }} className="text-link">
                INC-{a.incident}
              </Link>
            ) : (
              'None'
            ),
          ],
        ]}
      />
      {a.state === 'firing' && !a.acknowledged_at && (
        <Can do="alerts.ack">
          <Group>
            <Button
              loading={acknowledge.isPending}
              onClick={() => acknowledge.mutate({ params: { path: { id } }, body: {} })}
            >
              Acknowledge
            </Button>
          </Group>
        </Can>
      )}
      {a.notices.length > 0 && (
        <div>
          <Text fw={600} size="sm" mb={4}>
            Told
          </Text>
          <List size="sm" spacing={4}>
            {a.notices.map((n) => (
              <List.Item key={`${n.message_id} ${n.kind}`}>
                {upper(n.kind)}, {n.channel} {n.message_id}:{' '}
                {n.outcome === 'no_channel' ? (
                  'none is configured'
                ) : n.delivered_at ? (
                  <Time at={n.delivered_at} seconds />
                ) : (
                  'waits until the channel takes it'
                )}
              </List.Item>
            ))}
          </List>
        </div>
      )}
      {a.evidence.length > 0 && (
        <div>
          <Text fw={600} size="sm" mb={4}>
            Found
          </Text>
          <List size="sm" spacing={4}>
            {a.evidence.map((e) => (
              <List.Item key={e.at}>
                <Time at={e.at} bare seconds />: {e.shown}
                {e.detail && `, ${e.detail}`}
              </List.Item>
            ))}
          </List>
        </div>
      )}
    </Stack>
  );
}
