import { Button, Group, Stack, Table, Text, Title } from '@mantine/core';
import { api } from '../api/client';
import { Facts } from '../parts/facts';
import { upper, words } from '../parts/format';
import { Failed, Loading } from '../parts/states';
import { Time } from '../parts/time';
import { actionWord } from './audit';

/** One entry: who, what, why, what changed, and its seal. `only` filters the list by one of these. */
export function EntryFacts({
  id,
  only,
}: {
  id: number;
  only: (filter: { actor?: string; target?: string; request?: string }) => void;
}) {
  const query = api.useQuery(
    'get',
    '/audit/entries/{id}',
    { params: { path: { id } } },
    {
      refetchInterval: (q) => (q.state.data && !q.state.data.seq ? 1000 : false), // its seal comes within 2 s
    },
  );
  if (query.isPending) return <Loading label="Loading the entry" />;
  if (!query.data) return <Failed error={query.error} retry={() => void query.refetch()} />;
  const e = query.data;
  return (
    <Stack gap="lg">
      <div>
        <Title order={3} size="h3" className="wrap">
          {actionWord(e.action)}
        </Title>
        <Text c="dimmed" size="sm">
          <Time at={e.created_at} /> by <span className="wrap">{e.actor}</span>
        </Text>
      </div>
      <Changes diff={e.diff} />
      <Facts
        of={[
          ['Reason', e.reason || 'None given'],
          ['Action', <code key="action">{e.action}</code>],
          [
            'To what',
            <code key="target" className="wrap">
              {e.target}
            </code>,
          ],
          ['Policy revision', e.policy_revision ?? 'None decided'],
          [
            'Request',
            e.request_id ? (
              <code key="request" className="wrap">
                {e.request_id}
              </code>
            ) : (
              'None'
            ),
          ],
          ['Place in the chain', e.seq ?? 'Not sealed yet: 2 s at most'],
          ...(e.seq
            ? ([
                ['Hash', <Hash key="hash" of={e.hash} />],
                ['Hash before it', <Hash key="prev" of={e.prev_hash} />],
              ] as [string, React.ReactNode][])
            : []),
        ]}
      />
      <Group gap="xs">
        <Button size="compact-sm" variant="default" onClick={() => only({ actor: e.actor_id })}>
          All by this actor
        </Button>
        <Button size="compact-sm" variant="default" onClick={() => only({ target: e.target })}>
          All about this
        </Button>
        {e.request_id && (
          <Button size="compact-sm" variant="default" onClick={() => only({ request: e.request_id })}>
            All of this request
          </Button>
        )}
      </Group>
    </Stack>
  );
}

function Hash({ of: hash }: { of: string }) {
  return (
    <code title={hash}>
      {hash.slice(0, 16)}…{hash.slice(-8)}
    </code>
  );
}

/** What changed, a line each: before and after where the entry tells both, else what it tells. */
function Changes({ diff }: { diff: unknown }) {
  if (!isObject(diff) || Object.keys(diff).length === 0) return null;
  const pair = 'before' in diff && 'after' in diff;
  const before = pair ? flat(diff.before) : new Map<string, string>();
  const after = pair ? flat(diff.after) : flat(diff);
  const names = [...new Set([...before.keys(), ...after.keys()])].filter(
    (n) => !pair || before.get(n) !== after.get(n),
  );
  return (
    <section aria-label="What changed">
      <Title order={4} mb="xs">
        {pair ? 'What changed' : 'What it tells'}
      </Title>
      {names.length === 0 ? (
        <Text size="sm">It was saved as it had been.</Text>
      ) : (
        <Table verticalSpacing={6} layout="fixed">
          <Table.Thead>
            <Table.Tr>
              <Table.Th scope="col">What</Table.Th>
              {pair && <Table.Th scope="col">Before</Table.Th>}
              <Table.Th scope="col">{pair ? 'After' : 'Value'}</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {names.map((name) => (
              <Table.Tr key={name}>
                <Table.Th scope="row" fw={400} className="wrap">
                  {upper(words(name)) || 'Value'}
                </Table.Th>
                {pair && <Table.Td className="wrap">{before.get(name) ?? '–'}</Table.Td>}
                <Table.Td className="wrap">{after.get(name) ?? '–'}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      )}
    </section>
  );
}

const isObject = (v: unknown): v is Record<string, unknown> => typeof v === 'object' && v !== null && !Array.isArray(v);

/** JSON as lines of names and values: {a: {b: [1, 2]}} is "a b" → "1, 2". A pair in a list of two is from and to. */
function flat(v: unknown, name = '', lines = new Map<string, string>()): Map<string, string> {
  if (isObject(v) && Object.keys(v).length > 0)
    for (const [inner, value] of Object.entries(v)) flat(value, name ? `${name} ${inner}` : inner, lines);
  else if (Array.isArray(v) && v.every((x) => !isObject(x))) lines.set(name, v.map(shown).join(', ') || 'none');
  else if (Array.isArray(v)) for (const [i, value] of v.entries()) flat(value, `${name} ${i + 1}`, lines);
  else lines.set(name, shown(v));
  return lines;
}

function shown(v: unknown): string {
  if (v === null || v === undefined || v === '') return 'none';
  if (typeof v === 'boolean') return v ? 'yes' : 'no';
  if (typeof v === 'object') return Object.keys(v).length === 0 ? 'none' : JSON.stringify(v);
  return String(v);
}
