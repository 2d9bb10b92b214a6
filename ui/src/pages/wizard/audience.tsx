import { Alert, SegmentedControl, Stack, Text } from '@mantine/core';
import { useState } from 'react';
import { api } from '../../api/client';
import { problemOf } from '../../api/problem';
import { count } from '../../parts/format';
import { Failed, Loading } from '../../parts/states';
import { ContactsPanel } from './contacts';
import { FilePanel } from './file';
import { type Campaign, Foot } from './frame';
import { Imports } from './imports';
import { busy, ended, useUpload } from './upload';

/** Who gets it: files and contacts, as many as one likes. */
export function AudienceStep({ campaign }: { campaign: Campaign }) {
  const id = campaign.campaign_id;
  const upload = useUpload(id);
  const query = api.useQuery(
    'get',
    '/campaigns/{id}/imports',
    { params: { path: { id }, query: { limit: 25 } } },
    {
      refetchInterval: (q) => (q.state.data?.imports.some((i) => !ended(i) && i.phase !== 'uploading') ? 1000 : false),
    },
  );
  const [from, setFrom] = useState<'file' | 'contacts'>('file');
  if (query.isPending) return <Loading rows={5} />;
  if (!query.data) return <Failed error={query.error} retry={() => void query.refetch()} />;
  const running = query.data.imports.find((i) => !ended(i));
  const held = running !== undefined || busy(upload);
  return (
    <>
      <Stack gap="lg">
        <Text aria-live="polite">
          {campaign.targets > 0 ? (
            <>
              <strong>{count(campaign.targets)}</strong> {campaign.targets === 1 ? 'recipient' : 'recipients'} so far.
              Add more, or go on.
            </>
          ) : (
            'Nobody yet. Add recipients from a file or from your contacts; a number counts once, however often it is added.'
          )}
        </Text>
        <Imports campaign={campaign} imports={query.data.imports} />
        {(!running || running.phase === 'uploading') && (
          <section className="card">
            {!held && (
              <SegmentedControl
                aria-label="Add recipients"
                mb="lg"
                value={from}
                onChange={(v) => setFrom(v as typeof from)}
                data={[
                  { value: 'file', label: 'From a file' },
                  { value: 'contacts', label: 'From contacts' },
                ]}
              />
            )}
            {from === 'file' || held ? (
              <FilePanel campaign={campaign} begun={running} />
            ) : (
              <ContactsPanel campaign={campaign} />
            )}
          </section>
        )}
        {query.isError && (
          <Alert color="violet" role="status">
            {problemOf(query.error).message}
          </Alert>
        )}
      </Stack>
      <Foot
        campaign={campaign}
        step="audience"
        quiet={campaign.targets === 0 || held}
        hint={held ? 'The import goes on while you choose when it goes. It must end before the start.' : undefined}
      />
    </>
  );
}
