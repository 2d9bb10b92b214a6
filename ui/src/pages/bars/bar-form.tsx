import { Alert, Button, Group, Modal, NumberInput, Stack, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useState } from 'react';
import { client, queries } from '../../api/client';
import { CountrySelect } from '../../parts/country';
import { showProblem } from '../../parts/form';
import { tell } from '../../parts/toast';
import type { Bar } from './bars';

type Props = { opened: boolean; close: () => void; done?: (bar: Bar) => void; bar?: Bar };

/** Adds a bar, or changes the one given. */
export function BarForm(props: Props) {
  return (
    <Modal opened={props.opened} onClose={props.close} title={props.bar ? 'Edit bar' : 'Add bar'} size={520} centered>
      <Fields {...props} />
    </Modal>
  );
}

function Fields({ close, done, bar }: Props) {
  const form = useForm({
    initialValues: {
      code: bar?.code ?? '',
      name: bar?.name ?? '',
      country: (bar?.country ?? 'RW') as string | null,
      zone: bar?.zone ?? '',
      address: bar?.address ?? '',
      latitude: (bar?.latitude ?? '') as number | string,
      longitude: (bar?.longitude ?? '') as number | string,
    },
    validate: {
      code: (v) => (v.trim() ? null : 'Enter a code.'),
      name: (v) => (v.trim() ? null : 'Enter a name.'),
      country: (v) => (v ? null : 'Choose a country.'),
    },
  });
  const [failure, setFailure] = useState('');
  const [busy, setBusy] = useState(false);

  async function submit({ code, country, zone, address, latitude, longitude, name }: typeof form.values) {
    setFailure('');
    setBusy(true);
    const facts = {
      name,
      country: country ?? '',
      address: address.trim() || undefined,
      // The zone it had was the old country's.
      zone: (zone.trim() !== bar?.zone || country === bar?.country ? zone.trim() : '') || undefined,
      latitude: degrees(latitude),
      longitude: degrees(longitude),
    };
    try {
      const { data } = bar
        ? await client.PUT('/bars/{id}', {
            params: { path: { id: bar.id }, header: { 'If-Match': `"${bar.version}"` } },
            body: facts,
          })
        : await client.POST('/bars', { body: { code, ...facts } });
      void queries.invalidateQueries({ predicate: (q) => String(q.queryKey[1]).startsWith('/bars') });
      tell.done(bar ? 'Bar saved' : 'Bar added');
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
        <Group grow align="flex-start" className="pair">
          <TextInput label="Name" withAsterisk maxLength={100} data-autofocus {...form.getInputProps('name')} />
          <TextInput
            label="Code"
            description={bar ? 'It stays.' : 'Like ENG. It stays, and is not used again.'}
            inputWrapperOrder={['label', 'input', 'description', 'error']}
            withAsterisk
            maxLength={20}
            disabled={!!bar}
            {...form.getInputProps('code')}
          />
        </Group>
        <Group grow align="flex-start" className="pair">
          <CountrySelect label="Country" withAsterisk clearable={false} {...form.getInputProps('country')} />
          <TextInput
            label="Time zone"
            description="Only if the country has several."
            inputWrapperOrder={['label', 'input', 'description', 'error']}
            placeholder="Africa/Kigali"
            {...form.getInputProps('zone')}
          />
        </Group>
        <TextInput label="Address" maxLength={300} {...form.getInputProps('address')} />
        <Group grow align="flex-start" className="pair">
          <NumberInput label="Latitude" placeholder="-1.94995" hideControls {...form.getInputProps('latitude')} />
          <NumberInput label="Longitude" placeholder="30.05885" hideControls {...form.getInputProps('longitude')} />
        </Group>
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
            {bar ? 'Save bar' : 'Add bar'}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

const degrees = (v: number | string) => (v === '' ? undefined : Number(v));
