import { Anchor, Box, Button, Tabs } from '@mantine/core';
import { getRouteApi, Link } from '@tanstack/react-router';
import { type ReactNode, useState } from 'react';
import { api } from '../api/client';
import { Page } from '../parts/page';
import { Empty, Failed, Loading } from '../parts/states';
import { ApprovalCard } from './campaign/approval';
import { AudienceView } from './campaign/audience';
import { type Campaign, moving } from './campaign/campaign';
import { Facts } from './campaign/facts';
import { FailuresView } from './campaign/failures';
import { HistoryView } from './campaign/history';
import { Progressing } from './campaign/live';
import { NeedsHuman, Orders, Standing } from './campaign/orders';
import { OverrideCard } from './campaign/override';
import { ReportView } from './campaign/report';
import { ResendDialog } from './campaign/resend';
import { Rest } from './campaign/rest';
import { TargetsView } from './campaign/targets';
import { VouchersView } from './campaign/vouchers';

const route = getRouteApi('/campaigns/$id');

/** The parts of the page below its figures. Which one is shown stands in the address; targets is not written there. */
export const views = ['targets', 'vouchers', 'failures', 'audience', 'history', 'report'] as const;
export type View = (typeof views)[number];

const second = 1000;

export function CampaignPage() {
  const { id } = route.useParams();
  // Events bring what is at work within a second; a receipt that comes after the end is told by none.
  const query = api.useQuery(
    'get',
    '/campaigns/{id}',
    { params: { path: { id } } },
    { refetchInterval: ({ state }) => (state.data?.status === 'draft' ? false : 10 * second) },
  );
  if (query.data) return <Whole key={id} campaign={query.data} />;
  if (query.isPending) return <Loading rows={8} label="Loading the campaign" />;
  return query.error.status === 404 || query.error.status === 422 ? (
    <Empty
      level={1}
      title="There is no such campaign"
      action={
        <Button variant="default" renderRoot={(props) => <Link to="/campaigns" {...props} />}>
          All campaigns
        </Button>
      }
    >
      The address may be old or mistyped.
    </Empty>
  ) : (
    <Failed level={1} error={query.error} retry={() => void query.refetch()} />
  );
}

function Whole({ campaign }: { campaign: Campaign }) {
  const [resending, setResending] = useState(false);
  const { view = 'targets' } = route.useSearch();
  const navigate = route.useNavigate();
  const draft = campaign.status === 'draft';
  // What a campaign of this status has no view of is as if it had not been asked for.
  const has = views.filter(
    (v) => (v !== 'report' || campaign.report) && (v !== 'vouchers' || campaign.kind === 'voucher'),
  );
  const shown = has.includes(view) ? view : 'targets';

  return (
    <Page
      title={campaign.name}
      above={
        <Anchor renderRoot={(props) => <Link to="/campaigns" {...props} />} size="sm" className="text-link no-print">
          Campaigns
        </Anchor>
      }
      action={<Orders campaign={campaign} resend={() => setResending(true)} />}
    >
      <Standing campaign={campaign} />
      <NeedsHuman campaign={campaign} />
      <ApprovalCard campaign={campaign} />
      <OverrideCard campaign={campaign} />
      <div className="split no-print">
        <div>
          <Progressing campaign={campaign} />
          {moving(campaign) && <Rest campaign={campaign} />}
        </div>
        <Facts campaign={campaign} />
      </div>
      {!draft && (
        <Tabs
          value={shown}
          onChange={(to) => void navigate({ search: { view: to === 'targets' ? undefined : (to as View) } })}
          keepMounted={false}
          mt="lg"
        >
          <Tabs.List className="no-print tabs">
            {has.map((v) => (
              <Tabs.Tab key={v} value={v}>
                {titles[v]}
              </Tabs.Tab>
            ))}
          </Tabs.List>
          {has.map((v) => (
            <Tabs.Panel key={v} value={v} pt="md">
              {show(v, campaign)}
            </Tabs.Panel>
          ))}
        </Tabs>
      )}
      {draft && (
        <Box mt="lg">
          <AudienceView campaign={campaign} />
        </Box>
      )}
      <ResendDialog campaign={campaign} opened={resending} close={() => setResending(false)} />
    </Page>
  );
}

const titles: Record<View, string> = {
  targets: 'Recipients',
  vouchers: 'Vouchers',
  failures: 'Failures',
  audience: 'Imports',
  history: 'History',
  report: 'Report',
};

function show(view: View, campaign: Campaign): ReactNode {
  switch (view) {
    case 'targets':
      return <TargetsView campaign={campaign} />;
    case 'vouchers':
      return <VouchersView campaign={campaign} />;
    case 'failures':
      return <FailuresView campaign={campaign} />;
    case 'audience':
      return <AudienceView campaign={campaign} />;
    case 'history':
      return <HistoryView campaign={campaign} />;
    case 'report':
      return <ReportView campaign={campaign} />;
  }
}
