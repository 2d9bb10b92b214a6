import { MutationCache, QueryCache, QueryClient, replaceEqualDeep } from '@tanstack/react-query';
import createFetchClient from 'openapi-fetch';
import createQueryClient from 'openapi-react-query';
import { tell } from '../parts/toast';
import { type Problem, problemIn, problemOf, unreachable } from './problem';
import type { paths } from './schema';

/** Calls by hand. Every failure is thrown as a Problem. */
export const client = createFetchClient<paths>({ baseUrl: '/api/v1' });
client.use({
  async onResponse({ response }) {
    if (!response.ok) throw await problemIn(response);
  },
  onError: ({ error }) => (error instanceof DOMException && error.name === 'AbortError' ? error : unreachable()),
});

/** `api.useQuery('get', '/campaigns', …)`: every call a page makes. */
export const api = createQueryClient(client);

const lost = new Set<() => void>();

/** Calls back when the server says that nobody is signed in any more. Returns how to stop that. */
export function onSessionLost(listener: () => void): () => void {
  lost.add(listener);
  return () => lost.delete(listener);
}

function heard(error: unknown): Problem {
  const problem = problemOf(error);
  if (problem.code === 'in_the_panel') console.error(error);
  if (problem.status === 401 && problem.code !== 'wrong_credentials') for (const listener of lost) listener();
  return problem;
}

declare module '@tanstack/react-query' {
  interface Register {
    defaultError: Problem;
    /** `inPlace`: the page shows the failure itself, so no toast does. */
    mutationMeta: { inPlace?: boolean };
  }
}

/** Whether something newer than what has come is held: answers and the stream's events overtake each other. */
function overtaken(held: unknown, come: unknown): boolean {
  const changed = (of: unknown) => Date.parse((of as { updated_at?: string } | undefined)?.updated_at ?? '');
  return changed(come) < changed(held);
}

export const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 15_000,
      retry: (times, error) => times < 2 && problemOf(error).passing,
      structuralSharing: (held, come) => (overtaken(held, come) ? held : replaceEqualDeep(held, come)),
    },
    mutations: { retry: false },
  },
  queryCache: new QueryCache({ onError: heard }),
  mutationCache: new MutationCache({
    onError: (error, _variables, _result, mutation) => {
      const problem = heard(error);
      if (problem.status !== 401 && !mutation.meta?.inPlace) tell.problem(problem);
    },
  }),
});
