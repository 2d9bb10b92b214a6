import { Alert, Anchor, Button, Group, Text, Title } from '@mantine/core';
import { IconBan, IconExternalLink, IconRefresh } from '@tabler/icons-react';
import { Link } from '@tanstack/react-router';
import { api, client } from '../api/client';
import type { components } from '../api/schema';
import { Can } from '../app/session';
import { type Question, useConfirm } from '../parts/confirm';
import { localZone, upper, zoneName } from '../parts/format';
import { Failed, Loading } from '../parts/states';
import { Time } from '../parts/time';
import { tell } from '../parts/toast';
import { SendOverride } from './sends-override';
import { blockWords, moves, SendStatus, sendsChanged } from './sends-state';

type Send = components['schemas']['Send'];
type Block = NonNullable<Send['block']>;
type Event = NonNullable<Send['timeline']>[number];

/** All that happened to one message, and what is to be done about it. */
export function SendStory({ id, gone }: { id: string; gone: () => void }) {
  const query = api.useQuery(
    'get',
    '/sends/{id}',
    { params: { path: { id } } },
    { refetchInterval: (q) => (q.state.data && moves(q.state.data) ? 2000 : false) },
  );
  if (query.isPending) return <Loading label="Loading the message" />;
  if (!query.data) return <Failed error={query.error} retry={() => void query.refetch()} />;
  const s = query.data;
  return (
    <>
      <Group justify="space-between" mb="xs">
        <Text fw={600} className="nowrap">
          {s.contact_id ? (
            <Link to="/contacts" search={{ contact: s.contact_id }} className="text-link">
              {s.contact || s.msisdn}
            </Link>
          ) : (
            s.msisdn
          )}
        </Text>
        <SendStatus of={s} />
      </Group>
      <Text size="xs" c="dimmed" mb="md">
        {[
          `${s.template} v${s.template_version}`,
          s.kind,
          s.country,
          s.zone ? zoneName(s.zone) : 'zone unknown',
          s.locale,
          `ordered by ${s.requested_by}`,
        ]
          .filter(Boolean)
          .join(' · ')}
      </Text>
      {(s.block || s.meaning) && (
        <Alert color="gray" mb="lg">
          <Text size="sm" fw={500} className="wrap">
            {s.block
              ? `${s.state === 'queued' ? 'Waits' : 'Send blocked'} – ${blockWords(s.block)}`
              : upper(s.meaning ?? '')}
          </Text>
          {s.block && <Beside block={s.block} />}
          {s.advice && (
            <Text size="sm" mt={4} className="wrap">
              {s.advice}
            </Text>
          )}
        </Alert>
      )}
      <SendOverride send={s} />
      <Orders send={s} gone={gone} />
      <Title order={3} size="h4" mb="sm">
        What happened{' '}
        <Text span size="xs" c="dimmed" fw={400}>
          {zoneName(localZone)} time
        </Text>
      </Title>
      <ol className="story">
        {s.timeline?.map((e) => (
          <li key={`${e.at} ${e.kind}`} data-kind={e.kind}>
            <Text size="xs" c="dimmed">
              <Time at={e.at} bare seconds />
            </Text>
            <Told event={e} />
          </li>
        ))}
      </ol>
      {s.temporal_web && (
        <Anchor
          href={s.temporal_web}
          target="_blank"
          rel="noreferrer"
          size="sm"
          mt="md"
          display="inline-block"
          className="text-link"
        >
          Open in Temporal Web <IconExternalLink size={14} aria-label="(opens a new tab)" />
        </Anchor>
      )}
    </>
  );
}

/** What else a block says: what would stop it besides, and when it is tried again. */
export function Beside({ block: b }: { block: Pick<Block, 'also' | 'retry_after' | 'next_window' | 'needs_human'> }) {
  return (
    <>
      {b.also && b.also.length > 0 && (
        <Text size="sm" mt={4}>
          Also in the way: {b.also.map((r) => r.replaceAll('_', ' ')).join(', ')}.
        </Text>
      )}
      {b.retry_after && !b.next_window && (
        <Text size="sm" mt={4}>
          It may go from <Time at={b.retry_after} /> on.
        </Text>
      )}
      {b.needs_human && (
        <Text size="sm" mt={4}>
          Somebody has to mend this first.
        </Text>
      )}
    </>
  );
}

function Told({ event: e }: { event: Event }) {
  const more = [
    e.attempt && e.attempt > 1 ? `attempt ${e.attempt}` : '',
    e.error_code === undefined ? '' : `code ${e.error_code}`,
    e.by ? `by ${e.by}` : '',
  ].filter(Boolean);
  return (
    <div>
      <Text size="sm" className="wrap">
        {upper(e.what)}
      </Text>
      {more.length > 0 && (
        <Text size="xs" c="dimmed" className="wrap">
          {more.join(' · ')}
        </Text>
      )}
      {e.until && (
        <Text size="xs" c="dimmed">
          until <Time at={e.until} />
        </Text>
      )}
    </div>
  );
}

function Orders({ send: s, gone }: { send: Send; gone: () => void }) {
  const question = useConfirm();
  const ask = (q: Question) => {
    gone(); // one dialog at a time
    question(q);
  };
  const path = { params: { path: { id: s.send_id } } };
  const cancel = () =>
    ask({
      title: 'Cancel this message?',
      impact: ['It waits and has not gone. It will not be sent.'],
      reason: 'optional',
      action: 'Cancel message',
      run: async (reason) => {
        await client.POST('/sends/{id}/cancel', { ...path, body: { reason: reason || undefined } });
        sendsChanged();
        tell.done('Message cancelled');
      },
    });
  const resend = (whenAllowed: boolean) =>
    ask({
      title: whenAllowed ? 'Send this message when it is allowed?' : 'Send this message again?',
      impact: [
        s.state === 'unknown'
          ? 'Nobody knows whether it arrived: the guest may get it twice.'
          : 'It is tried anew, through all rules.',
        ...(whenAllowed ? ['It waits until the rules let it go, and can be cancelled until then.'] : []),
      ],
      reason: 'optional',
      action: whenAllowed ? 'Send when allowed' : 'Send again',
      run: async (reason) => {
        const { data } = await client.POST('/sends/{id}/resend', {
          ...path,
          body: {
            reason: reason || undefined,
            accept_duplicate: s.state === 'unknown' || undefined,
            when_allowed: whenAllowed || undefined,
          },
        });
        sendsChanged();
        if (data?.block && data.state !== 'queued') tell.done(`Send blocked – ${blockWords(data.block)}`);
        else tell.done(data?.state === 'queued' ? 'It waits' : 'Sent again');
      },
    });
  const again = s.state === 'failed' || s.state === 'unknown';
  if (!again && s.state !== 'queued') return null;
  return (
    <Can do="sends.write">
      <Group gap="xs" mb="lg">
        {s.state === 'queued' && (
          <Button variant="default" leftSection={<IconBan size={16} />} onClick={cancel}>
            Cancel
          </Button>
        )}
        {again && (
          <Button variant="default" leftSection={<IconRefresh size={16} />} onClick={() => resend(false)}>
            Send again
          </Button>
        )}
        {again && s.block && s.block.reason !== 'no_consent' && (
          <Button variant="default" onClick={() => resend(true)}>
            Send when allowed
          </Button>
        )}
      </Group>
    </Can>
  );
}
