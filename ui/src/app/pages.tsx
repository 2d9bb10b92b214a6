import { IconSpeakerphone } from '@tabler/icons-react';
import { createRootRoute, createRoute, createRouter, lazyRouteComponent, redirect } from '@tanstack/react-router';
import type { ComponentType } from 'react';
import type { Show } from '../pages/campaigns';
import type { Step } from '../pages/wizard/frame';
import { Empty, Failed } from '../parts/states';
import { Shell } from './shell';

// Every page of the panel: its address, what of its state stands in the address, and its own chunk.

const root = createRootRoute({ component: Shell });

const home = createRoute({
  getParentRoute: () => root,
  path: '/',
  beforeLoad: () => {
    throw redirect({ to: '/campaigns', replace: true });
  },
});

const campaigns = createRoute({
  getParentRoute: () => root,
  path: '/campaigns',
  validateSearch: (s: Record<string, unknown>): { show?: Show; after?: string } => ({
    show: oneOf(s.show, ['active', 'draft', 'ended']),
    after: text(s.after),
  }),
  component: lazyRouteComponent(() => import('../pages/campaigns'), 'CampaignsPage'),
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

const profile = createRoute({
  getParentRoute: () => root,
  path: '/profile',
  component: lazyRouteComponent(() => import('../pages/profile'), 'ProfilePage'),
});

export const router = createRouter({
  routeTree: root.addChildren([home, campaigns, newCampaign, editCampaign, profile]),
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

/** What stands in the navigation, in order. `key` is typed after g. */
export const navigation: { to: '/campaigns'; label: string; icon: ComponentType<{ size?: number }>; key: string }[] = [
  { to: '/campaigns', label: 'Campaigns', icon: IconSpeakerphone, key: 'c' },
];

// Addresses are typed by people and other programs: what does not fit is as if it were not there.

function text(v: unknown): string | undefined {
  return typeof v === 'string' && v ? v : undefined;
}

function oneOf<T extends string>(v: unknown, allowed: T[]): T | undefined {
  return allowed.find((a) => a === v);
}
