import { Anchor, Code, Text, Title } from '@mantine/core';
import { IconExternalLink } from '@tabler/icons-react';
import type { ReactNode } from 'react';
import { api } from '../../api/client';
import { count, duration, money } from '../../parts/format';
import { Time } from '../../parts/time';
import type { Campaign } from './campaign';

/** What does not move: template, times, who, and where to look further. */
export function Facts({ campaign: c }: { campaign: Campaign }) {
  const history = api.useQuery('get', '/campaigns/{id}/history', {
    params: { path: { id: c.campaign_id }, query: { limit: 100 } },
  });
  const by = (kind: string) => {
    const found = history.data?.events.find((e) => e.kind === kind)?.by;
    return found ? (
      <Text span size="xs" c="dimmed" display="block" className="wrap">
        by {found}
      </Text>
    ) : null;
  };
  const v = c.voucher;
  const facts: [string, ReactNode][] = [
    ['Template', <span key="t">{`${c.template} v${c.template_version}`}</span>],
    [
      'Made',
      <span key="m">
        <Time at={c.created_at} />
        {by('created')}
      </span>,
    ],
  ];
  if (v)
    facts.push([
      'Voucher',
      <span key="v">
        {money(Number(v.amount), v.currency)} each,{' '}
        {v.expires_at ? (
          <>
            until <Time at={v.expires_at} />
          </>
        ) : (
          `for ${duration(v.valid_seconds ?? 0)} from when each is sent`
        )}
        <Text span size="xs" c="dimmed" display="block">
          {v.stations.length ? `at ${count(v.stations.length)} of the stations` : 'at every station'}
        </Text>
      </span>,
    ]);
  if (c.started_at)
    facts.push([
      'Started',
      <span key="s">
        <Time at={c.started_at} />
        {by('started')}
      </span>,
    ]);
  if (c.send_at) facts.push(['Not before', <Time key="n" at={c.send_at} />]);
  facts.push([
    'Channel',
    c.channel === 'whatsapp' ? `WhatsApp, weight ${c.weight}` : `${c.channel}, weight ${c.weight}`,
  ]);
  if (c.resend) facts.push(['Sent again', `${count(c.resend)} ${c.resend === 1 ? 'time' : 'times'}`]);
  facts.push([
    'Id',
    <Code key="i" className="wrap">
      {c.campaign_id}
    </Code>,
  ]);
  return (
    <section className="card" aria-labelledby="facts">
      <Title order={2} size="h3" mb="md" id="facts">
        Facts
      </Title>
      <dl className="campaign-facts">
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {c.temporal_web && (
        <Anchor
          href={c.temporal_web}
          target="_blank"
          rel="noreferrer"
          size="sm"
          className="text-link"
          mt="md"
          display="inline-block"
        >
          Open in Temporal Web <IconExternalLink size={14} aria-label="(opens a new tab)" />
        </Anchor>
      )}
    </section>
  );
}
