import { Button, Select, Stack, Text, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useState } from 'react';
import { api, queries } from '../api/client';
import type { components } from '../api/schema';
import { showProblem } from '../parts/form';
import { FormEnd } from '../parts/form-end';
import { type Role, roleName, roleOptions } from '../parts/roles';
import { tell } from '../parts/toast';

/** Invites somebody. */
export function InviteForm({ close }: { close: () => void }) {
  const form = useForm({
    initialValues: { email: '', name: '', role: 'viewer' as Role },
    validate: {
      email: (v) => (v.includes('@') ? null : 'Enter an e-mail address.'),
      name: (v) => (v.trim() ? null : 'Enter their name.'),
    },
  });
  const [failure, setFailure] = useState('');
  const invite = api.useMutation('post', '/invitations', {
    meta: { inPlace: true },
    onSuccess: (i) => {
      tell.done('Invitation sent', `${i.email} has 72 hours to accept it.`);
      void queries.invalidateQueries({ queryKey: ['get', '/invitations'] });
      close();
    },
    onError: (error) => setFailure(showProblem(form, error)),
  });
  return (
    <form
      noValidate
      onSubmit={form.onSubmit((v) => {
        setFailure('');
        invite.mutate({ body: { email: v.email.trim(), name: v.name.trim(), role: v.role } });
      })}
    >
      <Stack gap="md">
        <Text size="sm">We mail them a link. It is good once, for 72 hours; behind it they choose their password.</Text>
        <TextInput label="E-mail" type="email" data-autofocus {...form.getInputProps('email')} />
        <TextInput label="Name" maxLength={100} {...form.getInputProps('name')} />
        <Select label="Role" data={roleOptions} allowDeselect={false} {...form.getInputProps('role')} />
        <FormEnd failure={failure} close={close}>
          <Button type="submit" loading={invite.isPending}>
            Send invitation
          </Button>
        </FormEnd>
      </Stack>
    </form>
  );
}

/** Gives somebody another role. */
export function RoleForm({ account, close }: { account: components['schemas']['AccountEntry']; close: () => void }) {
  const form = useForm({ initialValues: { role: account.role } });
  const [failure, setFailure] = useState('');
  const save = api.useMutation('put', '/accounts/{id}/role', {
    meta: { inPlace: true },
    onSuccess: (now) => {
      tell.done(`${now.name} is ${roleName(now.role).toLowerCase()} now`);
      void queries.invalidateQueries({ queryKey: ['get', '/accounts'] });
      void queries.invalidateQueries({ queryKey: ['get', '/invitations'] });
      close();
    },
    onError: (error) => setFailure(showProblem(form, error)),
  });
  return (
    <form
      onSubmit={form.onSubmit((body) => {
        setFailure('');
        save.mutate({ params: { path: { id: account.id } }, body });
      })}
    >
      <Stack gap="md">
        <Text size="sm">
          It counts at once: {account.name} is signed out everywhere, and what their API tokens may shrinks with it.
        </Text>
        <Select label="Role" data={roleOptions} allowDeselect={false} data-autofocus {...form.getInputProps('role')} />
        <FormEnd failure={failure} close={close}>
          <Button type="submit" loading={save.isPending} disabled={!form.isDirty()}>
            Change role
          </Button>
        </FormEnd>
      </Stack>
    </form>
  );
}
