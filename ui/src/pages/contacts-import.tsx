import {
  Alert,
  Button,
  FileButton,
  Group,
  List,
  Modal,
  Progress,
  Select,
  Stack,
  TagsInput,
  Text,
  TextInput,
} from '@mantine/core';
import { IconFileImport } from '@tabler/icons-react';
import { useRef, useState } from 'react';
import { queries } from '../api/client';
import { Problem, problemOf, unreachable } from '../api/problem';
import type { components } from '../api/schema';
import { CountrySelect } from '../parts/country';
import { Facts } from '../parts/facts';
import { FormEnd } from '../parts/form-end';
import { count } from '../parts/format';
import { Columns } from './wizard/columns';
import { columnFor, type Head, headOf } from './wizard/csv';

type Done = components['schemas']['ContactImport'];

export function ImportContacts({ opened, close }: { opened: boolean; close: () => void }) {
  const [busy, setBusy] = useState(false);
  return (
    <Modal
      opened={opened}
      onClose={close}
      title="Import contacts"
      size={640}
      centered
      closeOnClickOutside={!busy}
      closeOnEscape={!busy}
    >
      <ImportForm key={String(opened)} close={close} working={setBusy} />
    </Modal>
  );
}

const fields = [
  { key: 'msisdn', label: 'Phone number', about: 'Needed' },
  { key: 'name', label: 'Name', about: 'Optional' },
  { key: 'locale', label: 'Language', about: 'Like rw-RW' },
  { key: 'zone', label: 'Time zone', about: 'Like Africa/Kigali' },
  { key: 'country', label: 'Country', about: 'Like RW, for numbers without +' },
  { key: 'bar', label: 'Bar', about: 'Its code' },
  { key: 'tags', label: 'Tags', about: 'With ; between them' },
  { key: 'opted_in_at', label: 'Agreed on', about: 'A date like 2026-11-23' },
  { key: 'opt_in_source', label: 'Agreed where', about: 'Needed for who agreed' },
];
const largest = 256 * 1024 ** 2; // bytes

function ImportForm({ close, working }: { close: () => void; working: (busy: boolean) => void }) {
  const [chosen, setChosen] = useState<{ file: File; head: Head }>();
  const [columns, setColumns] = useState<Record<string, string | null>>({});
  const [country, setCountry] = useState<string | null>(null);
  const [tags, setTags] = useState<string[]>([]);
  const [mode, setMode] = useState('add');
  const [consent, setConsent] = useState('');
  const [sent, setSent] = useState<number>(); // a share of the file
  const [failure, setFailure] = useState('');
  const [done, setDone] = useState<Done>();
  const request = useRef<XMLHttpRequest>(undefined);

  async function choose(file: File | null) {
    if (!file) return;
    setFailure('');
    setChosen(undefined);
    try {
      if (file.size > largest) throw new Error('The file is too large: the limit is 256 MiB.');
      const head = await headOf(file);
      setColumns({});
      setChosen({ file, head });
    } catch (error) {
      setFailure(
        error instanceof Error && error.name === 'Error' ? error.message : 'The file cannot be read. Choose it again.',
      );
    }
  }

  const columnOf = (key: string) => columns[key] ?? (chosen && columnFor(key, chosen.head.columns)) ?? null;
  const mapped = fields.flatMap(({ key }) => (columnOf(key) ? [[key, columnOf(key) as string] as const] : []));
  const number = mapped.find(([key]) => key === 'msisdn');

  async function submit() {
    if (!chosen) return;
    const query = new URLSearchParams([
      ...mapped.map(([key, column]) => ['map', `${key}:${column}`]),
      ...tags.map((t) => ['tag', t]),
      ['tags_mode', mode],
      ...(country ? [['country', country]] : []),
      ...(consent.trim() ? [['consent_source', consent.trim()]] : []),
    ]);
    setFailure('');
    setSent(0);
    working(true);
    try {
      setDone(await post(`/api/v1/contacts/imports?${query}`, chosen.file, setSent, request));
      void queries.invalidateQueries({ queryKey: ['post', '/contacts/search'] });
      void queries.invalidateQueries({ queryKey: ['get', '/contacts/facets'] });
    } catch (error) {
      const problem = problemOf(error);
      setFailure(problem.faults[0]?.message ?? problem.message);
    } finally {
      setSent(undefined);
      working(false);
    }
  }

  if (done) return <Result of={done} close={close} />;
  if (sent !== undefined) return <Sending sent={sent} cancel={() => request.current?.abort()} />;
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        void submit();
      }}
    >
      <Stack gap="md">
        <Group gap="sm">
          <FileButton
            accept=".csv,.tsv,.txt,text/csv,text/plain"
            onChange={(f) => void choose(f)}
            key={chosen?.file.name ?? failure}
          >
            {(props) => (
              <Button {...props} variant={chosen ? 'default' : 'filled'} leftSection={<IconFileImport size={16} />}>
                {chosen ? 'Choose another file' : 'Choose a CSV file'}
              </Button>
            )}
          </FileButton>
          {chosen && (
            <Text size="sm" className="wrap">
              {chosen.file.name}
            </Text>
          )}
        </Group>
        {!chosen && (
          <Text size="sm" c="dimmed">
            The first line names the columns; each other line is a contact. Contacts are found by their number: what the
            file leaves empty stays as it is. Up to 1 million lines. Opt-outs stand.
          </Text>
        )}
        {chosen && (
          <>
            <Columns
              fields={fields}
              head={chosen.head}
              columnOf={columnOf}
              choose={(key, column) => setColumns({ ...columns, [key]: column })}
            >
              <CountrySelect
                label="Numbers without +"
                description="Are dialled in"
                value={country}
                onChange={setCountry}
              />
            </Columns>
            <Group grow align="flex-start" className="pair">
              <TagsInput
                label="Tags for all"
                description="Enter after each."
                maxTags={50}
                value={tags}
                onChange={setTags}
              />
              <Select
                label="Tags they have"
                description="Of contacts there are."
                data={[
                  { value: 'add', label: 'Stay, new ones are added' },
                  { value: 'replace', label: 'Are replaced' },
                ]}
                value={mode}
                onChange={(v) => setMode(v ?? 'add')}
                allowDeselect={false}
              />
            </Group>
            <TextInput
              label="Where everybody in the file agreed to marketing"
              description="Empty, only those agreed whose line says where. Who withdrew stays withdrawn unless the file has a later date."
              placeholder="Membership form 2026"
              maxLength={200}
              value={consent}
              onChange={(e) => setConsent(e.currentTarget.value)}
            />
          </>
        )}
        <FormEnd failure={failure} close={close}>
          <Button type="submit" disabled={!chosen || !number}>
            Import
          </Button>
        </FormEnd>
      </Stack>
    </form>
  );
}

function Sending({ sent, cancel }: { sent: number; cancel: () => void }) {
  const whole = sent >= 1;
  return (
    <Stack gap="md">
      <Text size="sm" role="status">
        {whole ? 'The file is there. Its contacts are being written…' : `Sending the file: ${Math.round(sent * 100)} %`}
      </Text>
      <Progress value={sent * 100} animated={whole} aria-label="The file" />
      <Group justify="space-between">
        <Text size="sm" c="dimmed">
          All of it goes in, or nothing.
        </Text>
        <Button variant="default" onClick={cancel}>
          Cancel
        </Button>
      </Group>
    </Stack>
  );
}

function Result({ of, close }: { of: Done; close: () => void }) {
  const shown = 50;
  return (
    <Stack gap="md">
      <Facts
        of={[
          ['Lines', count(of.lines)],
          ['Added', count(of.added)],
          ['Changed', count(of.changed)],
          ['As they were', count(of.same)],
          ['Twice in the file', count(of.duplicates)],
          ['Not usable', count(of.invalid)],
          ['Agreements recorded', count(of.consents)],
          ...(of.withdrawn > 0 ? [['Stay withdrawn', count(of.withdrawn)] as [string, string]] : []),
          ...(of.opted_out > 0 ? [['Stay opted out', count(of.opted_out)] as [string, string]] : []),
          ...(of.ignored_columns.length > 0
            ? [['Columns not used', of.ignored_columns.join(', ')] as [string, string]]
            : []),
        ]}
      />
      {of.bad_lines.length > 0 && (
        <Alert color="gray" title={`${count(of.invalid)} ${of.invalid === 1 ? 'line was' : 'lines were'} left out`}>
          <List size="sm">
            {of.bad_lines.slice(0, shown).map((l) => (
              <List.Item key={l.line}>
                Line {l.line}: {l.field ? `${l.field}: ` : ''}
                {l.reason}
              </List.Item>
            ))}
          </List>
          {of.invalid > shown && <Text size="sm">And {count(of.invalid - shown)} more.</Text>}
        </Alert>
      )}
      <Group justify="flex-end">
        <Button onClick={close}>Done</Button>
      </Group>
    </Stack>
  );
}

/** Sends a file and tells how much of it has gone, which fetch does not. */
function post(
  address: string,
  file: File,
  sent: (share: number) => void,
  keep: { current: XMLHttpRequest | undefined },
) {
  return new Promise<Done>((resolve, reject) => {
    const request = new XMLHttpRequest();
    keep.current = request;
    request.open('POST', address);
    request.setRequestHeader('Content-Type', 'text/csv');
    request.responseType = 'json';
    request.upload.onprogress = (e) => e.lengthComputable && sent(e.loaded / e.total);
    request.upload.onload = () => sent(1);
    request.onload = () =>
      request.status < 300 ? resolve(request.response) : reject(new Problem(request.response ?? {}, request.status));
    request.onerror = () => reject(unreachable());
    request.onabort = () => reject(new Problem({ detail: 'Cancelled. Nothing was imported.' }, 0));
    request.send(file);
  });
}
