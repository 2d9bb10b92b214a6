import { Button, Group, Text } from '@mantine/core';
import { IconPoint } from '@tabler/icons-react';
import { api, client, queries } from '../api/client';
import type { components } from '../api/schema';
import { useConfirm } from '../parts/confirm';
import { localZone, upper, zoneName } from '../parts/format';
import { Mark } from '../parts/status';
import { type Column, DataTable } from '../parts/table';
import { Time } from '../parts/time';
import { tell } from '../parts/toast';

type OwnSession = components['schemas']['OwnSession'];

const columns: Column<OwnSession>[] = [
  { header: 'Where', width: 128, cell: (s) => upper(s.agent) },
  { header: `Signed in (${zoneName(localZone)})`, width: 136, cell: (s) => <Time at={s.created_at} bare /> },
  { header: 'Last seen', width: 112, cell: (s) => <Time at={s.seen_at} bare /> },
  {
    header: 'Actions',
    width: 112,
    align: 'right',
    cell: (s) => (s.current ? <Mark word="This one" tone="live" icon={IconPoint} /> : <End session={s} />),
  },
];

const changed = () => void queries.invalidateQueries({ queryKey: ['get', '/profile/sessions'] });

/** Where one is signed in. */
export function Sessions() {
  const ask = useConfirm();
  const query = api.useQuery('get', '/profile/sessions');
  const others = (query.data?.sessions ?? []).filter((s) => !s.current).length;
  const endOthers = () =>
    ask({
      title: 'Sign out everywhere else?',
      impact: [others === 1 ? 'One other session ends at once.' : `${others} other sessions end at once.`],
      action: 'Sign out elsewhere',
      run: async () => {
        const { data } = await client.POST('/profile/sessions/end-others');
        tell.done(`Signed out in ${data?.ended ?? 0} other places`);
        changed();
      },
    });
  return (
    <>
      <DataTable
        caption="sessions"
        query={query}
        rows={(page) => page.sessions}
        rowKey={(s) => s.id}
        columns={columns}
        empty={null}
      />
      <Group justify="space-between" mt="md" gap="sm">
        <Text size="sm" c="dimmed">
          A session ends 12 hours after its last use, and 7 days after signing in.
        </Text>
        <Button variant="default" disabled={others === 0} onClick={endOthers}>
          Sign out everywhere else
        </Button>
      </Group>
    </>
  );
}

function End({ session }: { session: OwnSession }) {
  const end = api.useMutation('delete', '/profile/sessions/{id}', {
    onSuccess: () => {
      tell.done('Session ended');
      changed();
    },
  });
  return (
    <Button
      size="compact-sm"
      variant="default"
      loading={end.isPending}
      onClick={() => end.mutate({ params: { path: { id: session.id } } })}
      aria-label={`End the session in ${upper(session.agent)}`}
    >
      End
    </Button>
  );
}
