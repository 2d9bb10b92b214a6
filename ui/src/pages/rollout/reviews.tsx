import { Alert, Button, Drawer, Stack, Text, Textarea } from '@mantine/core';
import { IconAlertTriangle, IconCheck, IconHandStop, IconHourglass } from '@tabler/icons-react';
import { keepPreviousData } from '@tanstack/react-query';
import { getRouteApi, Link } from '@tanstack/react-router';
import { type FormEvent, type ReactNode, useState } from 'react';
import { api, client } from '../../api/client';
import { problemOf } from '../../api/problem';
import type { components } from '../../api/schema';
import { Facts } from '../../parts/facts';
import { count, localZone, percent, upper, words, zoneName } from '../../parts/format';
import { Page } from '../../parts/page';
import { Empty, Failed, Loading } from '../../parts/states';
import { Mark } from '../../parts/status';
import { type Column, DataTable, usePager } from '../../parts/table';
import { Time } from '../../parts/time';
import { tell } from '../../parts/toast';
import { rolloutChanged } from './rollout';

type Review = components['schemas']['DailyReview'];
type Snapshot = components['schemas']['ReviewSnapshot'];

const route = getRouteApi('/rollout/reviews');

const states = {
  open: { word: 'Open', tone: 'waits', icon: IconHourglass },
  late: { word: 'Missing', tone: 'bad', icon: IconAlertTriangle },
  signed: { word: 'Signed', tone: 'good', icon: IconCheck },
} as const;

const ReviewMark = ({ of: r }: { of: Review }) =>
  r.may_sign ? <Mark word="You sign" tone="live" icon={IconHandStop} /> : <Mark {...states[r.state]} />;

const columns: Column<Review>[] = [
  {
    header: 'Day',
    width: 128,
    cell: (r) => (
      <>
        {r.day}
        <Text size="xs" c="dimmed" fw={400} className="wrap">
          {r.rollout}, {r.phase}
        </Text>
      </>
    ),
  },
  { header: 'State', width: 124, cell: (r) => <ReviewMark of={r} /> },
  { header: `Opened (${zoneName(localZone)})`, width: 124, cell: (r) => <Time at={r.opened_at} bare /> },
  {
    header: 'Signed',
    width: 124,
    cell: (r) => (r.signed_at ? <Time at={r.signed_at} bare /> : <Text c="dimmed">–</Text>),
  },
  {
    header: 'By',
    width: 200,
    cell: (r) =>
      r.signed_by ? (
        <Stack gap={0}>
          <span className="wrap">{r.signed_by.name}</span>
          <Text size="xs" c="dimmed" className="wrap">
            {r.notes}
          </Text>
        </Stack>
      ) : (
        <Text size="sm" c="dimmed">
          Nobody yet
        </Text>
      ),
  },
];

/** How the days of the rollout went, and who has looked. */
export function ReviewsPage() {
  const { after, review } = route.useSearch();
  const navigate = route.useNavigate();
  const query = api.useQuery(
    'get',
    '/reviews',
    { params: { query: { limit: 25, after } } },
    { placeholderData: keepPreviousData, staleTime: 0, refetchInterval: 10_000 },
  );
  const pager = usePager(after, (to) => void navigate({ search: { after: to } }));
  return (
    <Page
      above={
        <Link to="/rollout" className="text-link">
          Rollout
        </Link>
      }
      title="Daily reviews"
      about="Each morning of the pilot somebody of ops or support looks at the day before, and signs. A day that nobody has signed keeps the gate shut."
    >
      <DataTable
        caption="daily reviews"
        query={query}
        rows={({ reviews }) => reviews}
        rowKey={(r) => r.id}
        rowLink={(r) => ({ to: '/rollout/reviews', search: { after, review: r.id } })}
        columns={columns}
        pager={pager}
        next={({ next }) => next}
        empty={<Empty title="No day has been reviewed yet">The first review opens on the pilot’s first morning.</Empty>}
      />
      <Drawer
        opened={review !== undefined}
        onClose={() => void navigate({ search: { after } })}
        title="Daily review"
        size="lg"
      >
        {review && <One id={review} />}
      </Drawer>
    </Page>
  );
}

function One({ id }: { id: string }) {
  const query = api.useQuery('get', '/reviews/{id}', { params: { path: { id } } }, { staleTime: 0 });
  if (query.isPending) return <Loading label="Loading the review" />;
  if (!query.data) return <Failed error={query.error} retry={() => void query.refetch()} />;
  const r = query.data;
  return (
    <Stack gap="lg">
      <Stack gap="sm">
        <span>
          <ReviewMark of={r} />
        </span>
        <Text size="sm">
          {r.day}, about <Time at={r.from} /> to <Time at={r.to} />.
        </Text>
      </Stack>
      {r.snapshot && <Shown of={r.snapshot} />}
      {r.signed_by && r.signed_at && (
        <section aria-label="Signature">
          <Text fw={500} size="sm">
            Signed
          </Text>
          <Text size="sm" className="wrap">
            By {r.signed_by.name} as {words(r.role ?? '')}: “{r.notes}”
          </Text>
          <Text size="xs" c="dimmed">
            <Time at={r.signed_at} />
          </Text>
        </section>
      )}
      {r.may_sign ? (
        <Sign of={r} done={() => void query.refetch()} />
      ) : (
        r.state !== 'signed' && (
          <Text size="sm" c="dimmed">
            You do not sign it: {r.why_not}.
          </Text>
        )
      )}
    </Stack>
  );
}

/** How it stood when the review opened. */
function Shown({ of: s }: { of: Snapshot }) {
  const figures: [string, ReactNode][] = s.kpis.figures.map((f) => [
    f.title,
    f.value === null ? 'No data' : f.unit === 'share' ? percent(f.value) : `${count(f.value)} ${f.unit}`,
  ]);
  const part = (title: string, none: string, rows: [string, ReactNode][]) => (
    <section aria-label={title}>
      <Text fw={500} size="sm" mb={4}>
        {title}
      </Text>
      {rows.length > 0 ? (
        <Facts of={rows} />
      ) : (
        <Text size="sm" c="dimmed">
          {none}
        </Text>
      )}
    </section>
  );
  return (
    <>
      {part('Figures when it opened', 'None could be read.', figures)}
      {part(
        'Held back on the day',
        'The policy held nothing back.',
        s.blocks.map((b) => [b.title, count(b.n)]),
      )}
      {part(
        'Failed on the day',
        'No message failed.',
        s.failures.map((f) => [
          `${upper(words(f.reason || 'failed'))}${f.error_code ? `, error ${f.error_code}` : ''}`,
          count(f.n),
        ]),
      )}
      {part(
        'In the audit log of the day',
        'Nothing stands out.',
        s.audit.map((a) => [a.action, count(a.n)]),
      )}
    </>
  );
}

function Sign({ of: r, done }: { of: Review; done: () => void }) {
  const [notes, setNotes] = useState('');
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState('');

  async function submit(event: FormEvent) {
    event.preventDefault();
    setFailure('');
    setBusy(true);
    try {
      await client.POST('/reviews/{id}/sign', {
        params: { path: { id: r.id } },
        body: { notes: notes.trim(), digest: r.digest },
      });
      tell.done('Signed');
      rolloutChanged();
      done();
    } catch (error) {
      setFailure(problemOf(error).message);
    } finally {
      setBusy(false);
    }
  }

  return (
    <form onSubmit={(e) => void submit(e)}>
      <Stack gap="sm">
        <Textarea
          label="Notes"
          description="What you have seen. For everybody, for good."
          withAsterisk
          maxLength={500}
          autosize
          minRows={2}
          value={notes}
          onChange={(e) => setNotes(e.currentTarget.value)}
        />
        {failure && (
          <Alert color="red" role="alert">
            {failure}
          </Alert>
        )}
        <span>
          <Button type="submit" leftSection={<IconCheck size={16} />} loading={busy} disabled={notes.trim() === ''}>
            Sign the day
          </Button>
        </span>
      </Stack>
    </form>
  );
}
