import { Alert, Button, Group, NumberInput } from '@mantine/core';
import { IconPrinter } from '@tabler/icons-react';
import { getRouteApi, Link } from '@tanstack/react-router';
import { type FormEvent, useState } from 'react';
import { api, client, queries } from '../../api/client';
import type { components } from '../../api/schema';
import { Can } from '../../app/session';
import { useConfirm } from '../../parts/confirm';
import { Page } from '../../parts/page';
import { Empty, Failed, Loading } from '../../parts/states';
import { tell } from '../../parts/toast';

type Table = components['schemas']['TableCode'];

const route = getRouteApi('/bars/$id/qr');

/** The codes on a bar's tables, to be printed on A4: who scans one writes JOIN to us. */
export function TableCodesPage() {
  const { id } = route.useParams();
  const path = { params: { path: { id } } };
  const bar = api.useQuery('get', '/bars/{id}', path);
  const tables = api.useQuery('get', '/bars/{id}/tables', path);
  if (bar.isPending || tables.isPending) return <Loading label="Loading the codes" />;
  if (!bar.data || !tables.data) {
    return (
      <Failed
        level={1}
        error={bar.error ?? tables.error}
        retry={() => void Promise.all([bar.refetch(), tables.refetch()])}
      />
    );
  }
  const { tables: all, number } = tables.data;
  return (
    <Page
      title={`Table codes of ${bar.data.name}`}
      about={
        <span className="no-print">
          Who scans one opens a chat that says JOIN, and so becomes a contact of this bar.
        </span>
      }
      above={
        <Link to="/bars/$id" params={{ id }} className="text-link no-print">
          {bar.data.name}
        </Link>
      }
      action={
        <Group gap="xs" align="flex-end" className="no-print">
          <Can do="bars.write">
            <More id={id} />
          </Can>
          <Button
            leftSection={<IconPrinter size={16} />}
            disabled={!number || all.length === 0}
            onClick={() => print()}
          >
            Print
          </Button>
        </Group>
      }
    >
      {!number && (
        <Alert color="violet" title="Nothing to print yet" mb="md">
          The number that guests write to is not set: whatsapp.number, or LASTCALL_WHATSAPP_NUMBER.
        </Alert>
      )}
      {all.length === 0 ? (
        <Empty title="No codes yet">Say how many tables there are: each gets a code of its own.</Empty>
      ) : (
        <ul className="qr-sheet" aria-label="Codes">
          {all.map((t) => (
            <Card key={t.id} bar={id} name={bar.data.name} table={t} />
          ))}
        </ul>
      )}
    </Page>
  );
}

function Card({ bar, name, table }: { bar: string; name: string; table: Table }) {
  const ask = useConfirm();
  const revoke = () =>
    ask({
      title: `Revoke the code of ${table.label}?`,
      impact: ['Who scans it then joins no bar. The table needs another code, and the paper has to go.'],
      action: 'Revoke code',
      final: true,
      run: async () => {
        await client.DELETE('/bars/{id}/tables/{table}', { params: { path: { id: bar, table: table.id } } });
        void queries.invalidateQueries({ queryKey: ['get', '/bars/{id}/tables'] });
        tell.done(`Code of ${table.label} revoked`);
      },
    });
  return (
    <li className="qr-card">
      {table.link && (
        <img
          className="qr"
          width={160}
          height={160}
          alt={`Code of ${table.label}`}
          src={`/api/v1/bars/${bar}/tables/${table.id}/qr.svg`}
        />
      )}
      <strong>{table.label}</strong>
      <span className="wrap">{name}</span>
      <code>{table.token}</code>
      <Can do="bars.write">
        <Button
          variant="subtle"
          color="gray"
          size="compact-sm"
          className="no-print"
          aria-label={`Revoke the code of ${table.label}`}
          onClick={revoke}
        >
          Revoke…
        </Button>
      </Can>
    </li>
  );
}

function More({ id }: { id: string }) {
  const [tables, setTables] = useState<number | string>('');
  const add = api.useMutation('post', '/bars/{id}/tables', {
    onSuccess: ({ tables: made }) => {
      setTables('');
      void queries.invalidateQueries({ queryKey: ['get', '/bars/{id}/tables'] });
      tell.done(made.length === 1 ? 'One more code' : `${made.length} more codes`);
    },
  });
  const n = Number(tables);
  function submit(event: FormEvent) {
    event.preventDefault();
    if (n >= 1) add.mutate({ params: { path: { id } }, body: { tables: n } });
  }
  return (
    <form onSubmit={submit}>
      <Group gap="xs" align="flex-end" wrap="nowrap">
        <NumberInput
          label="More tables"
          w={112}
          min={1}
          max={500}
          allowDecimal={false}
          value={tables}
          onChange={setTables}
        />
        <Button type="submit" variant="default" loading={add.isPending} disabled={n < 1}>
          Make codes
        </Button>
      </Group>
    </form>
  );
}
