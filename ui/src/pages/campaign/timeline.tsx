import { Alert, Drawer, Group, Skeleton, Text, Title } from '@mantine/core';
import { api, client } from '../../api/client';
import type { components } from '../../api/schema';
import { localZone, upper, zoneName } from '../../parts/format';
import { PhoneNumber } from '../../parts/number';
import { Failed } from '../../parts/states';
import { Status } from '../../parts/status';
import { Time } from '../../parts/time';
import { type Campaign, every } from './campaign';

type Moment = components['schemas']['Moment'];

/** Why was this not sent? All that happened to one recipient, and the answer in words. */
export function TimelineDrawer({
  campaign: c,
  target,
  close,
}: {
  campaign: Campaign;
  target?: number;
  close: () => void;
}) {
  return (
    <Drawer
      opened={target !== undefined}
      onClose={close}
      position="right"
      size={480}
      title="One recipient"
      classNames={{ title: 'dialog-title' }}
      transitionProps={{ duration: 120 }}
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      {target !== undefined && <Story campaign={c} target={target} />}
    </Drawer>
  );
}

function Story({ campaign: c, target }: { campaign: Campaign; target: number }) {
  const query = api.useQuery(
    'get',
    '/campaigns/{id}/targets/{target_id}/timeline',
    { params: { path: { id: c.campaign_id, target_id: target } } },
    { refetchInterval: every(3000, c) },
  );
  if (query.isPending) return <Skeleton height={160} aria-label="Loading the recipient" />;
  if (!query.data) return <Failed error={query.error} retry={() => void query.refetch()} />;
  const { target: t, now, timeline, zone, country, locale } = query.data;
  return (
    <>
      <Group justify="space-between" mb="xs">
        <Text fw={600} component="div">
          <PhoneNumber
            masked={t.masked}
            reveal={() =>
              client
                .POST('/campaigns/{id}/targets/{target_id}/reveal', {
                  params: { path: { id: c.campaign_id, target_id: target } },
                })
                .then(({ data }) => data?.msisdn)
            }
          />
        </Text>
        <Status of={t.state} />
      </Group>
      <Text size="xs" c="dimmed" mb="md">
        {[country, zone ? zoneName(zone) : 'zone unknown', locale].filter(Boolean).join(' · ')}
      </Text>
      <Alert color="gray" mb="lg">
        <Text size="sm" fw={500} className="wrap">
          {now.answer}
        </Text>
        {now.until && (
          <Text size="sm" mt={4}>
            Until <Time at={now.until} />
          </Text>
        )}
        {now.diagnosis?.advice && !now.answer.includes(now.diagnosis.advice) && (
          <Text size="sm" mt={4}>
            {now.diagnosis.advice}
          </Text>
        )}
      </Alert>
      <Title order={3} size="h4" mb="sm">
        What happened{' '}
        <Text span size="xs" c="dimmed" fw={400}>
          {zoneName(localZone)} time
        </Text>
      </Title>
      {timeline.length === 0 ? (
        <Text size="sm" c="dimmed">
          Nothing yet.
        </Text>
      ) : (
        <ol className="story">
          {timeline.map((m) => (
            <li key={`${m.at} ${m.kind} ${m.attempt}`} data-kind={m.kind}>
              <Text size="xs" c="dimmed">
                <Time at={m.at} bare seconds />
              </Text>
              <Told moment={m} />
            </li>
          ))}
        </ol>
      )}
    </>
  );
}

function Told({ moment: m }: { moment: Moment }) {
  const more = [
    m.attempt && m.attempt > 1 ? `attempt ${m.attempt}` : '',
    m.error_code === undefined ? '' : `code ${m.error_code}`,
    m.by ? `by ${m.by}` : '',
  ].filter(Boolean);
  return (
    <div>
      <Text size="sm" className="wrap">
        {upper(m.what)}
      </Text>
      {more.length > 0 && (
        <Text size="xs" c="dimmed" className="wrap">
          {more.join(' · ')}
        </Text>
      )}
      {m.note && (
        <Text size="sm" c="dimmed" className="wrap">
          “{m.note}”
        </Text>
      )}
      {m.diagnosis?.advice && (
        <Text size="sm" c="dimmed" className="wrap">
          {m.diagnosis.advice}
        </Text>
      )}
      {m.until && (
        <Text size="xs" c="dimmed">
          until <Time at={m.until} />
        </Text>
      )}
    </div>
  );
}
