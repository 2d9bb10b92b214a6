import { Alert, Anchor, Button, Group, Modal, Stack, Text, Textarea, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useDisclosure } from '@mantine/hooks';
import { IconCheck, IconHistory, IconPencil, IconPlus } from '@tabler/icons-react';
import { type ReactNode, useState } from 'react';
import { api, client, queries } from '../api/client';
import { problemOf } from '../api/problem';
import type { components } from '../api/schema';
import { Can, useMay } from '../app/session';
import { useConfirm } from '../parts/confirm';
import { CountrySelect } from '../parts/country';
import { Facts } from '../parts/facts';
import { showProblem } from '../parts/form';
import { countryName } from '../parts/format';
import { Page, Section } from '../parts/page';
import { Empty, Failed, Loading } from '../parts/states';
import { Mark } from '../parts/status';
import { Time } from '../parts/time';
import { tell } from '../parts/toast';

type Payments = components['schemas']['Payments'];
type Revision = components['schemas']['PaymentRevision'];
type Terms = Revision['value'];

const changed = () => void queries.invalidateQueries({ queryKey: ['get', '/payments'] });

export function PaymentsPage() {
  const query = api.useQuery('get', '/payments', { params: { query: { limit: 50 } } });
  const [editing, { open, close }] = useDisclosure();
  if (query.isPending) return <Loading label="Loading the payment settings" />;
  if (!query.data) return <Failed level={1} error={query.error} retry={() => void query.refetch()} />;
  const { current, draft, history } = query.data;
  return (
    <Page
      title="Payments"
      about="How bars pay us. What one person of Finance writes, another confirms."
      action={
        <Can do="payments.write">
          <Button variant={draft ? 'default' : 'filled'} leftSection={<IconPencil size={16} />} onClick={open}>
            {draft ? 'Write another draft' : 'Change'}
          </Button>
        </Can>
      }
    >
      <Stack gap="lg" maw={800}>
        {draft && <Draft draft={draft} />}
        <Section title="In force" aside={current && <Mark word="Confirmed" tone="good" icon={IconCheck} />}>
          {current ? (
            <Shown of={current} />
          ) : (
            <Empty title="Nothing is in force yet">Somebody of Finance writes it, somebody else confirms it.</Empty>
          )}
        </Section>
        {history.length > 0 && (
          <Section title="History" aside={<IconHistory size={16} aria-hidden />}>
            <ul className="history" aria-label="History">
              {history.map((r) => (
                <li key={r.revision}>
                  <Group justify="space-between" gap="xs">
                    <Text size="sm" fw={500}>
                      Revision {r.revision}
                    </Text>
                    <StateMark of={r} newest={history[0]?.revision === r.revision} />
                  </Group>
                  <By of={r} />
                </li>
              ))}
            </ul>
          </Section>
        )}
      </Stack>
      <Modal opened={editing} onClose={close} title="Change how we are paid" size={600} centered>
        <Write payments={query.data} close={close} />
      </Modal>
    </Page>
  );
}

function StateMark({ of, newest }: { of: Revision; newest: boolean }) {
  if (of.state === 'confirmed') return <Mark word="Confirmed" tone="good" icon={IconCheck} />;
  return newest ? (
    <Mark word="Waits for confirmation" tone="live" icon={IconPencil} />
  ) : (
    <Mark word="Overtaken" tone="quiet" icon={IconPencil} />
  );
}

function Draft({ draft }: { draft: Revision }) {
  const ask = useConfirm();
  const may = useMay();
  const confirm = () =>
    ask({
      title: 'Confirm how we are paid?',
      impact: ['It is in force at once, in place of what is now.', `${draft.author} wrote it; you answer for it, too.`],
      action: 'Confirm',
      run: async () => {
        await client.POST('/payments/{revision}/confirm', { params: { path: { revision: draft.revision } } });
        changed();
        tell.done('Confirmed: it is in force');
      },
    });
  return (
    <Section title="Draft" aside={<Mark word="Waits for confirmation" tone="live" icon={IconPencil} />}>
      <Shown of={draft} />
      {may('payments.confirm') &&
        (draft.mine ? (
          <Text size="sm" mt="md">
            You wrote it: somebody else of Finance confirms it.
          </Text>
        ) : (
          <Button mt="md" onClick={confirm}>
            Confirm…
          </Button>
        ))}
    </Section>
  );
}

function Shown({ of }: { of: Revision }) {
  const { revolut_link, instructions } = of.value;
  const facts: [string, ReactNode][] = [
    [
      'Revolut',
      revolut_link ? (
        <Anchor
          key="link"
          size="sm"
          href={revolut_link}
          target="_blank"
          rel="noreferrer noopener"
          className="text-link"
        >
          {revolut_link}
        </Anchor>
      ) : (
        'None'
      ),
    ],
    ...instructions.map((i): [string, ReactNode] => [
      `${countryName(i.country)}, ${i.currency}`,
      <span key={i.country + i.currency} className="lines-kept">
        {i.text}
      </span>,
    ]),
  ];
  return (
    <>
      <Facts of={facts} />
      <By of={of} />
    </>
  );
}

function By({ of }: { of: Revision }) {
  return (
    <Text size="sm" c="dimmed" mt="xs" className="wrap">
      Written <Time at={of.created_at} /> by {of.author}
      {of.reason && `: “${of.reason}”`}
      {of.confirmed_at && (
        <>
          {' · '}confirmed <Time at={of.confirmed_at} /> by {of.confirmed_by}
        </>
      )}
    </Text>
  );
}

function Write({ payments: { current, draft, history }, close }: { payments: Payments; close: () => void }) {
  const from: Terms = (draft ?? current)?.value ?? { revolut_link: '', instructions: [] };
  const form = useForm({
    initialValues: { revolut_link: from.revolut_link, instructions: from.instructions, reason: '' },
  });
  const [failure, setFailure] = useState('');
  const [busy, setBusy] = useState(false);

  async function submit({ revolut_link, instructions, reason }: typeof form.values) {
    setFailure('');
    setBusy(true);
    try {
      await client.PUT('/payments', {
        params: { header: { 'If-Match': `"${history[0]?.revision ?? 0}"` } },
        body: { value: { revolut_link: revolut_link.trim(), instructions }, reason: reason.trim() || undefined },
      });
      changed();
      tell.done('Draft saved', 'Somebody else confirms it.');
      close();
    } catch (error) {
      setFailure(showProblem(form, error));
      form.clearFieldError('instructions');
      for (const { field, message } of problemOf(error).faults) {
        const [, n, part] = /^instructions\[(\d+)\]\.(\w+)$/.exec(field) ?? [];
        if (n) form.setFieldError(`instructions.${n}.${part}`, message);
      }
    } finally {
      setBusy(false);
    }
  }

  return (
    <form onSubmit={form.onSubmit((values) => void submit(values))} noValidate>
      <Stack gap="md">
        <TextInput
          label="Revolut link"
          placeholder="https://revolut.me/…"
          type="url"
          data-autofocus
          {...form.getInputProps('revolut_link')}
        />
        {form.values.instructions.map((_, n) => (
          <fieldset key={n} className="quiet-override">
            <legend>Instruction {n + 1}</legend>
            <Stack gap="sm">
              <Group grow align="flex-start" className="pair">
                <CountrySelect label="Country" {...form.getInputProps(`instructions.${n}.country`)} />
                <TextInput
                  label="Currency"
                  placeholder="RWF"
                  maxLength={3}
                  {...form.getInputProps(`instructions.${n}.currency`)}
                />
              </Group>
              <Textarea
                label="What they are told"
                autosize
                minRows={2}
                maxRows={8}
                maxLength={2000}
                {...form.getInputProps(`instructions.${n}.text`)}
              />
              <Group>
                <Button variant="default" size="xs" onClick={() => form.removeListItem('instructions', n)}>
                  Take out
                </Button>
              </Group>
            </Stack>
          </fieldset>
        ))}
        <Group>
          <Button
            variant="default"
            leftSection={<IconPlus size={16} />}
            onClick={() => form.insertListItem('instructions', { country: 'RW', currency: 'RWF', text: '' })}
          >
            Add an instruction
          </Button>
        </Group>
        <TextInput
          label="Reason"
          description="For the history and the audit log."
          maxLength={500}
          {...form.getInputProps('reason')}
        />
        {failure && (
          <Alert color="red" role="alert">
            {failure}
          </Alert>
        )}
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          <Button type="submit" loading={busy}>
            Save draft
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
