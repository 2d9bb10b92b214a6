import { Alert, Button, FileButton, Group, List, Modal, Select, Stack, Text, TextInput } from '@mantine/core';
import { IconFileImport } from '@tabler/icons-react';
import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { problemIn, problemOf, unreachable } from '../../api/problem';
import type { components } from '../../api/schema';
import { CountrySelect } from '../../parts/country';
import { Facts } from '../../parts/facts';
import { count, localZone, zoneName } from '../../parts/format';
import { StationsSelect } from '../../parts/stations';
import { columnFor, type Head, headOf } from '../wizard/csv';
import { vouchersChanged } from './drawer';
import { dayIn } from './issue';
import { dayStart } from './parts';

type Batch = components['schemas']['VoucherBatch'];

export function IssueBatch({ opened, close }: { opened: boolean; close: () => void }) {
  const [busy, setBusy] = useState(false);
  return (
    <Modal
      opened={opened}
      onClose={close}
      title="Issue vouchers from a file"
      size={640}
      centered
      closeOnClickOutside={!busy}
      closeOnEscape={!busy}
    >
      <BatchForm key={String(opened)} close={close} working={setBusy} />
    </Modal>
  );
}

const fields = [
  { key: 'msisdn', label: 'Phone number', about: 'Needed' },
  { key: 'amount', label: 'Amount', about: 'Else as below' },
  { key: 'currency', label: 'Currency', about: 'Else as below' },
  { key: 'stations', label: 'Stations', about: 'Codes with spaces between' },
  { key: 'expires_at', label: 'Good through', about: 'A date like 2026-12-31' },
  { key: 'reference', label: 'Reference', about: 'One voucher of each a number' },
];

function BatchForm({ close, working }: { close: () => void; working: (busy: boolean) => void }) {
  const [chosen, setChosen] = useState<{ file: File; head: Head; key: string }>();
  const [columns, setColumns] = useState<Record<string, string | null>>({});
  const [country, setCountry] = useState<string | null>(null);
  const [amount, setAmount] = useState('2000');
  const [currency, setCurrency] = useState('RWF');
  const [through, setThrough] = useState(dayIn(30));
  const [where, setWhere] = useState<string[]>([]);
  const [sending, setSending] = useState(false);
  const [failure, setFailure] = useState('');
  const [done, setDone] = useState<Batch>();

  async function choose(file: File | null) {
    if (!file) return;
    setFailure('');
    setChosen(undefined);
    try {
      const head = await headOf(file);
      setColumns({});
      setChosen({ file, head, key: crypto.randomUUID() });
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
    const expires = dayStart(through, 1);
    const query = new URLSearchParams([
      ...mapped.map(([key, column]) => ['map', `${key}:${column}`]),
      ...where.map((code) => ['stations', code]),
      ...(amount.trim() ? [['amount', amount.trim()]] : []),
      ['currency', currency],
      ...(expires ? [['expires_at', expires]] : []),
      ...(country ? [['country', country]] : []),
    ]);
    setFailure('');
    setSending(true);
    working(true);
    try {
      const answer = await fetch(`/api/v1/vouchers/batches?${query}`, {
        method: 'POST',
        body: chosen.file,
        headers: { 'Content-Type': 'text/csv', 'Idempotency-Key': chosen.key },
      }).catch(() => {
        throw unreachable();
      });
      if (!answer.ok) throw await problemIn(answer);
      setDone(await answer.json());
      vouchersChanged();
    } catch (error) {
      const problem = problemOf(error);
      setFailure(problem.faults[0]?.message ?? problem.message);
    } finally {
      setSending(false);
      working(false);
    }
  }

  if (done) return <Result of={done} close={close} />;
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
            The first line names the columns; each other line is a voucher. Good lines are issued together, or none;
            lines that cannot be used are listed. Up to 1 million lines. Nobody is sent anything.
          </Text>
        )}
        {chosen && (
          <>
            <div className="mapping">
              {fields.map((f) => (
                <Select
                  key={f.key}
                  label={f.label}
                  description={f.about}
                  placeholder="Not in the file"
                  data={chosen.head.columns.filter((c, i, all) => c && all.indexOf(c) === i)}
                  value={columnOf(f.key)}
                  onChange={(v) => setColumns({ ...columns, [f.key]: v })}
                  inputWrapperOrder={['label', 'description', 'input', 'error']}
                  error={f.key === 'msisdn' && !number ? 'Say which column holds the phone numbers.' : undefined}
                />
              ))}
            </div>
            <Text size="sm" fw={500}>
              For lines that do not say
            </Text>
            <div className="mapping">
              <TextInput
                label="Amount each"
                inputMode="decimal"
                value={amount}
                onChange={(e) => setAmount(e.currentTarget.value)}
              />
              <Select
                label="In"
                data={['RWF', 'EUR']}
                value={currency}
                onChange={(v) => setCurrency(v ?? 'RWF')}
                allowDeselect={false}
              />
              <TextInput
                type="date"
                label="Good through"
                description={`The end of that day in ${zoneName(localZone)}`}
                value={through}
                onChange={(e) => setThrough(e.currentTarget.value)}
              />
              <CountrySelect
                label="Numbers without +"
                description="Are dialled in"
                value={country}
                onChange={setCountry}
              />
            </div>
            <StationsSelect label="Redeemed at" description="None: everywhere." value={where} onChange={setWhere} />
          </>
        )}
        {failure && (
          <Alert color="red" role="alert">
            {failure}
          </Alert>
        )}
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={close} disabled={sending}>
            Cancel
          </Button>
          <Button type="submit" disabled={!chosen || !number} loading={sending}>
            Issue vouchers
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

function Result({ of, close }: { of: Batch; close: () => void }) {
  const navigate = useNavigate();
  const shown = 50;
  return (
    <Stack gap="md">
      <Facts
        of={[
          ['Issued', count(of.issued)],
          ['Lines', count(of.lines)],
          ['Twice', count(of.duplicates)],
          ['Not usable', count(of.invalid)],
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
      <Group justify="flex-end" gap="xs">
        <Button variant="default" onClick={close}>
          Done
        </Button>
        {of.issued > 0 && (
          <Button
            onClick={() => {
              close();
              void navigate({ to: '/vouchers', search: { batch: of.id } });
            }}
          >
            Show these vouchers
          </Button>
        )}
      </Group>
    </Stack>
  );
}
