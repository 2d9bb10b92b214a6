import { Tabs } from '@mantine/core';
import { getRouteApi } from '@tanstack/react-router';
import { Page } from '../parts/page';
import { IssueActions } from './vouchers/issue';
import { VoucherList } from './vouchers/list';
import { Redemptions } from './vouchers/redemptions';
import { Refusals } from './vouchers/refusals';
import { SupportTasks } from './vouchers/tasks';

/** What of the page stands in its address: no code and no number. Days are those of whoever looks. */
export type VouchersSearch = {
  view?: 'redemptions' | 'refusals' | 'tasks';
  /** Of refusals. */
  kind?: 'business' | 'system';
  /** Issued, redeemed or refused at this moment or later. */
  since?: string;
  status?: 'issued' | 'sent' | 'redeemed' | 'expired' | 'void';
  campaign?: string;
  batch?: string;
  contact?: string;
  station?: string;
  /** Expires, or was redeemed, on this day or later. */
  from?: string;
  /** On this day or earlier. */
  to?: string;
  /** Of tasks: resolved ones, too. */
  resolved?: boolean;
  after?: string;
  voucher?: string;
};

const route = getRouteApi('/vouchers');

export function VouchersPage() {
  const { view = 'vouchers' } = route.useSearch();
  const navigate = route.useNavigate();
  return (
    <Page
      title="Vouchers"
      about="Amounts that guests redeem at stations, each once."
      action={<IssueActions issued={(id) => void navigate({ search: { voucher: id } })} />}
    >
      <Tabs
        value={view}
        onChange={(to) =>
          void navigate({ search: { view: to === 'vouchers' ? undefined : (to as VouchersSearch['view']) } })
        }
        keepMounted={false}
      >
        <Tabs.List className="tabs">
          <Tabs.Tab value="vouchers">Vouchers</Tabs.Tab>
          <Tabs.Tab value="redemptions">Redemptions</Tabs.Tab>
          <Tabs.Tab value="refusals">Refused</Tabs.Tab>
          <Tabs.Tab value="tasks">For Support</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="vouchers" pt="md">
          <VoucherList />
        </Tabs.Panel>
        <Tabs.Panel value="redemptions" pt="md">
          <Redemptions />
        </Tabs.Panel>
        <Tabs.Panel value="refusals" pt="md">
          <Refusals />
        </Tabs.Panel>
        <Tabs.Panel value="tasks" pt="md">
          <SupportTasks />
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}
