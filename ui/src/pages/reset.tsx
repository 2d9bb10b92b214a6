import { Alert, Anchor, Button, PasswordInput, Stack, Text, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useState } from 'react';
import { api } from '../api/client';
import { type Problem, problemOf } from '../api/problem';
import { linkToken } from '../app/links';
import { showProblem } from '../parts/form';
import { duration } from '../parts/format';
import { Outside } from '../parts/outside';

/** Who forgot a password asks for a link here, and comes back by it. */
export function ResetPage() {
  const [asking, setAsking] = useState(!linkToken);
  return asking ? <AskForLink /> : <ChoosePassword again={() => setAsking(true)} />;
}

function AskForLink() {
  const form = useForm({
    initialValues: { email: '' },
    validate: { email: (v) => (v.includes('@') ? null : 'Enter your e-mail address.') },
  });
  const [failure, setFailure] = useState('');
  const request = api.useMutation('post', '/password-resets', {
    meta: { inPlace: true },
    onError: (error) => setFailure(inWords(problemOf(error)) ?? showProblem(form, error)),
  });
  if (request.isSuccess) {
    return (
      <Outside title="Look into your inbox">
        <Stack gap="md">
          <Text size="sm" role="status">
            If {form.getValues().email} has an account, a link to choose another password is on its way there. It is
            good for an hour.
          </Text>
          <Anchor href="/" size="sm">
            Back to sign in
          </Anchor>
        </Stack>
      </Outside>
    );
  }
  return (
    <Outside title="Choose another password" about="We mail you a link. Your password stays until you follow it.">
      <form
        noValidate
        onSubmit={form.onSubmit((body) => {
          setFailure('');
          request.mutate({ body: { email: body.email.trim() } });
        })}
      >
        <Stack gap="md">
          <TextInput label="E-mail" type="email" autoComplete="username" autoFocus {...form.getInputProps('email')} />
          {failure && (
            <Alert color="red" role="alert">
              {failure}
            </Alert>
          )}
          <Button type="submit" loading={request.isPending} fullWidth>
            Send the link
          </Button>
          <Anchor href="/" size="sm">
            Back to sign in
          </Anchor>
        </Stack>
      </form>
    </Outside>
  );
}

function ChoosePassword({ again }: { again: () => void }) {
  const form = useForm({
    initialValues: { password: '' },
    validate: { password: (v) => (v.length >= 12 ? null : 'Use 12 characters or more.') },
  });
  const [failure, setFailure] = useState<Problem>();
  const [rest, setRest] = useState('');
  const choose = api.useMutation('put', '/password-resets', {
    meta: { inPlace: true },
    onError: (error) => {
      if (problemOf(error).code.startsWith('link_')) setFailure(problemOf(error));
      else setRest(inWords(problemOf(error)) ?? showProblem(form, error));
    },
  });
  if (choose.isSuccess) {
    return (
      <Outside title="Your password is changed">
        <Stack gap="md">
          <Text size="sm" role="status">
            You are signed out everywhere. Sign in with the new one.
          </Text>
          <Button component="a" href="/" fullWidth>
            Go to sign in
          </Button>
        </Stack>
      </Outside>
    );
  }
  if (failure) {
    return (
      <Outside title="This link has ended">
        <Stack gap="md">
          <Text size="sm" role="alert">
            {failure.message}
          </Text>
          <Button onClick={again} fullWidth>
            Ask for another link
          </Button>
        </Stack>
      </Outside>
    );
  }
  return (
    <Outside title="Choose another password" about="It signs you out everywhere you are signed in.">
      <form
        noValidate
        onSubmit={form.onSubmit(({ password }) => {
          setRest('');
          choose.mutate({ body: { token: linkToken, password } });
        })}
      >
        <Stack gap="md">
          <PasswordInput
            label="New password"
            description="12 characters or more."
            autoComplete="new-password"
            autoFocus
            {...form.getInputProps('password')}
          />
          {rest && (
            <Alert color="red" role="alert">
              {rest}
            </Alert>
          )}
          <Button type="submit" loading={choose.isPending} fullWidth>
            Change password
          </Button>
        </Stack>
      </form>
    </Outside>
  );
}

function inWords(problem: Problem): string | undefined {
  if (problem.code !== 'too_often') return;
  return `This was asked for too often. ${problem.retryAfter ? `Try again in ${duration(problem.retryAfter)}.` : 'Try again later.'}`;
}
