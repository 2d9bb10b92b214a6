import {
  Alert,
  Button,
  Group,
  PasswordInput,
  SegmentedControl,
  Stack,
  Text,
  TextInput,
  useMantineColorScheme,
} from '@mantine/core';
import { useForm } from '@mantine/form';
import { useState } from 'react';
import { api } from '../api/client';
import { changeAccount, signOut, useAccount } from '../app/session';
import { showProblem } from '../parts/form';
import { Page, Section } from '../parts/page';
import { tell } from '../parts/toast';
import { Sessions } from './profile-sessions';
import { Tokens } from './profile-tokens';

export function ProfilePage() {
  const account = useAccount();
  return (
    <Page
      title="Profile"
      about={`${account.email} · ${account.role.replaceAll('_', ' ')}`}
      action={
        <Button variant="default" onClick={() => void signOut()}>
          Sign out
        </Button>
      }
    >
      <Stack maw={720} gap="lg">
        <Section title="Name">
          <NameForm />
        </Section>
        <Section title="Password">
          <PasswordForm />
        </Section>
        <Section title="Where you are signed in">
          <Sessions />
        </Section>
        <Section title="API tokens" about="A program with one acts in your place, and may no more than you let it.">
          <Tokens />
        </Section>
        <Section title="Appearance">
          <Appearance />
        </Section>
      </Stack>
    </Page>
  );
}

function NameForm() {
  const account = useAccount();
  const form = useForm({
    initialValues: { name: account.name },
    validate: { name: (v) => (v.trim() ? null : 'Enter the name that others see.') },
  });
  const [failure, setFailure] = useState('');
  const save = api.useMutation('put', '/profile', {
    meta: { inPlace: true },
    onSuccess: (_, { body }) => {
      changeAccount({ name: body.name });
      form.resetDirty();
      tell.done('Name saved');
    },
    onError: (error) => setFailure(showProblem(form, error)),
  });
  return (
    <form
      onSubmit={form.onSubmit(({ name }) => {
        setFailure('');
        save.mutate({ body: { name: name.trim() } });
      })}
    >
      <Stack gap="md">
        <TextInput
          label="Your name"
          description="Others see it in the audit log."
          autoComplete="name"
          maxLength={100}
          {...form.getInputProps('name')}
        />
        {failure && (
          <Alert color="red" role="alert">
            {failure}
          </Alert>
        )}
        <Group>
          <Button type="submit" loading={save.isPending} disabled={!form.isDirty()}>
            Save name
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

function PasswordForm() {
  const form = useForm({
    initialValues: { current: '', new: '' },
    validate: {
      current: (v) => (v ? null : 'Enter the password you have now.'),
      new: (v) => (v.length >= 12 ? null : 'Use 12 characters or more.'),
    },
  });
  const [failure, setFailure] = useState('');
  const save = api.useMutation('put', '/profile/password', {
    meta: { inPlace: true },
    onSuccess: () => {
      form.reset();
      tell.done('Password changed');
    },
    onError: (error) => {
      if (error.code === 'wrong_password') form.setFieldError('current', 'This is not your password.');
      else setFailure(showProblem(form, error));
    },
  });
  return (
    <form
      onSubmit={form.onSubmit((values) => {
        setFailure('');
        save.mutate({ body: values });
      })}
    >
      <Stack gap="md">
        <PasswordInput label="Current password" autoComplete="current-password" {...form.getInputProps('current')} />
        <PasswordInput
          label="New password"
          description="12 characters or more."
          autoComplete="new-password"
          {...form.getInputProps('new')}
        />
        {failure && (
          <Alert color="red" role="alert">
            {failure}
          </Alert>
        )}
        <Group>
          <Button type="submit" variant="default" loading={save.isPending}>
            Change password
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

function Appearance() {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    <Group justify="space-between">
      <Text size="sm" c="dimmed" id="appearance">
        Kept in this browser.
      </Text>
      <SegmentedControl
        aria-labelledby="appearance"
        value={colorScheme}
        onChange={(v) => setColorScheme(v as typeof colorScheme)}
        data={[
          { value: 'auto', label: 'System' },
          { value: 'light', label: 'Light' },
          { value: 'dark', label: 'Dark' },
        ]}
      />
    </Group>
  );
}
