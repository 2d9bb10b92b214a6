import { Group, Text } from '@mantine/core';
import { keepPreviousData } from '@tanstack/react-query';
import { getRouteApi } from '@tanstack/react-router';
import { api } from '../../api/client';
import type { components } from '../../api/schema';
import { localZone, zoneName } from '../../parts/format';
import { Since } from '../../parts/since';
import { Empty } from '../../parts/states';
import { StationSelect } from '../../parts/stations';
import { type Column, DataTable, usePager } from '../../parts/table';
import { Time } from '../../parts/time';
import type { VouchersSearch } from '../vouchers';
import { Days, dayStart, worth } from './parts';

type Redemption = components['schemas']['Redemption'];

const route = getRouteApi('/vouchers');

const columns: Column<Redemption>[] = [
  {
    header: 'Voucher',
    width: 168,
    cell: (r) => (
      <>
        <code>{r.code_masked}</code>
        <Text size="xs" c="dimmed" fw={400} className="number">
          {r.msisdn || 'Forgotten'}
        </Text>
      </>
    ),
  },
  { header: 'Worth', width: 112, align: 'right', cell: (r) => <span className="number">{worth(r)}</span> },
  {
    header: 'Station',
    width: 160,
    cell: (r) => (
      <>
        {r.station_code}
        <Text size="xs" c="dimmed">
          {r.station_name}
        </Text>
      </>
    ),
  },
  { header: 'By', width: 136, cell: (r) => <span className="wrap">{r.operator}</span> },
  {
    header: `Redeemed (${zoneName(localZone)})`,
    width: 152,
    cell: (r) => (
      <>
        <Time at={r.redeemed_at} bare seconds />
        {r.offline_at && (
          <Text size="xs" c="dimmed">
            accepted offline <Time at={r.offline_at} bare />
          </Text>
        )}
      </>
    ),
  },
  {
    header: 'Station paid',
    width: 112,
    cell: (r) =>
      r.settled_at ? (
        <Time at={r.settled_at} bare />
      ) : (
        <Text span size="sm" c="dimmed">
          Not yet
        </Text>
      ),
  },
];

/** What was redeemed, newest first, by station and day. */
export function Redemptions() {
  const { after, station, from, to, campaign, since } = route.useSearch();
  const navigate = route.useNavigate();
  const query = api.useQuery(
    'get',
    '/redemptions',
    {
      params: {
        query: { station, campaign, from: dayStart(from) ?? since, before: dayStart(to, 1), limit: 25, after },
      },
    },
    { placeholderData: keepPreviousData },
  );
  const filter = (change: VouchersSearch) => void navigate({ search: (s) => ({ ...s, ...change, after: undefined }) });
  const pager = usePager(after, (next) => void navigate({ search: (s) => ({ ...s, after: next }) }));
  return (
    <>
      <Group mb="md" align="flex-start" gap="sm" className="filters">
        <StationSelect value={station} onChange={(s) => filter({ station: s })} />
        <Days label="Redeemed" from={from} to={to} change={filter} />
      </Group>
      {!from && <Since at={since} what="Only those redeemed" clear={() => filter({ since: undefined })} />}
      <DataTable
        caption="redemptions"
        query={query}
        rows={(page) => page.redemptions}
        next={(page) => page.next}
        rowKey={(r) => r.id}
        rowLink={(r) => ({ to: '/vouchers', search: { voucher: r.voucher_id } })}
        columns={columns}
        pager={pager}
        empty={
          station || from || to || campaign || since ? (
            <Empty title="Nothing was redeemed">Not at this station or on these days.</Empty>
          ) : (
            <Empty title="Nothing was redeemed yet">What stations redeem will stand here. Rehearsals do not.</Empty>
          )
        }
      />
    </>
  );
}
