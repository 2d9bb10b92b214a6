import { Alert, Button, FileButton, Group, Progress, Select, Stack, Text } from '@mantine/core';
import { IconFileUpload } from '@tabler/icons-react';
import { useState } from 'react';
import { api } from '../../api/client';
import { problemOf } from '../../api/problem';
import type { components } from '../../api/schema';
import { useConfirm } from '../../parts/confirm';
import { share } from '../../parts/format';
import { Columns, type Field } from './columns';
import { columnFor, type Head, headOf } from './csv';
import type { Campaign } from './frame';
import { useKept } from './kept';
import { fills } from './offer';
import { busy, dismiss, refresh, send, useUpload } from './upload';

type Import = components['schemas']['Import'];

const largest = 2 * 1024 ** 3; // bytes

/** Recipients from a CSV file: which column is what, then its upload. */
export function FilePanel({ campaign, begun }: { campaign: Campaign; begun?: Import }) {
  const upload = useUpload(campaign.campaign_id);
  const templates = api.useQuery('get', '/templates');
  const [chosen, setChosen] = useState<{ file: File; head: Head } | undefined>();
  const [refused, setRefused] = useState('');
  const [columns, setColumns] = useState<Record<string, string | null>>({});
  const [country, setCountry] = useKept('lastcall.import-country', '', (v): v is string => typeof v === 'string');

  const template = templates.data?.templates.find(
    (t) => t.name === campaign.template && t.version === campaign.template_version,
  );
  const open = (template?.variables ?? []).filter((v) => !campaign.variables[v.name] && !fills(campaign, v.name));
  const need = (v: (typeof open)[number]) => (v.default ? `“${v.default}” where it is empty` : 'Needed');
  const fields: Field[] = [
    { key: 'msisdn', label: 'Phone number', about: 'Needed' },
    { key: 'name', label: 'Name', about: open.some((v) => v.name === 'name') ? 'Fills {{name}}' : 'Optional' },
    ...open
      .filter((v) => v.name !== 'name')
      .map((v) => ({ key: v.name, label: v.name, about: `Fills {{${v.name}}}. ${need(v)}` })),
    { key: 'locale', label: 'Language', about: 'Like rw-RW. Else the contact’s' },
    { key: 'zone', label: 'Time zone', about: 'Like Africa/Kigali. Else the contact’s or country’s' },
    { key: 'country', label: 'Country', about: 'Like RW: where a number without + is dialled' },
  ];

  async function choose(file: File | null) {
    if (!file) return;
    setRefused('');
    setChosen(undefined);
    if (upload && !busy(upload)) dismiss(campaign.campaign_id);
    try {
      if (file.size > largest) throw new Error('The file is too large: the limit is 2 GiB.');
      const head = await headOf(file);
      setColumns({});
      setChosen({ file, head });
    } catch (error) {
      setRefused(
        error instanceof Error && error.name === 'Error' ? error.message : 'The file cannot be read. Choose it again.',
      );
    }
  }

  if (upload && busy(upload)) return <Sending upload={upload} />;

  const columnOf = (key: string) => columns[key] ?? (chosen && columnFor(key, chosen.head.columns)) ?? null;
  const mapped = Object.fromEntries(
    fields.flatMap(({ key }) => (columnOf(key) ? [[key, columnOf(key) as string]] : [])),
  );
  const missing = open.filter((v) => !v.default && !mapped[v.name]);
  const sampleNumber =
    chosen && mapped.msisdn ? (chosen.head.sample[chosen.head.columns.indexOf(mapped.msisdn)] ?? '') : '';
  const wantsCountry = sampleNumber !== '' && !sampleNumber.startsWith('+') && !country && !mapped.country;

  return (
    <Stack gap="md">
      {begun && <Begun campaign={campaign.campaign_id} begun={begun} cancelled={() => setChosen(undefined)} />}
      <Group gap="sm">
        <FileButton
          accept=".csv,.tsv,.txt,text/csv,text/plain"
          onChange={(f) => void choose(f)}
          key={chosen?.file.name ?? refused}
        >
          {(props) => (
            <Button
              {...props}
              variant={chosen || campaign.targets > 0 ? 'default' : 'filled'}
              leftSection={<IconFileUpload size={16} />}
            >
              {chosen ? 'Choose another file' : begun ? 'Choose the file again' : 'Choose a CSV file'}
            </Button>
          )}
        </FileButton>
        {chosen && (
          <Text size="sm" className="wrap">
            {chosen.file.name} · {size(chosen.file.size)}
          </Text>
        )}
      </Group>
      {!chosen && !refused && !begun && (
        <Text size="sm" c="dimmed">
          The first line names the columns, in any order; each other line is a recipient. UTF-8 or UTF-16, up to 10
          million lines and 2 GiB. Lines that cannot be used are listed, and the rest goes in.
        </Text>
      )}
      {refused && (
        <Alert color="red" role="alert">
          {refused}
        </Alert>
      )}
      {chosen && (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            void send(
              campaign.campaign_id,
              chosen.file,
              { country: country || undefined, columns: mapped },
              begun?.import_id,
            );
          }}
        >
          <Stack gap="md">
            <Columns
              fields={fields}
              head={chosen.head}
              columnOf={columnOf}
              choose={(key, column) => setColumns({ ...columns, [key]: column })}
            >
              <Select
                label="Numbers without +"
                description="Are dialled in this country"
                data={countries}
                searchable
                value={country}
                onChange={(v) => setCountry(v ?? '')}
              />
            </Columns>
            {chosen.head.sample.length > 0 ? (
              <dl className="sample" aria-label="The first line, as it will be read">
                {fields
                  .filter((f) => mapped[f.key])
                  .map((f) => (
                    <div key={f.key}>
                      <dt>{f.label}</dt>
                      <dd>{chosen.head.sample[chosen.head.columns.indexOf(mapped[f.key] ?? '')] || '(empty)'}</dd>
                    </div>
                  ))}
              </dl>
            ) : (
              <Alert color="violet">Below the header there is no line in what was read of the file.</Alert>
            )}
            {wantsCountry && (
              <Alert color="amber">
                The first number has no +. Say in which country such numbers are dialled, or those lines cannot be used.
              </Alert>
            )}
            {missing.length > 0 && (
              <Alert color="red">
                The template needs {missing.map((v) => v.name).join(' and ')}: choose a column for it, or go back and
                give a value for everybody.
              </Alert>
            )}
            {upload?.problem && (
              <Alert color="red" role="alert" title="Not imported">
                {upload.problem.faults.length > 0
                  ? upload.problem.faults.map((f) => (f.field ? `${f.field}: ${f.message}` : f.message)).join(' ')
                  : upload.problem.message}
              </Alert>
            )}
            <Group>
              <Button
                type="submit"
                variant={campaign.targets > 0 ? 'default' : 'filled'}
                disabled={!mapped.msisdn || missing.length > 0 || !template}
              >
                {begun ? 'Go on with the upload' : 'Upload and import'}
              </Button>
            </Group>
          </Stack>
        </form>
      )}
      {!chosen && upload?.problem && (
        <Alert color="red" role="alert" title="Not imported">
          {upload.problem.message}
        </Alert>
      )}
    </Stack>
  );
}

function Sending({ upload }: { upload: NonNullable<ReturnType<typeof useUpload>> }) {
  const waits = upload.phase === 'waiting';
  return (
    <Stack gap="xs">
      <Text size="sm" className="wrap">
        {upload.file.name}
      </Text>
      <Progress
        value={upload.file.size ? (100 * upload.sent) / upload.file.size : 100}
        color={waits ? 'violet' : undefined}
        aria-label="How much has been uploaded"
      />
      <Text size="sm" c="dimmed" role="status">
        {waits
          ? `No connection: ${size(upload.sent)} have arrived. It goes on by itself as soon as Lastcall answers.`
          : upload.phase === 'completing'
            ? 'All has arrived. Looking at the header…'
            : `${size(upload.sent)} of ${size(upload.file.size)}, ${share(upload.sent, upload.file.size)}`}
      </Text>
    </Stack>
  );
}

/** An upload that was begun earlier, here or elsewhere. */
function Begun({ campaign, begun, cancelled }: { campaign: string; begun: Import; cancelled: () => void }) {
  const ask = useConfirm();
  const cancel = api.useMutation('post', '/campaigns/{id}/imports/{import_id}/cancel', { meta: { inPlace: true } });
  return (
    <Alert color="violet" title="An upload was begun and is not complete">
      <Group justify="space-between" gap="sm">
        <Text size="sm">
          {size(begun.bytes ?? 0)} have arrived. Choose the same file to go on where it stopped. Until then the campaign
          cannot start.
        </Text>
        <Button
          size="compact-sm"
          variant="default"
          onClick={() =>
            ask({
              title: 'Cancel this upload?',
              impact: ['What has arrived of the file is removed. Nobody of it is in the campaign.'],
              action: 'Cancel upload',
              run: async () => {
                try {
                  await cancel.mutateAsync({
                    params: { path: { id: campaign, import_id: begun.import_id } },
                    body: {},
                  });
                } catch (error) {
                  // Somebody else was faster.
                  if (problemOf(error).status !== 409) throw error;
                }
                dismiss(campaign);
                cancelled();
                await refresh(campaign);
              },
            })
          }
        >
          Cancel upload
        </Button>
      </Group>
    </Alert>
  );
}

/** 1.4 MB; decimal, as file managers write it. */
function size(bytes: number) {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 999_500) return `${Math.round(bytes / 1000)} kB`;
  if (bytes < 999_500_000) return `${(bytes / 1e6).toFixed(1)} MB`;
  return `${(bytes / 1e9).toFixed(1)} GB`;
}

const names = new Intl.DisplayNames('en', { type: 'region', fallback: 'none' });
export const countryName = (code: string) => names.of(code) ?? code;

/** Those with dialling codes of their own, as far as the browser knows countries; ours first. */
const countries = (() => {
  const no = new Set([
    'EU',
    'EZ',
    'UN',
    'XA',
    'XB',
    'XK',
    'ZZ',
    'QO',
    'AQ',
    'BV',
    'HM',
    'TF',
    'GS',
    'UM',
    'CP',
    'DG',
    'EA',
    'IC',
    'CQ',
  ]);
  const all: { value: string; label: string }[] = [];
  const letters = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZ'];
  for (const a of letters) {
    for (const b of letters) {
      const name = names.of(a + b);
      if (name && !no.has(a + b) && !/^(AN|BU|CS|DD|DY|FX|HV|NH|NT|RH|SU|TP|UK|VD|YD|YU|ZR)$/.test(a + b))
        all.push({ value: a + b, label: `${name} (${a + b})` });
    }
  }
  all.sort((x, y) => x.label.localeCompare(y.label));
  const ours = all.filter((c) => c.value === 'RW' || c.value === 'MT');
  return [{ value: '', label: 'None: cannot be used' }, ...ours, ...all.filter((c) => !ours.includes(c))];
})();
