import { api, queries } from './client';
import type { components } from './schema';

export type EdgeFunction = components['schemas']['WatchedFunction'];
export type Fault = components['schemas']['InjectedFault'];
type Now = { functions: components['schemas']['EdgeFunction'][]; faults: Fault[] };

export const edgeKey = ['get', '/edge-functions'] as const;

/** How the services are that Lastcall leans on: asked for once, then told by the event stream. */
export function useEdgeFunctions() {
  return api.useQuery('get', '/edge-functions', undefined, { staleTime: 60_000, refetchInterval: 60_000 });
}

/** Puts what the event stream tells of edge functions where the panel keeps it. */
export function takeEdgeFunctions({ functions, faults }: Now) {
  queries.setQueriesData(
    { queryKey: edgeKey },
    (old: components['schemas']['EdgeFunctions'] | undefined) =>
      old && {
        ...old,
        faults,
        functions: old.functions.map((f) => ({ ...f, ...functions.find((n) => n.name === f.name) })),
      },
  );
}
