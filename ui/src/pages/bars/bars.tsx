import { Button, Group, Text, TextInput } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconPlus, IconSearch } from '@tabler/icons-react';
import { keepPreviousData } from '@tanstack/react-query';
import { getRouteApi } from '@tanstack/react-router';
import { useState } from 'react';
import { api } from '../../api/client';
import type { components } from '../../api/schema';
import { Can } from '../../app/session';
import { countryName, zoneName } from '../../parts/format';
import { Page } from '../../parts/page';
import { Empty } from '../../parts/states';
import { type Column, DataTable, usePager } from '../../parts/table';
import { BarForm } from './bar-form';

export type Bar = components['schemas']['Bar'];

const route = getRouteApi('/bars');

const columns: Column<Bar>[] = [
  {
    header: 'Bar',
    width: 184,
    cell: (b) => (
      <>
        <span className="wrap">{b.name}</span>
        <Text size="xs" c="dimmed" fw={400} ff="monospace">
          {b.code}
        </Text>
      </>
    ),
  },
  {
    header: 'Stations',
    width: 200,
    cell: (b) =>
      b.stations.length === 0 ? (
        <Text size="sm" c="dimmed">
          None yet
        </Text>
      ) : (
        b.stations.map((s) => (
          <Text key={s.id} size="sm" className="wrap">
            <code>{s.code}</code> {s.name}
          </Text>
        ))
      ),
  },
  {
    header: 'Where',
    width: 200,
    cell: (b) => (
      <>
        {countryName(b.country)}
        {b.address && (
          <Text size="xs" c="dimmed" className="wrap">
            {b.address}
          </Text>
        )}
      </>
    ),
  },
  { header: 'Time zone', width: 112, cell: (b) => zoneName(b.zone) },
  { header: 'Vouchers in', width: 104, cell: (b) => b.currency },
];

export function BarsPage() {
  const { search, after } = route.useSearch();
  const navigate = route.useNavigate();
  const [adding, { open, close }] = useDisclosure();
  const query = api.useQuery(
    'get',
    '/bars',
    { params: { query: { limit: 25, after, search } } },
    { placeholderData: keepPreviousData },
  );
  const pager = usePager(after, (to) => void navigate({ search: (s) => ({ ...s, after: to }) }));
  const add = (
    <Can do="bars.write">
      <Button leftSection={<IconPlus size={16} />} onClick={open}>
        Add bar
      </Button>
    </Can>
  );
  return (
    <Page title="Bars & stations" about="Where guests are, and where they redeem vouchers. By code." action={add}>
      <Group mb="md" className="filters">
        <Search
          key={search}
          search={search}
          find={(to) => void navigate({ search: { search: to || undefined }, replace: true })}
        />
      </Group>
      <DataTable
        caption="bars"
        query={query}
        rows={(page) => page.bars}
        next={(page) => page.next}
        rowKey={(b) => b.id}
        rowLink={(b) => ({ to: '/bars/$id', params: { id: b.id } })}
        columns={columns}
        pager={pager}
        empty={
          search ? (
            <Empty
              title="No bar fits"
              action={
                <Button variant="default" onClick={() => void navigate({ search: {} })}>
                  Show all bars
                </Button>
              }
            >
              Nothing about a bar or its stations holds “{search}”.
            </Empty>
          ) : (
            <Empty title="No bars yet">A bar has stations, where vouchers are redeemed, and codes on its tables.</Empty>
          )
        }
      />
      <BarForm
        opened={adding}
        close={close}
        done={(b) => void navigate({ to: '/bars/$id', params: { id: b.id }, search: {} })}
      />
    </Page>
  );
}

function Search({ search = '', find }: { search?: string; find: (text: string) => void }) {
  const [typed, setTyped] = useState(search);
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        find(typed.trim());
      }}
    >
      <TextInput
        aria-label="Find a bar or a station"
        placeholder="Name, code or address"
        leftSection={<IconSearch size={16} />}
        value={typed}
        maxLength={100}
        onChange={(e) => setTyped(e.currentTarget.value)}
        onBlur={() => typed.trim() !== search && find(typed.trim())}
      />
    </form>
  );
}
