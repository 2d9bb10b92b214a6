import { Button, Group, Select, Text } from '@mantine/core';
import { useState } from 'react';
import { api, client } from '../../api/client';
import { problemOf } from '../../api/problem';
import { Can } from '../../app/session';
import { Section } from '../../parts/page';
import { Time } from '../../parts/time';
import { tell } from '../../parts/toast';
import { type Rollout, rolloutChanged } from './rollout';

/** The stations that take part: while only some do, no other redeems vouchers. */
export function Stations({ of: r }: { of: Rollout }) {
  const limits = r.phases.find((p) => p.phase === (r.phase === 'staging' ? 'pilot' : r.phase))?.guardrails;
  const query = api.useQuery('get', '/stations', { params: { query: { limit: 500 } } });
  const [chosen, choose] = useState<string | null>(null);
  const [busy, setBusy] = useState('');
  const others = (query.data?.stations ?? []).filter((s) => r.stations.every((t) => t.id !== s.id));

  async function change(id: string, part: boolean) {
    setBusy(id);
    try {
      const path = { params: { path: { id } } };
      await (part ? client.PUT('/rollout/stations/{id}', path) : client.DELETE('/rollout/stations/{id}', path));
      choose(null);
    } catch (error) {
      tell.problem(problemOf(error));
    } finally {
      setBusy('');
      rolloutChanged();
    }
  }

  if (r.phase === 'live') return null;
  return (
    <Section
      title="Who takes part in the pilot"
      about={`Stations where guests redeem vouchers before the launch${limits?.stations ? `: ${r.stations.length} of ${limits.stations} at most` : ''}. No other redeems any from the pilot on.`}
    >
      {r.stations.length === 0 && <Text size="sm">No station takes part yet.</Text>}
      <ul className="lines">
        {r.stations.map((s) => (
          <li key={s.id}>
            <Group justify="space-between" gap="sm" wrap="nowrap">
              <div>
                <Text size="sm" fw={500} className="wrap">
                  {s.code} · {s.name}
                </Text>
                <Text size="xs" c="dimmed">
                  {s.bar}, since <Time at={s.enrolled_at} />
                </Text>
              </div>
              <Can do="rollout.run">
                <Button
                  size="xs"
                  variant="default"
                  loading={busy === s.id}
                  aria-label={`Take ${s.code} out`}
                  onClick={() => void change(s.id, false)}
                >
                  Take out
                </Button>
              </Can>
            </Group>
          </li>
        ))}
      </ul>
      <Can do="rollout.run">
        <Group mt="md" gap="xs" align="flex-end">
          <Select
            label="Station"
            placeholder="Choose one"
            searchable
            w={272}
            value={chosen}
            onChange={choose}
            data={others.map((s) => ({ value: s.id, label: `${s.code} · ${s.name}` }))}
          />
          <Button
            variant="default"
            disabled={!chosen}
            loading={busy !== '' && busy === chosen}
            onClick={() => chosen && void change(chosen, true)}
          >
            Let it take part
          </Button>
        </Group>
      </Can>
    </Section>
  );
}
