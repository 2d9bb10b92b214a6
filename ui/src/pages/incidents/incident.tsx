import { Anchor, Button, Group, Stack, Text, Textarea, Timeline } from '@mantine/core';
import { IconArrowLeft, IconDownload } from '@tabler/icons-react';
import { getRouteApi, Link } from '@tanstack/react-router';
import { useState } from 'react';
import { api, client } from '../../api/client';
import type { components } from '../../api/schema';
import { Can, useAccount } from '../../app/session';
import { useConfirm } from '../../parts/confirm';
import { Facts } from '../../parts/facts';
import { duration, upper, words } from '../../parts/format';
import { Page, Section } from '../../parts/page';
import { Failed, Loading } from '../../parts/states';
import { Time } from '../../parts/time';
import { tell } from '../../parts/toast';
import { AlertMark, alertsChanged, DrillMark, type Incident, IncidentMark, SeverityMark } from './marks';
import { Runbook } from './runbook';

const route = getRouteApi('/incidents/$id');

/** One incident: what happened, what to do, and what it was. */
export function IncidentPage() {
  const { id } = route.useParams();
  const query = api.useQuery(
    'get',
    '/incidents/{id}',
    { params: { path: { id } } },
    { staleTime: 0, refetchInterval: ({ state }) => (state.data?.state === 'resolved' ? false : 5_000) },
  );
  if (query.isPending) return <Loading label="Loading the incident" />;
  if (!query.data) return <Failed level={1} error={query.error} retry={() => void query.refetch()} />;
  const i = query.data;
  return (
    <Page
      title={i.title}
      above={
        <Anchor size="sm" className="text-link" renderRoot={(props) => <Link to="/incidents" {...props} />}>
          <IconArrowLeft size={14} aria-hidden /> Incidents
        </Anchor>
      }
      about={`INC-${i.number}, opened by ${i.opened_by}`}
      action={<Orders of={i} />}
    >
      <Group gap="xs" mb="lg">
        <IncidentMark of={i} />
        <SeverityMark of={i.severity} />
        {i.is_drill && <DrillMark />}
      </Group>
      <Facts
        of={[
          ['Opened', <Time key="opened" at={i.opened_at} />],
          ['Owner', i.owner?.name ?? 'Nobody yet'],
          ['Mitigated', i.mitigated_at ? `After ${since(i, i.mitigated_at)}` : 'Not yet'],
          ['Resolved', i.resolved_at ? `After ${since(i, i.resolved_at)}` : 'Not yet'],
          ...(i.resolution ? ([['It was', i.resolution]] as [string, string][]) : []),
        ]}
      />
      <div className="incident">
        <Section title="What happened">
          <Moments of={i.timeline ?? []} />
          {i.state !== 'resolved' && (
            <Can do="incidents.write">
              <Note id={id} />
            </Can>
          )}
        </Section>
        <Stack gap="md">
          {i.runbook && (
            <Section title="What to do">
              <Runbook name={i.runbook} incident={i} />
            </Section>
          )}
          {(i.alerts?.length ?? 0) > 0 && (
            <Section title="Alerts">
              <Stack gap="xs">
                {i.alerts?.map((a) => (
                  <Group key={a.alert_id} gap="xs">
                    <AlertMark of={a} />
                    <Link to="/alerts" search={{ show: 'all', alert: a.alert_id }} className="text-link">
                      {a.title}
                    </Link>
                  </Group>
                ))}
              </Stack>
            </Section>
          )}
        </Stack>
      </div>
    </Page>
  );
}

const since = (i: Incident, at: string) => duration((Date.parse(at) - Date.parse(i.opened_at)) / 1000);

function Moments({ of }: { of: components['schemas']['IncidentMoment'][] }) {
  return (
    <Timeline bulletSize={12} lineWidth={1}>
      {of.map((m, i) => (
        <Timeline.Item key={i} title={<Text size="sm">{upper(words(m.kind)) + (m.step ? ` ${m.step}` : '')}</Text>}>
          {m.text && (
            <Text size="sm" className="wrap">
              {m.text}
            </Text>
          )}
          <Text size="xs" c="dimmed">
            <Time at={m.at} seconds bare />
            {m.by && `, ${m.by}`}
          </Text>
        </Timeline.Item>
      ))}
    </Timeline>
  );
}

function Note({ id }: { id: string }) {
  const [text, setText] = useState('');
  const change = api.useMutation('post', '/incidents/{id}/changes', {
    onSettled: alertsChanged,
    onSuccess: () => setText(''),
  });
  return (
    <Stack gap="xs" mt="md">
      <Textarea
        label="Note"
        value={text}
        onChange={(e) => setText(e.currentTarget.value)}
        maxLength={2000}
        autosize
        minRows={2}
      />
      <Group justify="flex-end">
        <Button
          variant="default"
          disabled={!text.trim()}
          loading={change.isPending}
          onClick={() => change.mutate({ params: { path: { id } }, body: { do: 'note', text } })}
        >
          Add note
        </Button>
      </Group>
    </Stack>
  );
}

function Orders({ of: i }: { of: Incident }) {
  const ask = useConfirm();
  const account = useAccount();
  const change = api.useMutation('post', '/incidents/{id}/changes', { onSettled: alertsChanged });
  const path = { id: i.incident_id };
  const resolve = async (text: string) => {
    try {
      await client.POST('/incidents/{id}/changes', { params: { path }, body: { do: 'resolve', text } });
    } finally {
      alertsChanged();
    }
    tell.done('Incident resolved');
  };
  return (
    <Group gap="xs">
      <Button
        component="a"
        href={`/api/v1/incidents/${i.incident_id}/report.md`}
        download
        variant="default"
        leftSection={<IconDownload size={16} />}
      >
        Report
      </Button>
      <Can do="incidents.write">
        {i.state !== 'resolved' && i.owner?.id !== account.id && (
          <Button
            variant="default"
            onClick={() => change.mutate({ params: { path }, body: { do: 'owner', owner_id: account.id } })}
          >
            Take it
          </Button>
        )}
        {i.state === 'open' && (
          <Button variant="default" onClick={() => change.mutate({ params: { path }, body: { do: 'mitigate' } })}>
            Mitigated
          </Button>
        )}
        {i.state !== 'resolved' && (
          <Button
            onClick={() =>
              ask({
                title: `Resolve INC-${i.number}?`,
                impact: ['Say what it was, and what is to follow. It goes into the report.'],
                reason: 'required',
                action: 'Resolve incident',
                run: resolve,
              })
            }
          >
            Resolve…
          </Button>
        )}
      </Can>
    </Group>
  );
}
