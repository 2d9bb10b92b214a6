import { Alert, Button, Group, Skeleton, Text } from '@mantine/core';
import { IconAlertTriangle, IconCheck, IconHourglass } from '@tabler/icons-react';
import { api, queries } from '../api/client';
import { Can } from '../app/session';
import { count } from '../parts/format';
import { Mark } from '../parts/status';
import { Time } from '../parts/time';
import { tell } from '../parts/toast';

/** How the chain stands: up to where it is sealed, and what was found when all of it was last looked at. */
export function ChainState() {
  const state = api.useQuery('get', '/audit/state', undefined, {
    refetchInterval: (q) => (q.state.data?.unsealed ? 2000 : 15_000),
  });
  const verify = api.useMutation('post', '/audit/verifications', {
    onSuccess: (v) => {
      void queries.invalidateQueries({ queryKey: ['get', '/audit/state'] });
      if (v.ok) tell.done('The audit log is whole', `${count(v.sealed)} entries are as they were sealed.`);
    },
  });
  const s = state.data;
  if (!s) return state.isPending ? <Skeleton height={48} mb="md" /> : null;
  const broken = s.verified && !s.verified.ok;
  return (
    <section className="card" aria-label="Chain" style={{ marginBottom: 'var(--mantine-spacing-md)' }}>
      <Group justify="space-between" gap="sm">
        <div>
          <Group gap="xs" mb={4}>
            {broken ? (
              <Mark word="Broken" tone="bad" icon={IconAlertTriangle} />
            ) : s.verified ? (
              <Mark word="Whole" tone="good" icon={IconCheck} />
            ) : (
              <Mark word="Not verified yet" tone="quiet" icon={IconHourglass} />
            )}
            <Text size="sm">
              {s.sealed > 0 ? <>Sealed up to entry {count(s.sealed)}</> : 'Nothing is sealed yet'}
              {s.unsealed > 0 && `, ${count(s.unsealed)} being sealed`}.
            </Text>
          </Group>
          <Text size="xs" c="dimmed">
            {s.verified ? (
              <>
                Verified up to {count(s.verified.to)} on <Time at={s.verified.at} />
              </>
            ) : (
              'It is verified every day'
            )}
            {s.checkpoint ? (
              <>
                {' '}
                · signed up to {count(s.checkpoint.seq)} on <Time at={s.checkpoint.at} />
              </>
            ) : (
              ' · signed every hour'
            )}
            {s.anchor && ` · entries up to ${count(s.anchor.seq)} are past their retention`}
          </Text>
        </div>
        <Can do="audit.export">
          <Button variant="default" loading={verify.isPending} onClick={() => verify.mutate({})}>
            Verify now
          </Button>
        </Can>
      </Group>
      {broken && s.verified && (
        <Alert color="red" role="alert" mt="sm" title={`Broken at entry ${s.verified.first_bad_seq}`}>
          {s.verified.detail}. Whoever runs the database must be asked; keep the signed checkpoints safe.
        </Alert>
      )}
    </section>
  );
}
