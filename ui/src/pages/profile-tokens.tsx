import {
  ActionIcon,
  Button,
  Checkbox,
  CopyButton,
  Group,
  Modal,
  Select,
  SimpleGrid,
  Stack,
  Text,
  TextInput,
} from '@mantine/core';
import { useForm } from '@mantine/form';
import { IconCheck, IconCopy, IconPlus } from '@tabler/icons-react';
import { useState } from 'react';
import { api, client, queries } from '../api/client';
import type { components } from '../api/schema';
import { useAccount, useMay } from '../app/session';
import { useConfirm } from '../parts/confirm';
import { showProblem } from '../parts/form';
import { FormEnd } from '../parts/form-end';
import { localZone, zoneName } from '../parts/format';
import { permissionName } from '../parts/roles';
import { Empty } from '../parts/states';
import { type Column, DataTable } from '../parts/table';
import { Time } from '../parts/time';
import { tell } from '../parts/toast';

type Token = components['schemas']['Token'];

const columns: Column<Token>[] = [
  {
    header: 'Token',
    width: 184,
    cell: (t) => (
      <>
        <span className="wrap">{t.name}</span>
        <Text size="xs" c="dimmed" fw={400} className="wrap">
          {t.scopes.map(permissionName).join(' · ')}
        </Text>
      </>
    ),
  },
  { header: `Ends (${zoneName(localZone)})`, width: 120, cell: (t) => <Time at={t.expires_at} bare /> },
  {
    header: 'Last use',
    width: 112,
    cell: (t) => (t.last_used_at ? <Time at={t.last_used_at} bare /> : <Text c="dimmed">Never</Text>),
  },
  { header: 'Actions', width: 88, align: 'right', cell: (t) => <Revoke token={t} /> },
];

const changed = () => void queries.invalidateQueries({ queryKey: ['get', '/profile/tokens'] });

/** Tokens by which programs act in one's place. */
export function Tokens() {
  const query = api.useQuery('get', '/profile/tokens');
  const [making, setMaking] = useState(false);
  const [made, setMade] = useState('');
  const close = () => {
    setMaking(false);
    setMade('');
  };
  return (
    <>
      <DataTable
        caption="your API tokens"
        query={query}
        rows={(page) => page.tokens}
        rowKey={(t) => t.id}
        columns={columns}
        empty={<Empty title="You have no API tokens">A program that acts in your place has one.</Empty>}
      />
      <Group justify="flex-end" mt="md">
        <Button variant="default" leftSection={<IconPlus size={16} />} onClick={() => setMaking(true)}>
          Make a token
        </Button>
      </Group>
      <Modal opened={making} onClose={close} title={made ? 'Your new token' : 'Make a token'} size={560} centered>
        {made ? <Shown token={made} close={close} /> : <TokenForm key={String(making)} close={close} made={setMade} />}
      </Modal>
    </>
  );
}

function TokenForm({ close, made }: { close: () => void; made: (token: string) => void }) {
  const account = useAccount();
  const may = useMay();
  const table = api.useQuery('get', '/permissions', undefined, { staleTime: Number.POSITIVE_INFINITY });
  const mine = (table.data?.permissions ?? [])
    .filter((line) => line.roles.includes(account.role) && may(line.permission))
    .map((line) => line.permission);
  const form = useForm({
    initialValues: { name: '', scopes: [] as string[], days: '90' },
    validate: {
      name: (v) => (v.trim() ? null : 'Say what uses it.'),
      scopes: (v) => (v.length > 0 ? null : 'Choose what it may do.'),
    },
  });
  const [failure, setFailure] = useState('');
  const make = api.useMutation('post', '/profile/tokens', {
    meta: { inPlace: true },
    onSuccess: (token) => {
      changed();
      made(token.token);
    },
    onError: (error) => setFailure(showProblem(form, error)),
  });
  return (
    <form
      onSubmit={form.onSubmit((v) => {
        setFailure('');
        make.mutate({ body: { name: v.name.trim(), scopes: v.scopes, days: Number(v.days) } });
      })}
    >
      <Stack gap="md">
        <TextInput
          label="Name"
          description="What uses it. The audit log names it beside you."
          maxLength={100}
          data-autofocus
          {...form.getInputProps('name')}
        />
        <Checkbox.Group
          label="It may"
          description="Of what your role may. What the role loses, the token loses."
          {...form.getInputProps('scopes')}
        >
          <SimpleGrid cols={{ base: 1, xs: 2 }} spacing="xs" verticalSpacing={8} mt="xs" mb={4}>
            {mine.map((p) => (
              <Checkbox key={p} value={p} label={permissionName(p)} size="sm" />
            ))}
          </SimpleGrid>
        </Checkbox.Group>
        <Select
          label="It ends after"
          data={[
            { value: '7', label: '7 days' },
            { value: '30', label: '30 days' },
            { value: '90', label: '90 days' },
            { value: '365', label: '1 year' },
          ]}
          allowDeselect={false}
          {...form.getInputProps('days')}
        />
        <FormEnd failure={failure} close={close}>
          <Button type="submit" loading={make.isPending}>
            Make token
          </Button>
        </FormEnd>
      </Stack>
    </form>
  );
}

function Shown({ token, close }: { token: string; close: () => void }) {
  return (
    <Stack gap="md">
      <Text size="sm">Copy it now: it is shown this once, and kept nowhere. Who has it acts in your place.</Text>
      <Group gap="xs" wrap="nowrap">
        <TextInput
          aria-label="Token"
          value={token}
          readOnly
          flex={1}
          onFocus={(e) => e.currentTarget.select()}
          data-autofocus
        />
        <CopyButton value={token}>
          {({ copied, copy }) => (
            <ActionIcon variant="default" size="lg" onClick={copy} aria-label={copied ? 'Copied' : 'Copy token'}>
              {copied ? <IconCheck size={16} /> : <IconCopy size={16} />}
            </ActionIcon>
          )}
        </CopyButton>
      </Group>
      <Group justify="flex-end">
        <Button onClick={close}>I have it</Button>
      </Group>
    </Stack>
  );
}

function Revoke({ token }: { token: Token }) {
  const ask = useConfirm();
  const revoke = () =>
    ask({
      title: `Revoke “${token.name}”?`,
      impact: ['What uses it is refused from now on. This cannot be undone.'],
      action: 'Revoke token',
      final: true,
      run: async () => {
        await client.DELETE('/profile/tokens/{id}', { params: { path: { id: token.id } } });
        tell.done('Token revoked');
        changed();
      },
    });
  return (
    <Button size="compact-sm" variant="default" onClick={revoke} aria-label={`Revoke ${token.name}`}>
      Revoke
    </Button>
  );
}
