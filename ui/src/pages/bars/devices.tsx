import { Alert, Button, CopyButton, Group, Modal, Stack, Text, TextInput, Title } from '@mantine/core';
import { IconCloudOff } from '@tabler/icons-react';
import { type FormEvent, useState } from 'react';
import { api, client, queries } from '../../api/client';
import { problemOf } from '../../api/problem';
import type { components } from '../../api/schema';
import { useConfirm } from '../../parts/confirm';
import { Failed, Loading } from '../../parts/states';
import { Mark } from '../../parts/status';
import { Time } from '../../parts/time';
import { tell } from '../../parts/toast';
import type { Station } from './station';

type Device = components['schemas']['Device'];
type Invitation = components['schemas']['EnrolmentLink'];

const changed = () => void queries.invalidateQueries({ queryKey: ['get', '/stations/{id}/devices'] });

/** The devices of a station. A new one is enrolled by a code on this screen, once. */
export function Devices({ station }: { station: Station }) {
  const [invitation, setInvitation] = useState<Invitation>();
  const query = api.useQuery(
    'get',
    '/stations/{id}/devices',
    { params: { path: { id: station.id } } },
    { refetchInterval: invitation ? 3000 : false },
  );
  const ask = useConfirm();
  const close = () => {
    setInvitation(undefined);
    changed();
  };
  const revoke = (d: Device) =>
    ask({
      title: `Revoke “${d.name}”?`,
      impact: [
        'Whoever is signed in on it is signed out now.',
        d.lease
          ? 'It accepts vouchers offline: what it has accepted and not sent yet is lost.'
          : 'To be used again, it needs another enrolment.',
      ],
      reason: 'required',
      action: 'Revoke device',
      final: true,
      run: async (reason) => {
        await client.DELETE('/devices/{id}', { params: { path: { id: d.id } }, body: { reason } });
        changed();
        tell.done('Device revoked');
      },
    });

  return (
    <section className="card" aria-label="Devices">
      <Title order={4}>Devices</Title>
      <Text size="sm" c="dimmed" mb="sm">
        Nobody signs in on any other.
      </Text>
      {query.isPending ? (
        <Loading rows={2} label="Loading devices" />
      ) : !query.data ? (
        <Failed error={query.error} retry={() => void query.refetch()} />
      ) : (
        <ul className="history" aria-label="Enrolled devices">
          {query.data.devices.map((d) => (
            <li key={d.id}>
              <Group justify="space-between" gap="xs">
                <div>
                  <Group gap="xs">
                    <Text size="sm" fw={500} className="wrap">
                      {d.name}
                    </Text>
                    {d.lease && <Mark word="Offline too" tone="live" icon={IconCloudOff} />}
                  </Group>
                  <Text size="xs" c="dimmed">
                    {d.agent} · seen <Time at={d.seen_at} />
                  </Text>
                </div>
                <Button variant="default" size="xs" aria-label={`Revoke ${d.name}`} onClick={() => revoke(d)}>
                  Revoke…
                </Button>
              </Group>
            </li>
          ))}
        </ul>
      )}
      <Enrol station={station} made={setInvitation} />
      <Modal opened={invitation !== undefined} onClose={close} title={`Enrol “${invitation?.name}”`} centered>
        {invitation && <Invite invitation={invitation} station={station} close={close} />}
      </Modal>
    </section>
  );
}

function Invite({ invitation, station, close }: { invitation: Invitation; station: Station; close: () => void }) {
  return (
    <Stack gap="md" align="center">
      <Text size="sm" ta="center">
        Scan this with the device that is to stand at <code>{station.code}</code>. It works for one device, until{' '}
        <Time at={invitation.expires_at} />.
      </Text>
      <img
        className="qr"
        width={232}
        height={232}
        alt={`Code that enrols a device at ${station.code}`}
        src={`data:image/svg+xml,${encodeURIComponent(invitation.qr)}`}
      />
      <code className="wrap">{invitation.link}</code>
      <Group gap="xs">
        <CopyButton value={invitation.link}>
          {({ copied, copy }) => (
            <Button variant="default" onClick={copy}>
              {copied ? 'Copied' : 'Copy link'}
            </Button>
          )}
        </CopyButton>
        <Button onClick={close}>Done</Button>
      </Group>
    </Stack>
  );
}

function Enrol({ station, made }: { station: Station; made: (invitation: Invitation) => void }) {
  const [name, setName] = useState('');
  const invite = api.useMutation('post', '/stations/{id}/enrolments', {
    meta: { inPlace: true },
    onSuccess: (invitation) => {
      setName('');
      made(invitation);
    },
  });
  function submit(event: FormEvent) {
    event.preventDefault();
    if (name.trim()) invite.mutate({ params: { path: { id: station.id } }, body: { name: name.trim() } });
  }
  return (
    <form onSubmit={submit}>
      <Stack gap="sm" mt="md">
        <TextInput
          label="Enrol a device"
          placeholder="What to call it: “Counter phone”"
          autoComplete="off"
          maxLength={100}
          value={name}
          onChange={(e) => setName(e.currentTarget.value)}
        />
        {invite.error && invite.error.status !== 401 && (
          <Alert color="red" role="alert">
            {problemOf(invite.error).message}
          </Alert>
        )}
        <Group>
          <Button type="submit" variant="default" loading={invite.isPending} disabled={name.trim() === ''}>
            Show the code
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
