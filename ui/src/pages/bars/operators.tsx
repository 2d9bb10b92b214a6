import { Alert, Button, Group, Modal, Stack, Text, TextInput, Title } from '@mantine/core';
import { IconBan, IconCheck, IconHelpCircle } from '@tabler/icons-react';
import { type FormEvent, useState } from 'react';
import { api, client, queries } from '../../api/client';
import { problemOf } from '../../api/problem';
import type { components } from '../../api/schema';
import { useConfirm } from '../../parts/confirm';
import { Failed, Loading } from '../../parts/states';
import { Mark } from '../../parts/status';
import { tell } from '../../parts/toast';
import type { Station } from './station';

type Operator = components['schemas']['Operator'];
type Told = components['schemas']['OperatorPIN'];

const changed = () => void queries.invalidateQueries({ queryKey: ['get', '/stations/{id}/operators'] });

/** Who works at a station. A PIN is shown once, when it is made. */
export function Operators({ station }: { station: Station }) {
  const query = api.useQuery('get', '/stations/{id}/operators', { params: { path: { id: station.id } } });
  const [told, setTold] = useState<Told>();
  const ask = useConfirm();

  const reset = (o: Operator) =>
    ask({
      title: `Another PIN for ${o.name}?`,
      impact: ['The PIN from before stops working, and they are signed out. Tries at this station are let in again.'],
      action: 'Make another PIN',
      run: async () => {
        const { data } = await client.POST('/operators/{id}/pin', { params: { path: { id: o.id } } });
        changed();
        setTold(data);
      },
    });
  const disable = (o: Operator) =>
    ask({
      title: `Keep ${o.name} from signing in?`,
      impact: ['They are signed out now, and their PIN is forgotten.'],
      action: 'Disable',
      run: async () => {
        await client.POST('/operators/{id}/disable', { params: { path: { id: o.id } } });
        changed();
        tell.done('Disabled');
      },
    });
  const enable = api.useMutation('post', '/operators/{id}/enable', { onSuccess: changed });

  return (
    <section className="card" aria-label="People">
      <Title order={4}>People</Title>
      <Text size="sm" c="dimmed" mb="sm">
        Each signs in with {station.code} and a PIN of six digits.
      </Text>
      {query.isPending ? (
        <Loading rows={2} label="Loading people" />
      ) : !query.data ? (
        <Failed error={query.error} retry={() => void query.refetch()} />
      ) : (
        <ul className="history" aria-label="People who work here">
          {query.data.operators.map((o) => (
            <li key={o.id}>
              <Group justify="space-between" gap="xs">
                <Group gap="xs">
                  <Text size="sm" fw={500} className="wrap">
                    {o.name}
                  </Text>
                  {o.disabled_at ? (
                    <Mark word="Disabled" tone="quiet" icon={IconBan} />
                  ) : o.pin_set_at ? (
                    <Mark word="Has a PIN" tone="good" icon={IconCheck} />
                  ) : (
                    <Mark word="No PIN yet" tone="waits" icon={IconHelpCircle} />
                  )}
                </Group>
                {o.disabled_at ? (
                  <Button
                    variant="default"
                    size="xs"
                    aria-label={`Enable ${o.name}`}
                    loading={enable.isPending}
                    onClick={() => enable.mutate({ params: { path: { id: o.id } } })}
                  >
                    Enable
                  </Button>
                ) : (
                  <Group gap="xs">
                    <Button variant="default" size="xs" aria-label={`New PIN for ${o.name}`} onClick={() => reset(o)}>
                      New PIN…
                    </Button>
                    <Button variant="default" size="xs" aria-label={`Disable ${o.name}`} onClick={() => disable(o)}>
                      Disable…
                    </Button>
                  </Group>
                )}
              </Group>
            </li>
          ))}
        </ul>
      )}
      <Add station={station} added={setTold} />
      <Modal opened={told !== undefined} onClose={() => setTold(undefined)} title={told?.operator.name} centered>
        <Stack gap="md" align="center">
          <Text size="sm">
            Signs in at <code>{station.code}</code> with this PIN:
          </Text>
          <output className="secret" aria-label="PIN">
            {told?.pin}
          </output>
          <Text size="sm" c="dimmed" ta="center">
            It is shown this once. Who forgets it gets another.
          </Text>
          <Button onClick={() => setTold(undefined)} data-autofocus>
            They have it
          </Button>
        </Stack>
      </Modal>
    </section>
  );
}

function Add({ station, added }: { station: Station; added: (told: Told) => void }) {
  const [name, setName] = useState('');
  const add = api.useMutation('post', '/stations/{id}/operators', {
    meta: { inPlace: true },
    onSuccess: (told) => {
      changed();
      setName('');
      added(told);
    },
  });
  function submit(event: FormEvent) {
    event.preventDefault();
    if (name.trim()) add.mutate({ params: { path: { id: station.id } }, body: { name: name.trim() } });
  }
  return (
    <form onSubmit={submit}>
      <Stack gap="sm" mt="md">
        <TextInput
          label="Add somebody"
          placeholder="Their name"
          autoComplete="off"
          maxLength={100}
          value={name}
          onChange={(e) => setName(e.currentTarget.value)}
        />
        {add.error && add.error.status !== 401 && (
          <Alert color="red" role="alert">
            {problemOf(add.error).message}
          </Alert>
        )}
        <Group>
          <Button type="submit" variant="default" loading={add.isPending} disabled={name.trim() === ''}>
            Add and make a PIN
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
