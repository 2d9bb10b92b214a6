import { Button, Group, Stack, Text, Title } from '@mantine/core';
import { IconCheck } from '@tabler/icons-react';
import { Link, useBlocker, useRouter } from '@tanstack/react-router';
import { createContext, type ReactNode, useContext, useEffect, useRef } from 'react';
import { queries } from '../../api/client';
import { take as feed } from '../../api/live';
import type { components } from '../../api/schema';
import { useConfirm } from '../../parts/confirm';
import { Page } from '../../parts/page';

export type Campaign = components['schemas']['Campaign'];

export const steps = ['name', 'message', 'audience', 'schedule', 'review'] as const;
export type Step = (typeof steps)[number];

const words: Record<Step, { label: string; title: string }> = {
  name: { label: 'Name', title: 'What is it called?' },
  message: { label: 'Message', title: 'What does it say?' },
  audience: { label: 'Audience', title: 'Who gets it?' },
  schedule: { label: 'Schedule', title: 'When does it go?' },
  review: { label: 'Review', title: 'Forecast and start' },
};

/** Puts a campaign as it is now into the caches. */
export function take(campaign: Campaign) {
  feed(campaign);
  void queries.invalidateQueries({ queryKey: ['get', '/campaigns'] });
}

type Saver = { dirty: () => boolean; save: () => Promise<boolean> };
const Saving = createContext<{ current: Saver | undefined }>({ current: undefined });

/** What a step has to save before somebody leaves it. */
export function useSaving(dirty: () => boolean, save: () => Promise<boolean>) {
  const saver = useContext(Saving);
  useEffect(() => {
    saver.current = { dirty, save };
    return () => {
      saver.current = undefined;
    };
  });
}

/** Around every step: where one is, and that nothing typed is lost when one leaves it. */
export function Wizard({ campaign, step, children }: { campaign?: Campaign; step: Step; children: ReactNode }) {
  const saver = useRef<Saver | undefined>(undefined);
  const forced = useRef(false);
  const heading = useRef<HTMLHeadingElement>(null);
  const router = useRouter();
  const ask = useConfirm();

  useBlocker({
    enableBeforeUnload: () => saver.current?.dirty() ?? false,
    shouldBlockFn: async ({ current, next }) => {
      const left = saver.current;
      if (forced.current || !left?.dirty() || (await left.save())) return false;
      // What could not be saved says so in its form. Another step can wait; another page need not.
      if (next.pathname === current.pathname) return true;
      const to = router.buildLocation({ to: next.pathname, search: next.search } as never).href;
      ask({
        title: 'Leave without saving?',
        impact: ['What you have changed in this step could not be saved.'],
        action: 'Leave',
        final: true,
        run: async () => {
          forced.current = true;
          router.history.push(to);
        },
      });
      return true;
    },
  });

  // Whoever goes on arrives at the step's beginning, with the keyboard and the screen reader too.
  const before = useRef(step);
  useEffect(() => {
    if (before.current === step) return;
    before.current = step;
    heading.current?.focus({ preventScroll: true });
    scrollTo({ top: 0 });
  }, [step]);

  const at = steps.indexOf(step);
  return (
    <Saving.Provider value={saver}>
      <Page
        title={campaign?.name ?? 'New campaign'}
        about={
          campaign ? 'A draft: kept as you go, until it is started.' : 'A few steps; nothing is sent before the last.'
        }
      >
        <nav aria-label="Steps" className="steps">
          <ol>
            {steps.map((s, i) => (
              <li key={s} data-state={i === at ? 'here' : isDone(s, campaign) ? 'done' : 'open'}>
                <StepLink step={s} n={i + 1} campaign={campaign} here={i === at} done={isDone(s, campaign)} />
              </li>
            ))}
          </ol>
        </nav>
        <section aria-labelledby="step">
          <Title id="step" ref={heading} tabIndex={-1} order={2} size="h3" mb="md" className="step-title">
            {words[step].title}
          </Title>
          {children}
        </section>
      </Page>
    </Saving.Provider>
  );
}

function isDone(step: Step, campaign?: Campaign) {
  if (!campaign) return false;
  return step === 'name' || step === 'message' || (step === 'audience' && campaign.targets > 0);
}

function StepLink({
  step,
  n,
  campaign,
  here,
  done,
}: {
  step: Step;
  n: number;
  campaign?: Campaign;
  here: boolean;
  done: boolean;
}) {
  const inside = (
    <>
      <span className="step-number" aria-hidden>
        {done && !here ? <IconCheck size={14} /> : n}
      </span>
      <span className="step-label">
        {words[step].label}
        {done && !here && <span className="sr-only"> (done)</span>}
      </span>
    </>
  );
  if (!campaign) return <span aria-current={here ? 'step' : undefined}>{inside}</span>;
  return (
    <Link
      to="/campaigns/$id/edit"
      params={{ id: campaign.campaign_id }}
      search={{ step }}
      aria-current={here ? 'step' : undefined}
    >
      {inside}
    </Link>
  );
}

/** The way on and back. `next` false: the step has a button of its own for that, given as `action`. */
export function Foot({
  campaign,
  step,
  saving,
  quiet,
  hint,
  action,
}: {
  campaign?: Campaign;
  step: Step;
  saving?: boolean;
  /** Something else on the page is to be done first. */
  quiet?: boolean;
  hint?: ReactNode;
  action?: ReactNode;
}) {
  const saver = useContext(Saving);
  const router = useRouter();
  const at = steps.indexOf(step);
  const next = steps[at + 1];
  const back = steps[at - 1];
  const go = (to: Step) =>
    campaign &&
    router.navigate({ to: '/campaigns/$id/edit', params: { id: campaign.campaign_id }, search: { step: to } });
  return (
    <Stack gap="xs" className="wizard-foot">
      <Group justify="space-between" gap="sm">
        {back && campaign ? (
          <Button variant="default" disabled={saving} onClick={() => void go(back)}>
            Back
          </Button>
        ) : (
          <Button variant="default" component={Link} to="/campaigns">
            Cancel
          </Button>
        )}
        {action ??
          (next && (
            <Button
              loading={saving}
              variant={quiet ? 'default' : 'filled'}
              onClick={async () => {
                const s = saver.current;
                if (!s?.dirty() || (await s.save())) await go(next);
              }}
            >
              Continue
            </Button>
          ))}
      </Group>
      {hint && (
        <Text size="sm" c="dimmed" ta="right">
          {hint}
        </Text>
      )}
    </Stack>
  );
}
