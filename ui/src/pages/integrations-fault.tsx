import { Button, NumberInput, Select, Stack, Text, Textarea } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useState } from 'react';
import { api, queries } from '../api/client';
import type { EdgeFunction } from '../api/edge';
import { showProblem } from '../parts/form';
import { FormEnd } from '../parts/form-end';
import { tell } from '../parts/toast';

const kinds = [
  { value: 'timeout', label: 'Does not answer' },
  { value: 'reset', label: 'Connection is reset' },
  { value: 'rate_limited', label: 'Asked too often (429)' },
  { value: 'server_error', label: 'In trouble (503)' },
  { value: 'slow', label: 'Answers late' },
  { value: 'wrong_body', label: 'Answers nonsense' },
];

/** Makes a service fail for a while, to see what happens then. */
export function NewFaultForm({ functions, close }: { functions: EdgeFunction[]; close: () => void }) {
  const form = useForm({
    initialValues: {
      edge_function: 'voucher-card',
      kind: 'timeout',
      share: 100,
      delay_ms: 3000,
      minutes: 10,
      reason: '',
    },
  });
  const [failure, setFailure] = useState('');
  const inject = api.useMutation('post', '/faults', {
    meta: { inPlace: true },
    onSuccess: () => {
      void queries.invalidateQueries({ queryKey: ['get', '/edge-functions'] });
      tell.done('It fails now', 'It ends by itself, and can be switched off on every page.');
      close();
    },
    onError: (error) => setFailure(showProblem(form, error)),
  });
  const v = form.values;
  const dispatcher = v.edge_function === 'dispatcher';
  const stations = v.edge_function === 'redemptions';
  const fitting = stations ? kinds.filter((k) => ['server_error', 'slow'].includes(k.value)) : kinds;
  const kind = dispatcher ? 'stop_polling' : stations && v.kind !== 'slow' ? 'server_error' : v.kind;
  return (
    <form
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        setFailure('');
        inject.mutate({
          body: {
            edge_function: v.edge_function,
            kind,
            share: dispatcher ? 1 : v.share / 100,
            delay_ms: kind === 'slow' ? v.delay_ms : undefined,
            seconds: Math.round(v.minutes * 60),
            reason: v.reason.trim(),
          },
        });
      }}
    >
      <Stack gap="md">
        <Text size="sm">
          Its calls fail before they leave, for everybody, until the time is over. On the sandbox only: nobody is
          written to.
        </Text>
        <Select
          label="Service"
          data={functions.filter((f) => f.name !== 'database').map((f) => ({ value: f.name, label: f.title }))}
          {...form.getInputProps('edge_function')}
        />
        <Select
          label="How it fails"
          data={dispatcher ? [{ value: 'stop_polling', label: 'Workers take nothing more to send' }] : fitting}
          {...form.getInputProps('kind')}
          value={kind}
        />
        {kind === 'slow' && (
          <NumberInput label="Later by" suffix=" ms" min={1} max={60000} {...form.getInputProps('delay_ms')} />
        )}
        {!dispatcher && (
          <NumberInput label="Share of the calls" suffix=" %" min={1} max={100} {...form.getInputProps('share')} />
        )}
        <NumberInput
          label="For"
          suffix=" min"
          min={1}
          max={120}
          {...form.getInputProps('minutes')}
          error={form.errors.seconds}
        />
        <Textarea
          label="Reason"
          description="It goes into the audit log, and stands over every page meanwhile."
          withAsterisk
          maxLength={500}
          autosize
          minRows={2}
          data-autofocus
          {...form.getInputProps('reason')}
        />
        <FormEnd failure={failure} close={close}>
          <Button type="submit" loading={inject.isPending} disabled={v.reason.trim() === ''}>
            Make it fail
          </Button>
        </FormEnd>
      </Stack>
    </form>
  );
}
