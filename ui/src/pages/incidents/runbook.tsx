import { Badge, Button, Checkbox, Code, Modal, Stack, Text, TextInput, Title } from '@mantine/core';
import { IconPlayerPlay } from '@tabler/icons-react';
import { type FormEvent, Fragment, useState } from 'react';
import { api } from '../../api/client';
import { problemOf } from '../../api/problem';
import type { components } from '../../api/schema';
import { useMay } from '../../app/session';
import { useConfirm } from '../../parts/confirm';
import { FormEnd } from '../../parts/form-end';
import { Failed, Loading } from '../../parts/states';
import { Time } from '../../parts/time';
import { alertsChanged, type Incident } from './marks';

type Block = components['schemas']['RunbookBlock'];

const verbs = {
  'pause-all-campaigns': 'Pause all campaigns…',
  recheck: 'Check again',
  'void-voucher': 'Void voucher…',
};
const takes = { 'pause-all-campaigns': 'campaigns.run', recheck: 'probes.check', 'void-voucher': 'vouchers.void' };

/** A runbook; beside an incident its steps can be ticked and run. */
export function Runbook({ name, incident }: { name: string; incident?: Incident }) {
  const query = api.useQuery('get', '/runbooks/{name}', { params: { path: { name } } });
  if (query.isPending) return <Loading label="Loading the runbook" />;
  if (!query.data) return <Failed error={query.error} retry={() => void query.refetch()} />;
  return (
    <Stack gap="sm">
      <Text size="sm" c="dimmed">
        {query.data.lead}
      </Text>
      {query.data.blocks?.map((b, i) => (
        <Fragment key={i}>
          {b.kind === 'heading' && (
            <Title order={3} size="h5" mt="xs">
              {b.text}
            </Title>
          )}
          {b.kind === 'text' && (
            <Text size="sm">
              <Marked text={b.text} />
            </Text>
          )}
          {b.kind === 'code' && <Code block>{b.text}</Code>}
          {b.kind === 'step' && <Step of={b} incident={incident} />}
        </Fragment>
      ))}
    </Stack>
  );
}

/** Text with what stands between backticks as code, and between asterisks stressed. */
function Marked({ text }: { text: string }) {
  return text.split(/(`[^`]+`|\*[^*]+\*)/).map((part, i) => {
    // biome-ignore-start lint/suspicious/noArrayIndexKey: the parts of a text do not move
    if (part.startsWith('`')) return <Code key={i}>{part.slice(1, -1)}</Code>;
    if (part.startsWith('*') && part.length > 2) return <em key={i}>{part.slice(1, -1)}</em>;
    return <Fragment key={i}>{part}</Fragment>;
    // biome-ignore-end lint/suspicious/noArrayIndexKey: the parts of a text do not move
  });
}

function Step({ of: b, incident }: { of: Block; incident?: Incident }) {
  const may = useMay();
  const ask = useConfirm();
  const [voiding, setVoiding] = useState(false);
  const act = api.useMutation('post', '/incidents/{id}/steps/{n}', { onSettled: alertsChanged });
  const n = b.step ?? 0;
  const state = incident?.steps?.find((s) => s.n === n);
  const open = incident !== undefined && incident.state !== 'resolved' && may('incidents.write');
  const path = { id: incident?.incident_id ?? '', n };
  function run() {
    if (b.run === 'recheck') act.mutate({ params: { path }, body: { do: 'run' } });
    else if (b.run === 'void-voucher') setVoiding(true);
    else
      ask({
        title: 'Pause all campaigns?',
        impact: ['Every campaign that runs is paused. Nothing is lost: each goes on where it was when it is resumed.'],
        action: 'Pause all campaigns',
        run: () => act.mutateAsync({ params: { path }, body: { do: 'run' } }),
      });
  }
  const words = (
    <Text span size="sm">
      {n}. <Marked text={b.text} />
    </Text>
  );
  return (
    <div>
      {incident ? (
        <Checkbox
          label={words}
          checked={!!state?.ticked_at}
          disabled={!open || act.isPending}
          onChange={(e) => act.mutate({ params: { path }, body: { do: e.currentTarget.checked ? 'tick' : 'untick' } })}
        />
      ) : (
        words
      )}
      {incident && b.run && may(takes[b.run]) && open && (
        <Button
          mt={4}
          ml={28}
          size="xs"
          variant="default"
          leftSection={<IconPlayerPlay size={14} />}
          loading={act.isPending}
          onClick={run}
        >
          {verbs[b.run]}
        </Button>
      )}
      {!incident && b.run && (
        <Badge mt={4} variant="light" data-tone="quiet">
          Lastcall can do this
        </Badge>
      )}
      {state?.ticked_at && (
        <Text size="xs" c="dimmed" ml={28}>
          Ticked by {state.ticked_by}, <Time at={state.ticked_at} />
        </Text>
      )}
      {state?.ran_at && (
        <Text size="xs" c="dimmed" ml={28}>
          Run by {state.ran_by}, <Time at={state.ran_at} />: {state.came}
        </Text>
      )}
      <Modal opened={voiding} onClose={() => setVoiding(false)} title="Void a voucher" centered>
        <VoidForm path={path} close={() => setVoiding(false)} />
      </Modal>
    </div>
  );
}

function VoidForm({ path, close }: { path: { id: string; n: number }; close: () => void }) {
  const [voucher, setVoucher] = useState('');
  const [reason, setReason] = useState('');
  const act = api.useMutation('post', '/incidents/{id}/steps/{n}', {
    meta: { inPlace: true },
    onSettled: alertsChanged,
  });
  function submit(event: FormEvent) {
    event.preventDefault();
    act.mutate({ params: { path }, body: { do: 'run', voucher_id: voucher.trim(), reason } }, { onSuccess: close });
  }
  return (
    <form onSubmit={submit}>
      <Stack gap="md">
        <TextInput
          label="Voucher"
          description="Its id, as its page shows it. It stays on record, and no station takes it."
          value={voucher}
          onChange={(e) => setVoucher(e.currentTarget.value)}
          withAsterisk
          data-autofocus
        />
        <TextInput
          label="Reason"
          value={reason}
          onChange={(e) => setReason(e.currentTarget.value)}
          maxLength={500}
          withAsterisk
        />
        <FormEnd failure={act.error ? problemOf(act.error).message : ''} close={close}>
          <Button type="submit" color="red.9" loading={act.isPending} disabled={!voucher.trim() || !reason.trim()}>
            Void voucher
          </Button>
        </FormEnd>
      </Stack>
    </form>
  );
}
