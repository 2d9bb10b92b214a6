import { Alert, Button, Group, Modal, Progress, Stack, Table, Text } from '@mantine/core';
import { useEffect, useState } from 'react';
import { api, client } from '../../api/client';
import { problemOf } from '../../api/problem';
import type { components } from '../../api/schema';
import { useConfirm } from '../../parts/confirm';
import { count, share } from '../../parts/format';
import { Failed, Loading } from '../../parts/states';
import { Time } from '../../parts/time';
import { tell } from '../../parts/toast';
import { csvLine } from './csv';
import type { Campaign } from './frame';
import { refresh } from './upload';

type Import = components['schemas']['Import'];

/** What has been added, newest first, and what became of it. */
export function Imports({ campaign, imports }: { campaign: Campaign; imports: Import[] }) {
  const told = imports.filter((i) => i.phase !== 'uploading' && i.phase !== 'cancelled');
  // When one has ended, what it changed is read anew.
  const done = told.filter((i) => i.phase === 'done').length;
  const inBoth = told.reduce((n, i) => n + (i.phase === 'done' ? i.targets : 0), 0);
  useEffect(() => {
    if (done > 0 && inBoth !== campaign.targets) void refresh(campaign.campaign_id);
  }, [done, inBoth, campaign.targets, campaign.campaign_id]);
  if (told.length === 0) return null;
  return (
    <ul className="imports" aria-label="Added so far">
      {told.map((i) => (
        <li key={i.import_id}>
          {i.phase === 'staging' || i.phase === 'merging' ? <Running of={i} /> : <Ended of={i} />}
        </li>
      ))}
    </ul>
  );
}

function Running({ of }: { of: Import }) {
  const ask = useConfirm();
  const cancel = api.useMutation('post', '/campaigns/{id}/imports/{import_id}/cancel', { meta: { inPlace: true } });
  const read = of.bytes ? (100 * (of.staged_bytes ?? 0)) / of.bytes : 0;
  return (
    <Stack gap="xs">
      <Group justify="space-between">
        <Text size="sm" role="status">
          {of.phase === 'merging'
            ? 'Adding the recipients…'
            : `Reading the file: ${count(of.lines)} lines, ${share(of.staged_bytes ?? 0, of.bytes ?? 0)}`}
        </Text>
        <Button
          size="compact-sm"
          variant="default"
          onClick={() =>
            ask({
              title: 'Cancel this import?',
              impact: ['Nobody of this file gets into the campaign. It can be uploaded again.'],
              action: 'Cancel import',
              run: async () => {
                await cancel.mutateAsync({
                  params: { path: { id: of.campaign_id, import_id: of.import_id } },
                  body: {},
                });
                await refresh(of.campaign_id);
              },
            })
          }
        >
          Cancel import
        </Button>
      </Group>
      <Progress
        value={of.phase === 'merging' ? 100 : read}
        animated={of.phase === 'merging'}
        aria-label="How much of the file has been read"
      />
    </Stack>
  );
}

function Ended({ of }: { of: Import }) {
  const [shown, setShown] = useState(false);
  if (of.phase === 'failed')
    return (
      <Alert color="red" title="A file could not be imported">
        {of.problem ?? 'Nothing of it was added.'}
      </Alert>
    );
  return (
    <Group justify="space-between" align="flex-start" gap="sm">
      <div>
        <Text size="sm" fw={500}>
          {of.source === 'contacts' ? `Contacts: ${chosen(of.filter)}` : 'A file'}
          {': '}
          {count(of.targets)} added
        </Text>
        <Text size="xs" c="dimmed">
          {[
            `${count(of.lines)} ${of.source === 'contacts' ? 'contacts' : 'lines'}`,
            of.duplicates > 0 && `${count(of.duplicates)} there already`,
            of.invalid > 0 &&
              (of.source === 'contacts'
                ? `${count(of.invalid)} without a name, left out`
                : `${count(of.invalid)} invalid, left out`),
            of.ignored_columns.length > 0 && `columns not used: ${of.ignored_columns.join(', ')}`,
          ]
            .filter(Boolean)
            .join(' · ')}
          {' · '}
          <Time at={of.finished_at ?? of.created_at} />
        </Text>
      </div>
      {of.source === 'csv' && of.invalid > 0 && (
        <Button size="compact-sm" variant="default" onClick={() => setShown(true)}>
          Show invalid lines
        </Button>
      )}
      <Modal
        opened={shown}
        onClose={() => setShown(false)}
        title={`${count(of.invalid)} invalid lines`}
        size="lg"
        centered
      >
        <BadLines of={of} />
      </Modal>
    </Group>
  );
}

const kept = 10_000; // lines that the server keeps of one import

function BadLines({ of }: { of: Import }) {
  const path = { id: of.campaign_id, import_id: of.import_id };
  const query = api.useQuery('get', '/campaigns/{id}/imports/{import_id}', { params: { path } });
  const [busy, setBusy] = useState(false);
  if (query.isPending) return <Loading rows={4} />;
  if (!query.data) return <Failed error={query.error} retry={() => void query.refetch()} />;
  const lines = query.data.bad_lines;

  async function download() {
    setBusy(true);
    try {
      const pieces = [csvLine(['line', 'field', 'code', 'reason'])];
      for (let after = 0; ; ) {
        const { data } = await client.GET('/campaigns/{id}/imports/{import_id}/lines', {
          params: { path, query: { after, limit: 500 } },
        });
        for (const l of data?.lines ?? []) pieces.push(csvLine([l.line, l.field ?? '', l.code, l.reason]));
        if (!data?.next) break;
        after = Number(data.next);
      }
      const url = URL.createObjectURL(new Blob(['\ufeff', ...pieces], { type: 'text/csv' }));
      const link = Object.assign(document.createElement('a'), {
        href: url,
        download: `invalid-lines-${of.import_id}.csv`,
      });
      link.click();
      setTimeout(() => URL.revokeObjectURL(url), 10_000);
    } catch (error) {
      tell.problem(problemOf(error));
    } finally {
      setBusy(false);
    }
  }

  return (
    <Stack gap="md">
      <Text size="sm" c="dimmed">
        The others were added. Mend these in a file of their own and add it, too: nobody gets the message twice.
      </Text>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable */}
      <section className="table-scroll bad-lines" aria-label="Invalid lines" tabIndex={0}>
        <Table>
          <Table.Thead>
            <Table.Tr>
              <Table.Th scope="col" ta="right">
                Line
              </Table.Th>
              <Table.Th scope="col">What is wrong</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {lines.map((l) => (
              <Table.Tr key={l.line}>
                <Table.Td ta="right">{count(l.line)}</Table.Td>
                <Table.Td>
                  {l.field && (
                    <>
                      <code>{l.field}</code>:{' '}
                    </>
                  )}
                  {l.reason}
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </section>
      <Group justify="space-between">
        <Text size="sm" c="dimmed">
          {of.invalid > lines.length
            ? `The first ${count(lines.length)}; the file has ${of.invalid > kept ? `the first ${count(kept)}` : 'all'}.`
            : ''}
        </Text>
        <Button variant="default" loading={busy} onClick={() => void download()}>
          Download as CSV
        </Button>
      </Group>
    </Stack>
  );
}

function chosen(f: Import['filter']) {
  if (!f) return 'chosen';
  return (
    [
      f.tags?.length && `tagged ${f.tags.join(f.tags_match === 'all' ? ' and ' : ' or ')}`,
      f.bars?.length && `of ${f.bars.join(', ')}`,
      f.countries?.length && `in ${f.countries.join(', ')}`,
      f.locales?.length && `reading ${f.locales.join(', ')}`,
    ]
      .filter(Boolean)
      .join(', ') || 'chosen'
  );
}
