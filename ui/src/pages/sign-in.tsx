import { Alert, Button, PasswordInput, Stack, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useState } from 'react';
import { api } from '../api/client';
import { type Problem, problemOf } from '../api/problem';
import type { components } from '../api/schema';
import { showProblem } from '../parts/form';
import { duration } from '../parts/format';

type Session = components['schemas']['Session'];

/** Signs in: on a page of its own, or over one when its session has ended. */
export function SignInForm({ email = '', entered }: { email?: string; entered: (session: Session) => void }) {
  const form = useForm({
    initialValues: { email, password: '' },
    validate: {
      email: (v) => (v.includes('@') ? null : 'Enter your e-mail address.'),
      password: (v) => (v ? null : 'Enter your password.'),
    },
  });
  const [failure, setFailure] = useState('');
  const signIn = api.useMutation('post', '/session', { meta: { inPlace: true } });

  const submit = form.onSubmit(async (values) => {
    setFailure('');
    try {
      entered(await signIn.mutateAsync({ body: values }));
    } catch (error) {
      setFailure(inWords(problemOf(error)) ?? showProblem(form, error));
      form.setFieldValue('password', '');
    }
  });

  return (
    <form onSubmit={submit} noValidate>
      <Stack gap="md">
        <TextInput
          label="E-mail"
          type="email"
          autoComplete="username"
          data-autofocus={email ? undefined : true}
          autoFocus={!email}
          {...form.getInputProps('email')}
        />
        <PasswordInput
          label="Password"
          autoComplete="current-password"
          data-autofocus={email ? true : undefined}
          {...form.getInputProps('password')}
        />
        {failure && (
          <Alert color="red" role="alert">
            {failure}
          </Alert>
        )}
        <Button type="submit" loading={signIn.isPending} fullWidth>
          Sign in
        </Button>
      </Stack>
    </form>
  );
}

function inWords(problem: Problem): string | undefined {
  if (problem.code === 'wrong_credentials') return 'The e-mail address or the password is wrong.';
  if (problem.code === 'locked_out') {
    const wait = problem.retryAfter ? `Try again in ${duration(problem.retryAfter)}.` : 'Try again later.';
    return `Too many wrong passwords. ${wait}`;
  }
}
