import { Alert, Button, Group, Text } from '@mantine/core';
import {
  IconHandStop,
  IconPencil,
  IconPlayerPause,
  IconPlayerPlay,
  IconPlayerStop,
  IconRefresh,
  IconSend,
} from '@tabler/icons-react';
import { useMutation } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { client, queries } from '../../api/client';
import { take } from '../../api/live';
import { problemOf } from '../../api/problem';
import { useMay } from '../../app/session';
import { useConfirm } from '../../parts/confirm';
import { count, dayTimeZone, upper } from '../../parts/format';
import { Status, statusWord } from '../../parts/status';
import { tell } from '../../parts/toast';
import { useApproval } from './approval';
import { accepted, active, type Campaign, ended } from './campaign';

type Order = 'pause' | 'resume' | 'stop' | 'recover';

const sends = {
  pause: (at: At, reason: string) => client.POST('/campaigns/{id}/pause', { ...at, body: { reason } }),
  resume: (at: At, reason: string) => client.POST('/campaigns/{id}/resume', { ...at, body: { reason } }),
  stop: (at: At, reason: string) => client.POST('/campaigns/{id}/stop', { ...at, body: { reason } }),
  recover: (at: At, reason: string) => client.POST('/campaigns/{id}/recover', { ...at, body: { reason } }),
};
type At = { params: { path: { id: string } } };

const said: Record<Order, { done: string; noted: string }> = {
  pause: { done: 'Campaign paused', noted: 'Pause ordered' },
  resume: { done: 'Campaign resumed', noted: 'Resumption ordered' },
  stop: { done: 'Campaign stopped', noted: 'Stop ordered' },
  recover: { done: 'Campaign restarted', noted: 'Restart ordered' },
};

/** Gives an order and says what came of it: 200 once it is in effect, 202 when it is only noted so far. */
function useOrder(id: string) {
  return useMutation({
    meta: { inPlace: true },
    mutationFn: async ({ order, reason }: { order: Order; reason: string }) => {
      const { data, response } = await sends[order]({ params: { path: { id } } }, reason);
      if (!data) throw new Error('an order was answered without a campaign');
      return { campaign: data, inEffect: response.status === 200 };
    },
    onSuccess: ({ campaign, inEffect }, { order }) => {
      take(campaign);
      // An event may have told more by now than this answer knows.
      void queries.invalidateQueries({ queryKey: ['get', '/campaigns/{id}'] });
      const b = campaign.boundary;
      const where = b ? `${count(b.accepted)} sent, ${count(b.in_flight)} in flight` : '';
      if (inEffect) tell.done(said[order].done, where && `${where}.`);
      else
        tell.done(
          said[order].noted,
          `It takes effect shortly.${where && ` So far ${where}; nothing new is sent from now on.`}`,
        );
      void queries.invalidateQueries({ queryKey: ['get', '/campaigns/{id}/history'] });
    },
    // Somebody else was faster: the page shows what is.
    onError: (error) => {
      if (problemOf(error).status === 409) void queries.invalidateQueries({ queryKey: ['get', '/campaigns/{id}'] });
    },
  });
}

/** What somebody may order now. One primary button: what one most likely came for. */
export function Orders({ campaign: c, resend }: { campaign: Campaign; resend: () => void }) {
  const may = useMay();
  const ask = useConfirm();
  const order = useOrder(c.campaign_id);
  const approval = useApproval(c.campaign_id);
  const give = (what: Order) => (reason: string) => order.mutateAsync({ order: what, reason });

  if (!may(c.status === 'draft' ? 'campaigns.write' : 'campaigns.run')) return null;
  if (c.status === 'draft') {
    const decided = approval.data?.state === 'waiting' || approval.data?.state === 'approved'; // then that is what one came for
    return (
      <Button
        component={Link}
        to={`/campaigns/${c.campaign_id}/edit`}
        variant={decided ? 'default' : 'filled'}
        leftSection={<IconPencil size={16} />}
      >
        Continue setting up
      </Button>
    );
  }
  if (ended(c)) {
    if (c.failed + c.unknown === 0) return null;
    return (
      <Button variant="default" leftSection={<IconSend size={16} />} onClick={resend} className="no-print">
        Resend…
      </Button>
    );
  }
  if (c.status === 'settling' || c.gate === 'stopped') return null;
  const waits = c.gate === 'paused' || c.status === 'paused';
  const onTheirWay = c.sending > 0 ? [`${people(c.sending)} on the way will be finished first.`] : [];
  return (
    <Group gap="xs" className="no-print">
      <Button
        variant="default"
        leftSection={<IconPlayerStop size={16} />}
        onClick={() =>
          ask({
            title: `Stop “${c.name}” for good?`,
            impact: [
              `${people(c.queued)} still queued ${c.queued === 1 ? 'is' : 'are'} cancelled and will not get this message.`,
              ...onTheirWay,
              `${count(accepted(c))} sent so far stay sent.`,
              'A stopped campaign cannot be resumed.',
            ],
            reason: 'required',
            action: 'Stop campaign',
            final: true,
            run: give('stop'),
          })
        }
      >
        Stop…
      </Button>
      {waits ? (
        <Button
          leftSection={<IconPlayerPlay size={16} />}
          onClick={() =>
            ask({
              title: `Resume “${c.name}”?`,
              impact: [`It goes on with ${people(c.queued)} in the queue, where it was. Nobody is written to twice.`],
              reason: 'optional',
              action: 'Resume campaign',
              run: give('resume'),
            })
          }
        >
          Resume…
        </Button>
      ) : (
        <Button
          leftSection={<IconPlayerPause size={16} />}
          onClick={() =>
            ask({
              title: `Pause “${c.name}”?`,
              impact: [
                `${people(c.queued)} in the queue ${c.queued === 1 ? 'waits' : 'wait'} until somebody resumes it.`,
                ...onTheirWay,
                'Nothing is lost, and nobody is written to twice.',
              ],
              reason: 'optional',
              action: 'Pause campaign',
              run: give('pause'),
            })
          }
        >
          Pause…
        </Button>
      )}
    </Group>
  );
}

/** Where the campaign stands, in a sentence that is read out when it changes. */
export function Standing({ campaign: c }: { campaign: Campaign }) {
  return (
    <Group gap="sm" mb="lg" role="status" className="standing">
      <Status of={c.status} />
      <Text size="sm">{standing(c)}</Text>
    </Group>
  );
}

/** "Paused: 12,340 sent, 0 in flight, 5,000 wait." */
export function standing(c: Campaign): string {
  const where = `${count(accepted(c))} sent, ${count(c.sending)} in flight`;
  if (active(c) && c.gate === 'stopped' && c.status !== 'settling')
    return `Stop ordered: it takes effect shortly, nothing new is sent. ${where}.`;
  switch (c.status) {
    case 'draft':
      return 'Not started: nobody is written to yet.';
    case 'paused':
      if (c.gate === 'open') return `It paused itself: ${where}, ${count(c.queued)} wait.`;
      return `Nothing goes until somebody resumes it: ${where}, ${count(c.queued)} wait.`;
    case 'stopped':
      return `Stopped for good: ${where}, ${count(c.cancelled)} cancelled.`;
    case 'failed':
      return `Ended by a fault of ours: ${where}, ${count(c.queued)} still queued.`;
    case 'done':
      return `Ended: ${[`${count(accepted(c))} sent`, ...rest(c)].join(', ')}.`;
    case 'settling':
      if (c.gate === 'stopped') return `Stopped: ${where}, ${count(c.cancelled)} cancelled. Waits for receipts.`;
      return `Everything has gone: ${where}. Waits for receipts.`;
  }
  if (c.gate === 'paused') return `Pause ordered: it takes effect shortly, nothing new is sent. ${where}.`;
  if (c.status === 'scheduled')
    return c.send_at && Date.parse(c.send_at) > Date.now() ? `Goes ${dayTimeZone(c.send_at)}.` : 'About to start.';
  if (c.status === 'preflight') return 'Is being checked before it goes.';
  const held = c.waiting.reduce((sum, w) => sum + w.targets, 0);
  if (held >= c.queued && c.queued > 0 && c.sending === 0) {
    const until = c.waiting.map((w) => w.until ?? '').sort()[0];
    return until ? `Nothing can go until ${dayTimeZone(until)}.` : 'Nothing can go at this moment.';
  }
  return 'Sending.';
}

/** "6 failed", "1 unknown": what did not get there. */
const rest = (c: Campaign) =>
  (['failed', 'unknown', 'opted_out'] as const).flatMap((s) =>
    c[s] > 0 ? `${count(c[s])} ${statusWord(s).toLowerCase()}` : [],
  );

/** What somebody must mend before it goes on; a workflow that is gone can be restarted from here. */
export function NeedsHuman({ campaign: c }: { campaign: Campaign }) {
  const ask = useConfirm();
  const order = useOrder(c.campaign_id);
  if (!c.needs_human) return null;
  const gone = /recover/.test(c.needs_human) || c.status === 'failed';
  return (
    <Alert color="amber" icon={<IconHandStop size={16} />} title="Needs a human" mb="lg" role="alert">
      <Group justify="space-between" gap="sm" align="flex-end">
        <Text size="sm" className="wrap">
          {sentence(c.needs_human)}
        </Text>
        {gone && (
          <Button
            size="compact-sm"
            variant="default"
            className="no-print"
            leftSection={<IconRefresh size={14} />}
            onClick={() =>
              ask({
                title: `Restart “${c.name}”?`,
                impact: [
                  `A new workflow checks it and goes on with ${people(c.queued)} in the queue.`,
                  'Nobody is written to twice. The last order, such as a pause, still holds.',
                ],
                reason: 'required',
                action: 'Restart campaign',
                run: (reason) => order.mutateAsync({ order: 'recover', reason }),
              })
            }
          >
            Restart…
          </Button>
        )}
      </Group>
    </Alert>
  );
}

const people = (n: number) => `${count(n)} ${n === 1 ? 'recipient' : 'recipients'}`;

/** Server texts begin small; the command they may end with is for terminals. */
const sentence = (s: string) => `${upper(s).replace(/; restart it: .*$/, '')}.`;
