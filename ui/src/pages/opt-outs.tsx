import { Alert, Button, Group, Modal, Stack, Text, Textarea, TextInput } from '@mantine/core';
import { IconDeviceMobile, IconPencil, IconPlus } from '@tabler/icons-react';
import { keepPreviousData } from '@tanstack/react-query';
import { getRouteApi } from '@tanstack/react-router';
import { type FormEvent, useState } from 'react';
import { api, client, queries } from '../api/client';
import { problemOf } from '../api/problem';
import type { components } from '../api/schema';
import { Can } from '../app/session';
import { CountrySelect } from '../parts/country';
import { count, localZone, zoneName } from '../parts/format';
import { Page } from '../parts/page';
import { Empty } from '../parts/states';
import { Mark } from '../parts/status';
import { type Column, DataTable, usePager } from '../parts/table';
import { Time } from '../parts/time';
import { tell } from '../parts/toast';

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
        <Can do="opt_outs.write">
          <Group gap="xs">
            <Button variant="default" onClick={() => ask('remove')}>
              Take numbers out
            </Button>
            <Button leftSection={<IconPlus size={16} />} onClick={() => ask('add')}>
              Opt numbers out
            </Button>
          </Group>
        </Can>
      }
    >
      <DataTable
        caption="opt-outs"
        query={query}
        rows={(page) => page.opt_outs}
        next={(page) => page.next}
        rowKey={(o) => o.digest}
        columns={columns}
        pager={pager}
        empty={<Empty title="Nobody has opted out">Those who tell WhatsApp “stop” are entered by themselves.</Empty>}
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
        {failure && (
          <Alert color="red" role="alert">
            {failure}
          </Alert>
        )}
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          <Button type="submit" loading={busy} disabled={numbers.length === 0 || reason.trim() === ''}>
            {order === 'add' ? 'Opt out' : 'Take out'} {numbers.length > 0 && people(numbers.length)}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

const people = (n: number) => `${count(n)} ${n === 1 ? 'number' : 'numbers'}`;
