import { Button, Text } from '@mantine/core';
import { IconLock, IconLockOpen } from '@tabler/icons-react';
import { Link } from '@tanstack/react-router';
import { client } from '../../api/client';
import { Can } from '../../app/session';
import { useConfirm } from '../../parts/confirm';
import { count, upper } from '../../parts/format';
import { Section } from '../../parts/page';
import { Mark } from '../../parts/status';
import { Time } from '../../parts/time';
import { tell } from '../../parts/toast';
import { allows, type Gate as GateTo, plain, type Rollout, rolloutChanged } from './rollout';

/** The way to the next phase: what is still missing, and the order to open it. */
export function Gate({ of: r, gate }: { of: Rollout; gate: GateTo }) {
  const ask = useConfirm();
  const to = r.phases.find((p) => p.phase === gate.to);
  const from = r.phases.find((p) => p.phase === r.phase);
  const ready = gate.open.length === 0;
  const name = (id: string) => plain(from?.items.find((i) => i.id === id)?.text ?? id);
  const last = r.gates[0];
  const advance = () =>
    ask({
      title: gate.to === 'live' ? 'Launch?' : `Open ${to?.title.toLowerCase()}?`,
      impact: [
        'Every item is looked at anew first; where one is not so any more it does not open.',
        (to && allows(to.guardrails)) || 'Nothing is held back from then on.',
        'Whoever opens a phase signs nothing in it.',
      ],
      reason: 'optional',
      action: gate.to === 'live' ? 'Launch' : `Open ${to?.title.toLowerCase()}`,
      run: async (reason) => {
        try {
          await client.POST('/rollout/advance', { body: { from: r.phase as 'staging', reason } });
        } finally {
          rolloutChanged();
        }
        tell.done(gate.to === 'live' ? 'It is live' : `${to?.title} is open`);
      },
    });
  return (
    <Section
      title={gate.to === 'live' ? 'The launch' : `The gate to ${to?.title.toLowerCase()}`}
      aside={
        gate.ordered ? (
          <Mark word="Being opened" tone="live" icon={IconLockOpen} />
        ) : ready ? (
          <Mark word="May be opened" tone="live" icon={IconLockOpen} />
        ) : (
          <Mark word={`${count(gate.open.length)} missing`} tone="waits" icon={IconLock} />
        )
      }
      about={
        r.phase_since ? (
          <>
            {from?.title} since <Time at={r.phase_since} />, opened by {r.opened_by?.name}.
          </>
        ) : undefined
      }
    >
      {ready ? (
        <Text size="sm">Every item of {from?.title.toLowerCase()} is passed or waived, and everybody was told.</Text>
      ) : (
        <ul className="missing">
          {gate.open.map((o) => (
            <li key={o.item} className="missing-one">
              {o.code === 'announcement_missing' ? (
                <Link to="/rollout/announcements" className="text-link">
                  Announcement {o.item}
                </Link>
              ) : o.code === 'signal' || o.code === 'rollback' ? (
                <span>{o.code === 'signal' ? `Signal ${o.item}` : 'Rollback'}</span>
              ) : (
                <Link to="/rollout" search={{ item: o.item }} className="text-link">
                  {name(o.item)}
                </Link>
              )}
              <span className="wrap">{upper(o.why)}</span>
            </li>
          ))}
        </ul>
      )}
      {last?.opened === false && last.done_at && (
        <Text size="sm" c="dimmed" mt="sm" className="wrap">
          {last.by.name} tried to open it <Time at={last.done_at} />, and it stayed shut:{' '}
          {last.missing?.map((o) => `${name(o.item)} (${o.why})`).join('; ')}.
        </Text>
      )}
      <Can do="rollout.run">
        <Button mt="md" disabled={!ready || gate.ordered} onClick={advance}>
          {gate.to === 'live' ? 'Launch…' : `Open ${to?.title.toLowerCase()}…`}
        </Button>
      </Can>
    </Section>
  );
}
