import { Alert, Anchor, Button, Group, type MantineSpacing, Stack, Text } from '@mantine/core';
import {
  IconBan,
  IconCalendarClock,
  IconCheck,
  IconClockOff,
  IconHandStop,
  IconHourglass,
  IconLockOpen,
  IconX,
} from '@tabler/icons-react';
import { Link } from '@tanstack/react-router';
import { useEffect, useState } from 'react';
import { client, queries } from '../../api/client';
import type { components } from '../../api/schema';
import { useConfirm } from '../../parts/confirm';
import { Facts } from '../../parts/facts';
import { dayTimeZone, duration, upper, words } from '../../parts/format';
import { Mark } from '../../parts/status';
import { Time } from '../../parts/time';
import { tell } from '../../parts/toast';

export type Override = components['schemas']['Override'];
type Moment = components['schemas']['OverrideMoment'];

const looks = {
  requested: { word: 'Waits for a lead', tone: 'waits', icon: IconHourglass },
  approved: { word: 'Approved', tone: 'waits', icon: IconCalendarClock },
  active: { word: 'Active', tone: 'live', icon: IconLockOpen },
  ended: { word: 'Ended', tone: 'quiet', icon: IconCheck },
  rejected: { word: 'Rejected', tone: 'bad', icon: IconX },
  expired: { word: 'Expired', tone: 'quiet', icon: IconClockOff },
  cancelled: { word: 'Cancelled', tone: 'quiet', icon: IconBan },
} as const;

/** Where an override is; and whether it is the reader's turn. */
export const OverrideMark = ({ of }: { of: Override }) =>
  of.state === 'requested' && of.may_decide ? (
    <Mark word="You decide" tone="live" icon={IconHandStop} />
  ) : (
    <Mark {...looks[of.state]} />
  );

/** Whether anything can still happen. */
export const isOpen = (o: Override) => ['requested', 'approved', 'active'].includes(o.state);

/** What it is for, in a few words. */
export const scope = (o: Override) =>
  o.campaign ?? (o.send ? `${o.send.template} to ${o.send.msisdn}` : upper(words(o.kind)));

/** Forgets what the panel knows of overrides, and of what waits for them. */
export function overridesChanged() {
  for (const path of [
    '/overrides',
    '/overrides/{id}',
    '/approvals',
    '/campaigns/{id}',
    '/campaigns/{id}/forecast',
    '/sends',
    '/sends/{id}',
  ]) {
    void queries.invalidateQueries({ queryKey: ['get', path] });
  }
}

const window = (o: Override) => `From ${dayTimeZone(o.starts_at)} to ${dayTimeZone(o.ends_at)}.`;

/** What an override does and does not do. */
const effect = (o: Override) =>
  o.kind === 'quiet_hours'
    ? `Quiet hours do not hold for this ${o.send ? 'message' : 'campaign'} meanwhile. Opt-outs, consent, the frequency cap and throttles do.`
    : 'A drill may run in production meanwhile.';

/** Asks whoever may decide or cancel. */
export function useOverrideActions() {
  const ask = useConfirm();
  const decide = (o: Override, verdict: 'approved' | 'rejected') => async (reason: string) => {
    try {
      await client.POST('/overrides/{id}/decide', {
        params: { path: { id: o.override_id } },
        body: { verdict, reason },
      });
    } finally {
      overridesChanged();
    }
    tell.done(verdict === 'approved' ? 'Override approved' : 'Override rejected');
  };
  return {
    approve: (o: Override) =>
      ask({
        title: `Let “${scope(o)}” ${o.send ? 'go' : 'send'} in quiet hours?`,
        impact: [window(o), effect(o), `${o.requested_by.name} says: “${o.reason}”`],
        reason: 'optional',
        action: 'Approve override',
        run: decide(o, 'approved'),
      }),
    reject: (o: Override) =>
      ask({
        title: `Reject the override for “${scope(o)}”?`,
        impact: ['The rule holds.', `${o.requested_by.name} may ask again.`],
        reason: 'required',
        action: 'Reject override',
        final: true,
        run: decide(o, 'rejected'),
      }),
    cancel: (o: Override) =>
      ask({
        title: `Cancel the override for “${scope(o)}”?`,
        impact: [
          o.state === 'active' ? 'Nothing more is sent by it, from now on.' : 'It will not begin.',
          o.send ? 'The message waits until quiet hours end.' : 'The rest waits until quiet hours end.',
        ],
        reason: 'optional',
        action: 'Cancel override',
        final: true,
        run: async (reason) => {
          try {
            await client.POST('/overrides/{id}/cancel', {
              params: { path: { id: o.override_id } },
              body: { reason },
            });
          } finally {
            overridesChanged();
          }
          tell.done('Override cancelled');
        },
      }),
  };
}

/** How long until an instant, counting down by the server's clock. */
export function Countdown({ to, now }: { to: string; now: string }) {
  const left = () => (Date.parse(to) - Date.parse(now)) / 1000;
  const [seconds, set] = useState(left());
  useEffect(() => {
    const began = performance.now();
    const total = (Date.parse(to) - Date.parse(now)) / 1000;
    const tick = () => set(total - (performance.now() - began) / 1000);
    tick();
    const timer = setInterval(tick, 1000);
    return () => clearInterval(timer);
  }, [to, now]);
  return <span className="countdown">{duration(seconds)}</span>;
}

/** Where it stands, in a sentence. */
export function Standing({ of: o }: { of: Override }) {
  switch (o.state) {
    case 'requested':
      return (
        <>
          A project lead who did not ask decides within <Countdown to={o.ask_until} now={o.now} />.
        </>
      );
    case 'approved':
      return (
        <>
          It begins in <Countdown to={o.starts_at} now={o.now} />.
        </>
      );
    case 'active':
      return (
        <>
          It ends in <Countdown to={o.ends_at} now={o.now} />.
        </>
      );
    case 'expired':
      return <>Nobody decided in time.</>;
    case 'rejected':
      return <>The rule holds.</>;
    case 'cancelled':
      return <>{o.end_reason ? upper(o.end_reason) : 'It was cancelled.'}</>;
    default:
      return <>Its time is over.</>;
  }
}

/** What an override of quiet hours allows, and where it stands. */
export const Meanwhile = ({ of: o }: { of: Override }) => (
  <>
    From {dayTimeZone(o.starts_at)} to {dayTimeZone(o.ends_at)} it may {o.send ? 'go' : 'send'} in quiet hours
    {o.state === 'requested' ? ', if that is approved' : ''}. <Standing of={o} />
  </>
);

/** Leads to all that is known of it. */
export const WhatHappened = ({ of: o }: { of: Override }) => (
  <Anchor
    size="sm"
    className="text-link"
    renderRoot={(props) => <Link to="/overrides" search={{ override: o.override_id }} {...props} />}
  >
    What happened
  </Anchor>
);

/** The buttons of whoever may press them. */
export function Actions({ of: o, mt }: { of: Override; mt?: MantineSpacing }) {
  const { approve, reject, cancel } = useOverrideActions();
  if (!o.may_decide && !o.may_cancel) return null;
  return (
    <Group gap="xs" mt={mt}>
      {o.may_decide && (
        <>
          <Button leftSection={<IconCheck size={16} />} onClick={() => approve(o)}>
            Approve…
          </Button>
          <Button variant="default" leftSection={<IconX size={16} />} onClick={() => reject(o)}>
            Reject…
          </Button>
        </>
      )}
      {o.may_cancel && (
        <Button variant="default" leftSection={<IconBan size={16} />} onClick={() => cancel(o)}>
          Cancel override…
        </Button>
      )}
    </Group>
  );
}

/** All that is known of one override. */
export function OverrideFacts({ of: o }: { of: Override }) {
  return (
    <Stack gap="lg">
      <Group justify="space-between" gap="sm">
        <OverrideMark of={o} />
        <Text size="sm">
          <Standing of={o} />
        </Text>
      </Group>
      <Facts
        of={[
          [
            'For',
            o.campaign_id ? (
              <Anchor
                key="campaign"
                size="sm"
                className="text-link wrap"
                renderRoot={(props) => <Link to="/campaigns/$id" params={{ id: o.campaign_id ?? '' }} {...props} />}
              >
                {o.campaign}
              </Anchor>
            ) : o.send ? (
              <Anchor
                key="send"
                size="sm"
                className="text-link wrap"
                renderRoot={(props) => <Link to="/sends" search={{ send: o.send?.send_id }} {...props} />}
              >
                {scope(o)}
              </Anchor>
            ) : (
              'The whole installation'
            ),
          ],
          ['Lifts', upper(words(o.kind))],
          ['From', <Time key="from" at={o.starts_at} />],
          ['To', <Time key="to" at={o.ends_at} />],
          ['Reason', o.reason],
          ['Asked by', `${o.requested_by.name}, ${dayTimeZone(o.requested_at)}`],
          [
            'Decided by',
            o.decision
              ? `${o.decision.by.name} (${words(o.decision.role)}), ${o.decision.verdict}${o.decision.reason ? `: “${o.decision.reason}”` : ''}`
              : 'Nobody yet',
          ],
        ]}
      />
      {o.state === 'requested' && !o.may_decide && o.why_not && (
        <Alert color="gray">You cannot decide: {o.why_not}.</Alert>
      )}
      <Actions of={o} />
      {o.history && (
        <ol className="history" aria-label="What happened">
          {o.history.map((m) => (
            <li key={`${m.at} ${m.what}`}>
              <Text size="sm" className="wrap">
                {told(m)}
                {m.by && ` by ${m.by}`}
                {m.reason && `: “${m.reason}”`}
              </Text>
              <Text size="xs" c="dimmed">
                <Time at={m.at} seconds />
              </Text>
            </li>
          ))}
        </ol>
      )}
    </Stack>
  );
}

/** An entry of the audit log in words. */
function told(m: Moment): string {
  const said: Record<string, string> = {
    'override.requested': 'Asked for',
    'approval.approved': 'Approved',
    'approval.rejected': 'Rejected',
    'approval.refused': 'A decision was refused',
    'override.refused': 'Refused',
    'override.approved': 'The approval took effect',
    'override.rejected': 'The rejection took effect',
    'override.active': 'Became active',
    'override.ended': 'Ended',
    'override.expired': 'Expired',
    'override.cancelled': 'Cancelled',
  };
  return (said[m.what] ?? upper(words(m.what))) + (m.code ? ` (${words(m.code)})` : '');
}
