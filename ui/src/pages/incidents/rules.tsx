import { Stack, Text } from '@mantine/core';
import { IconAlertTriangle, IconCheck, IconHelpCircle } from '@tabler/icons-react';
import { Link } from '@tanstack/react-router';
import { api } from '../../api/client';
import type { components } from '../../api/schema';
import { upper, words } from '../../parts/format';
import { Page } from '../../parts/page';
import { Empty } from '../../parts/states';
import { Mark } from '../../parts/status';
import { type Column, DataTable } from '../../parts/table';
import { SeverityMark } from './marks';
import { IncidentTabs } from './tabs';

type Rule = components['schemas']['AlertRule'];
type Reading = components['schemas']['AlertReading'];

const columns: Column<Rule>[] = [
  {
    header: 'Rule',
    width: 248,
    cell: (r) => (
      <>
        <span className="wrap">{r.title}</span>
        <Text size="xs" c="dimmed" fw={400}>
          {r.name}
        </Text>
      </>
    ),
  },
  { header: 'Holds when', width: 256, cell: (r) => <span className="wrap">{r.when}</span> },
  { header: 'Now', width: 200, cell: (r) => <Now of={r.readings} /> },
  { header: 'Severity', width: 112, cell: (r) => <SeverityMark of={r.severity} /> },
  {
    header: 'Then',
    width: 208,
    cell: (r) => (
      <Stack gap={0}>
        <span className="wrap">Tells {r.notify.map((n) => (n === 'ops' ? 'Ops' : n)).join(' and ')}</span>
        {r.actions.length > 0 && (
          <Text size="xs" c="dimmed" className="wrap">
            {upper(r.actions.map(words).join(', '))}
          </Text>
        )}
        {r.runbook && (
          <Link to="/runbooks" search={{ runbook: r.runbook }} className="text-link">
            <Text size="xs" span>
              {upper(words(r.runbook.replaceAll('-', '_')))}
            </Text>
          </Link>
        )}
      </Stack>
    ),
  },
];

/** What somebody is told of, and what each rule makes of what was measured last. */
export function AlertRulesPage() {
  const query = api.useQuery('get', '/alert-rules', {}, { staleTime: 0, refetchInterval: 10_000 });
  return (
    <Page
      title="Rules"
      about="What somebody is told of. They come with Lastcall; what each finds now stands beside it."
    >
      <IncidentTabs at="/alert-rules" />
      <DataTable
        caption="rules"
        query={query}
        rows={({ rules }) => rules}
        rowKey={(r) => r.name}
        columns={columns}
        empty={<Empty title="There are no rules">They come with Lastcall.</Empty>}
      />
    </Page>
  );
}

const verdicts = {
  holds: { word: 'Holds', tone: 'bad', icon: IconAlertTriangle },
  unknown: { word: 'Unknown', tone: 'waits', icon: IconHelpCircle },
  clear: { word: 'Clear', tone: 'good', icon: IconCheck },
} as const;

/** The worst of what a rule finds, and of what. */
function Now({ of: all }: { of: Reading[] }) {
  const worst = (['holds', 'unknown', 'clear'] as const).find((v) => all.some((r) => r.verdict === v));
  if (!worst) return <Text c="dimmed">Not looked at yet</Text>;
  const those = all.filter((r) => r.verdict === worst);
  return (
    <Stack gap={2} align="flex-start">
      <Mark {...verdicts[worst]} />
      <Text size="xs" c="dimmed" className="wrap">
        {those
          .slice(0, 3)
          .map((r) => (r.subject ? `${r.subject} ${r.shown}` : r.detail || r.shown))
          .join(', ')}
        {those.length > 3 && `, ${those.length - 3} more`}
      </Text>
    </Stack>
  );
}
