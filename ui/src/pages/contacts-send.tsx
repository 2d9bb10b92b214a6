import { Alert, Button, Group, Select, Stack, Text, TextInput, Title } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useDebouncedValue } from '@mantine/hooks';
import { keepPreviousData } from '@tanstack/react-query';
import { useState } from 'react';
import { api } from '../api/client';
import type { components } from '../api/schema';
import { useMay } from '../app/session';
import { EdgeDegraded } from '../parts/edge';
import { showProblem } from '../parts/form';
import { localeName } from '../parts/format';
import { Phone } from '../parts/phone';
import { Failed, Loading } from '../parts/states';
import { tell } from '../parts/toast';
import { AskOverride, heldByNight } from './sends-override';
import { blockWords, sendsChanged } from './sends-state';
import { Beside } from './sends-story';
import { choices } from './wizard/message';

type Contact = components['schemas']['Contact'];
type Template = components['schemas']['Template'];
type Send = components['schemas']['Send'];

/** A message to one contact. The rules are asked before anything is sent, and nothing here goes past them. */
export function SendMessage({ contact, close }: { contact: Contact; close: () => void }) {
  const templates = api.useQuery('get', '/templates');
  const [waits, setWaits] = useState<Send>();
  if (waits) return <Waits send={waits} close={close} />;
  return (
    <section aria-label="Send a message">
      <Title order={3} size="h3" mb="md" className="wrap">
        Send a message{contact.name && ` to ${contact.name}`}
      </Title>
      <EdgeDegraded of="messaging" mb="md" />
      {templates.isPending && <Loading label="Loading the templates" />}
      {templates.isError && <Failed error={templates.error} retry={() => void templates.refetch()} />}
      {templates.data && (
        <Form contact={contact} offered={choices(templates.data.templates)} close={close} waits={setWaits} />
      )}
    </section>
  );
}

/** The message waits; who cannot wait for the end of quiet hours asks a project lead. */
function Waits({ send: s, close }: { send: Send; close: () => void }) {
  return (
    <section aria-label="The message waits">
      <Alert color="gray" role="status" mb="md">
        <Text size="sm" fw={500} className="wrap">
          The message waits – {s.block && blockWords(s.block)}
        </Text>
        <Text size="sm" mt={4}>
          It goes by itself. If it cannot wait, a project lead can let it go in quiet hours; every other rule holds.
        </Text>
      </Alert>
      <Group justify="flex-end" gap="xs">
        <AskOverride send={s} done={close} />
        <Button onClick={close} data-autofocus>
          Done
        </Button>
      </Group>
    </section>
  );
}

type Values = { template: string; locale: string; variables: Record<string, string> };

type Props = { contact: Contact; offered: Template[]; close: () => void; waits: (send: Send) => void };

function Form({ contact, offered, close, waits: show }: Props) {
  const may = useMay();
  const form = useForm<Values>({ initialValues: { template: offered[0]?.id ?? '', locale: '', variables: {} } });
  const [failure, setFailure] = useState('');
  const [key] = useState(() => crypto.randomUUID());
  const { template: id, locale, variables } = form.values;
  const template = offered.find((t) => t.id === id);
  const body = {
    contact_id: contact.id,
    template: id,
    locale: locale || undefined,
    variables: Object.fromEntries(
      (template?.variables ?? []).flatMap((v) => {
        const text = variables[v.name]?.trim();
        return text ? [[v.name, text]] : [];
      }),
    ),
  };
  // What it will say: who gets it gets no example.
  const said = Object.fromEntries(
    (template?.variables ?? []).map((v) => [v.name, variables[v.name]?.trim() || v.default || '']),
  );
  const [asked] = useDebouncedValue(body, 300);
  const lacks = (values: Record<string, string>) =>
    template?.variables.some((v) => !v.default && !values[v.name]?.trim()) ?? true;
  const missing = lacks(variables);
  const preview = api.useQuery(
    'post',
    '/sends/preview',
    { body: asked },
    {
      enabled: !missing && asked.template === id && !lacks(asked.variables),
      placeholderData: keepPreviousData,
      refetchInterval: 15_000,
      staleTime: 0,
    },
  );
  const send = api.useMutation('post', '/sends', {
    meta: { inPlace: true },
    onSuccess: (made) => {
      sendsChanged();
      if (made.state === 'queued') {
        if (heldByNight(made.block) && may('overrides.request')) {
          show(made);
          return;
        }
        tell.done('The message waits', made.block && blockWords(made.block));
      } else if (made.block) {
        setFailure(`Send blocked – ${blockWords(made.block)}. It stands under Messages.`);
        void preview.refetch();
        return;
      } else if (made.state === 'failed' || made.state === 'unknown') {
        setFailure(made.meaning ?? 'The message was not sent.');
        return;
      } else tell.done('Message sent');
      close();
    },
    onError: (error) => setFailure(showProblem(form, error)),
  });
  const order = (whenAllowed: boolean) => {
    setFailure('');
    send.mutate({
      params: { header: { 'Idempotency-Key': `${key}/${whenAllowed}/${send.submittedAt}` } },
      body: { ...body, when_allowed: whenAllowed },
    });
  };
  const answer = missing ? undefined : preview.data;
  const language = answer?.language ?? Object.keys(template?.texts ?? {}).sort()[0];
  const waits = answer && !answer.permitted && !['opt_out', 'no_consent'].includes(answer.reason ?? '');
  return (
    <form
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        order(false);
      }}
    >
      <div className="send-message">
        <Stack gap="md">
          <Select
            label="Template"
            withAsterisk
            data-autofocus
            allowDeselect={false}
            data={offered.map((t) => ({ value: t.id, label: `${t.name} v${t.version}` }))}
            nothingFoundMessage="No template is approved"
            {...form.getInputProps('template')}
          />
          {template?.variables.map((v) => (
            <TextInput
              key={v.name}
              label={v.name}
              placeholder={v.default || v.example}
              withAsterisk={!v.default}
              maxLength={200}
              {...form.getInputProps(`variables.${v.name}`)}
              value={variables[v.name] ?? ''}
            />
          ))}
          <Select
            label="Language"
            data={[
              {
                value: '',
                label: contact.locale ? `The contact’s: ${localeName(contact.locale)}` : 'As the template has it',
              },
              ...Object.keys(template?.texts ?? {}).map((l) => ({ value: l, label: `${localeName(l)} · ${l}` })),
            ]}
            allowDeselect={false}
            {...form.getInputProps('locale')}
          />
        </Stack>
        {template && language && <Phone template={template} locale={language} values={said} />}
      </div>
      <Stack gap="sm" mt="md">
        {preview.isError && !missing && <Failed error={preview.error} retry={() => void preview.refetch()} />}
        {answer &&
          (answer.permitted ? (
            <Text size="sm" role="status">
              It may go now.
            </Text>
          ) : (
            <Alert color="gray" role="status">
              <Text size="sm" fw={500} className="wrap">
                Send blocked – {blockWords(answer)}
              </Text>
              <Beside block={answer} />
            </Alert>
          ))}
        {failure && (
          <Alert color="red" role="alert">
            {failure}
          </Alert>
        )}
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={close}>
            Back
          </Button>
          {waits ? (
            <Button loading={send.isPending} onClick={() => order(true)}>
              Send when allowed
            </Button>
          ) : (
            <Button type="submit" loading={send.isPending} disabled={missing || !answer?.permitted}>
              Send now
            </Button>
          )}
        </Group>
      </Stack>
    </form>
  );
}
