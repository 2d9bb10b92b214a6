import { Button, Group, SegmentedControl, Text } from '@mantine/core';
import { IconHandStop } from '@tabler/icons-react';
import { keepPreviousData } from '@tanstack/react-query';
import { getRouteApi, Link } from '@tanstack/react-router';
import { api } from '../api/client';
import type { components } from '../api/schema';
import { Can } from '../app/session';
import { localZone, upper, zoneName } from '../parts/format';
import { Page } from '../parts/page';
import { Progress } from '../parts/progress';
import { Since } from '../parts/since';
import { Empty } from '../parts/states';
import { Status } from '../parts/status';
import { type Column, DataTable, usePager } from '../parts/table';
import { Time } from '../parts/time';

type Campaign = components['schemas']['Campaign'];

const route = getRouteApi('/campaigns');

/** The filters, by what people look for. */
export const shows = {
  all: { label: 'All', status: undefined },
  active: { label: 'Active', status: ['scheduled', 'preflight', 'running', 'paused', 'settling'] },
  draft: { label: 'Drafts', status: ['draft'] },
  ended: { label: 'Ended', status: ['done', 'stopped', 'failed'] },
} satisfies Record<string, { label: string; status: Campaign['status'][] | undefined }>;

export type Show = keyof typeof shows;

const columns: Column<Campaign>[] = [
  {
    header: 'Campaign',
    width: 168,
    cell: (c) => (
      <>
        <span className="wrap">{c.name}</span>
        <Text size="xs" c="dimmed" fw={400}>
          {c.template} v{c.template_version}
        </Text>
      </>
    ),
  },
  { header: 'Status', width: 112, cell: (c) => <Status of={c.status} /> },
  { header: 'Progress', width: 144, cell: (c) => <Progress counts={c} /> },
  { header: 'Waits for', width: 152, cell: (c) => <WaitsFor campaign={c} /> },
  {
    header: `Started (${zoneName(localZone)})`,
    width: 144,
    cell: (c) =>
      c.status === 'scheduled' && c.send_at ? (
        <Text size="xs" c="dimmed">
          starts <Time at={c.send_at} bare />
        </Text>
      ) : c.started_at ? (
        <Time at={c.started_at} bare />
      ) : (
        <Text size="xs" c="dimmed">
          made <Time at={c.created_at} bare />
        </Text>
      ),
  },
];

const newCampaign = (
  <Can do="campaigns.write">
    <Button component={Link} to="/campaigns/new">
      New campaign
    </Button>
  </Can>
);

export function CampaignsPage() {
  const { show = 'all', since, after } = route.useSearch();
  const navigate = route.useNavigate();
  const status = shows[show].status;
  const query = api.useQuery(
    'get',
    '/campaigns',
    { params: { query: { limit: 25, after, status, sent_since: since } } },
    { placeholderData: keepPreviousData },
  );
  const pager = usePager(after, (to) => void navigate({ search: (s) => ({ ...s, after: to }) }));
  return (
    <Page title="Campaigns" about="Newest first. What runs is shown live." action={newCampaign}>
      <Group mb="md">
        <SegmentedControl
          aria-label="Show"
          value={show}
          data={Object.entries(shows).map(([value, { label }]) => ({ value, label }))}
          onChange={(to) => void navigate({ search: { since, show: to === 'all' ? undefined : (to as Show) } })}
        />
      </Group>
      <Since at={since} what="Only those that sent something" clear={() => void navigate({ search: {} })} />
      <DataTable
        caption="campaigns"
        query={query}
        rows={(page) => page.campaigns}
        next={(page) => page.next}
        rowKey={(c) => c.campaign_id}
        columns={columns}
        rowLink={(c) => ({
          to: c.status === 'draft' ? '/campaigns/$id/edit' : '/campaigns/$id',
          params: { id: c.campaign_id },
        })}
        pager={pager}
        empty={
          show === 'all' && !since ? (
            <Empty title="No campaigns yet">
              A campaign sends one template to a list of recipients, each in the hours that suit them.
            </Empty>
          ) : (
            <Empty title={`No ${show === 'all' ? 'such' : shows[show].label.toLowerCase()} campaigns`}>
              Others may be under another filter.
            </Empty>
          )
        }
      />
    </Page>
  );
}

function WaitsFor({ campaign }: { campaign: Campaign }) {
  if (campaign.needs_human) {
    return (
      <Group gap={6} wrap="nowrap" align="flex-start" c="var(--accent)">
        <IconHandStop size={16} className="no-shrink" aria-label="Needs a human" />
        <Text size="sm">{campaign.needs_human}</Text>
      </Group>
    );
  }
  const first = campaign.waiting[0];
  if (!first) {
    if (campaign.status === 'scheduled' && campaign.send_at)
      return (
        <Text size="sm">
          Goes <Time at={campaign.send_at} />
        </Text>
      );
    return (
      <Text size="sm" c="dimmed">
        –
      </Text>
    );
  }
  return (
    <>
      <Text size="sm">{upper(first.why)}</Text>
      {first.until && (
        <Text size="xs" c="dimmed">
          until <Time at={first.until} />
        </Text>
      )}
      {campaign.waiting.length > 1 && (
        <Text size="xs" c="dimmed">
          and {campaign.waiting.length - 1} more
        </Text>
      )}
    </>
  );
}
