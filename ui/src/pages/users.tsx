import { ActionIcon, Button, Menu, Modal, Stack, Text } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconBan, IconCheck, IconDots, IconLogout, IconPlus, IconUserCheck, IconUserCog } from '@tabler/icons-react';
import { keepPreviousData } from '@tanstack/react-query';
import { getRouteApi } from '@tanstack/react-router';
import { useState } from 'react';
import { api, client, queries } from '../api/client';
import type { components } from '../api/schema';
import { useAccount } from '../app/session';
import { useConfirm } from '../parts/confirm';
import { localZone, zoneName } from '../parts/format';
import { Page, Section } from '../parts/page';
import { roleName } from '../parts/roles';
import { Empty } from '../parts/states';
import { Mark } from '../parts/status';
import { type Column, DataTable, usePager } from '../parts/table';
import { Time } from '../parts/time';
import { tell } from '../parts/toast';
import { InviteForm, RoleForm } from './users-forms';
import { Invitations } from './users-invitations';
import { RoleTable } from './users-roles';

type Account = components['schemas']['AccountEntry'];

const route = getRouteApi('/users');

const columns: Column<Account>[] = [
  {
    header: 'Person',
    width: 216,
    cell: (a) => (
      <>
        <span className="wrap">{a.name}</span>
        <Text size="xs" c="dimmed" fw={400} className="wrap">
          {a.email}
        </Text>
      </>
    ),
  },
  { header: 'Role', width: 136, cell: (a) => roleName(a.role) },
  {
    header: 'State',
    width: 120,
    cell: (a) =>
      a.disabled_at ? (
        <Mark word="Disabled" tone="quiet" icon={IconBan} />
      ) : (
        <Mark word="Enabled" tone="good" icon={IconCheck} />
      ),
  },
  {
    header: 'Signed in',
    width: 104,
    align: 'right',
    cell: (a) => (a.sessions ? `${a.sessions} ${a.sessions === 1 ? 'place' : 'places'}` : <Text c="dimmed">–</Text>),
  },
  {
    header: `Last seen (${zoneName(localZone)})`,
    width: 144,
    cell: (a) => (a.seen_at ? <Time at={a.seen_at} bare /> : <Text c="dimmed">–</Text>),
  },
  { header: 'Actions', width: 88, align: 'right', cell: (a) => <Actions of={a} /> },
];

/** Who may sign in, and as what. */
export function UsersPage() {
  const { after } = route.useSearch();
  const navigate = route.useNavigate();
  const [inviting, { open: invite, close: stopInviting }] = useDisclosure();
  const query = api.useQuery(
    'get',
    '/accounts',
    { params: { query: { limit: 25, after } } },
    { placeholderData: keepPreviousData },
  );
  const pager = usePager(after, (to) => void navigate({ search: { after: to } }));
  return (
    <Page
      title="Users"
      about="Who may sign in, and as what. Oldest first."
      action={
        <Button leftSection={<IconPlus size={16} />} onClick={invite}>
          Invite
        </Button>
      }
    >
      <DataTable
        caption="users"
        query={query}
        rows={(page) => page.accounts}
        next={(page) => page.next}
        rowKey={(a) => a.id}
        columns={columns}
        pager={pager}
        empty={<Empty title="There are no accounts" />}
      />
      <Stack gap="lg" mt="xl">
        <Invitations />
        <Section title="Who may what" about="The server holds every request against this table.">
          <RoleTable />
        </Section>
      </Stack>
      <Modal opened={inviting} onClose={stopInviting} title="Invite somebody" centered>
        <InviteForm key={String(inviting)} close={stopInviting} />
      </Modal>
    </Page>
  );
}

/** What can be done to somebody's account. Nothing to one's own: another admin does that. */
function Actions({ of: a }: { of: Account }) {
  const ask = useConfirm();
  const [changing, setChanging] = useState(false);
  if (useAccount().id === a.id) {
    return (
      <Text size="sm" c="dimmed">
        You
      </Text>
    );
  }
  const params = { params: { path: { id: a.id } } };
  const changed = () => void queries.invalidateQueries({ queryKey: ['get', '/accounts'] });
  const endSessions = () =>
    ask({
      title: `Sign ${a.name} out everywhere?`,
      impact: ['Every session ends at once. They may sign in again.'],
      action: 'End sessions',
      run: async () => {
        const { data } = await client.POST('/accounts/{id}/end-sessions', params);
        tell.done(`${data?.ended ?? 0} sessions ended`);
        changed();
      },
    });
  const disable = () =>
    ask({
      title: `Disable ${a.name}?`,
      impact: [
        'They are signed out at once and cannot sign in again.',
        'Their API tokens stop working, and the invitations they sent are withdrawn.',
        'What they did stays in the audit log. You can enable them again.',
      ],
      action: 'Disable account',
      final: true,
      run: async () => {
        await client.POST('/accounts/{id}/disable', params);
        tell.done('Account disabled');
        changed();
        void queries.invalidateQueries({ queryKey: ['get', '/invitations'] });
      },
    });
  const enable = () =>
    ask({
      title: `Enable ${a.name}?`,
      impact: [`They may sign in again as ${roleName(a.role).toLowerCase()}, with the password they had.`],
      action: 'Enable account',
      run: async () => {
        await client.POST('/accounts/{id}/enable', params);
        tell.done('Account enabled');
        changed();
      },
    });
  return (
    <>
      <Menu position="bottom-end" width={200} transitionProps={{ duration: 100 }}>
        <Menu.Target>
          <ActionIcon variant="subtle" color="gray" aria-label={`Actions for ${a.name}`}>
            <IconDots size={16} />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item leftSection={<IconUserCog size={16} />} onClick={() => setChanging(true)}>
            Change role…
          </Menu.Item>
          <Menu.Item leftSection={<IconLogout size={16} />} onClick={endSessions} disabled={!a.sessions}>
            End sessions…
          </Menu.Item>
          <Menu.Divider />
          {a.disabled_at ? (
            <Menu.Item leftSection={<IconUserCheck size={16} />} onClick={enable}>
              Enable…
            </Menu.Item>
          ) : (
            <Menu.Item leftSection={<IconBan size={16} />} color="red" onClick={disable}>
              Disable…
            </Menu.Item>
          )}
        </Menu.Dropdown>
      </Menu>
      <Modal opened={changing} onClose={() => setChanging(false)} title={`Role of ${a.name}`} centered ta="left">
        <RoleForm key={String(changing)} account={a} close={() => setChanging(false)} />
      </Modal>
    </>
  );
}
