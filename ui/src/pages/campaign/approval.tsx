import { Alert, Button, Code, Group, Text, Title } from '@mantine/core';
import { IconCheck, IconHandStop, IconHourglass, IconPlayerPlay, IconX } from '@tabler/icons-react';
import { useMutation } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { api, client, queries } from '../../api/client';
import { take } from '../../api/live';
import { problemOf } from '../../api/problem';
import type { components } from '../../api/schema';
import { useMay } from '../../app/session';
import { useConfirm } from '../../parts/confirm';
import { count, countryName, dayTimeZone, upper } from '../../parts/format';
import { Mark, Status } from '../../parts/status';
import { Time } from '../../parts/time';
import { tell } from '../../parts/toast';
import type { Campaign } from './campaign';

export type Approval = components['schemas']['CampaignApproval'];
export type Asked = components['schemas']['ApprovalRequest'];
type Decision = components['schemas']['ApprovalDecision'];

const second = 1000;

/** How it stands about a campaign's approval, until it has begun to send. */
export const useApproval = (id: string) =>
  api.useQuery(
    'get',
    '/campaigns/{id}/approvals',
    { params: { path: { id } } },
    { staleTime: 0, refetchInterval: ({ state }) => (state.data && !open(state.data) ? false : 10 * second) },
  );

/** Whether there is something to approve. */
export const open = (a: Approval) => a.state !== 'not_needed' && a.state !== 'cleared';

/** Forgets what the panel knows of who waits for what. */
export function approvalsChanged() {
  void queries.invalidateQueries({ queryKey: ['get', '/campaigns/{id}/approvals'] });
  void queries.invalidateQueries({ queryKey: ['get', '/approvals'] });
}

/** Asks for the approval of a campaign as it is now, to begin at a time or when it is started. */
export const useAsk = (id: string) =>
  useMutation({
    meta: { inPlace: true },
    mutationFn: ({ at, reason }: { at?: string; reason?: string }) =>
      client.POST('/campaigns/{id}/approval-request', { params: { path: { id } }, body: { send_at: at, reason } }),
    onSettled: approvalsChanged,
  });

/** "An admin or a project lead": who may say yes. */
export const approvers = (a: Approval) =>
  upper(a.approvers.map((r) => `${/^[aeiou]/.test(r) ? 'an' : 'a'} ${r.replaceAll('_', ' ')}`).join(' or '));

/** What whoever decides agrees to, in sentences. */
export function agreed(r: Asked): string[] {
  const c = r.campaign;
  if (!c) return [];
  const where = Object.entries(c.countries)
    .sort(([, a], [, b]) => b - a)
    .map(([country, n]) => `${countryName(country)} ${count(n)}`);
  return [
    `${count(c.targets)} recipients: ${where.join(', ')}. ${count(c.permitted)} may be written to at once, ${count(c.sendable)} in all.`,
    `Template ${c.template}, version ${c.template_version}, ${c.category === 'marketing' ? 'marketing' : 'service'}.`,
    c.send_at ? `It begins ${dayTimeZone(c.send_at)}.` : 'It begins when somebody starts it.',
    ...(c.finishes_at ? [`Everything will have gone by ${dayTimeZone(c.finishes_at)}, by the forecast.`] : []),
    `The rules are those of revision ${c.policy_revision}. Whatever changes of all this, it must be asked about again.`,
    ...(r.reason ? [`${r.requested_by.name} says: “${r.reason}”`] : []),
  ];
}

/** Asks whoever may decide whether they agree. */
export function useDecide() {
  const ask = useConfirm();
  const decide = (r: Asked, verdict: 'approved' | 'rejected') => async (reason: string) => {
    try {
      await client.POST('/campaigns/{id}/approvals', {
        params: { path: { id: r.subject } },
        body: { verdict, reason, digest: r.digest },
      });
    } finally {
      approvalsChanged();
      void queries.invalidateQueries({ queryKey: ['get', '/campaigns/{id}'] });
    }
    tell.done(verdict === 'approved' ? 'Campaign approved' : 'Campaign rejected');
  };
  return {
    approve: (r: Asked) =>
      ask({
        title: `Approve “${r.campaign?.name}”?`,
        impact: agreed(r),
        reason: 'optional',
        action: 'Approve campaign',
        run: decide(r, 'approved'),
      }),
    reject: (r: Asked) =>
      ask({
        title: `Reject “${r.campaign?.name}”?`,
        impact: [`${r.requested_by.name} can change it and ask again.`, 'Nothing is sent.'],
        reason: 'required',
        action: 'Reject campaign',
        final: true,
        run: decide(r, 'rejected'),
      }),
  };
}

/** The beginning of a digest: two that are alike begin alike. */
export const Digest = ({ of }: { of: string }) => <Code title={of}>{of.slice(0, 12)}</Code>;

const looks = {
  needed: { word: 'Approval needed', tone: 'live', icon: IconHandStop },
  waiting: { word: 'Waits for approval', tone: 'waits', icon: IconHourglass },
  changed: { word: 'Changed since', tone: 'live', icon: IconHandStop },
  approved: { word: 'Approved', tone: 'good', icon: IconCheck },
  rejected: { word: 'Rejected', tone: 'bad', icon: IconX },
  void: { word: 'Approval void', tone: 'bad', icon: IconX },
} as const;

/** What is asked, who decided, and what to do now. Nothing where nobody has to approve and nobody had to. */
export function ApprovalCard({ campaign }: { campaign: Campaign }) {
  const id = campaign.campaign_id;
  const query = useApproval(id);
  const may = useMay();
  const a = query.data;
  const asking = useAsk(id);
  const { approve, reject } = useDecide();
  const ask = useConfirm();
  const start = api.useMutation('post', '/campaigns/{id}/start', {
    meta: { inPlace: true },
    onSuccess: (started) => {
      take(started);
      approvalsChanged();
      tell.done(started.send_at ? 'Campaign scheduled' : 'Campaign started');
    },
  });
  if (!a || a.state === 'not_needed' || (a.state === 'cleared' && a.decisions.length === 0)) return null;
  const r = a.request;
  const look = a.state in looks ? looks[a.state as keyof typeof looks] : undefined;
  const askAgain = () =>
    ask({
      title: `Ask for the approval of “${campaign.name}”?`,
      impact: [
        'It is asked about as it is now: its message, its audience, its time and the rules.',
        `${approvers(a)} decides, but nobody about what they asked for or edited last.`,
      ],
      reason: 'optional',
      action: 'Ask for approval',
      run: (reason) => asking.mutateAsync({ at: campaign.status === 'draft' ? a.send_at : undefined, reason }),
    });
  const canAsk = a.targets > 0 && may('campaigns.run') && ['needed', 'changed', 'rejected', 'void'].includes(a.state);

  return (
    <section className="card approval" aria-labelledby="approval">
      <Group justify="space-between" gap="sm" mb="sm">
        <Title order={2} size="h3" id="approval">
          Approval
        </Title>
        {look && <Mark {...look} />}
      </Group>
      <Text size="sm" className="wrap">
        {said(a)}
      </Text>
      {r && (
        <ul className="approval-facts">
          {agreed(r).map((s) => (
            <li key={s}>{s}</li>
          ))}
          <li>
            <Asker of={r} /> Digest <Digest of={r.digest} />
          </li>
        </ul>
      )}
      {(r || canAsk || (a.state === 'approved' && campaign.status === 'draft')) && (
        <Group gap="xs" mt="md">
          {r && !r.changed && r.may_decide && (
            <>
              <Button leftSection={<IconCheck size={16} />} onClick={() => approve(r)}>
                Approve…
              </Button>
              <Button variant="default" leftSection={<IconX size={16} />} onClick={() => reject(r)}>
                Reject…
              </Button>
            </>
          )}
          {r && !r.changed && !r.may_decide && (
            <Text size="sm" c="dimmed">
              You cannot decide: {r.why_not}.
            </Text>
          )}
          {canAsk && (
            <Button variant="default" onClick={askAgain}>
              Ask for approval…
            </Button>
          )}
          {a.state === 'approved' && campaign.status === 'draft' && may('campaigns.run') && (
            <Button
              leftSection={<IconPlayerPlay size={16} />}
              loading={start.isPending}
              onClick={() => start.mutate({ params: { path: { id } }, body: {} })}
            >
              {a.send_at ? 'Schedule campaign' : 'Start campaign'}
            </Button>
          )}
        </Group>
      )}
      {start.isError && (
        <Alert color="red" role="alert" mt="md">
          {problemOf(start.error).message}
        </Alert>
      )}
      {a.decisions.length > 0 && (
        <ol className="history approval-past" aria-label="Decisions">
          {a.decisions.map((d) => (
            <Past key={d.id} decision={d} />
          ))}
        </ol>
      )}
    </section>
  );
}

function Asker({ of: r }: { of: Asked }) {
  return (
    <>
      Asked by {r.requested_by.name}, <Time at={r.requested_at} />.
    </>
  );
}

function Past({ decision: d }: { decision: Decision }) {
  const voided = d.void_reason === 'changed' ? 'it was changed since' : 'it was asked about anew';
  return (
    <li>
      <Group gap="xs">
        {d.verdict === 'approved' ? (
          <Status of="approved" word={d.voided_at ? 'Approved, void' : undefined} />
        ) : (
          <Mark word="Rejected" tone="bad" icon={IconX} />
        )}
        <Text size="sm" className="wrap">
          {d.by.name} ({d.role.replaceAll('_', ' ')}), <Time at={d.at} />
          {d.reason && `: “${d.reason}”`}
        </Text>
      </Group>
      <Text size="xs" c="dimmed" className="wrap">
        Digest <Digest of={d.digest} />
        {d.voided_at ? ` · void: ${voided}` : d.expires_at ? ` · lasts until ${dayTimeZone(d.expires_at)}` : ''}
      </Text>
    </li>
  );
}

/** Where it stands, in a sentence or two. */
function said(a: Approval): ReactNode {
  switch (a.state) {
    case 'needed':
      return `Somebody else must approve it before it starts. ${approvers(a)} may.`;
    case 'waiting':
      return `${approvers(a)} decides, but not whoever asked or edited it last.`;
    case 'changed':
      return 'It was changed since somebody asked: it must be asked about again.';
    case 'approved':
      return a.send_at ? `It may begin ${dayTimeZone(a.send_at)}.` : 'It may start.';
    case 'rejected':
      return 'It was rejected. Change it, and ask again.';
    case 'void':
      return `${upper(a.problem ?? 'the approval does not hold any more')}: it must be asked about again.`;
    default:
      return 'It began to send with its approval.';
  }
}
