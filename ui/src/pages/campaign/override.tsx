import { Button, Group, Text, Title } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconLockOpen } from '@tabler/icons-react';
import { api } from '../../api/client';
import { useMay } from '../../app/session';
import { Actions, isOpen, Meanwhile, OverrideMark, WhatHappened } from '../override/override';
import { RequestOverride } from '../override/request';
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
            <Meanwhile of={o} />
          </Text>
          <Text size="sm" c="dimmed" mt={4} className="wrap">
            {o.requested_by.name} asked: “{o.reason}”{o.decision && ` ${o.decision.by.name} ${o.decision.verdict} it.`}{' '}
            <WhatHappened of={o} />
          </Text>
          <Actions of={o} mt="md" />
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
      <RequestOverride
        of={{ campaign_id: c.campaign_id }}
        title={`Let “${c.name}” send in quiet hours?`}
        opened={asking}
        close={close}
      />
    </section>
  );
}
