import {
  IconAdjustments,
  IconBellRinging,
  IconBuildingStore,
  IconCheckbox,
  IconCreditCard,
  IconFlame,
  IconLayoutDashboard,
  IconListSearch,
  IconLockOpen,
  IconMessage2,
  IconPlugConnected,
  IconRocket,
  IconSend,
  IconSpeakerphone,
  IconTicket,
  IconUserOff,
  IconUserShield,
  IconUsers,
} from '@tabler/icons-react';
import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from '@tanstack/react-router';
import type { ComponentType } from 'react';
import type { EdgeFunction } from '../api/edge';
import type { View } from '../pages/campaign';
import type { State } from '../pages/campaign/targets';
import type { Show } from '../pages/campaigns';
import type { ContactsSearch } from '../pages/contacts';
import type { SendState } from '../pages/sends';
import type { TemplatesSearch } from '../pages/templates';
import type { VouchersSearch } from '../pages/vouchers';
import type { Step } from '../pages/wizard/frame';
import { Empty, Failed } from '../parts/states';
import { useMay } from './session';
import { Shell } from './shell';

// Every page of the panel: its address, what of its state stands in the address, and its own chunk.

/** The states of one recipient's message, of a campaign or a single one. */
const targetStates: State[] = [
  'queued',
  'sending',
  'sent',
  'delivered',
  'read',
  'failed',
  'opted_out',
  'unknown',
  'cancelled',
];

/** The services that are probed. */
const edges: EdgeFunction['name'][] = [
  'messaging',
  'dispatcher',
  'voucher-card',
  'payments',
  'ops-channel',
  'mail',
  'panel',
  'redemptions',
  'database',
];

const root = createRootRoute({ component: Shell });

const home = createRoute({
  getParentRoute: () => root,
  path: '/',
  component: lazyRouteComponent(() => import('../pages/dashboard'), 'DashboardPage'),
});

const campaigns = createRoute({
  getParentRoute: () => root,
  path: '/campaigns',
  validateSearch: (s: Record<string, unknown>): { show?: Show; since?: string; after?: string } => ({
    show: oneOf(s.show, ['active', 'draft', 'ended']),
    since: moment(s.since),
    after: text(s.after),
  }),
  component: lazyRouteComponent(() => import('../pages/campaigns'), 'CampaignsPage'),
});

const contacts = createRoute({
  getParentRoute: () => root,
  path: '/contacts',
  validateSearch: (s: Record<string, unknown>): ContactsSearch => ({
    tag: text(s.tag),
    country: typeof s.country === 'string' && /^[A-Z]{2}$/.test(s.country) ? s.country : undefined,
    bar: text(s.bar),
    locale: text(s.locale),
    consent: oneOf(s.consent, ['agreed', 'withdrawn', 'none']),
    out: oneOf(s.out, ['yes', 'no']),
    after: text(s.after),
    contact: text(s.contact),
  }),
  component: lazyRouteComponent(() => import('../pages/contacts'), 'ContactsPage'),
});

const optOuts = createRoute({
  getParentRoute: () => root,
  path: '/opt-outs',
  validateSearch: (s: Record<string, unknown>): { after?: string } => ({ after: text(s.after) }),
  component: lazyRouteComponent(() => import('../pages/opt-outs'), 'OptOutsPage'),
});

const sends = createRoute({
  getParentRoute: () => root,
  path: '/sends',
  validateSearch: (
    s: Record<string, unknown>,
  ): { state?: SendState; template?: string; since?: string; send?: string; after?: string } => ({
    state: oneOf(s.state, targetStates),
    since: moment(s.since),
    template: text(s.template),
    send: text(s.send),
    after: text(s.after),
  }),
  component: lazyRouteComponent(() => import('../pages/sends'), 'SendsPage'),
});

const templates = createRoute({
  getParentRoute: () => root,
  path: '/templates',
  validateSearch: (s: Record<string, unknown>): TemplatesSearch => ({
    sought: text(s.sought),
    status: oneOf(s.status, ['draft', 'submitted', 'approved', 'locked', 'retired']),
    category: oneOf(s.category, ['marketing', 'utility']),
  }),
  component: lazyRouteComponent(() => import('../pages/templates'), 'TemplatesPage'),
});

const template = createRoute({
  getParentRoute: () => root,
  path: '/templates/$name',
  validateSearch: (s: Record<string, unknown>): { version?: number; locale?: string; edit?: true } => ({
    version: whole(s.version),
    locale: text(s.locale),
    edit: s.edit === true || undefined,
  }),
  component: lazyRouteComponent(() => import('../pages/template'), 'TemplatePage'),
});

const settings = createRoute({
  getParentRoute: () => root,
  path: '/settings',
  component: lazyRouteComponent(() => import('../pages/settings'), 'SettingsPage'),
});

const bars = createRoute({
  getParentRoute: () => root,
  path: '/bars',
  validateSearch: (s: Record<string, unknown>): { search?: string; after?: string } => ({
    search: text(s.search),
    after: text(s.after),
  }),
  component: lazyRouteComponent(() => import('../pages/bars/bars'), 'BarsPage'),
});

const bar = createRoute({
  getParentRoute: () => root,
  path: '/bars/$id',
  validateSearch: (s: Record<string, unknown>): { station?: string } => ({ station: text(s.station) }),
  component: lazyRouteComponent(() => import('../pages/bars/bar'), 'BarPage'),
});

const tableCodes = createRoute({
  getParentRoute: () => root,
  path: '/bars/$id/qr',
  component: lazyRouteComponent(() => import('../pages/bars/qr'), 'TableCodesPage'),
});

const vouchers = createRoute({
  getParentRoute: () => root,
  path: '/vouchers',
  validateSearch: (s: Record<string, unknown>): VouchersSearch => ({
    view: oneOf(s.view, ['redemptions', 'refusals', 'tasks']),
    kind: oneOf(s.kind, ['business', 'system']),
    since: moment(s.since),
    status: oneOf(s.status, ['issued', 'sent', 'redeemed', 'expired', 'void']),
    campaign: text(s.campaign),
    batch: text(s.batch),
    contact: text(s.contact),
    station: text(s.station),
    from: day(s.from),
    to: day(s.to),
    resolved: s.resolved === true || undefined,
    after: text(s.after),
    voucher: text(s.voucher),
  }),
  component: lazyRouteComponent(() => import('../pages/vouchers'), 'VouchersPage'),
});

const payments = createRoute({
  getParentRoute: () => root,
  path: '/payments',
  component: lazyRouteComponent(() => import('../pages/payments'), 'PaymentsPage'),
});

const campaign = createRoute({
  getParentRoute: () => root,
  path: '/campaigns/$id',
  validateSearch: (s: Record<string, unknown>): { view?: View; state?: State; after?: number; target?: number } => ({
    view: oneOf(s.view, ['vouchers', 'failures', 'audience', 'history', 'report']),
    state: oneOf(s.state, targetStates),
    after: whole(s.after),
    target: whole(s.target),
  }),
  component: lazyRouteComponent(() => import('../pages/campaign'), 'CampaignPage'),
});

const newCampaign = createRoute({
  getParentRoute: () => root,
  path: '/campaigns/new',
  component: lazyRouteComponent(() => import('../pages/wizard/wizard'), 'NewCampaignPage'),
});

const editCampaign = createRoute({
  getParentRoute: () => root,
  path: '/campaigns/$id/edit',
  validateSearch: (s: Record<string, unknown>): { step?: Step } => ({
    step: oneOf(s.step, ['name', 'message', 'audience', 'schedule', 'review']),
  }),
  component: lazyRouteComponent(() => import('../pages/wizard/wizard'), 'EditCampaignPage'),
});

const users = createRoute({
  getParentRoute: () => root,
  path: '/users',
  validateSearch: (s: Record<string, unknown>): { after?: string } => ({ after: text(s.after) }),
  component: lazyRouteComponent(() => import('../pages/users'), 'UsersPage'),
});

const approvals = createRoute({
  getParentRoute: () => root,
  path: '/approvals',
  validateSearch: (s: Record<string, unknown>): { after?: string } => ({ after: text(s.after) }),
  component: lazyRouteComponent(() => import('../pages/approvals'), 'ApprovalsPage'),
});

const overrides = createRoute({
  getParentRoute: () => root,
  path: '/overrides',
  validateSearch: (s: Record<string, unknown>): { show?: 'open'; after?: string; override?: string } => ({
    show: oneOf(s.show, ['open']),
    after: text(s.after),
    override: text(s.override),
  }),
  component: lazyRouteComponent(() => import('../pages/overrides'), 'OverridesPage'),
});

const rollout = createRoute({
  getParentRoute: () => root,
  path: '/rollout',
  validateSearch: (s: Record<string, unknown>): { item?: string } => ({ item: text(s.item) }),
  component: lazyRouteComponent(() => import('../pages/rollout'), 'RolloutPage'),
});

const announcements = createRoute({
  getParentRoute: () => root,
  path: '/rollout/announcements',
  component: lazyRouteComponent(() => import('../pages/rollout/announcements'), 'AnnouncementsPage'),
});

const reviews = createRoute({
  getParentRoute: () => root,
  path: '/rollout/reviews',
  validateSearch: (s: Record<string, unknown>): { after?: string; review?: string } => ({
    after: text(s.after),
    review: text(s.review),
  }),
  component: lazyRouteComponent(() => import('../pages/rollout/reviews'), 'ReviewsPage'),
});

const rollback = createRoute({
  getParentRoute: () => root,
  path: '/rollout/rollbacks/$id',
  component: lazyRouteComponent(() => import('../pages/rollout/rollback'), 'RollbackPage'),
});

const drills = createRoute({
  getParentRoute: () => root,
  path: '/drills',
  validateSearch: (s: Record<string, unknown>): { after?: string; start?: true } => ({
    after: text(s.after),
    start: s.start === true || undefined,
  }),
  component: lazyRouteComponent(() => import('../pages/drills'), 'DrillsPage'),
});

const drill = createRoute({
  getParentRoute: () => root,
  path: '/drills/$id',
  component: lazyRouteComponent(() => import('../pages/drill/drill'), 'DrillPage'),
});

const profile = createRoute({
  getParentRoute: () => root,
  path: '/profile',
  component: lazyRouteComponent(() => import('../pages/profile'), 'ProfilePage'),
});

const audit = createRoute({
  getParentRoute: () => root,
  path: '/audit',
  validateSearch: (
    s: Record<string, unknown>,
  ): {
    action?: string;
    block?: string;
    since?: string;
    actor?: string;
    target?: string;
    request?: string;
    from?: string;
    to?: string;
    after?: string;
    entry?: number;
    live?: true;
  } => ({
    action: text(s.action),
    block: text(s.block),
    since: moment(s.since),
    actor: text(s.actor),
    target: text(s.target),
    request: text(s.request),
    from: day(s.from),
    to: day(s.to),
    after: text(s.after),
    entry: whole(s.entry),
    live: s.live === true || undefined,
  }),
  component: lazyRouteComponent(() => import('../pages/audit'), 'AuditPage'),
});

const incidents = createRoute({
  getParentRoute: () => root,
  path: '/incidents',
  validateSearch: (s: Record<string, unknown>): { show?: 'all'; after?: number } => ({
    show: oneOf(s.show, ['all']),
    after: whole(s.after),
  }),
  component: lazyRouteComponent(() => import('../pages/incidents/incidents'), 'IncidentsPage'),
});

const incident = createRoute({
  getParentRoute: () => root,
  path: '/incidents/$id',
  component: lazyRouteComponent(() => import('../pages/incidents/incident'), 'IncidentPage'),
});

const alerts = createRoute({
  getParentRoute: () => root,
  path: '/alerts',
  validateSearch: (s: Record<string, unknown>): { show?: 'all'; after?: string; alert?: string } => ({
    show: oneOf(s.show, ['all']),
    after: text(s.after),
    alert: text(s.alert),
  }),
  component: lazyRouteComponent(() => import('../pages/incidents/alerts'), 'AlertsPage'),
});

const alertRules = createRoute({
  getParentRoute: () => root,
  path: '/alert-rules',
  component: lazyRouteComponent(() => import('../pages/incidents/rules'), 'AlertRulesPage'),
});

const runbooks = createRoute({
  getParentRoute: () => root,
  path: '/runbooks',
  validateSearch: (s: Record<string, unknown>): { runbook?: string } => ({ runbook: text(s.runbook) }),
  component: lazyRouteComponent(() => import('../pages/incidents/runbooks'), 'RunbooksPage'),
});

const integrations = createRoute({
  getParentRoute: () => root,
  path: '/integrations',
  validateSearch: (s: Record<string, unknown>): { edge?: EdgeFunction['name'] } => ({
    edge: oneOf(s.edge, edges),
  }),
  component: lazyRouteComponent(() => import('../pages/integrations'), 'IntegrationsPage'),
});

export const router = createRouter({
  routeTree: root.addChildren([
    home,
    campaigns,
    newCampaign,
    editCampaign,
    campaign,
    approvals,
    overrides,
    rollout,
    announcements,
    reviews,
    rollback,
    drills,
    drill,
    contacts,
    sends,
    optOuts,
    templates,
    template,
    bars,
    bar,
    tableCodes,
    vouchers,
    payments,
    incidents,
    incident,
    alerts,
    alertRules,
    runbooks,
    integrations,
    settings,
    audit,
    users,
    profile,
  ]),
  defaultPreload: 'intent',
  defaultErrorComponent: ({ error, reset }) => <Failed level={1} error={error} retry={reset} />,
  defaultNotFoundComponent: () => (
    <Empty level={1} title="There is no such page">
      The address may be old or mistyped.
    </Empty>
  ),
});

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router;
  }
}

/** What stands in the navigation, in order. `key` is typed after g; it takes a permission to see it, one of several. */
const navigation: {
  to:
    | '/'
    | '/campaigns'
    | '/approvals'
    | '/overrides'
    | '/rollout'
    | '/drills'
    | '/contacts'
    | '/opt-outs'
    | '/templates'
    | '/sends'
    | '/vouchers'
    | '/bars'
    | '/payments'
    | '/incidents'
    | '/integrations'
    | '/settings'
    | '/audit'
    | '/users';
  label: string;
  icon: ComponentType<{ size?: number }>;
  key: string;
  takes: string | string[];
}[] = [
  { to: '/', label: 'Dashboard', icon: IconLayoutDashboard, key: 'd', takes: 'dashboard.read' },
  { to: '/campaigns', label: 'Campaigns', icon: IconSpeakerphone, key: 'c', takes: 'campaigns.read' },
  {
    to: '/approvals',
    label: 'Approvals',
    icon: IconCheckbox,
    key: 'v',
    takes: [
      'campaigns.approve',
      'overrides.decide',
      'templates.review',
      'rollout.sign',
      'rollout.recover',
      'reviews.sign',
      'reviews.sign',
      'rollout.recover',
    ],
  },
  { to: '/overrides', label: 'Overrides', icon: IconLockOpen, key: 'l', takes: 'overrides.read' },
  { to: '/contacts', label: 'Contacts', icon: IconUsers, key: 'p', takes: 'contacts.read' },
  { to: '/sends', label: 'Messages', icon: IconSend, key: 'm', takes: 'sends.read' },
  { to: '/opt-outs', label: 'Opt-outs', icon: IconUserOff, key: 'o', takes: 'opt_outs.read' },
  { to: '/templates', label: 'Templates', icon: IconMessage2, key: 't', takes: 'templates.read' },
  { to: '/vouchers', label: 'Vouchers', icon: IconTicket, key: 'k', takes: 'vouchers.read' },
  { to: '/bars', label: 'Bars & stations', icon: IconBuildingStore, key: 'b', takes: 'bars.read' },
  { to: '/rollout', label: 'Rollout', icon: IconRocket, key: 'r', takes: 'rollout.read' },
  { to: '/drills', label: 'Drills', icon: IconFlame, key: 'x', takes: 'drills.read' },
  { to: '/payments', label: 'Payments', icon: IconCreditCard, key: 'y', takes: 'payments.read' },
  { to: '/incidents', label: 'Incidents', icon: IconBellRinging, key: 'n', takes: 'incidents.read' },
  { to: '/integrations', label: 'Integrations', icon: IconPlugConnected, key: 'i', takes: 'probes.read' },
  { to: '/settings', label: 'Settings', icon: IconAdjustments, key: 's', takes: 'settings.read' },
  { to: '/audit', label: 'Audit log', icon: IconListSearch, key: 'a', takes: 'audit.read' },
  { to: '/users', label: 'Users', icon: IconUserShield, key: 'u', takes: 'accounts.manage' },
];

// Addresses are typed by people and other programs: what does not fit is as if it were not there.

function text(v: unknown): string | undefined {
  return typeof v === 'string' && v ? v : undefined;
}

function whole(v: unknown): number | undefined {
  return typeof v === 'number' && Number.isSafeInteger(v) && v > 0 ? v : undefined;
}

function day(v: unknown): string | undefined {
  return typeof v === 'string' && /^\d{4}-\d\d-\d\d$/.test(v) ? v : undefined;
}

/** A moment as the API tells it. */
function moment(v: unknown): string | undefined {
  return typeof v === 'string' && /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(v) && !Number.isNaN(Date.parse(v)) ? v : undefined;
}

function oneOf<T extends string>(v: unknown, allowed: T[]): T | undefined {
  return allowed.find((a) => a === v);
}

/** The pages that whoever is signed in may open. */
export function useNavigation() {
  const may = useMay();
  return navigation.filter((page) => [page.takes].flat().some(may));
}
