import { Button, Checkbox, Group, Modal, Select, Stack, Text, Textarea, Title } from '@mantine/core';
import { useForm } from '@mantine/form';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import { api } from '../../api/client';
import { problemOf } from '../../api/problem';
import type { components } from '../../api/schema';
import { showProblem } from '../../parts/form';
import { FormEnd } from '../../parts/form-end';
import { upper } from '../../parts/format';
import { Failed } from '../../parts/states';
import { Status } from '../../parts/status';
import { Time } from '../../parts/time';
import { tell } from '../../parts/toast';
import { blockWords, sendsChanged } from '../sends-state';
import { choices } from '../wizard/message';
import { saysCode } from '../wizard/offer';
import { vouchersChanged } from './drawer';

type Voucher = components['schemas']['Voucher'];

/** Sends a voucher to its guest, once more or for the first time: the same code, past no rule. */
export function SendAgain({ voucher: v, opened, close }: { voucher: Voucher; opened: boolean; close: () => void }) {
  const title = v.status === 'issued' ? 'Send this voucher' : 'Send this voucher again';
  return (
    <Modal opened={opened} onClose={close} title={title} centered>
      {opened && <SendForm voucher={v} close={close} />}
    </Modal>
  );
}

function SendForm({ voucher: v, close }: { voucher: Voucher; close: () => void }) {
  const [key] = useState(() => crypto.randomUUID());
  const [failure, setFailure] = useState('');
  const [doubtful, setDoubtful] = useState(v.status === 'sent' && !v.undelivered_at);
  const templates = api.useQuery('get', '/templates');
  const offered = choices(templates.data?.templates ?? []).filter(saysCode);
  const campaign = v.campaign_id !== undefined;
  const form = useForm({ initialValues: { template: '', reason: '', accept: false, wait: false } });
  const { template, accept } = form.values;
  const chosen = template || (campaign ? '' : (offered[0]?.id ?? ''));
  const send = api.useMutation('post', '/vouchers/{id}/resend', {
    meta: { inPlace: true },
    onSuccess: (made) => {
      sendsChanged();
      vouchersChanged();
      if (made.state === 'queued') tell.done('The message waits', made.block && blockWords(made.block));
      else if (made.block) {
        setFailure(`Send blocked – ${blockWords(made.block)}`);
        return;
      } else if (made.state === 'failed' || made.state === 'unknown') {
        setFailure(upper(made.meaning ?? 'the message was not sent'));
        return;
      } else tell.done('Voucher sent');
      close();
    },
    onError: (error) => {
      if (problemOf(error).code === 'may_be_duplicate') setDoubtful(true);
      setFailure(showProblem(form, error));
    },
  });
  return (
    <form
      noValidate
      onSubmit={form.onSubmit((o) => {
        setFailure('');
        send.mutate({
          params: { path: { id: v.id }, header: { 'Idempotency-Key': `${key}/${send.submittedAt}` } },
          body: {
            template: chosen || undefined,
            reason: o.reason.trim() || undefined,
            accept_duplicate: doubtful && o.accept,
            when_allowed: o.wait,
          },
        });
      })}
    >
      <Stack gap="md">
        <Text size="sm">The same voucher with the same code, to {v.msisdn}. Every rule for messages holds.</Text>
        {templates.isError && <Failed error={templates.error} retry={() => void templates.refetch()} />}
        <Select
          label="Template"
          data={[
            ...(campaign ? [{ value: '', label: 'As its campaign says it' }] : []),
            ...offered.map((t) => ({ value: t.id, label: `${t.name} v${t.version}` })),
          ]}
          allowDeselect={false}
          nothingFoundMessage="No approved template says the code"
          {...form.getInputProps('template')}
          value={chosen}
        />
        {doubtful && (
          <Checkbox
            label="The guest may have it already, and may get it twice"
            {...form.getInputProps('accept', { type: 'checkbox' })}
          />
        )}
        <Checkbox
          label="If it is blocked now, wait until it may go"
          {...form.getInputProps('wait', { type: 'checkbox' })}
        />
        <Textarea
          label="Reason"
          description="It goes into the audit log."
          maxLength={500}
          autosize
          minRows={2}
          {...form.getInputProps('reason')}
        />
        <FormEnd failure={failure} close={close}>
          <Button type="submit" loading={send.isPending} disabled={(doubtful && !accept) || (!campaign && !chosen)}>
            Send voucher
          </Button>
        </FormEnd>
      </Stack>
    </form>
  );
}

/** The messages that were sent about a voucher by themselves; nothing where there are none. */
export function VoucherMessages({ id }: { id: string }) {
  const query = api.useQuery(
    'get',
    '/sends',
    { params: { query: { voucher: id, limit: 10 } } },
    { refetchInterval: 5_000 },
  );
  const sends = query.data?.sends ?? [];
  if (sends.length === 0) return null;
  return (
    <section aria-label="Messages">
      <Title order={3} size="h4" mb="xs">
        Messages
      </Title>
      <ul className="history">
        {sends.map((s) => (
          <li key={s.send_id}>
            <Group justify="space-between" wrap="nowrap" gap="xs">
              <Link to="/sends" search={{ send: s.send_id }} className="text-link" aria-label="Open this message">
                <Status of={s.state} />
              </Link>
              <Text size="sm" c="dimmed">
                <Time at={s.created_at} seconds />
              </Text>
            </Group>
            {s.meaning && (
              <Text size="sm" c="dimmed" className="wrap" mt={4}>
                {upper(s.meaning)}
              </Text>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}
