import { Alert, Anchor, Button, Group, Stack, Text } from '@mantine/core';
import { IconCheck, IconHandStop, IconRefresh, IconX } from '@tabler/icons-react';
import { Link } from '@tanstack/react-router';
import { type ReactNode, useState } from 'react';
import { api, client } from '../../api/client';
import { problemOf } from '../../api/problem';
import { Can } from '../../app/session';
import { useConfirm } from '../../parts/confirm';
import { Facts } from '../../parts/facts';
import { dayTimeZone, duration, upper, words } from '../../parts/format';
import { Failed, Loading } from '../../parts/states';
import { Mark } from '../../parts/status';
import { Time } from '../../parts/time';
import { tell } from '../../parts/toast';
import { type Item, kinds, outcomes, type Rollout, rolloutChanged } from './rollout';

/** One line of the plan, as a card of the board. */
export function ItemCard({ of: i, now, state }: { of: Item; now: string; state: 'over' | 'now' | 'later' }) {
  return (
    <Link to="/rollout" search={{ item: i.id }} className="board-item" data-outcome={i.outcome}>
      {state !== 'later' && (
        <span>
          {i.may_sign ? <Mark word="You sign" tone="live" icon={IconHandStop} /> : <Mark {...outcomes[i.outcome]} />}
        </span>
      )}
      <span className="wrap">{i.text.replaceAll('`', '')}</span>
      {state === 'now' && i.why && (
        <Text span size="xs" className="wrap">
          {upper(i.why)}.
        </Text>
      )}
      <Text span size="xs" c="dimmed">
        {upper(words(i.owner))} · {kinds[i.kind]}
        {i.proved_at && ` · ${age(i.proved_at, now)}`}
      </Text>
    </Link>
  );
}

/** How long ago, by the server's clock. */
const age = (at: string, now: string) => {
  const seconds = (Date.parse(now) - Date.parse(at)) / 1000;
  return seconds < 60 ? 'just now' : `${duration(seconds).split(' ').slice(0, 2).join(' ')} ago`;
};

/** All that is known of an item, and what somebody may do about it. */
export function ItemDrawer({ id, of: rollout }: { id: string; of: Rollout }) {
  const none = rollout.phase === 'none';
  const query = api.useQuery(
    'get',
    '/rollout/items/{item}',
    { params: { path: { item: id } } },
    { staleTime: 0, refetchInterval: 5_000, enabled: !none },
  );
  const phase = rollout.phases.find((p) => p.items.some((i) => i.id === id));
  const planned = phase?.items.find((i) => i.id === id);
  if (!phase || !planned) return <Text>The plan has no such item.</Text>;
  if (none) return <What of={planned} phase={phase.title} />;
  if (query.isPending) return <Loading label="Loading the item" />;
  if (!query.data) return <Failed error={query.error} retry={() => void query.refetch()} />;
  const item = query.data;
  return (
    <Stack gap="lg">
      <What of={item} phase={phase.title} />
      {item.evidence && <Evidence of={item} />}
      {phase.state === 'now' && <Actions of={item} />}
      {phase.state === 'later' && (
        <Alert color="gray">It is looked at when {phase.title.toLowerCase()} has begun.</Alert>
      )}
      <Signatures of={item} />
      <Findings of={item} />
    </Stack>
  );
}

function What({ of: i, phase }: { of: Item; phase: string }) {
  return (
    <Stack gap="sm">
      <Group gap="sm">
        <Mark {...outcomes[i.outcome]} />
        <Text size="sm" c="dimmed">
          {phase} · {kinds[i.kind]} · {upper(words(i.owner))}
        </Text>
      </Group>
      <Text fw={500} className="wrap">
        {i.text.replaceAll('`', '')}
      </Text>
      {i.why && (
        <Text size="sm" className="wrap">
          {upper(i.why)}.
        </Text>
      )}
    </Stack>
  );
}

function Evidence({ of: i }: { of: Item }) {
  const figures: [string, ReactNode][] = (i.evidence?.figures ?? []).map((f) => [
    f.label,
    f.link ? (
      <Anchor key={f.label} href={f.link} size="sm" className="text-link wrap">
        {f.value}
      </Anchor>
    ) : (
      f.value
    ),
  ]);
  const looked: [string, ReactNode][] = [];
  if (i.proved_at) looked.push(['Looked at', <Time key="at" at={i.proved_at} />]);
  if (i.found_at) looked.push(['Found so since', <Time key="since" at={i.found_at} />]);
  if (i.stale_at) looked.push(['Too old after', <Time key="stale" at={i.stale_at} />]);
  if (i.due_at) looked.push(['Looked at next', <Time key="due" at={i.due_at} />]);
  return (
    <section aria-label="Evidence">
      <Text size="sm" mb="sm" className="wrap">
        {upper(i.evidence?.summary ?? '')}.
      </Text>
      <Facts of={[...figures, ...looked]} />
    </section>
  );
}

function Actions({ of: i }: { of: Item }) {
  const ask = useConfirm();
  const [busy, setBusy] = useState(false);
  const path = { params: { path: { item: i.id } } };
  const what = i.text.replaceAll('`', '');
  const sign = (verdict: 'approved' | 'rejected') => async (note: string) => {
    try {
      await client.POST('/rollout/items/{item}/sign-off', { ...path, body: { verdict, note, digest: i.digest ?? '' } });
    } finally {
      rolloutChanged();
    }
    tell.done(verdict === 'approved' ? 'Signed' : 'Noted: it is not so');
  };

  async function look() {
    setBusy(true);
    try {
      await client.POST('/rollout/items/{item}/prove', path);
      rolloutChanged();
    } catch (error) {
      tell.problem(problemOf(error));
    } finally {
      setBusy(false);
    }
  }

  return (
    <Stack gap="sm">
      <Group gap="xs">
        {i.may_sign && (
          <>
            <Button
              leftSection={<IconCheck size={16} />}
              onClick={() =>
                ask({
                  title: 'Sign this item?',
                  impact: [
                    what,
                    'You attest what its evidence shows now. When that changes your signature is void, and everybody is told.',
                  ],
                  reason: 'required',
                  action: 'Sign',
                  run: sign('approved'),
                })
              }
            >
              Sign…
            </Button>
            <Button
              variant="default"
              leftSection={<IconX size={16} />}
              onClick={() =>
                ask({
                  title: 'Say that it is not so?',
                  impact: [what, 'The gate stays shut until somebody of your role signs it.'],
                  reason: 'required',
                  action: 'It is not so',
                  final: true,
                  run: sign('rejected'),
                })
              }
            >
              It is not so…
            </Button>
          </>
        )}
        {i.kind === 'check' || i.evidence ? (
          <Can do="rollout.run">
            <Button
              variant="default"
              leftSection={<IconRefresh size={16} />}
              loading={busy}
              onClick={() => void look()}
            >
              Look again
            </Button>
          </Can>
        ) : null}
        {i.waivable && i.outcome !== 'waived' && i.outcome !== 'passed' && (
          <Can do="rollout.lead">
            <Button
              variant="default"
              leftSection={<IconHandStop size={16} />}
              onClick={() =>
                ask({
                  title: 'Waive this item?',
                  impact: [what, 'The gate opens without it. Everybody sees that you waived it, and why, for good.'],
                  reason: 'required',
                  action: 'Waive item',
                  final: true,
                  run: async (reason) => {
                    try {
                      await client.POST('/rollout/items/{item}/waive', { ...path, body: { reason } });
                    } finally {
                      rolloutChanged();
                    }
                    tell.done('Waived');
                  },
                })
              }
            >
              Waive…
            </Button>
          </Can>
        )}
      </Group>
      {i.kind === 'sign_off' && !i.may_sign && i.why_not && i.outcome !== 'passed' && (
        <Text size="sm" c="dimmed">
          You do not sign it: {i.why_not}.
        </Text>
      )}
    </Stack>
  );
}

function Signatures({ of: i }: { of: Item }) {
  if (i.signatures.length === 0) return null;
  return (
    <section aria-label="Signatures">
      <Text fw={500} size="sm">
        Signatures
      </Text>
      <ol className="history">
        {i.signatures.map((g) => (
          <li key={g.id}>
            <Text size="sm" className="wrap">
              {g.seat === undefined
                ? `Waived by ${g.by.name}`
                : `${g.verdict === 'approved' ? 'Signed' : 'Said no'} by ${g.by.name} as ${words(g.seat)}`}
              : “{g.reason}”
            </Text>
            <Text size="xs" c={g.problem ? undefined : 'dimmed'} className="wrap">
              {dayTimeZone(g.at)}
              {g.problem && ` · does not count any more: ${g.problem}`}
            </Text>
          </li>
        ))}
      </ol>
    </section>
  );
}

function Findings({ of: i }: { of: Item }) {
  if (!i.findings || i.findings.length < 2) return null;
  return (
    <section aria-label="What was found before">
      <Text fw={500} size="sm">
        What was found before
      </Text>
      <ol className="history">
        {i.findings.slice(1).map((f) => (
          <li key={f.at}>
            <Text size="sm" className="wrap">
              {outcomes[f.outcome as keyof typeof outcomes].word}: {f.summary}
            </Text>
            <Text size="xs" c="dimmed">
              <Time at={f.at} /> to <Time at={f.last_at} />
            </Text>
          </li>
        ))}
      </ol>
    </section>
  );
}
