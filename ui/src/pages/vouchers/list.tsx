import { Button, Drawer, Group, Select, Text, TextInput } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { IconDownload, IconSearch } from '@tabler/icons-react';
import { keepPreviousData } from '@tanstack/react-query';
import { getRouteApi } from '@tanstack/react-router';
import { useState } from 'react';
import { api } from '../../api/client';
import type { components } from '../../api/schema';
import { Can, useMay } from '../../app/session';
import { localZone, zoneName } from '../../parts/format';
import { Since } from '../../parts/since';
import { Empty } from '../../parts/states';
import { StationSelect } from '../../parts/stations';
import { Status, statusWord } from '../../parts/status';
import { type Column, DataTable, usePager } from '../../parts/table';
import { Time } from '../../parts/time';
import type { VouchersSearch } from '../vouchers';
import { VoucherDrawer } from './drawer';
import { Days, dayStart, useStationNames, worth } from './parts';
import { Totals } from './totals';

type Voucher = components['schemas']['Voucher'];

const route = getRouteApi('/vouchers');
const states = ['issued', 'sent', 'redeemed', 'expired', 'void'];

/** All vouchers, by what stands in the address, or the one with a code, or those of a number. */
export function VoucherList() {
  const { voucher, after, ...filters } = route.useSearch();
  const navigate = route.useNavigate();
  const may = useMay();
  const campaigns = api.useQuery('get', '/campaigns', { params: { query: { limit: 100 } } });
  const [typed, setTyped] = useState('');
  const [sought] = useDebouncedValue(typed.trim(), 300);
  const choice = {
    status: filters.status,
    campaign: filters.campaign,
    batch: filters.batch,
    contact: filters.contact,
    station: filters.station,
    issued_from: filters.since,
    expires_from: dayStart(filters.from),
    expires_before: dayStart(filters.to, 1),
  };
  const filtered = Object.values(choice).some(Boolean);
  const list = api.useQuery(
    'get',
    '/vouchers',
    { params: { query: { ...choice, limit: 25, after } } },
    { placeholderData: keepPreviousData, enabled: sought === '' },
  );
  // Whole numbers and codes only: both are kept out of the address.
  const isNumber = /^\+?[\d ()./-]+$/.test(sought) && sought.replace(/\D/g, '').length >= 9;
  const found = api.useQuery(
    'post',
    '/vouchers/find',
    { body: isNumber ? { msisdn: sought } : { code: sought } },
    { placeholderData: keepPreviousData, enabled: sought !== '' },
  );
  const unreadable = sought !== '' && found.error?.status === 422;
  const query = sought === '' ? list : found;
  const stations = useStationNames(query.data?.vouchers.flatMap((v) => v.stations) ?? []);
  const filter = (to: VouchersSearch) => void navigate({ search: (s) => ({ ...s, ...to, after: undefined }) });
  const pager = usePager(after, (to) => void navigate({ search: (s) => ({ ...s, after: to }) }));
  const everything = () => {
    setTyped('');
    void navigate({ search: {} });
  };
  const columns: Column<Voucher>[] = [
    {
      header: 'Voucher',
      width: 168,
      cell: (v) => (
        <>
          <code>{v.code_masked}</code>
          <Text size="xs" c="dimmed" fw={400} className="number">
            {v.msisdn || 'Forgotten'}
          </Text>
        </>
      ),
    },
    { header: 'Worth', width: 112, align: 'right', cell: (v) => <span className="number">{worth(v)}</span> },
    { header: 'Status', width: 120, cell: (v) => <Status of={v.status} /> },
    { header: 'Where', width: 136, cell: (v) => stations.named(v.stations) },
    { header: `Expires (${zoneName(localZone)})`, width: 120, cell: (v) => <Time at={v.expires_at} bare /> },
    { header: `Issued (${zoneName(localZone)})`, width: 120, cell: (v) => <Time at={v.issued_at} bare /> },
  ];
  return (
    <>
      <Group mb="md" align="flex-start" gap="sm" className="filters">
        <TextInput
          aria-label="Code or number"
          placeholder="Code or number"
          type="search"
          autoComplete="off"
          spellCheck={false}
          maxLength={40}
          leftSection={<IconSearch size={16} />}
          value={typed}
          error={unreadable ? 'Give a whole code, like K7QM-42XD, or a whole number, with +.' : undefined}
          onChange={(e) => setTyped(e.currentTarget.value)}
        />
        <Select
          aria-label="Status"
          placeholder="Any status"
          data={states.map((s) => ({ value: s, label: statusWord(s) }))}
          value={filters.status ?? null}
          onChange={(to) => filter({ status: (to as VouchersSearch['status']) ?? undefined })}
          clearable
        />
        <Select
          aria-label="Campaign"
          placeholder="Any campaign"
          data={campaigns.data?.campaigns.map((c) => ({ value: c.campaign_id, label: c.name })) ?? []}
          value={filters.campaign ?? null}
          onChange={(to) => filter({ campaign: to ?? undefined })}
          searchable
          clearable
        />
        <StationSelect value={filters.station} onChange={(station) => filter({ station })} />
        <Days label="Expires" from={filters.from} to={filters.to} change={filter} />
      </Group>
      {(filters.batch || filters.contact) && (
        <Group mb="sm" gap="xs">
          <Text size="sm">{filters.batch ? 'Only those of one file.' : 'Only those of one contact.'}</Text>
          <Button size="compact-sm" variant="default" onClick={() => filter({ batch: undefined, contact: undefined })}>
            Show all
          </Button>
        </Group>
      )}
      <Since at={filters.since} what="Only those issued" clear={() => filter({ since: undefined })} />
      {sought === '' && (
        <Can do="vouchers.totals">
          <Totals of={choice} />
        </Can>
      )}
      <DataTable
        caption="vouchers"
        query={unreadable ? { ...query, data: { vouchers: [] }, isError: false, isPending: false } : query}
        rows={(page) => page.vouchers}
        next={(page) => page.next}
        rowKey={(v) => v.id}
        rowLink={(v) => ({ to: '/vouchers', search: { ...filters, after, voucher: v.id } })}
        columns={columns}
        pager={sought === '' ? pager : undefined}
        empty={
          sought !== '' ? (
            <Empty title="No such voucher">
              {unreadable ? 'That is neither a code nor a number.' : 'No voucher has this code or number.'}
            </Empty>
          ) : filtered ? (
            <Empty
              title="No voucher fits"
              action={
                <Button variant="default" onClick={everything}>
                  Show all vouchers
                </Button>
              }
            >
              Take a filter away, or choose other days.
            </Empty>
          ) : (
            <Empty title="No vouchers yet">
              {may('vouchers.issue')
                ? 'Issue one to a guest, or many from a file.'
                : 'Admins and Support issue them, one by one or from a file.'}
            </Empty>
          )
        }
      />
      <Can do="vouchers.totals">
        <Group mt="md" justify="flex-end">
          <Button
            component="a"
            variant="default"
            leftSection={<IconDownload size={16} />}
            href={`/api/v1/vouchers/export.csv${queryOf(choice)}`}
            download
            title="Numbers masked, without codes; the audit log notes it"
          >
            Export
          </Button>
        </Group>
      </Can>
      <Drawer
        opened={voucher !== undefined}
        onClose={() => void navigate({ search: (s) => ({ ...s, voucher: undefined }) })}
        title="Voucher"
        size={520}
        attributes={{ header: { role: 'none' } }}
      >
        {voucher && <VoucherDrawer key={voucher} id={voucher} />}
      </Drawer>
    </>
  );
}

/** The filter as the query of an address. */
function queryOf(choice: Record<string, string | undefined>) {
  const given = Object.entries(choice).flatMap(([k, v]) => (v ? [[k, v]] : []));
  return given.length > 0 ? `?${new URLSearchParams(given)}` : '';
}
