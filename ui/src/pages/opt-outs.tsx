import { Button, FileButton, Group, Modal, Stack, Text, Textarea, TextInput } from '@mantine/core';
import { IconDeviceMobile, IconFileImport, IconMessageX, IconPencil, IconPlus, IconSearch } from '@tabler/icons-react';
import { keepPreviousData } from '@tanstack/react-query';
import { getRouteApi } from '@tanstack/react-router';
import { type FormEvent, useState } from 'react';
import { api, client, queries } from '../api/client';
import { problemOf } from '../api/problem';
import type { components } from '../api/schema';
import { Can } from '../app/session';
import { CountrySelect } from '../parts/country';
import { FormEnd } from '../parts/form-end';
import { count, localZone, zoneName } from '../parts/format';
import { Page } from '../parts/page';
import { Empty } from '../parts/states';
import { Mark } from '../parts/status';
import { type Column, DataTable, usePager } from '../parts/table';
import { Time } from '../parts/time';
import { tell } from '../parts/toast';
import { columnFor, headOf } from './wizard/csv';

type OptOut = components['schemas']['OptOut'];

const route = getRouteApi('/opt-outs');

const columns: Column<OptOut>[] = [
  { header: 'Number’s fingerprint', width: 176, cell: (o) => <code>{o.digest}</code> },
  {
    header: 'From',
    width: 136,
    cell: (o) =>
      o.source === 'provider' ? (
        <Mark word="WhatsApp" tone="quiet" icon={IconDeviceMobile} />
      ) : o.source === 'inbound' ? (
        <Mark word="Wrote STOP" tone="quiet" icon={IconMessageX} />
      ) : (
        <Mark word="By hand" tone="quiet" icon={IconPencil} />
      ),
  },
  {
    header: 'Reason',
    width: 200,
    cell: (o) => (o.reason ? <span className="wrap">{o.reason}</span> : <Text c="dimmed">–</Text>),
  },
  { header: `Since (${zoneName(localZone)})`, width: 136, cell: (o) => <Time at={o.created_at} bare /> },
];

type Order = 'add' | 'remove';

export function OptOutsPage() {
  const { after } = route.useSearch();
  const navigate = route.useNavigate();
  const [order, setOrder] = useState<Order>('add');
  const [opened, setOpened] = useState(false);
  const query = api.useQuery(
    'get',
    '/opt-outs',
    { params: { query: { limit: 25, after } } },
    { placeholderData: keepPreviousData },
  );
  const pager = usePager(after, (to) => void navigate({ search: { after: to } }));
  const ask = (what: Order) => {
    setOrder(what);
    setOpened(true);
  };
  return (
    <Page
      title="Opt-outs"
      about="Who said no gets nothing, from any campaign. The registry keeps fingerprints, no numbers. Oldest first."
      action={
        <Group gap="xs">
          <Can do="opt_outs.lift">
            <Button variant="default" onClick={() => ask('remove')}>
              Take numbers out
            </Button>
          </Can>
          <Can do="opt_outs.write">
            <Button leftSection={<IconPlus size={16} />} onClick={() => ask('add')}>
              Opt numbers out
            </Button>
          </Can>
        </Group>
      }
    >
      <Find />
      <DataTable
        caption="opt-outs"
        query={query}
        rows={(page) => page.opt_outs}
        next={(page) => page.next}
        rowKey={(o) => o.digest}
        columns={columns}
        pager={pager}
        empty={
          <Empty title="Nobody has opted out">
            Who writes STOP to us, or tells WhatsApp “stop”, is entered by itself.
          </Empty>
        }
      />
      <Modal
        opened={opened}
        onClose={() => setOpened(false)}
        title={order === 'add' ? 'Opt numbers out' : 'Take numbers out of the registry'}
        size={520}
        centered
      >
        <NumbersForm key={String(opened)} order={order} close={() => setOpened(false)} />
      </Modal>
    </Page>
  );
}

/** Looks for a whole number: it goes in a body and is hashed by the server, which keeps none. */
function Find() {
  const [number, setNumber] = useState('');
  const find = api.useMutation('post', '/opt-outs/find', { meta: { inPlace: true } });
  const found = find.data;
  const problem = find.error && find.error.status !== 401 ? problemOf(find.error) : undefined;
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (number.trim()) find.mutate({ body: { msisdn: number.trim() } });
      }}
    >
      <Group mb="md" gap="sm" className="filters">
        <TextInput
          aria-label="Find a number"
          placeholder="Find +250 78…"
          type="tel"
          autoComplete="off"
          leftSection={<IconSearch size={16} />}
          value={number}
          error={problem && problem.status !== 404 ? (problem.faults[0]?.message ?? problem.message) : undefined}
          onChange={(e) => {
            setNumber(e.currentTarget.value);
            find.reset();
          }}
        />
        <Text size="sm" role="status">
          {problem?.status === 404 && 'This number has not opted out.'}
          {found && (
            <>
              Opted out since <Time at={found.created_at} />: <code>{found.digest}</code>
              {found.reason && `, “${found.reason}”`}
            </>
          )}
        </Text>
      </Group>
    </form>
  );
}

/** The numbers in a file: of its column for them if it is CSV with a header, else what stands first in each line. */
async function numbersIn(file: File): Promise<string> {
  const text = await file.text();
  const lines = text.replace(/^\uFEFF/, '').split(/\r?\n/);
  let at = 0;
  let from = 0;
  try {
    const head = await headOf(file);
    const column = columnFor('msisdn', head.columns);
    if (column === undefined && head.columns.length > 1)
      throw new Error('No column is called msisdn, phone, number or mobile.');
    at = column === undefined ? 0 : head.columns.indexOf(column);
    from = column === undefined ? 0 : 1;
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith('The first line holds a phone number')) throw error;
  }
  return lines
    .slice(from)
    .map((line) => (line.split(/[,;\t|]/)[at] ?? '').replaceAll('"', '').trim())
    .filter(Boolean)
    .join('\n');
}

const impact = {
  add: 'Nothing more is sent to these numbers, by running campaigns neither. What is on its way already still arrives.',
  remove: 'Only for people who asked for messages again: campaigns may write to them from now on.',
};

function NumbersForm({ order, close }: { order: Order; close: () => void }) {
  const [pasted, setPasted] = useState('');
  const [country, setCountry] = useState<string | null>(null);
  const [reason, setReason] = useState('');
  const [wrong, setWrong] = useState<string[]>([]);
  const [failure, setFailure] = useState('');
  const [busy, setBusy] = useState(false);
  // Each with the line it stands on, which is how a mistake is found again.
  const numbers = pasted
    .split('\n')
    .flatMap((line, i) => line.split(/[,;\t]/).map((number) => ({ number: number.trim(), line: i + 1 })))
    .filter((n) => n.number !== '');

  async function submit(event: FormEvent) {
    event.preventDefault();
    setBusy(true);
    setWrong([]);
    setFailure('');
    const body = { numbers: numbers.map((n) => n.number), country: country ?? undefined, reason: reason.trim() };
    try {
      if (order === 'add') {
        const { data } = await client.POST('/opt-outs', { body });
        const known = (data?.given ?? 0) - (data?.added ?? 0);
        tell.done(`${people(data?.added ?? 0)} opted out`, known > 0 ? `${count(known)} had been before.` : undefined);
      } else {
        const { data } = await client.POST('/opt-outs/remove', { body });
        tell.done(`${people(data?.removed ?? 0)} taken out of the registry`);
      }
      void queries.invalidateQueries({ queryKey: ['get', '/opt-outs'] });
      close();
    } catch (error) {
      const problem = problemOf(error);
      const lines = problem.faults.flatMap(({ field, message }) => {
        const at = /^numbers\[(\d+)\]$/.exec(field)?.[1];
        return at ? [`Line ${numbers[Number(at)]?.line}: ${message}`] : [];
      });
      setWrong(lines);
      if (lines.length === 0 && problem.status !== 401) setFailure(problem.faults[0]?.message ?? problem.message);
    } finally {
      setBusy(false);
    }
  }

  return (
    <form onSubmit={submit}>
      <Stack gap="md">
        <Text size="sm">{impact[order]}</Text>
        <Textarea
          label="Numbers"
          description="One a line, with + and country code. All of them are done, or none."
          placeholder={'+250 78…\n+356 99…'}
          withAsterisk
          autosize
          minRows={4}
          maxRows={12}
          data-autofocus
          spellCheck={false}
          value={pasted}
          onChange={(e) => setPasted(e.currentTarget.value)}
          error={
            wrong.length > 0
              ? `${wrong.slice(0, 3).join(' ')}${wrong.length > 3 ? ` And ${wrong.length - 3} more.` : ''}`
              : undefined
          }
        />
        <FileButton
          accept=".csv,.tsv,.txt,text/csv,text/plain"
          onChange={(file) => {
            if (!file) return;
            setWrong([]);
            numbersIn(file).then(
              (found) => setPasted((before) => (before.trim() ? `${before.trimEnd()}\n${found}` : found)),
              (error: Error) => setFailure(error.message),
            );
          }}
        >
          {(props) => (
            <Button {...props} variant="default" size="xs" leftSection={<IconFileImport size={16} />} w="fit-content">
              From a CSV file
            </Button>
          )}
        </FileButton>
        <CountrySelect
          label="Country"
          description="If there are numbers without +."
          value={country}
          onChange={setCountry}
        />
        <TextInput
          label="Reason"
          description="It goes into the audit log."
          withAsterisk
          value={reason}
          maxLength={500}
          onChange={(e) => setReason(e.currentTarget.value)}
        />
        <FormEnd failure={failure} close={close}>
          <Button type="submit" loading={busy} disabled={numbers.length === 0 || reason.trim() === ''}>
            {order === 'add' ? 'Opt out' : 'Take out'} {numbers.length > 0 && people(numbers.length)}
          </Button>
        </FormEnd>
      </Stack>
    </form>
  );
}

const people = (n: number) => `${count(n)} ${n === 1 ? 'number' : 'numbers'}`;
