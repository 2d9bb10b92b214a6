import { Button, Drawer, Group, Menu, Select, Switch, Text, TextInput } from '@mantine/core';
import { IconDownload } from '@tabler/icons-react';
import { keepPreviousData } from '@tanstack/react-query';
import { getRouteApi } from '@tanstack/react-router';
import { useEffect, useState } from 'react';
import { api, queries } from '../api/client';
import type { components } from '../api/schema';
import { Can } from '../app/session';
import { localZone, upper, words, zoneName } from '../parts/format';
import { Page } from '../parts/page';
import { Since } from '../parts/since';
import { Empty } from '../parts/states';
import { type Column, DataTable, usePager } from '../parts/table';
import { Time } from '../parts/time';
import { ChainState } from './audit-chain';
import { EntryFacts } from './audit-drawer';

type Entry = components['schemas']['AuditEntry'];
type Filters = {
  action?: string;
  block?: string;
  since?: string;
  actor?: string;
  target?: string;
  request?: string;
  from?: string;
  to?: string;
};

const route = getRouteApi('/audit');

/** "campaign.pause_ordered" as people say it: "Campaign pause ordered". */
export const actionWord = (action: string) => upper(words(action.replace('.', ' ')));

const columns: Column<Entry>[] = [
  {
    header: 'What happened',
    width: 200,
    cell: (e) => (
      <>
        <span className="wrap">{actionWord(e.action)}</span>
        {e.reason && (
          <Text size="xs" c="dimmed" fw={400} className="wrap">
            “{e.reason}”
          </Text>
        )}
      </>
    ),
  },
  {
    header: 'Who',
    width: 216,
    cell: (e) => (
      <>
        <span className="wrap">{e.actor}</span>
        {e.actor_kind !== 'account' && (
          <Text size="xs" c="dimmed">
            {e.actor_kind === 'token' ? 'API token' : 'Lastcall itself'}
          </Text>
        )}
      </>
    ),
  },
  { header: 'To what', width: 200, cell: (e) => <code className="wrap">{e.target}</code> },
  {
    header: 'Chain',
    width: 80,
    align: 'right',
    cell: (e) =>
      e.seq ? (
        <span className="number">{e.seq}</span>
      ) : (
        <Text size="xs" c="dimmed">
          not sealed
        </Text>
      ),
  },
  { header: `When (${zoneName(localZone)})`, width: 136, cell: (e) => <Time at={e.created_at} bare seconds /> },
];

export function AuditPage() {
  const { after, entry, live, ...filters } = route.useSearch();
  const navigate = route.useNavigate();
  const wanted = {
    action: filters.action,
    actor: filters.actor,
    target: filters.target,
    request_id: filters.request,
    block: filters.block,
    from: dayStart(filters.from) ?? filters.since,
    to: dayStart(filters.to, 1),
  };
  const query = api.useQuery(
    'get',
    '/audit/entries',
    { params: { query: { ...wanted, limit: 25, after } } },
    { placeholderData: keepPreviousData },
  );
  const pager = usePager(after, (to) => void navigate({ search: (s) => ({ ...s, after: to, live: undefined }) }));
  const filter = (change: Filters) => void navigate({ search: (s) => ({ ...s, ...change, after: undefined }) });
  useTail(live === true && after === undefined);
  const filtered = Object.values(filters).some(Boolean);
  return (
    <Page
      title="Audit log"
      about="Who did what, and why. Entries are sealed into a chain: nothing can be changed without being found out."
      action={
        <Can do="audit.export">
          <Export wanted={wanted} />
        </Can>
      }
    >
      <ChainState />
      <FilterBar key={JSON.stringify(filters)} filters={filters} filter={filter} />
      <Group mb="sm" justify="space-between">
        <Switch
          label="Live"
          checked={live === true}
          onChange={(e) => {
            const on = e.currentTarget.checked || undefined;
            void navigate({ search: (s) => ({ ...s, live: on, after: undefined }) });
          }}
        />
        {filtered && (
          <Button variant="subtle" size="compact-sm" onClick={() => void navigate({ search: { live } })}>
            Show everything
          </Button>
        )}
      </Group>
      <Since
        at={filters.from ? undefined : filters.since}
        what={filters.block ? `Only what was held back for: ${words(filters.block)}` : 'Only entries'}
        clear={() => filter({ since: undefined, block: undefined })}
      />
      <DataTable
        caption="audit log"
        query={query}
        rows={(page) => page.entries}
        next={(page) => page.next}
        rowKey={(e) => String(e.id)}
        rowLink={(e) => ({ to: '/audit', search: { ...filters, after, live, entry: e.id } })}
        columns={columns}
        pager={pager}
        empty={
          filtered ? (
            <Empty title="No entry fits">Nothing like that happened, or it is older than the log is kept.</Empty>
          ) : (
            <Empty title="Nothing has happened yet">Every change, refusal and look at a number will stand here.</Empty>
          )
        }
      />
      <Drawer
        opened={entry !== undefined}
        onClose={() => void navigate({ search: (s) => ({ ...s, entry: undefined }) })}
        title="Entry of the audit log"
        position="right"
        size={520}
        closeButtonProps={{ 'aria-label': 'Close' }}
      >
        {entry !== undefined && (
          <EntryFacts id={entry} only={(change) => void navigate({ search: { live, ...change } })} />
        )}
      </Drawer>
    </Page>
  );
}

function FilterBar({ filters, filter }: { filters: Filters; filter: (change: Filters) => void }) {
  const facets = api.useQuery('get', '/audit/facets').data;
  const areas = [...new Set((facets?.actions ?? []).map((a) => a.split('.')[0] ?? a))];
  const [target, setTarget] = useState(filters.target ?? '');
  const typed = () => (target.trim() || undefined) !== filters.target && filter({ target: target.trim() || undefined });
  return (
    <Group mb="md" align="flex-start" gap="sm" className="filters">
      <Select
        aria-label="Action"
        placeholder="Any action"
        searchable
        clearable
        clearButtonProps={{ 'aria-label': 'Any action' }}
        value={filters.action ?? null}
        data={withChosen(
          areas.map((area) => ({
            group: upper(words(area)),
            items: [
              ...((facets?.actions ?? []).filter((a) => a.startsWith(`${area}.`)).length > 1
                ? [{ value: `${area}.`, label: `${upper(words(area))}: everything` }]
                : []),
              ...(facets?.actions ?? [])
                .filter((a) => a === area || a.startsWith(`${area}.`))
                .map((a) => ({ value: a, label: actionWord(a) })),
            ],
          })),
          filters.action,
        )}
        onChange={(to) => filter({ action: to ?? undefined })}
      />
      <Select
        aria-label="Who"
        placeholder="Anybody"
        searchable
        clearable
        clearButtonProps={{ 'aria-label': 'Anybody' }}
        value={filters.actor ?? null}
        data={withChosen(
          (['account', 'token', 'system'] as const).map((kind) => ({
            group: { account: 'People', token: 'API tokens', system: 'Lastcall itself' }[kind],
            items: (facets?.actors ?? []).filter((a) => a.kind === kind).map((a) => ({ value: a.id, label: a.name })),
          })),
          filters.actor,
        )}
        onChange={(to) => filter({ actor: to ?? undefined })}
      />
      <form
        onSubmit={(event) => {
          event.preventDefault();
          typed();
        }}
      >
        <TextInput
          aria-label="To what"
          placeholder="settings/throttle"
          value={target}
          maxLength={200}
          spellCheck={false}
          onChange={(e) => setTarget(e.currentTarget.value)}
          onBlur={typed}
        />
      </form>
      <TextInput
        type="date"
        aria-label="From day"
        leftSection={
          <Text size="sm" c="dimmed">
            From
          </Text>
        }
        leftSectionWidth={48}
        value={filters.from ?? ''}
        max={filters.to}
        onChange={(e) => filter({ from: e.currentTarget.value || undefined })}
      />
      <TextInput
        type="date"
        aria-label="To day"
        leftSection={
          <Text size="sm" c="dimmed">
            To
          </Text>
        }
        leftSectionWidth={48}
        value={filters.to ?? ''}
        min={filters.from}
        onChange={(e) => filter({ to: e.currentTarget.value || undefined })}
      />
      {filters.request && (
        <Button variant="default" onClick={() => filter({ request: undefined })}>
          Only one request ×
        </Button>
      )}
    </Group>
  );
}

type Groups = { group: string; items: { value: string; label: string }[] }[];

/** What is chosen is among the choices, though the log may have none of it. */
function withChosen(groups: Groups, chosen: string | undefined): Groups {
  const known = groups.filter((g) => g.items.length > 0);
  if (!chosen || known.some((g) => g.items.some((i) => i.value === chosen))) return known;
  return [{ group: 'Chosen', items: [{ value: chosen, label: chosen }] }, ...known];
}

function Export({ wanted }: { wanted: Record<string, string | undefined> }) {
  const address = (format: string) => {
    const query = new URLSearchParams({ format });
    for (const [name, value] of Object.entries(wanted)) if (value) query.set(name, value);
    return `/api/v1/audit/export?${query}`;
  };
  return (
    <Menu position="bottom-end" transitionProps={{ duration: 100 }}>
      <Menu.Target>
        <Button variant="default" leftSection={<IconDownload size={16} />}>
          Export
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item component="a" href={address('ndjson')} download>
          JSON lines, can be verified
        </Menu.Item>
        <Menu.Item component="a" href={address('csv')} download>
          CSV for a spreadsheet
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

/** Brings the list up to date whenever something is entered or sealed. */
function useTail(on: boolean) {
  useEffect(() => {
    if (!on) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let source: EventSource;
    const open = () => {
      source = new EventSource('/api/v1/audit/events');
      source.addEventListener('audit', () => {
        void queries.invalidateQueries({ queryKey: ['get', '/audit/entries'] });
        void queries.invalidateQueries({ queryKey: ['get', '/audit/state'] });
      });
      source.addEventListener('error', () => {
        source.close();
        timer = setTimeout(open, 2000 + Math.random() * 2000);
      });
    };
    open();
    return () => {
      clearTimeout(timer);
      source.close();
    };
  }, [on]);
}

/** The moment at which a day begins here, or the one so many days after it. */
function dayStart(day: string | undefined, later = 0): string | undefined {
  if (!day) return undefined;
  const at = new Date(`${day}T00:00:00`);
  at.setDate(at.getDate() + later);
  return Number.isNaN(at.getTime()) ? undefined : at.toISOString();
}
