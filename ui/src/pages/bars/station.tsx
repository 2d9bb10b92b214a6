import { Alert, Button, Group, Modal, Stack, Text, TextInput, Title } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useDisclosure } from '@mantine/hooks';
import { useState } from 'react';
import { client, queries } from '../../api/client';
import type { components } from '../../api/schema';
import { Can } from '../../app/session';
import { useConfirm } from '../../parts/confirm';
import { showProblem } from '../../parts/form';
import { Time } from '../../parts/time';
import { tell } from '../../parts/toast';
import { takenAlong } from './bar';
import type { Bar } from './bars';
import { Devices } from './devices';
import { Operators } from './operators';

export type Station = components['schemas']['Station'];

const changed = () => void queries.invalidateQueries({ predicate: (q) => String(q.queryKey[1]).startsWith('/bars') });

/** One station: who works there, on which devices. */
export function StationDrawer({ station, close }: { station: Station; close: () => void }) {
  const [editing, { open, close: stop }] = useDisclosure();
  const ask = useConfirm();

  async function remove() {
    const { data: impact } = await client.GET('/stations/{id}/impact', { params: { path: { id: station.id } } });
    if (!impact) return;
    ask({
      title: `Delete station ${station.code}?`,
      impact: [takenAlong(impact), 'What was redeemed here stays told. Its code is not used again.'],
      reason: 'required',
      action: 'Delete station',
      final: true,
      run: async (reason) => {
        await client.DELETE('/stations/{id}', { params: { path: { id: station.id } }, body: { reason } });
        tell.done(`Station ${station.code} deleted`);
        changed();
        close();
      },
    });
  }

  return (
    <Stack gap="lg">
      <div>
        <Title order={3} size="h3" className="wrap">
          {station.name}
        </Title>
        <Group gap="xs">
          <code>{station.code}</code>
          <Text size="sm" c="dimmed">
            since <Time at={station.created_at} />
          </Text>
        </Group>
        <Can do="bars.write">
          <Group gap="xs" mt="md">
            <Button variant="default" size="sm" onClick={open}>
              Rename
            </Button>
            <Button variant="default" size="sm" onClick={() => void remove()}>
              Delete…
            </Button>
          </Group>
        </Can>
      </div>
      <Can do="devices.manage">
        <Operators station={station} />
        <Devices station={station} />
      </Can>
      <StationForm opened={editing} close={stop} station={station} />
    </Stack>
  );
}

type FormProps = { opened: boolean; close: () => void; bar?: Bar; station?: Station; done?: (s: Station) => void };

/** Adds a station to a bar, or renames the one given. */
export function StationForm(props: FormProps) {
  return (
    <Modal
      opened={props.opened}
      onClose={props.close}
      title={props.station ? `Rename ${props.station.code}` : 'Add station'}
      centered
    >
      <Fields {...props} />
    </Modal>
  );
}

function Fields({ close, bar, station, done }: FormProps) {
  const form = useForm({
    initialValues: { code: station?.code ?? '', name: station?.name ?? '' },
    validate: {
      code: (v) => (v.trim() ? null : 'Enter a code.'),
      name: (v) => (v.trim() ? null : 'Enter a name.'),
    },
  });
  const [failure, setFailure] = useState('');
  const [busy, setBusy] = useState(false);

  async function submit({ code, name }: typeof form.values) {
    setFailure('');
    setBusy(true);
    try {
      const { data } = station
        ? await client.PUT('/stations/{id}', {
            params: { path: { id: station.id }, header: { 'If-Match': `"${station.version}"` } },
            body: { name },
          })
        : await client.POST('/stations', { body: { bar_id: bar?.id ?? '', code, name } });
      changed();
      tell.done(station ? 'Station renamed' : 'Station added');
      close();
      if (data) done?.(data);
    } catch (error) {
      setFailure(showProblem(form, error));
    } finally {
      setBusy(false);
    }
  }

  return (
    <form onSubmit={form.onSubmit((values) => void submit(values))} noValidate>
      <Stack gap="md">
        <TextInput
          label="Name"
          description="What people call it: “Counter”, “Terrace”."
          withAsterisk
          maxLength={100}
          data-autofocus
          {...form.getInputProps('name')}
        />
        {!station && (
          <TextInput
            label="Code"
            description="Like ENG-001. People sign in with it; it stays, and is not used again."
            withAsterisk
            maxLength={20}
            {...form.getInputProps('code')}
          />
        )}
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
            {station ? 'Rename station' : 'Add station'}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
