import { Box, Text } from '@mantine/core';
import type { ReactNode } from 'react';
import type { components } from '../api/schema';
import { count, share } from './format';

type Counts = Pick<
  components['schemas']['Campaign'],
  'targets' | 'queued' | 'sending' | 'sent' | 'delivered' | 'read' | 'failed' | 'opted_out' | 'unknown' | 'cancelled'
>;

type State = Exclude<keyof Counts, 'targets'>;

const segments: { of: State; className: string; word: string }[] = [
  { of: 'read', className: 'seg-read', word: 'read' },
  { of: 'delivered', className: 'seg-delivered', word: 'delivered' },
  { of: 'sent', className: 'seg-sent', word: 'sent' },
  { of: 'sending', className: 'seg-sending', word: 'sending' },
  { of: 'failed', className: 'seg-failed', word: 'failed' },
  { of: 'unknown', className: 'seg-unknown', word: 'unknown' },
  { of: 'opted_out', className: 'seg-opted-out', word: 'opted out' },
  { of: 'cancelled', className: 'seg-cancelled', word: 'cancelled' },
];

/** How far a campaign is: every target that is not queued any more, by its state. `thick`: with a Legend under it. */
export function Progress({ counts, thick = false }: { counts: Counts; thick?: boolean }) {
  if (counts.targets === 0)
    return (
      <Text size="sm" c="dimmed">
        No recipients yet
      </Text>
    );
  const through = counts.targets - counts.queued - counts.sending;
  const inWords = segments.filter((s) => counts[s.of] > 0).map((s) => `${count(counts[s.of])} ${s.word}`);
  const said = `${count(through)} of ${count(counts.targets)}: ${inWords.join(', ') || 'none sent yet'}`;
  return (
    <Box title={said}>
      <div className="progress" data-thick={thick || undefined} role="img" aria-label={said}>
        {segments.map(({ of, className }) =>
          counts[of] > 0 ? (
            <span key={of} className={className} style={{ width: `${(100 * counts[of]) / counts.targets}%` }} />
          ) : null,
        )}
      </div>
      {!thick && (
        <Text size="xs" c="dimmed" mt={4} aria-hidden>
          {count(through)} of {count(counts.targets)} · {share(through, counts.targets)}
        </Text>
      )}
    </Box>
  );
}

/** What the bar's colours are, with numbers. `link` makes a state lead to its rows. */
export function Legend({ counts, link }: { counts: Counts; link: (state: State, content: ReactNode) => ReactNode }) {
  const all = [...segments, { of: 'queued' as const, className: 'seg-queued', word: 'queued' }];
  return (
    <ul className="legend">
      {all.map(({ of, className, word }) => (
        <li key={of} data-none={counts[of] === 0 || undefined}>
          {link(
            of,
            <>
              <span className={`swatch ${className}`} aria-hidden />
              <span className="what">{word}</span> <strong>{count(counts[of])}</strong>{' '}
              <span className="part">{share(counts[of], counts.targets)}</span>
            </>,
          )}
        </li>
      ))}
    </ul>
  );
}
