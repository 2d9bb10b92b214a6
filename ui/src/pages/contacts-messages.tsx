import { Button, Group, Stack, Text, Title } from '@mantine/core';
import { keepPreviousData } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import { api } from '../api/client';
import type { components } from '../api/schema';
import { upper } from '../parts/format';
import { Failed, Loading } from '../parts/states';
import { Status } from '../parts/status';
import { usePager } from '../parts/table';
import { Time } from '../parts/time';
import { blockWords, moves, SendStatus } from './sends-state';

type Message = components['schemas']['ContactMessage'];

/** What was sent to a contact, by somebody for them alone and by campaigns: when, and why not. */
export function Messages({ id }: { id: string }) {
  const [after, setAfter] = useState<string>();
  const pager = usePager(after, setAfter);
  const query = api.useQuery(
    'get',
    '/contacts/{id}/messages',
    { params: { path: { id }, query: { limit: 5, after } } },
    { placeholderData: keepPreviousData },
  );
  return (
    <section className="card" aria-label="Messages">
      <Title order={4} mb="sm">
        Messages
      </Title>
      <Singles contact={id} />
      {query.isPending && <Loading label="Loading the messages" />}
      {query.isError && !query.data && <Failed error={query.error} retry={() => void query.refetch()} />}
      {query.data?.messages.length === 0 && <Text size="sm">No campaign has had this contact as a recipient.</Text>}
      <Stack gap="sm" component="ol" className="plain-list">
        {query.data?.messages.map((m) => (
          <li key={m.campaign_id}>
            <Group justify="space-between" gap="xs" wrap="nowrap" align="flex-start">
              <div>
                <Link to="/campaigns/$id" params={{ id: m.campaign_id }} className="wrap">
                  {m.campaign}
                </Link>
                <Text size="xs" c="dimmed" className="wrap">
                  <When of={m} />
                  {m.meaning && ` · ${m.meaning}`}
                </Text>
              </div>
              <Status of={m.state} />
            </Group>
          </li>
        ))}
      </Stack>
      {(pager.isLater || query.data?.next) && (
        <Group gap="xs" mt="md" component="nav" aria-label="Pages of messages">
          <Button variant="default" size="xs" disabled={!pager.isLater} onClick={pager.back}>
            Later
          </Button>
          <Button
            variant="default"
            size="xs"
            disabled={!query.data?.next}
            onClick={() => query.data?.next && pager.forth(query.data.next)}
          >
            Earlier
          </Button>
        </Group>
      )}
    </section>
  );
}

/** The newest single messages, each leading to its story. */
function Singles({ contact }: { contact: string }) {
  const query = api.useQuery(
    'get',
    '/sends',
    { params: { query: { contact_id: contact, limit: 5 } } },
    { refetchInterval: (q) => (q.state.data?.sends.some(moves) ? 3000 : false) },
  );
  if (query.isError && !query.data) return <Failed error={query.error} retry={() => void query.refetch()} />;
  if (!query.data || query.data.sends.length === 0) return null;
  return (
    <Stack gap="sm" component="ol" className="plain-list" mb="sm" aria-label="Single messages">
      {query.data.sends.map((s) => (
        <li key={s.send_id}>
          <Group justify="space-between" gap="xs" wrap="nowrap" align="flex-start">
            <div>
              <Link to="/sends" search={{ send: s.send_id }} className="wrap">
                {s.template}
              </Link>
              <Text size="xs" c="dimmed" className="wrap">
                {s.block ? upper(blockWords(s.block)) : <When of={s} />}
                {!s.block && s.meaning && ` · ${s.meaning}`}
              </Text>
            </div>
            <SendStatus of={s} />
          </Group>
        </li>
      ))}
    </Stack>
  );
}

function When({ of }: { of: Pick<Message, 'ended_at' | 'read_at' | 'delivered_at' | 'sent_at' | 'not_before'> }) {
  const at = of.ended_at ?? of.read_at ?? of.delivered_at ?? of.sent_at;
  if (at) return <Time at={at} />;
  if (of.not_before)
    return (
      <>
        not before <Time at={of.not_before} />
      </>
    );
  return <>not sent yet</>;
}
