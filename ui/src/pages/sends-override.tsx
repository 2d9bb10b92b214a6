import { Alert, Button, Group, Text } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconLockOpen } from '@tabler/icons-react';
import { api } from '../api/client';
import type { components } from '../api/schema';
import { useMay } from '../app/session';
import { Actions, isOpen, Meanwhile, OverrideMark, WhatHappened } from './override/override';
import { RequestOverride } from './override/request';

type Send = components['schemas']['Send'];

/** Whether quiet hours are in a message's way: the one rule that a project lead can lift. */
export const heldByNight = (b: Send['block']) =>
  b !== undefined && (b.reason === 'quiet_hours' || (b.also ?? []).includes('quiet_hours'));

/** The override of a message that waits, or the way to ask for one. */
export function SendOverride({ send: s }: { send: Send }) {
  const query = api.useQuery(
    'get',
    '/overrides',
    { params: { query: { send_id: s.send_id, limit: 1 } } },
    { staleTime: 0, enabled: s.state === 'queued', refetchInterval: 5_000 },
  );
  const o = query.data?.overrides.find(isOpen);
  if (s.state !== 'queued' || !query.data) return null;
  if (!o) return heldByNight(s.block) ? <AskOverride send={s} /> : null;
  return (
    <Alert color="gray" mb="lg" role="region" aria-label="Override of quiet hours">
      <Group justify="space-between" gap="sm" mb="xs">
        <Text size="sm" fw={500}>
          Override of quiet hours
        </Text>
        <OverrideMark of={o} />
      </Group>
      <Text size="sm" className="wrap">
        <Meanwhile of={o} /> <WhatHappened of={o} />
      </Text>
      <Actions of={o} mt="sm" />
    </Alert>
  );
}

/** Asks for the override of a message that waits for quiet hours to end. */
export function AskOverride({ send: s, done }: { send: Send; done?: () => void }) {
  const may = useMay();
  const [asking, { open, close }] = useDisclosure();
  if (!may('overrides.request')) return null;
  return (
    <>
      <Button variant="default" leftSection={<IconLockOpen size={16} />} onClick={open} mb={done ? 0 : 'lg'}>
        Ask for an override…
      </Button>
      <RequestOverride
        of={{ send_id: s.send_id }}
        title={`Let this message of ${s.template} go in quiet hours?`}
        opened={asking}
        close={() => {
          close();
          done?.();
        }}
      />
    </>
  );
}
