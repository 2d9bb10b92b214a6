import { useEffect, useSyncExternalStore } from 'react';
import { active, type Campaign } from '../pages/campaign/campaign';
import { client, queries } from './client';
import { takeEdgeFunctions } from './edge';
import type { components } from './schema';

type CampaignPage = components['schemas']['CampaignPage'];

export type Line = 'live' | 'connecting' | 'reconnecting';

let line: Line = 'connecting';
const watchers = new Set<() => void>();

/** Whether what the page shows is fed live right now. */
export function useLine(): Line {
  return useSyncExternalStore(
    (changed) => {
      watchers.add(changed);
      return () => watchers.delete(changed);
    },
    () => line,
  );
}

function become(now: Line) {
  if (now === line) return;
  line = now;
  for (const changed of watchers) changed();
}

/** Keeps the panel's one event stream open while the component is there, and feeds the caches from it. */
export function useLive() {
  useEffect(() => {
    let source: EventSource | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let waits = 0;
    let opened = false;

    const open = () => {
      source = new EventSource('/api/v1/events');
      source.addEventListener('open', () => {
        waits = 0;
        become('live');
        // What ended while nobody listened is told by no event.
        if (opened)
          void queries.invalidateQueries({ predicate: (q) => String(q.queryKey[1]).startsWith('/campaigns') });
        opened = true;
      });
      source.addEventListener('campaign', (event) => take(JSON.parse(event.data)));
      source.addEventListener('alerts', () => {
        for (const path of ['/alerts', '/alerts/{id}', '/incidents'])
          void queries.invalidateQueries({ queryKey: ['get', path] });
      });
      source.addEventListener('edge-functions', (event) => takeEdgeFunctions(JSON.parse(event.data)));
      source.addEventListener('error', () => {
        become(opened ? 'reconnecting' : 'connecting');
        // The browser gives up for good when the answer is no stream, and tries at once when it is: we wait instead.
        source?.close();
        timer = setTimeout(open, Math.min(1000 * 2 ** waits++, 30_000) * (0.75 + Math.random() / 2));
        // A stream says nothing of why; asking for the session does.
        void queries
          .fetchQuery({
            queryKey: ['alive'],
            queryFn: () => client.GET('/session').then((r) => r.data ?? null),
            staleTime: 0,
            retry: false,
          })
          .catch(() => undefined);
      });
    };
    open();
    return () => {
      clearTimeout(timer);
      source?.close();
      become('connecting');
    };
  }, []);
}

/** Puts a campaign as it is now wherever the panel keeps it. */
export function take(campaign: Campaign) {
  queries.setQueryData(
    ['get', '/campaigns/{id}', { params: { path: { id: campaign.campaign_id } } }],
    (old: Campaign | undefined) => old && { ...campaign, boundary: old.boundary },
  );
  let listed = false;
  queries.setQueriesData({ queryKey: ['get', '/campaigns'] }, (page: CampaignPage | undefined) => {
    if (!page?.campaigns.some((c) => c.campaign_id === campaign.campaign_id)) return page;
    listed = true;
    return {
      ...page,
      campaigns: page.campaigns.map((c) => (c.campaign_id === campaign.campaign_id ? campaign : c)),
    };
  });
  const told = known.get(campaign.campaign_id);
  known.set(campaign.campaign_id, campaign.status);
  // What its page lists is asked for while it is active; of what changed at the end or after it nobody would ask.
  if (told !== campaign.status || !active(campaign)) {
    void queries.invalidateQueries({
      predicate: ({ queryKey: [, path, init] }) =>
        String(path).startsWith('/campaigns/{id}/') &&
        (init as { params: { path: { id: string } } }).params.path.id === campaign.campaign_id,
    });
  }
  // A new campaign, or one that moved to another filter: only the server knows which pages it is on now.
  if ((told !== undefined && told !== campaign.status) || (!listed && told === undefined)) {
    void queries.invalidateQueries({ queryKey: ['get', '/campaigns'] });
  }
}

const known = new Map<string, Campaign['status']>();
