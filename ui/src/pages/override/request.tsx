import { Button, Modal, Stack, Text, Textarea, TextInput } from '@mantine/core';
import { type FormEvent, useState } from 'react';
import { api } from '../../api/client';
import { problemOf } from '../../api/problem';
import { FormEnd } from '../../parts/form-end';
import { localZone, zoneName } from '../../parts/format';
import { tell } from '../../parts/toast';
import { instantOf, wallOf } from '../wizard/moment';
import { overridesChanged } from './override';

type Subject = { campaign_id: string } | { send_id: string };

/** Asks a project lead to let something go in quiet hours: when, until when, and why. */
export function RequestOverride(props: { of: Subject; title: string; opened: boolean; close: () => void }) {
  return (
    <Modal opened={props.opened} onClose={props.close} title={props.title} centered>
      <Request key={String(props.opened)} of={props.of} close={props.close} />
    </Modal>
  );
}

function Request({ of, close }: { of: Subject; close: () => void }) {
  const [from, setFrom] = useState('');
  const [to, setTo] = useState(wallOf(new Date(Date.now() + 36e5), localZone));
  const [reason, setReason] = useState('');
  const request = api.useMutation('post', '/overrides', {
    meta: { inPlace: true },
    onSuccess: () => tell.done('Override requested', 'The project leads were told.'),
    onSettled: overridesChanged,
  });
  const starts = from === '' ? undefined : instantOf(from, localZone);
  const ends = instantOf(to, localZone);
  const wrong = from !== '' && !starts;
  const wrongEnd = !ends
    ? 'Choose a date and a time.'
    : ends.getTime() <= (starts?.getTime() ?? Date.now())
      ? 'It must end after it begins.'
      : '';
  const ready = !wrong && !wrongEnd && reason.trim() !== '';

  async function submit(event: FormEvent) {
    event.preventDefault();
    event.stopPropagation(); // of a form that it is asked from
    if (!ready || !ends || request.isPending) return;
    try {
      await request.mutateAsync({
        body: {
          kind: 'quiet_hours',
          ...of,
          starts_at: starts?.toISOString(),
          ends_at: ends.toISOString(),
          reason: reason.trim(),
        },
      });
      close();
    } catch {
      // shown below
    }
  }

  return (
    <form onSubmit={submit}>
      <Stack gap="md">
        <Text size="sm">
          A project lead who is somebody else decides. Opt-outs, consent, the frequency cap and throttles hold as ever.
        </Text>
        <TextInput
          type="datetime-local"
          label={`From (${zoneName(localZone)})`}
          description="Empty: as soon as it is approved"
          value={from}
          onChange={(e) => setFrom(e.currentTarget.value.slice(0, 16))}
          error={wrong && 'The clocks skip this time on that day.'}
        />
        <TextInput
          type="datetime-local"
          label={`To (${zoneName(localZone)})`}
          description="Nothing is sent by it from then on"
          withAsterisk
          value={to}
          onChange={(e) => setTo(e.currentTarget.value.slice(0, 16))}
          error={wrongEnd}
        />
        <Textarea
          label="Reason"
          description="For whoever decides, and the audit log. No names or numbers of people."
          withAsterisk
          value={reason}
          onChange={(e) => setReason(e.currentTarget.value)}
          maxLength={500}
          autosize
          minRows={2}
          data-autofocus
        />
        <FormEnd failure={request.isError ? problemOf(request.error).message : ''} close={close}>
          <Button type="submit" loading={request.isPending} disabled={!ready}>
            Request override
          </Button>
        </FormEnd>
      </Stack>
    </form>
  );
}
