import { Group, Select } from '@mantine/core';
import { keepPreviousData } from '@tanstack/react-query';
import { getRouteApi } from '@tanstack/react-router';
import { api } from '../../api/client';
import type { components } from '../../api/schema';
import { localZone, upper, words, zoneName } from '../../parts/format';
import { Since } from '../../parts/since';
import { Empty } from '../../parts/states';
import { Status } from '../../parts/status';
import { type Column, DataTable, usePager } from '../../parts/table';
import { Time } from '../../parts/time';
import type { VouchersSearch } from '../vouchers';

type Refusal = components['schemas']['RedemptionRefusal'];

const route = getRouteApi('/vouchers');

const kinds = { business: 'Refused by the rules', system: 'Failed by our fault' };

const columns: Column<Refusal>[] = [
  { header: 'Why', width: 208, cell: (r) => <span className="wrap">{upper(words(r.code))}</span> },
  {
    header: 'Kind',
    width: 184,
    cell: (r) => (r.kind === 'system' ? <Status of="failed" word={kinds.system} /> : kinds.business),
  },
  { header: 'Station', width: 112, cell: (r) => r.station },
  { header: `When (${zoneName(localZone)})`, width: 152, cell: (r) => <Time at={r.at} bare seconds /> },
];

/** Redemptions that did not happen, newest first. */
export function Refusals() {
  const { after, kind, since } = route.useSearch();
  const navigate = route.useNavigate();
  const query = api.useQuery(
    'get',
    '/redemption-refusals',
    { params: { query: { kind, from: since, limit: 25, after: after ? Number(after) : undefined } } },
    { placeholderData: keepPreviousData },
  );
  const filter = (change: VouchersSearch) => void navigate({ search: (s) => ({ ...s, ...change, after: undefined }) });
  const pager = usePager(after, (next) => void navigate({ search: (s) => ({ ...s, after: next }) }));
  return (
    <>
      <Group mb="md" gap="sm" className="filters">
        <Select
          aria-label="Kind"
          placeholder="Of any kind"
          data={Object.entries(kinds).map(([value, label]) => ({ value, label }))}
          value={kind ?? null}
          onChange={(to) => filter({ kind: (to as VouchersSearch['kind']) ?? undefined })}
          clearable
        />
      </Group>
      <Since at={since} what="Only those" clear={() => filter({ since: undefined })} />
      <DataTable
        caption="redemptions that did not happen"
        query={query}
        rows={(page) => page.refusals}
        next={(page) => page.next}
        rowKey={(r) => String(r.id)}
        rowLink={(r) => (r.voucher_id ? { to: '/vouchers', search: { voucher: r.voucher_id } } : undefined)}
        columns={columns}
        pager={pager}
        empty={
          <Empty title="No redemption was refused">
            {kind || since ? 'Not of this kind, or not in this time.' : 'Rehearsals are not listed.'}
          </Empty>
        }
      />
    </>
  );
}
