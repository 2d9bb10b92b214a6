import { Button, Group, Select, Text, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { IconSearch } from '@tabler/icons-react';
import { keepPreviousData } from '@tanstack/react-query';
import { getRouteApi } from '@tanstack/react-router';
import { useState } from 'react';
import { api } from '../../api/client';
import type { components } from '../../api/schema';
import { showProblem } from '../../parts/form';
import { count, localZone, words, zoneName } from '../../parts/format';
import { Empty } from '../../parts/states';
import { Status, statusWord } from '../../parts/status';
import { type Column, DataTable, usePager } from '../../parts/table';
import { Time } from '../../parts/time';
import { type Campaign, every } from './campaign';
import { TimelineDrawer } from './timeline';

type Target = components['schemas']['Target'];

const route = getRouteApi('/campaigns/$id');

/** The states of a target, in the order people read them. */
export const states = [
  'queued',
  'sending',
  'sent',
  'delivered',
  'read',
  'failed',
  'opted_out',
  'unknown',
  'cancelled',
] as const;
export type State = (typeof states)[number];

const columns: Column<Target>[] = [
  { header: 'Number', width: 168, cell: (t) => <span className="nowrap">{t.masked}</span> },
  { header: 'State', width: 120, cell: (t) => <Status of={t.state} /> },
  { header: 'Why', width: 200, cell: (t) => <Why target={t} /> },
  { header: 'Attempts', width: 88, align: 'right', cell: (t) => count(t.attempt) },
  { header: `Sent (${zoneName(localZone)})`, width: 136, cell: (t) => <When at={t.sent_at} /> },
  {
    header: 'Last heard',
    width: 136,
    cell: (t) => <When at={t.read_at ?? t.delivered_at ?? t.ended_at} />,
  },
];

/** Whom it goes to: by state, each with its story. */
export function TargetsView({ campaign: c }: { campaign: Campaign }) {
  const { state, after, target } = route.useSearch();
  const navigate = route.useNavigate();
  const id = c.campaign_id;
  const query = api.useQuery(
    'get',
    '/campaigns/{id}/targets',
    { params: { path: { id }, query: { limit: 25, after, state } } },
    { placeholderData: keepPreviousData, refetchInterval: every(3000, c) },
  );
  const pager = usePager(
    after === undefined ? undefined : String(after),
    (to) =>
      void navigate({
        search: (s) => ({ ...s, after: to === undefined ? undefined : Number(to) }),
        resetScroll: false,
      }),
  );
  return (
    <>
      <Group mb="md" align="flex-start" gap="md" id="recipients" justify="space-between">
        <Select
          aria-label="State"
          w={208}
          value={state ?? ''}
          data={[
            { value: '', label: `All (${count(c.targets)})` },
            ...states.map((s) => ({ value: s, label: `${statusWord(s)} (${count(c[s])})` })),
          ]}
          onChange={(to) =>
            void navigate({ search: { state: (to || undefined) as State | undefined }, resetScroll: false })
          }
        />
        <Find campaign={c} />
      </Group>
      <DataTable
        caption="recipients"
        query={query}
        rows={(page) => page.targets}
        next={(page) => page.next}
        rowKey={(t) => String(t.id)}
        columns={columns}
        rowLink={(t) => ({ to: '.', search: (s: object) => ({ ...s, target: t.id }), resetScroll: false })}
        pager={pager}
        empty={
          state ? (
            <Empty title={`Nobody is ${statusWord(state).toLowerCase()}`}>Others may be in another state.</Empty>
          ) : (
            <Empty title="No recipients">Nothing was imported into this campaign.</Empty>
          )
        }
      />
      <TimelineDrawer
        campaign={c}
        target={target}
        close={() => void navigate({ search: (s) => ({ ...s, target: undefined }), resetScroll: false })}
      />
    </>
  );
}

/** Finds a recipient by number. The number stands in no address: it goes in a request's body. */
function Find({ campaign: c }: { campaign: Campaign }) {
  const navigate = route.useNavigate();
  const form = useForm({
    initialValues: { msisdn: '' },
    validate: { msisdn: (v) => (v.trim() ? null : 'Enter a number, with + and country code.') },
  });
  const [failure, setFailure] = useState('');
  const find = api.useMutation('post', '/campaigns/{id}/targets/find', {
    meta: { inPlace: true },
    onSuccess: (found) => {
      form.reset();
      void navigate({ search: (s) => ({ ...s, target: found.id }), resetScroll: false });
    },
    onError: (error) => setFailure(showProblem(form, error)),
  });
  return (
    <form
      onSubmit={form.onSubmit(({ msisdn }) => {
        setFailure('');
        if (!find.isPending) find.mutate({ params: { path: { id: c.campaign_id } }, body: { msisdn: msisdn.trim() } });
      })}
    >
      <Group gap="xs" align="flex-start" wrap="nowrap">
        <TextInput
          aria-label="Find by number"
          placeholder="Find by number, +250…"
          type="tel"
          autoComplete="off"
          w={{ base: 216, xs: 264 }}
          {...form.getInputProps('msisdn')}
          error={form.errors.msisdn ?? (failure || undefined)}
        />
        <Button type="submit" variant="default" loading={find.isPending} leftSection={<IconSearch size={16} />}>
          Find
        </Button>
      </Group>
    </form>
  );
}

function Why({ target: t }: { target: Target }) {
  if (!t.reason && !t.error_code)
    return (
      <Text size="sm" c="dimmed">
        –
      </Text>
    );
  return (
    <Text size="sm" className="wrap">
      {words(t.reason ?? '')}
      {t.error_code !== undefined && ` (code ${t.error_code})`}
      {t.state === 'queued' && t.not_before && (
        <Text span size="xs" c="dimmed" display="block">
          not before <Time at={t.not_before} />
        </Text>
      )}
    </Text>
  );
}

function When({ at }: { at?: string }) {
  return at ? (
    <Time at={at} bare />
  ) : (
    <Text span size="sm" c="dimmed">
      –
    </Text>
  );
}
