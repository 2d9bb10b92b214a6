import { Alert, Button, Group, Modal, Select, Stack, Text, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useState } from 'react';
import { api } from '../../api/client';
import { problemOf } from '../../api/problem';
import type { components } from '../../api/schema';
import { CountrySelect } from '../../parts/country';
import { showProblem } from '../../parts/form';
import { dayTimeZone, localeName, words } from '../../parts/format';
import { Status } from '../../parts/status';
import { newKey } from '../wizard/kept';
import { type Template, templatesChanged, useReview } from './template';

type Decision = components['schemas']['Decision'];

/** Why a rule did not let a message go, and when it may. */
export function whyBlocked(d: Decision): string {
  const until = d.next_window?.opens ?? d.retry_after;
  const also = d.also?.length ? ` It would also wait for: ${d.also.map(words).join(', ')}.` : '';
  return `Blocked – ${d.why ?? words(d.reason ?? '')}.${until ? ` It may go ${dayTimeZone(until, d.next_window?.zone)}.` : ''}${also}`;
}

/** Sends a version to one phone, and follows what becomes of the message. */
export function TestDialog({ template, opened, close }: { template: Template; opened: boolean; close: () => void }) {
  return (
    <Modal opened={opened} onClose={close} title={`Send version ${template.version} to a phone`} centered>
      <TestForm template={template} close={close} />
    </Modal>
  );
}

function TestForm({ template: t, close }: { template: Template; close: () => void }) {
  const locales = Object.keys(t.texts).sort();
  const form = useForm({
    initialValues: {
      msisdn: '',
      country: null as string | null,
      locale: locales[0] ?? '',
      variables: {} as Record<string, string>,
    },
    validate: { msisdn: (v) => (v.trim() ? null : 'Enter the phone number.') },
  });
  const [failure, setFailure] = useState('');
  const [key, setKey] = useState(newKey); // one test a click, however often it is sent
  const send = api.useMutation('post', '/templates/{template}/test-send', {
    meta: { inPlace: true },
    onError: (error) => setFailure(showProblem(form, error)),
    onSettled: (_sent, error) => {
      if (!error || !problemOf(error).passing) setKey(newKey());
      void templatesChanged();
    },
  });
  return (
    <form
      noValidate
      aria-label="Test"
      onSubmit={form.onSubmit((v) => {
        setFailure('');
        const variables = Object.fromEntries(Object.entries(v.variables).filter(([, text]) => text.trim()));
        send.mutate({
          params: { path: { template: t.id }, header: { 'Idempotency-Key': key } },
          body: { msisdn: v.msisdn.trim(), country: v.country ?? undefined, locale: v.locale, variables },
        });
      })}
    >
      <Stack gap="md">
        <Text size="sm">
          One message, by the same rules as every other. It uses a permit and may cost what any message costs.
        </Text>
        <Group grow align="flex-start" className="pair">
          <TextInput
            label="Phone number"
            description="With + and country code."
            type="tel"
            autoComplete="off"
            maxLength={40}
            data-autofocus
            {...form.getInputProps('msisdn')}
          />
          <CountrySelect
            label="Dialled in"
            description="For one without +."
            clearable
            {...form.getInputProps('country')}
          />
        </Group>
        <Select
          label="Language"
          data={locales.map((l) => ({ value: l, label: localeName(l) }))}
          allowDeselect={false}
          {...form.getInputProps('locale')}
        />
        {t.variables.map((v) => (
          <TextInput
            key={v.name}
            label={v.name}
            placeholder={v.default || v.example}
            maxLength={256}
            autoComplete="off"
            {...form.getInputProps(`variables.${v.name}`)}
            value={form.values.variables[v.name] ?? ''}
            error={form.errors[`variables.${v.name}`] ?? form.errors.variables}
          />
        ))}
        {failure && (
          <Alert color="red" role="alert">
            {failure}
          </Alert>
        )}
        {send.data && <Result template={t} id={send.data.id} sent={send.data} />}
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={close}>
            {send.data ? 'Close' : 'Cancel'}
          </Button>
          <Button type="submit" loading={send.isPending}>
            {send.data ? 'Send again' : 'Send test'}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

/** What became of a test so far: its receipts come after it. */
function Result({
  template,
  id,
  sent,
}: {
  template: Template;
  id: string;
  sent: components['schemas']['TemplateTest'];
}) {
  const now = useReview(template.id).data?.tests.find((x) => x.id === id) ?? sent;
  return (
    <Group gap="xs" role="status" aria-label="Result" wrap="nowrap" align="flex-start">
      <Status of={now.state} />
      <Text size="sm" className="wrap">
        {now.state === 'blocked' ? whyBlocked(now.decision) : (now.problem ?? `To ${now.to}. Receipts show here.`)}
        {now.state === 'failed' && now.code ? ` (WhatsApp ${now.code})` : ''}
      </Text>
    </Group>
  );
}
