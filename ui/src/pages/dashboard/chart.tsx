import { SegmentedControl, Table, Text } from '@mantine/core';
import { useState } from 'react';
import type { components } from '../../api/schema';
import { count } from '../../parts/format';

type Day = components['schemas']['Day'];

const height = 200;

/** Vouchers issued and redeemed by day, as a picture or as a table; the summary says the same in words. */
export default function VoucherChart({ days }: { days: Day[] }) {
  const [view, setView] = useState('chart');
  const issued = days.reduce((sum, d) => sum + d.issued, 0);
  const redeemed = days.reduce((sum, d) => sum + d.redeemed, 0);
  const best = days.reduce((a, b) => (b.redeemed > a.redeemed ? b : a), days[0] as Day);
  const summary =
    issued + redeemed === 0
      ? 'No voucher was issued or redeemed in these 30 days.'
      : `${count(issued)} issued and ${count(redeemed)} redeemed in 30 days${best.redeemed > 0 ? `, most on ${dayName(best.day)} (${count(best.redeemed)} redeemed)` : ''}.`;
  return (
    <>
      <div className="chart-head">
        <Text size="sm">{summary}</Text>
        <SegmentedControl
          size="xs"
          aria-label="Show as"
          value={view}
          onChange={setView}
          data={[
            { value: 'chart', label: 'Chart' },
            { value: 'table', label: 'Table' },
          ]}
        />
      </div>
      {view === 'chart' ? <Picture days={days} summary={summary} /> : <Days days={days} />}
    </>
  );
}

function Picture({ days, summary }: { days: Day[]; summary: string }) {
  const top = nice(Math.max(1, ...days.flatMap((d) => [d.issued, d.redeemed])));
  const y = (n: number) => (height * n) / top;
  return (
    <>
      <div className="chart">
        <div className="chart-axis" aria-hidden>
          {[top, top / 2, 0].map((n) => (
            <span key={n}>{Number.isInteger(n) ? count(n) : ''}</span>
          ))}
        </div>
        <svg
          viewBox={`0 0 600 ${height}`}
          preserveAspectRatio="none"
          className="chart-picture"
          role="img"
          aria-label={`Vouchers by day. ${summary}`}
        >
          {[0, 0.5, 1].map((at) => (
            <line key={at} x1={0} x2={600} y1={height * at} y2={height * at} className="chart-line" />
          ))}
          {days.map((d, i) => (
            <g key={d.day}>
              <title>{`${dayName(d.day)}: ${count(d.issued)} issued, ${count(d.redeemed)} redeemed`}</title>
              <rect x={i * 20} width={20} y={0} height={height} className="chart-hit" />
              <rect x={i * 20 + 3} width={6} y={height - y(d.issued)} height={y(d.issued)} className="chart-issued" />
              <rect
                x={i * 20 + 11}
                width={6}
                y={height - y(d.redeemed)}
                height={y(d.redeemed)}
                className="chart-redeemed"
              />
            </g>
          ))}
        </svg>
        <div className="chart-days" aria-hidden>
          {[0, 10, 20, 29].map((i) => (
            <span key={i}>{days[i] && dayName(days[i].day)}</span>
          ))}
        </div>
      </div>
      <ul className="chart-legend" aria-hidden>
        <li>
          <i className="chart-issued" /> Issued
        </li>
        <li>
          <i className="chart-redeemed" /> Redeemed
        </li>
      </ul>
    </>
  );
}

function Days({ days }: { days: Day[] }) {
  return (
    <section
      className="table-scroll chart-table"
      aria-label="Vouchers by day"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable
      tabIndex={0}
    >
      <Table>
        <Table.Thead>
          <Table.Tr>
            <Table.Th scope="col">Day</Table.Th>
            <Table.Th scope="col" ta="right">
              Issued
            </Table.Th>
            <Table.Th scope="col" ta="right">
              Redeemed
            </Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {[...days].reverse().map((d) => (
            <Table.Tr key={d.day}>
              <Table.Th scope="row" fw={500}>
                {dayName(d.day)}
              </Table.Th>
              <Table.Td ta="right">{count(d.issued)}</Table.Td>
              <Table.Td ta="right">{count(d.redeemed)}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </section>
  );
}

/** 23 Nov */
const dayName = (day: string) =>
  new Date(`${day}T12:00:00Z`).toLocaleDateString('en-GB', { day: '2-digit', month: 'short', timeZone: 'UTC' });

/** The next 1, 2 or 5 with zeros. */
function nice(n: number) {
  const ten = 10 ** Math.floor(Math.log10(n));
  return [1, 2, 5, 10].map((m) => m * ten).find((m) => m >= n) ?? n;
}
