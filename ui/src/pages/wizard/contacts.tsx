import { Alert, Button, Group, MultiSelect, SegmentedControl, Stack, Text } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useRef, useState } from 'react';
import { api } from '../../api/client';
import { problemOf } from '../../api/problem';
import { sort } from '../../parts/form';
import { count } from '../../parts/format';
import { Empty, Failed, Loading } from '../../parts/states';
import { tell } from '../../parts/toast';
import { countryName } from './file';
import type { Campaign } from './frame';
import { refresh } from './upload';

type Filter = { tags: string[]; tags_match: 'any' | 'all'; bars: string[]; countries: string[]; locales: string[] };
const nobody: Filter = { tags: [], tags_match: 'any', bars: [], countries: [], locales: [] };

/** Recipients from the contacts, counted while one chooses. */
export function ContactsPanel({ campaign }: { campaign: Campaign }) {
  const facets = api.useQuery('get', '/contacts/facets');
  const [filter, setFilter] = useState(nobody);
  const [settled] = useDebouncedValue(filter, 250);
  const path = { id: campaign.campaign_id };
  const some = (f: Filter) => f.tags.length + f.bars.length + f.countries.length + f.locales.length > 0;
  const counted = api.useQuery(
    'post',
    '/campaigns/{id}/audience/count',
    { params: { path }, body: settled },
    { enabled: some(settled), staleTime: 5000, placeholderData: (before) => before },
  );
  const [failure, setFailure] = useState('');
  const under = useRef(false); // a second click comes before the button knows of the first
  const add = api.useMutation('post', '/campaigns/{id}/audience', {
    meta: { inPlace: true },
    onSuccess: async (done) => {
      tell.done(`${count(done.targets)} added`);
      setFilter(nobody);
      await refresh(campaign.campaign_id);
    },
    onError: (error) => setFailure(sort(problemOf(error), []).rest),
    onSettled: () => {
      under.current = false;
    },
  });
  if (facets.isPending) return <Loading rows={4} />;
  if (!facets.data) return <Failed error={facets.error} retry={() => void facets.refetch()} />;
  if (facets.data.contacts === 0)
    return (
      <Empty title="No contacts yet">
        Whoever opts in or is added with lastcall contacts add can be chosen here. Use a file meanwhile.
      </Empty>
    );

  const options = (of: { value: string; name?: string; contacts: number }[], name = (v: string) => v) =>
    of.map((f) => ({ value: f.value, label: `${f.name || name(f.value)} (${count(f.contacts)})` }));
  const field = (
    key: 'tags' | 'bars' | 'countries' | 'locales',
    label: string,
    data: { value: string; label: string }[],
  ) => (
    <MultiSelect
      label={label}
      placeholder={filter[key].length === 0 ? (data.length === 0 ? 'None of the contacts has one' : 'Any') : undefined}
      disabled={data.length === 0}
      searchable
      clearable
      clearButtonProps={{ 'aria-label': `Clear ${label.toLowerCase()}` }}
      nothingFoundMessage="Nothing by this name"
      hidePickedOptions
      data={data}
      value={filter[key]}
      onChange={(v) => setFilter({ ...filter, [key]: v })}
    />
  );
  const n = some(filter) && some(settled) && counted.data;
  const language = (l: string) => new Intl.DisplayNames('en', { type: 'language' }).of(l) ?? l;
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (under.current || !some(filter)) return;
        under.current = true;
        setFailure('');
        add.mutate({ params: { path }, body: filter });
      }}
    >
      <Stack gap="md">
        <div className="contact-filters">
          <div>
            {field('tags', 'Tags', options(facets.data.tags))}
            {filter.tags.length > 1 && (
              <SegmentedControl
                mt={8}
                size="xs"
                aria-label="With which of the tags"
                value={filter.tags_match}
                onChange={(v) => setFilter({ ...filter, tags_match: v as Filter['tags_match'] })}
                data={[
                  { value: 'any', label: 'With any of them' },
                  { value: 'all', label: 'With all of them' },
                ]}
              />
            )}
          </div>
          {field('bars', 'Bars', options(facets.data.bars))}
          {field('countries', 'Countries', options(facets.data.countries, countryName))}
          {field('locales', 'Languages', options(facets.data.locales, language))}
        </div>
        <div aria-live="polite" data-stale={counted.isPlaceholderData || undefined}>
          {!some(filter) ? (
            <Text size="sm" c="dimmed">
              {count(facets.data.contacts)} contacts. Choose at least one tag, bar, country or language.
            </Text>
          ) : counted.isError ? (
            <Alert color="red">{sort(problemOf(counted.error), []).rest}</Alert>
          ) : n ? (
            <>
              <Text>
                <strong>{count(n.targets)}</strong> would be added
              </Text>
              <Text size="sm" c="dimmed">
                {[
                  `${count(n.contacts)} match`,
                  n.duplicates > 0 && `${count(n.duplicates)} are in the campaign already`,
                  n.invalid > 0 && `${count(n.invalid)} have no name, which the template needs`,
                  n.opted_out > 0 && `${count(n.opted_out)} have opted out and will not be written to`,
                  n.no_consent > 0 && `${count(n.no_consent)} have no recorded opt-in`,
                ]
                  .filter(Boolean)
                  .join(' · ')}
              </Text>
            </>
          ) : (
            <Text size="sm" c="dimmed">
              Counting…
            </Text>
          )}
        </div>
        {failure && (
          <Alert color="red" role="alert">
            {failure}
          </Alert>
        )}
        <Group>
          <Button
            type="submit"
            variant={campaign.targets > 0 ? 'default' : 'filled'}
            loading={add.isPending}
            disabled={!n || n.targets === 0 || counted.isPlaceholderData || settled !== filter}
          >
            {n ? `Add ${count(n.targets)} contacts` : 'Add contacts'}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
