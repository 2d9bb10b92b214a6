import { Button, Group, Text } from '@mantine/core';
import { IconClockX, IconHourglass, IconMail } from '@tabler/icons-react';
import { api, client, queries } from '../api/client';
import type { components } from '../api/schema';
import { useConfirm } from '../parts/confirm';
import { localZone, zoneName } from '../parts/format';
import { Section } from '../parts/page';
import { roleName } from '../parts/roles';
import { Mark } from '../parts/status';
import { type Column, DataTable } from '../parts/table';
import { Time } from '../parts/time';
import { tell } from '../parts/toast';

type Invitation = components['schemas']['Invitation'];

const columns: Column<Invitation>[] = [
  {
    header: 'Invited',
    width: 216,
    cell: (i) => (
      <>
        <span className="wrap">{i.name}</span>
        <Text size="xs" c="dimmed" fw={400} className="wrap">
          {i.email}
        </Text>
      </>
    ),
  },
  { header: 'Role', width: 136, cell: (i) => roleName(i.role) },
  { header: 'State', width: 120, cell: (i) => <State of={i} /> },
  {
    header: `Link ends (${zoneName(localZone)})`,
    width: 144,
    cell: (i) => (i.expires_at ? <Time at={i.expires_at} bare /> : <Text c="dimmed">–</Text>),
  },
  { header: 'Actions', width: 200, align: 'right', cell: (i) => <Actions of={i} /> },
];

/** The open invitations. There is no such section while there are none. */
export function Invitations() {
  const query = api.useQuery('get', '/invitations', { params: { query: { limit: 100 } } }, { refetchInterval: 15_000 });
  if (query.data?.invitations.length === 0) return null;
  return (
    <Section title="Open invitations" about="Good once, and for 72 hours after the mail was written.">
      <DataTable
        caption="who is invited"
        query={query}
        rows={(page) => page.invitations}
        rowKey={(i) => i.id}
        columns={columns}
        empty={null}
      />
    </Section>
  );
}

function State({ of: i }: { of: Invitation }) {
  if (!i.expires_at) return <Mark word="Being sent" tone="waits" icon={IconHourglass} />;
  if (new Date(i.expires_at) < new Date()) return <Mark word="Expired" tone="bad" icon={IconClockX} />;
  return <Mark word="Sent" tone="waits" icon={IconMail} />;
}

function Actions({ of: i }: { of: Invitation }) {
  const ask = useConfirm();
  const params = { params: { path: { id: i.id } } };
  const changed = () => void queries.invalidateQueries({ queryKey: ['get', '/invitations'] });
  const resend = api.useMutation('post', '/invitations/{id}/resend', {
    onSuccess: () => {
      tell.done('Invitation sent again', 'The link of the mail before leads nowhere now.');
      changed();
    },
  });
  const withdraw = () =>
    ask({
      title: `Withdraw the invitation of ${i.name}?`,
      impact: ['Its link ends at once.'],
      action: 'Withdraw invitation',
      final: true,
      run: async () => {
        await client.POST('/invitations/{id}/withdraw', params);
        tell.done('Invitation withdrawn');
        changed();
      },
    });
  return (
    <Group gap={4} justify="flex-end" wrap="nowrap">
      <Button
        size="compact-sm"
        variant="default"
        loading={resend.isPending}
        onClick={() => resend.mutate(params)}
        aria-label={`Send the invitation of ${i.name} again`}
      >
        Send again
      </Button>
      <Button
        size="compact-sm"
        variant="default"
        onClick={withdraw}
        aria-label={`Withdraw the invitation of ${i.name}`}
      >
        Withdraw
      </Button>
    </Group>
  );
}
