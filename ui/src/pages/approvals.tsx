import { Stack, Text } from '@mantine/core';
import { IconHandStop, IconHourglass, IconPencil } from '@tabler/icons-react';
import { keepPreviousData } from '@tanstack/react-query';
import { getRouteApi, Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { api } from '../api/client';
import { useMay } from '../app/session';
import { count, localZone, words, zoneName } from '../parts/format';
import { Page } from '../parts/page';
import { Empty } from '../parts/states';
import { Mark } from '../parts/status';
import { type Column, DataTable, usePager } from '../parts/table';
import { Time } from '../parts/time';
import type { Asked } from './campaign/approval';
import { plain } from './rollout/rollout';

const route = getRouteApi('/approvals');

const columns: Column<Asked>[] = [
  {
    header: 'What',
    width: 216,
    cell: (r) => (
      <>
        <span className="wrap">
          {(r.rollback && `Rollout ${r.rollback.rollout}`) ??
            r.template?.name ??
            r.campaign?.name ??
            r.override?.campaign ??
            r.override?.template ??
            'Production drill'}
        </span>
        <Text size="xs" c="dimmed" fw={400}>
          {r.rollback
            ? 'Recovery from a rollback'
            : r.template
              ? `Template, version ${r.template.version}`
              : r.override
                ? `Override of ${words(r.override.kind)}${r.override.send_id ? ', one message' : ''}`
                : 'Campaign'}
        </Text>
      </>
    ),
  },
  {
    header: 'Whose turn',
    width: 168,
    cell: (r) =>
      r.changed ? (
        <Mark word="Changed since" tone="quiet" icon={IconPencil} />
      ) : r.may_decide ? (
        <Mark word="You decide" tone="live" icon={IconHandStop} />
      ) : (
        <Mark word="Somebody else" tone="waits" icon={IconHourglass} />
      ),
  },
  { header: 'About', width: 176, cell: about },
  { header: 'Asked by', width: 136, cell: (r) => <span className="wrap">{r.requested_by.name}</span> },
  { header: `Asked (${zoneName(localZone)})`, width: 136, cell: (r) => <Time at={r.requested_at} bare /> },
];

/** How much hangs on it. */
function about({ campaign: c, template: t, override: o, rollback: b }: Asked): ReactNode {
  if (b) return b.rehearsal ? `A rehearsal: ${b.reason}` : b.reason;
  if (o)
    return (
      <>
        {count(o.queued)} queued, from <Time at={o.starts_at} />
      </>
    );
  if (t) return `${t.category === 'marketing' ? 'Marketing' : 'Service'}, ${t.locales.join(', ')}`;
  if (!c) return null;
  return (
    <>
      {count(c.targets)} recipients, {c.send_at ? <Time at={c.send_at} /> : 'when started'}
    </>
  );
}

/** What of the rollout waits for the reader: items to sign, and a gate that may be opened. */
function RolloutWaits() {
  const may = useMay();
  const { data: rollout } = api.useQuery('get', '/rollout', undefined, {
    staleTime: 0,
    refetchInterval: 15_000,
    enabled: may('rollout.read'),
  });
  const mine = rollout?.phases.flatMap((p) => p.items).filter((i) => i.may_sign) ?? [];
  const opens = may('rollout.run') && rollout?.gate && !rollout.gate.ordered && rollout.gate.open.length === 0;
  if (mine.length === 0 && !opens) return null;
  return (
    <Stack component="section" gap={4} mb="lg" aria-label="The rollout">
      <Text size="sm" fw={500}>
        The rollout waits for you
      </Text>
      {mine.map((i) => (
        <Text key={i.id} size="sm" className="wrap">
          Sign:{' '}
          <Link to="/rollout" search={{ item: i.id }} className="text-link">
            {plain(i.text)}
          </Link>
        </Text>
      ))}
      {opens && rollout?.gate && (
        <Text size="sm">
          <Link to="/rollout" className="text-link">
            {rollout.gate.to === 'live' ? 'Launch' : `Open ${rollout.gate.to}`}
          </Link>
          : nothing is missing any more.
        </Text>
      )}
    </Stack>
  );
}

/** The days of the rollout that the reader may sign. */
function ReviewsWait() {
  const may = useMay();
  const { data } = api.useQuery(
    'get',
    '/reviews',
    { params: { query: { open: true, limit: 25 } } },
    { staleTime: 0, refetchInterval: 15_000, enabled: may('reviews.sign') },
  );
  const mine = data?.reviews.filter((r) => r.may_sign) ?? [];
  if (mine.length === 0) return null;
  return (
    <Stack component="section" gap={4} mb="lg" aria-label="Daily reviews">
      <Text size="sm" fw={500}>
        Days of the rollout to review
      </Text>
      {mine.map((r) => (
        <Text key={r.id} size="sm">
          <Link to="/rollout/reviews" search={{ review: r.id }} className="text-link">
            {r.day}
          </Link>
          {r.state === 'late' && ': nobody has signed it in time'}
        </Text>
      ))}
    </Stack>
  );
}

export function ApprovalsPage() {
  const { after } = route.useSearch();
  const navigate = route.useNavigate();
  const query = api.useQuery(
    'get',
    '/approvals',
    { params: { query: { limit: 25, after } } },
    { placeholderData: keepPreviousData, staleTime: 0, refetchInterval: 15_000 },
  );
  const pager = usePager(after, (to) => void navigate({ search: { after: to } }));
  return (
    <Page
      title="Approvals"
      about="What waits for a second person. Nobody decides about what they asked for, nor about what they have written."
    >
      <RolloutWaits />
      <ReviewsWait />
      <DataTable
        caption="approvals"
        query={query}
        rows={({ approvals }) => approvals}
        rowKey={(r) => r.id}
        rowLink={({ subject, template: t, override, rollback }) =>
          rollback
            ? { to: '/rollout/rollbacks/$id', params: { id: subject } }
            : override
              ? { to: '/overrides', search: { override: subject } }
              : t
                ? { to: '/templates/$name', params: { name: t.name }, search: { version: t.version } }
                : { to: '/campaigns/$id', params: { id: subject } }
        }
        columns={columns}
        pager={pager}
        next={({ next }) => next}
        empty={
          <Empty title="Nothing waits">Campaigns, templates and overrides that need a second person appear here.</Empty>
        }
      />
    </Page>
  );
}
