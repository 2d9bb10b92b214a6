import { Alert, Anchor, Box, Button, Group, Modal, Stack, Text, Textarea, TextInput, Title } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconLockOpen } from '@tabler/icons-react';
import { Link } from '@tanstack/react-router';
import { type FormEvent, useState } from 'react';
import { api } from '../../api/client';
import { problemOf } from '../../api/problem';
import { useMay } from '../../app/session';
import { dayTimeZone, localZone, zoneName } from '../../parts/format';
import { tell } from '../../parts/toast';
import { Actions, isOpen, OverrideMark, overridesChanged, Standing } from '../override/override';
import { instantOf, wallOf } from '../wizard/moment';
import { type Campaign, moving } from './campaign';

/** The campaign's override that is not over, or the way to ask for one while quiet hours hold somebody back. */
export function OverrideCard({ campaign: c }: { campaign: Campaign }) {
  const may = useMay();
  const [asking, { open, close }] = useDisclosure();
  const sends = moving(c) || c.status === 'scheduled' || c.status === 'paused';
  const query = api.useQuery(
    'get',
    '/overrides',
    { params: { query: { campaign_id: c.campaign_id, limit: 1 } } },
    { staleTime: 0, enabled: sends, refetchInterval: 5_000 },
  );
  const o = query.data?.overrides.find(isOpen);
  const held = c.waiting.some((w) => w.reason === 'quiet_hours');
  if (!sends || !query.data || (!o && !(held && may('overrides.request')))) return null;
  return (
    <section className="card approval no-print" aria-labelledby="override">
      <Group justify="space-between" gap="sm" mb="sm">
        <Title order={2} size="h3" id="override">
          {o ? 'Override of quiet hours' : 'Quiet hours'}
        </Title>
        {o && <OverrideMark of={o} />}
      </Group>
      {o ? (
        <>
          <Text size="sm" className="wrap">
            From {dayTimeZone(o.starts_at)} to {dayTimeZone(o.ends_at)} it may send in quiet hours
            {o.state === 'requested' ? ', if that is approved' : ''}. <Standing of={o} />
          </Text>
          <Text size="sm" c="dimmed" mt={4} className="wrap">
            {o.requested_by.name} asked: “{o.reason}”{o.decision && ` ${o.decision.by.name} ${o.decision.verdict} it.`}{' '}
            <Anchor
              size="sm"
              className="text-link"
              renderRoot={(props) => <Link to="/overrides" search={{ override: o.override_id }} {...props} />}
            >
              What happened
            </Anchor>
          </Text>
          {(o.may_decide || o.may_cancel) && (
            <Box mt="md">
              <Actions of={o} />
            </Box>
          )}
        </>
      ) : (
        <Group justify="space-between" gap="sm">
          <Text size="sm" maw={640}>
            A project lead can let this campaign send in quiet hours for a while. Every other rule holds.
          </Text>
          <Button variant="default" leftSection={<IconLockOpen size={16} />} onClick={open}>
            Request override…
          </Button>
        </Group>
      )}
      <Modal opened={asking} onClose={close} title={`Let “${c.name}” send in quiet hours?`} centered>
        <Request key={String(asking)} campaign={c} close={close} />
      </Modal>
    </section>
  );
}

/** When, until when, and why. */
function Request({ campaign: c, close }: { campaign: Campaign; close: () => void }) {
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
    if (!ready || !ends || request.isPending) return;
    try {
      await request.mutateAsync({
        body: {
          kind: 'quiet_hours',
          campaign_id: c.campaign_id,
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
        {request.isError && (
          <Alert color="red" role="alert">
            {problemOf(request.error).message}
          </Alert>
        )}
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          <Button type="submit" loading={request.isPending} disabled={!ready}>
            Request override
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
