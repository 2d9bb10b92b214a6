import { api, queries } from '../../api/client';
import type { components } from '../../api/schema';
import { localeName } from '../../parts/format';

export type Template = components['schemas']['Template'];
export type Review = components['schemas']['TemplateReview'];
export type Content = components['schemas']['TemplateContent'];

/** How a version stands: with its reviewers, its campaigns and WhatsApp. Tests that are under way are looked at often. */
export const useReview = (id: string) =>
  api.useQuery(
    'get',
    '/templates/{template}/review',
    { params: { path: { template: id } } },
    { staleTime: 0, refetchInterval: ({ state }) => (state.data?.tests.some(underWay) ? 2_000 : 15_000) },
  );

const underWay = (t: Review['tests'][number]) =>
  (t.state === 'sending' || t.state === 'sent') && Date.now() - Date.parse(t.at) < 60_000;

/** Forgets what the panel knows of templates and of who waits for what about them. */
export function templatesChanged() {
  void queries.invalidateQueries({ queryKey: ['get', '/templates/{template}/review'] });
  void queries.invalidateQueries({ queryKey: ['get', '/approvals'] });
  return queries.invalidateQueries({ queryKey: ['get', '/templates'] });
}

/** What a version says, without what it is. */
export const contentOf = (t: Template): Required<Content> => ({
  category: t.category === 'utility' ? 'utility' : 'marketing',
  variables: t.variables,
  texts: t.texts,
  headers: t.headers ?? {},
  footers: t.footers ?? {},
  header_media: t.header_media ?? '',
});

/** Marketing, or Service: what it counts as. */
export const categoryName = (category: string) => (category === 'marketing' ? 'Marketing' : 'Service');

/** "version 2 of jazz" */
export const called = (t: Template) => `version ${t.version} of ${t.name}`;

/** Its languages in words, by name. */
export const languagesOf = (locales: string[]) =>
  locales
    .map((l) => localeName(l))
    .sort()
    .join(', ');
