import { Alert, Anchor, Button, Group, Text } from '@mantine/core';
import { IconDownload, IconHelpCircle } from '@tabler/icons-react';
import { Link } from '@tanstack/react-router';
import { api } from '../../api/client';
import type { components } from '../../api/schema';
import { count, share, upper, words } from '../../parts/format';
import { Empty } from '../../parts/states';
import { type Column, DataTable } from '../../parts/table';
import { type Campaign, ended, every } from './campaign';

type Failures = components['schemas']['Failures'];

/** What failed, by reason, with what to do about it. */
export function FailuresView({ campaign: c }: { campaign: Campaign }) {
  const query = api.useQuery(
    'get',
    '/campaigns/{id}/failures',
    { params: { path: { id: c.campaign_id } } },
    { refetchInterval: every(3000, c) },
  );
  const columns: Column<Failures>[] = [
    {
      header: 'What happened',
      width: 248,
      cell: (f) => (
        <span className="wrap">
          {upper(f.meaning)}
          <Text span display="block" size="xs" c="dimmed" fw={400}>
            {words(f.reason)}
            {f.error_code !== undefined && ` · code ${f.error_code}`}
          </Text>
        </span>
      ),
    },
    { header: 'What to do', width: 280, cell: (f) => <span className="wrap">{f.advice ?? '–'}</span> },
    { header: 'Concerns', width: 104, cell: (f) => (f.scope ? whom[f.scope] : '–') },
    {
      header: 'Recipients',
      width: 104,
      align: 'right',
      cell: (f) => (
        <>
          {count(f.targets)}
          <Text size="xs" c="dimmed">
            {share(f.targets, c.targets)}
          </Text>
        </>
      ),
    },
  ];
  return (
    <>
      {c.unknown > 0 && (
        <Alert color="violet" icon={<IconHelpCircle size={16} />} title={`${count(c.unknown)} unknown`} mb="md">
          <Text size="sm">
            Nobody can tell whether they were sent: the provider gave no answer. Receipts still settle them.{' '}
            <Anchor
              renderRoot={(props) => <Link to="." search={{ state: 'unknown' }} resetScroll={false} {...props} />}
              className="text-link"
              size="sm"
            >
              Show them
            </Anchor>
          </Text>
        </Alert>
      )}
      {c.failed + c.unknown > 0 && (
        <Group mb="md" gap="xs" className="no-print">
          {c.failed > 0 && (
            <Button
              component="a"
              href={`/api/v1/campaigns/${c.campaign_id}/failures.csv`}
              download
              variant="default"
              leftSection={<IconDownload size={16} />}
            >
              Failures as CSV
            </Button>
          )}
          {!ended(c) && (
            <Text size="sm" c="dimmed">
              They can be sent again when the campaign has ended.
            </Text>
          )}
        </Group>
      )}
      <DataTable
        caption="failures"
        query={query}
        rows={(r) => r.failures}
        rowKey={(f) => `${f.reason} ${f.error_code}`}
        columns={columns}
        empty={<Empty title="Nothing failed">What fails is listed here, with what to do about it.</Empty>}
      />
    </>
  );
}

/** Whom an error concerns, in words. */
const whom: Record<NonNullable<Failures['scope']>, string> = {
  rate: 'The pace',
  pair: 'The pace to one recipient',
  user: 'The recipient',
  template: 'The template',
  parameters: 'The variables',
  number: 'Our number',
  account: 'Our account',
  provider: 'WhatsApp',
};
