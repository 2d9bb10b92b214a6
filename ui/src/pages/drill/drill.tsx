import { Alert, Anchor, Button, Group, Stack, Table, Text } from '@mantine/core';
import { IconDownload, IconPlayerStop, IconPrinter } from '@tabler/icons-react';
import { getRouteApi, Link } from '@tanstack/react-router';
import { api, client, queries } from '../../api/client';
import { Can } from '../../app/session';
import { useConfirm } from '../../parts/confirm';
import { Facts } from '../../parts/facts';
import { upper, words } from '../../parts/format';
import { Page, Section } from '../../parts/page';
import { Failed, Loading } from '../../parts/states';
import { Time } from '../../parts/time';
import { tell } from '../../parts/toast';
import { Journal } from './journal';
import { Loop, took } from './loop';
import { type Drill, DrillMark, isOpen } from './marks';
import './drill.css';

const route = getRouteApi('/drills/$id');

/** One drill: live while it runs, its report afterwards. */
export function DrillPage() {
  const { id } = route.useParams();
  const query = api.useQuery(
    'get',
    '/drills/{id}',
    { params: { path: { id } } },
    { staleTime: 0, refetchInterval: ({ state }) => (state.data && !isOpen(state.data.status) ? false : 1_000) },
  );
  if (query.isPending) return <Loading label="Loading the drill" />;
  if (!query.data) return <Failed level={1} error={query.error} retry={() => void query.refetch()} />;
  return <Report of={query.data} />;
}

function Report({ of: d }: { of: Drill }) {
  const open = isOpen(d.status);
  return (
    <Page
      title={d.experiment.title}
      about={d.experiment.story}
      above={
        <Anchor size="sm" className="text-link no-print" renderRoot={(props) => <Link to="/drills" {...props} />}>
          Drills
        </Anchor>
      }
      action={<Actions of={d} />}
    >
      <Stack gap="lg">
        <Section
          title="The loop"
          about={
            d.fast
              ? 'A fast drill: thresholds of seconds, and the drill acknowledges its own alert.'
              : 'Somebody must acknowledge the alert: in the panel, under Incidents.'
          }
          aside={
            <span role="status">
              <DrillMark of={d.status} />
            </span>
          }
        >
          {d.why && (
            <Alert color={d.status === 'failed' ? 'violet' : 'gray'} mb="md">
              {upper(d.why)}.
            </Alert>
          )}
          <Loop of={d} />
        </Section>
        <div className="beside">
          <Section title="Journal">
            <Journal of={d} />
          </Section>
          <Stack gap="lg">
            {!open && d.injected_at && <Parts of={d} />}
            <Section title="About it">
              <Facts
                of={[
                  ['Scenario', d.scenario],
                  ['Fault', `${upper(words(d.experiment.fault.kind))} · ${d.experiment.fault.edge_function}`],
                  ['Began', <Time key="began" at={d.start} seconds />],
                  ...(d.end ? ([['Ended', <Time key="ended" at={d.end} seconds />]] as [string, React.ReactNode][]) : []),
                  ['By', d.by],
                  ['Reason', d.reason],
                  ...(d.stopped_by ? ([['Stopped by', d.stopped_by]] as [string, React.ReactNode][]) : []),
                  [
                    'In no figure',
                    'What the drill made, its campaign and its alerts, is marked as a drill’s and stays out of figures and signals.',
                  ],
                ]}
              />
              {d.temporal_web && (
                <Anchor href={d.temporal_web} target="_blank" rel="noreferrer" size="sm" className="text-link no-print">
                  Open in Temporal Web
                </Anchor>
              )}
            </Section>
          </Stack>
        </div>
      </Stack>
    </Page>
  );
}

function Actions({ of: d }: { of: Drill }) {
  const ask = useConfirm();
  if (!isOpen(d.status)) {
    return (
      <Group gap="xs" className="no-print">
        <Button
          variant="default"
          component="a"
          href={`/api/v1/drills/${d.drill_id}`}
          download={`drill-${d.scenario}-${d.drill_id}.json`}
          leftSection={<IconDownload size={16} />}
        >
          JSON
        </Button>
        <Button variant="default" leftSection={<IconPrinter size={16} />} onClick={() => print()}>
          Print
        </Button>
      </Group>
    );
  }
  return (
    <Can do="drills.run">
      <Button
        variant="default"
        leftSection={<IconPlayerStop size={16} />}
        disabled={d.stopped_by !== undefined}
        onClick={() =>
          ask({
            title: 'Stop the drill?',
            impact: ['Its fault is gone at once.', 'What was not measured yet scores nothing.'],
            reason: 'optional',
            action: 'Stop drill',
            run: async (reason) => {
              await client.POST('/drills/{id}/abort', { params: { path: { id: d.drill_id } }, body: { reason } });
              void queries.invalidateQueries({ queryKey: ['get', '/drills/{id}'] });
              tell.done('The fault is gone');
            },
          })
        }
      >
        Stop drill…
      </Button>
    </Can>
  );
}

/** The score and what it is made of. */
function Parts({ of: d }: { of: Drill }) {
  return (
    <Section title="Score">
      <Group align="baseline" gap="xs">
        <span className="drill-big">{d.score}</span>
        <Text c="dimmed">of 100{d.deviated ? ' · deviated' : ' · all as expected'}</Text>
      </Group>
      {d.capped && (
        <Text size="sm" mt="xs">
          Capped: {d.capped}.
        </Text>
      )}
      <Table mt="md" verticalSpacing={6}>
        <Table.Tbody>
          {(d.score_parts ?? []).map((p) => (
            <Table.Tr key={p.event}>
              <Table.Th scope="row" fw={500}>
                {upper(p.event)}
                <Text size="xs" c="dimmed" fw={400} className="wrap">
                  {p.after === null ? p.why : `${took(p.after)}, ${p.why}`}
                </Text>
              </Table.Th>
              <Table.Td ta="right">
                {p.points} / {p.weight}
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Section>
  );
}
