import { Alert, Button, Modal, Select, Stack, Switch, Text, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { api, queries } from '../../api/client';
import type { components } from '../../api/schema';
import { Facts } from '../../parts/facts';
import { showProblem } from '../../parts/form';
import { FormEnd } from '../../parts/form-end';
import { upper, words } from '../../parts/format';
import { Failed, Loading } from '../../parts/states';

type Scenario = components['schemas']['DrillScenario'];

export function StartDrill({ opened, close }: { opened: boolean; close: () => void }) {
  return (
    <Modal opened={opened} onClose={close} title="Start drill" size={560} centered>
      <Scenarios close={close} />
    </Modal>
  );
}

function Scenarios({ close }: { close: () => void }) {
  const query = api.useQuery('get', '/drill-scenarios', {}, { staleTime: 300_000 });
  if (query.isPending) return <Loading rows={5} label="Loading the scenarios" />;
  if (!query.data) return <Failed error={query.error} retry={() => void query.refetch()} />;
  return <Form all={query.data.scenarios} close={close} />;
}

function Form({ all, close }: { all: Scenario[]; close: () => void }) {
  const navigate = useNavigate();
  const [failure, setFailure] = useState('');
  const form = useForm({
    initialValues: {
      scenario: all.find((s) => s.name === 'messaging-outage')?.name ?? all[0]?.name ?? '',
      fast: true,
      reason: '',
    },
    validate: { reason: (v) => (v.trim() ? null : 'Say what it is for.') },
  });
  const begin = api.useMutation('post', '/drills', {
    meta: { inPlace: true },
    onSuccess: (drill) => {
      void queries.invalidateQueries({ queryKey: ['get', '/drills'] });
      void navigate({ to: '/drills/$id', params: { id: drill.drill_id } });
    },
    onError: (error) => setFailure(showProblem(form, error)),
  });
  const { scenario, fast } = form.getValues();
  const chosen = all.find((s) => s.name === scenario);
  return (
    <form
      onSubmit={form.onSubmit((values) => {
        setFailure('');
        begin.mutate({ body: values, params: { header: { 'Idempotency-Key': crypto.randomUUID() } } });
      })}
      noValidate
    >
      <Stack gap="md">
        <Select
          label="Scenario"
          data={all.map((s) => ({ value: s.name, label: s.title }))}
          allowDeselect={false}
          comboboxProps={{ transitionProps: { duration: 100 } }}
          {...form.getInputProps('scenario')}
        />
        {chosen && <What of={chosen} fast={fast} />}
        <Switch
          label="Fast"
          description="Within minutes, with thresholds of seconds. The drill acknowledges its own alert."
          {...form.getInputProps('fast', { type: 'checkbox' })}
        />
        <TextInput
          label="Reason"
          description="For the audit log."
          maxLength={500}
          withAsterisk
          data-autofocus
          {...form.getInputProps('reason')}
        />
        <FormEnd failure={failure} close={close}>
          <Button type="submit" loading={begin.isPending}>
            Start drill
          </Button>
        </FormEnd>
      </Stack>
    </form>
  );
}

/** What a drill does, in words. */
function What({ of: s, fast }: { of: Scenario; fast: boolean }) {
  return (
    <>
      <Text size="sm">{s.story}</Text>
      <Facts
        of={[
          ['Fault', `${upper(words(s.fault.kind))} · ${s.fault.edge_function}`],
          ['Ends by itself after', (fast ? s.fast.fault_for : s.fault.for) ?? ''],
          ['Steady first', s.steady_state.map((c) => `${c.edge_function} ${c.state.join(' or ')}`).join(', ')],
        ]}
      />
      <Alert color="gray" title="Meanwhile">
        {s.impact}
      </Alert>
    </>
  );
}
