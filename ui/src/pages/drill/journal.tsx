import { Text } from '@mantine/core';
import { IconCheck, IconX } from '@tabler/icons-react';
import { upper } from '../../parts/format';
import { took } from './loop';
import type { Drill, Entry } from './marks';

/** What was done, looked at and seen, in the order of a chaos experiment's journal. */
export function Journal({ of: d }: { of: Drill }) {
  const parts: [string, Entry[]][] = [
    ['Steady before', d.steady_states.before?.probes ?? []],
    ['What happened', d.run ?? []],
    ['Taken back', d.rollbacks ?? []],
    ['Steady after', d.steady_states.after?.probes ?? []],
  ];
  return (
    <>
      {parts
        .filter(([, entries]) => entries.length > 0)
        .map(([title, entries]) => (
          <section key={title} aria-label={title}>
            <Text size="xs" c="dimmed" mt="md" mb={4}>
              {title}
            </Text>
            <ol className="journal">
              {entries.map((e) => (
                <li key={e.name} data-met={e.status === 'succeeded' ? 'yes' : 'no'}>
                  <time className="journal-at" dateTime={e.at}>
                    {took(Math.max(0, (Date.parse(e.at) - Date.parse(d.start)) / 1000))}
                  </time>
                  {e.status === 'succeeded' ? (
                    <IconCheck size={16} aria-label="yes" />
                  ) : (
                    <IconX size={16} aria-label="no" />
                  )}
                  <div>
                    <Text size="sm" className="wrap">
                      {upper(e.name)}
                    </Text>
                    <Text size="xs" c="dimmed" className="wrap">
                      {told(e)}
                    </Text>
                  </div>
                </li>
              ))}
            </ol>
          </section>
        ))}
    </>
  );
}

/** What an entry saw, in a line: the words first, then what names things. */
function told(e: Entry): string {
  const seen = (e.output ?? {}) as Record<string, unknown>;
  const said = ['why', 'detail', 'state', 'how', 'message_id', 'channel', 'rule', 'kind', 'edge_function', 'count'].flatMap(
    (key) => {
      const v = seen[key];
      return typeof v === 'string' || (typeof v === 'number' && v > 0) ? [String(v)] : [];
    },
  );
  if (Array.isArray(seen.alerts) && seen.alerts.length > 0) said.push(seen.alerts.join(', '));
  if (seen.by_script === true) said.push('by the drill’s own script');
  return said.join(' · ');
}
