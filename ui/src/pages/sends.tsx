import { Button, Drawer, Group, Select, Text } from '@mantine/core';
import { keepPreviousData } from '@tanstack/react-query';
import { getRouteApi, Link } from '@tanstack/react-router';
import { api } from '../api/client';
import type { components } from '../api/schema';
import { Can } from '../app/session';
import { localZone, upper, zoneName } from '../parts/format';
import { Page } from '../parts/page';
import { Since } from '../parts/since';
import { Empty } from '../parts/states';
import { statusWord } from '../parts/status';
import { type Column, DataTable, usePager } from '../parts/table';
import { Time } from '../parts/time';
import { moves, SendStatus } from './sends-state';
import { SendStory } from './sends-story';

type Send = components['schemas']['Send'];
export type SendState = Send['state'];

/** The states of a message, in the order people read them. */
export const sendStates: SendState[] = [
  'queued',
  'sending',
  'sent',
  'delivered',
  'read',
  'failed',
  'opted_out',
  'unknown',
  'cancelled',
];

const route = getRouteApi('/sends');

const columns: Column<Send>[] = [
  {
    header: 'To',
    width: 176,
    cell: (s) => (
      <>
        {s.contact && <span className="wrap">{s.contact}</span>}
        <Text size={s.contact ? 'xs' : undefined} c={s.contact ? 'dimmed' : undefined} fw={400} className="nowrap">
          {s.msisdn}
        </Text>
      </>
    ),
  },
  { header: 'Template', width: 144, cell: (s) => <span className="wrap">{s.template}</span> },
  { header: 'State', width: 120, cell: (s) => <SendStatus of={s} /> },
  {
    header: 'Why',
    width: 208,
    cell: (s) => (s.meaning ? <span className="wrap">{upper(s.meaning)}</span> : <Text c="dimmed">–</Text>),
  },
  { header: `Ordered (${zoneName(localZone)})`, width: 136, cell: (s) => <Time at={s.created_at} bare /> },
];

/** Messages to one person each: what became of them, and what is to be done. */
export function SendsPage() {
  const { state, template, since, send, after } = route.useSearch();
  const navigate = route.useNavigate();
  const query = api.useQuery(
    'get',
    '/sends',
    { params: { query: { limit: 25, after, state: state && [state], template, sent_from: since } } },
    {
      placeholderData: keepPreviousData,
      refetchInterval: (q) => (q.state.data?.sends.some(moves) ? 3000 : false),
    },
  );
  const templates = api.useQuery('get', '/templates');
  const names = [...new Set(templates.data?.templates.map((t) => t.name))];
  const pager = usePager(after, (to) => void navigate({ search: (s) => ({ ...s, after: to }) }));
  const filtered = state !== undefined || template !== undefined || since !== undefined;
  return (
    <Page
      title="Messages"
      about="To one person each, newest first. Every one goes through all rules; nobody can send past them."
      action={
        <Can do="sends.write">
          <Button component={Link} to="/contacts" variant="default">
            Find whom to write to
          </Button>
        </Can>
      }
    >
      <Group mb="md" gap="sm" className="filters">
        <Select
          aria-label="State"
          value={state ?? ''}
          data={[{ value: '', label: 'All states' }, ...sendStates.map((s) => ({ value: s, label: statusWord(s) }))]}
          onChange={(to) =>
            void navigate({ search: (s) => ({ ...s, after: undefined, state: (to || undefined) as SendState }) })
          }
        />
        <Select
          aria-label="Template"
          value={template ?? ''}
          data={[{ value: '', label: 'All templates' }, ...names.map((n) => ({ value: n, label: n }))]}
          onChange={(to) => void navigate({ search: (s) => ({ ...s, after: undefined, template: to || undefined }) })}
        />
      </Group>
      <Since
        at={since}
        what="Only those sent"
        clear={() => void navigate({ search: (s) => ({ ...s, since: undefined, after: undefined }) })}
      />
      <DataTable
        caption="messages"
        query={query}
        rows={(page) => page.sends}
        next={(page) => page.next}
        rowKey={(s) => s.send_id}
        rowLink={(s) => ({ to: '/sends', search: { state, template, since, after, send: s.send_id } })}
        columns={columns}
        pager={pager}
        empty={
          filtered ? (
            <Empty title="No message fits">Others may be under another filter.</Empty>
          ) : (
            <Empty title="No single messages yet">Open a contact to send one.</Empty>
          )
        }
      />
      <Drawer
        opened={send !== undefined}
        onClose={() => void navigate({ search: (s) => ({ ...s, send: undefined }) })}
        position="right"
        size={480}
        title="One message"
        classNames={{ title: 'dialog-title' }}
        transitionProps={{ duration: 120 }}
        closeButtonProps={{ 'aria-label': 'Close' }}
      >
        {send !== undefined && (
          <SendStory id={send} gone={() => void navigate({ search: (s) => ({ ...s, send: undefined }) })} />
        )}
      </Drawer>
    </Page>
  );
}
