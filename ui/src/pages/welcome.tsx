import { Alert, Anchor, Button, Center, Loader, PasswordInput, Stack, Text, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useEffect, useState } from 'react';
import { api } from '../api/client';
import { problemOf } from '../api/problem';
import type { components } from '../api/schema';
import { linkToken } from '../app/links';
import { showProblem } from '../parts/form';
import { dayTimeZone } from '../parts/format';
import { Outside } from '../parts/outside';
import { roleName } from '../parts/roles';
import { Failed } from '../parts/states';

type Offer = components['schemas']['Welcome'];

/** Where an invitation's link leads: whoever follows it chooses a password, and is in. */
export function WelcomePage() {
  const look = api.useMutation('post', '/welcome', { meta: { inPlace: true } });
  const { mutate } = look;
  useEffect(() => mutate({ body: { token: linkToken } }), [mutate]);
  if (look.data) return <Accept offer={look.data} />;
  if (!look.error) {
    return (
      <Center h="100dvh">
        <Loader color="gray" size="sm" aria-label="Loading" />
      </Center>
    );
  }
  if (look.error.status !== 404 && look.error.status !== 409) {
    return (
      <main>
        <Failed level={1} error={look.error} retry={() => mutate({ body: { token: linkToken } })} />
      </main>
    );
  }
  const used = look.error.code === 'link_used';
  return (
    <Outside title={used ? 'This invitation was accepted' : 'This invitation has ended'}>
      <Stack gap="md">
        <Text size="sm">
          {used
            ? 'Sign in with the address it was sent to and the password you chose.'
            : `${problemOf(look.error).message} An admin can send you another one.`}
        </Text>
        <Anchor href="/" size="sm">
          Go to sign in
        </Anchor>
      </Stack>
    </Outside>
  );
}

function Accept({ offer }: { offer: Offer }) {
  const form = useForm({
    initialValues: { name: offer.name, password: '' },
    validate: {
      name: (v) => (v.trim() ? null : 'Enter the name that others see.'),
      password: (v) => (v.length >= 12 ? null : 'Use 12 characters or more.'),
    },
  });
  const [failure, setFailure] = useState('');
  const accept = api.useMutation('put', '/welcome', {
    meta: { inPlace: true },
    onSuccess: () => location.assign('/'),
    onError: (error) => setFailure(showProblem(form, error)),
  });
  return (
    <Outside
      title="Welcome to Lastcall"
      about={`You are invited as ${roleName(offer.role).toLowerCase()}, until ${dayTimeZone(offer.expires_at)}.`}
    >
      <form
        noValidate
        onSubmit={form.onSubmit(({ name, password }) => {
          setFailure('');
          accept.mutate({ body: { token: linkToken, name: name.trim(), password } });
        })}
      >
        <Stack gap="md">
          <TextInput label="E-mail" value={offer.email} readOnly autoComplete="username" />
          <TextInput label="Your name" autoComplete="name" maxLength={100} {...form.getInputProps('name')} />
          <PasswordInput
            label="Password"
            description="12 characters or more."
            autoComplete="new-password"
            autoFocus
            {...form.getInputProps('password')}
          />
          {failure && (
            <Alert color="red" role="alert">
              {failure}
            </Alert>
          )}
          <Button type="submit" loading={accept.isPending || accept.isSuccess} fullWidth>
            Choose password and sign in
          </Button>
        </Stack>
      </form>
    </Outside>
  );
}
