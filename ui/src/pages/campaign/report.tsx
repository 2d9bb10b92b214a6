import { Button, Group, Table, Text, Title } from '@mantine/core';
import { IconDownload, IconPrinter } from '@tabler/icons-react';
import { count, duration, money, share, upper, words } from '../../parts/format';
import { Progress } from '../../parts/progress';
import { statusWord } from '../../parts/status';
import { Time } from '../../parts/time';
import type { Campaign } from './campaign';
import { states } from './targets';

/** What is left of a campaign when it has ended, to be kept: as a file, or on paper. */
export function ReportView({ campaign: c }: { campaign: Campaign }) {
  const r = c.report;
  if (!r) return null;
  const k = r.counts;
  return (
    <article className="report" aria-labelledby="report">
      <Group justify="space-between" mb="md" gap="xs">
        <Title order={2} size="h3" id="report">
          Report
        </Title>
        <Group gap="xs" className="no-print">
          <Button
            component="a"
            href={`/api/v1/campaigns/${c.campaign_id}/report.csv`}
            download
            variant="default"
            leftSection={<IconDownload size={16} />}
          >
            Report as CSV
          </Button>
          <Button variant="default" leftSection={<IconPrinter size={16} />} onClick={() => print()}>
            Print
          </Button>
        </Group>
      </Group>
      <Text size="sm" mb="md">
        {c.template} v{c.template_version}.{' '}
        {c.started_at && (
          <>
            Started <Time at={c.started_at} />
          </>
        )}
        {c.finished_at && (
          <>
            , ended <Time at={c.finished_at} />, after {duration(r.seconds)}
          </>
        )}
        . Receipts that came later are in the figures above, not in the report.
      </Text>
      <Progress counts={k} thick />
      <div className="table-scroll report-table">
        <Table verticalSpacing={8}>
          <Table.Thead>
            <Table.Tr>
              <Table.Th scope="col">Of {count(c.lines)} lines</Table.Th>
              <Table.Th scope="col" ta="right">
                Recipients
              </Table.Th>
              <Table.Th scope="col" ta="right">
                Share
              </Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            <Line name="Recipients" n={k.targets} of={k.targets} />
            {states
              .filter((s) => k[s] > 0)
              .map((s) => (
                <Line key={s} name={statusWord(s)} n={k[s]} of={k.targets} />
              ))}
            <Line name="Invalid lines" n={c.invalid} />
            <Line name="Duplicate lines" n={c.duplicates} />
          </Table.Tbody>
        </Table>
      </div>
      {r.vouchers && (
        <>
          <Title order={3} size="h4" mt="lg" mb="sm">
            Vouchers
          </Title>
          <Text size="sm">
            {count(r.vouchers.made)} of {money(Number(r.vouchers.amount), r.vouchers.currency)}, worth{' '}
            {money(Number(r.vouchers.made_value), r.vouchers.currency)}: {count(r.vouchers.sent)} sent,{' '}
            {count(r.vouchers.redeemed)} redeemed ({money(Number(r.vouchers.redeemed_value), r.vouchers.currency)}),{' '}
            {count(r.vouchers.expired)} expired, {count(r.vouchers.void)} void, {count(r.vouchers.issued)} issued only.{' '}
            {count(r.vouchers.unsent)} did not come to their guests.
          </Text>
        </>
      )}
      {r.failures.length > 0 && (
        <>
          <Title order={3} size="h4" mt="lg" mb="sm">
            What failed
          </Title>
          <ul className="lines">
            {r.failures.map((f) => (
              <li key={`${f.reason} ${f.error_code}`}>
                <span className="amount">{count(f.targets)}</span>
                <span>
                  {upper(f.meaning)}{' '}
                  <Text span size="xs" c="dimmed">
                    {words(f.reason)}
                    {f.error_code !== undefined && ` · code ${f.error_code}`}
                  </Text>
                  {f.advice && (
                    <Text span size="sm" c="dimmed" display="block">
                      {f.advice}
                    </Text>
                  )}
                </span>
              </li>
            ))}
          </ul>
        </>
      )}
    </article>
  );
}

function Line({ name, n, of }: { name: string; n: number; of?: number }) {
  return (
    <Table.Tr>
      <Table.Th scope="row" fw={500}>
        {name}
      </Table.Th>
      <Table.Td ta="right">{count(n)}</Table.Td>
      <Table.Td ta="right">{of === undefined ? '' : share(n, of)}</Table.Td>
    </Table.Tr>
  );
}
