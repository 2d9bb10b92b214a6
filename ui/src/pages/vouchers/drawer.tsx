import { Button, Code, Group, Stack, Text, Title } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconBan, IconEye, IconPhoneCall, IconSend } from '@tabler/icons-react';
import { useMutation } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { api, client, queries } from '../../api/client';
import type { components } from '../../api/schema';
import { Can, useMay } from '../../app/session';
import { useConfirm } from '../../parts/confirm';
import { Facts } from '../../parts/facts';
import { Failed, Loading } from '../../parts/states';
import { Status } from '../../parts/status';
import { Time } from '../../parts/time';
import { tell } from '../../parts/toast';
import { CardPreview } from './card';
import { useStationNames, worth } from './parts';
import { SendAgain, VoucherMessages } from './send';

type Voucher = components['schemas']['Voucher'];

/** Everything whose answer changes with a voucher. */
export const vouchersChanged = () =>
  void queries.invalidateQueries({ predicate: (q) => String(q.queryKey[1]).startsWith('/vouchers') });

/** A voucher: what it is, what became of it, how its card looks. */
export function VoucherDrawer({ id }: { id: string }) {
  const path = { params: { path: { id } } };
  const query = api.useQuery('get', '/vouchers/{id}', path);
  const stations = useStationNames(query.data?.stations ?? []);
  if (query.isPending) return <Loading label="Loading the voucher" />;
  if (!query.data) return <Failed error={query.error} retry={() => void query.refetch()} />;
  const v = query.data;
  const open = v.status === 'issued' || v.status === 'sent';
  return (
    <Stack gap="lg">
      <Group justify="space-between" align="flex-start" wrap="nowrap">
        <div>
          <Title order={3} size="h3" className="number">
            {worth(v)}
          </Title>
          <Secret voucher={v} />
        </div>
        <Status of={v.status} />
      </Group>
      <Facts
        of={[
          ['Good at', stations.named(v.stations)],
          ['Expires', <Time key="expires" at={v.expires_at} />],
          ['Issued', <Time key="issued" at={v.issued_at} />],
          ...(v.undelivered_at
            ? [['Not delivered', <Time key="undelivered" at={v.undelivered_at} />] as [string, React.ReactNode]]
            : []),
          ...(v.void_reason ? [['Void because', v.void_reason] as [string, string]] : []),
          ...(v.reference ? [['Reference', v.reference] as [string, string]] : []),
          ...(v.campaign_id
            ? [
                [
                  'Campaign',
                  <Link key="campaign" to="/campaigns/$id" params={{ id: v.campaign_id }} className="text-link">
                    Open it
                  </Link>,
                ] as [string, React.ReactNode],
              ]
            : []),
          ...(v.batch_id
            ? [
                [
                  'File',
                  <Link key="batch" to="/vouchers" search={{ batch: v.batch_id }} className="text-link">
                    All of it
                  </Link>,
                ] as [string, React.ReactNode],
              ]
            : []),
          ...(v.contact_id
            ? [
                [
                  'Contact',
                  <Link key="contact" to="/contacts" search={{ contact: v.contact_id }} className="text-link">
                    Open them
                  </Link>,
                ] as [string, React.ReactNode],
              ]
            : []),
        ]}
      />
      {open && <Orders voucher={v} />}
      <VoucherMessages id={id} />
      <Events id={id} />
      <section aria-label="Card">
        <Title order={3} size="h4" mb="xs">
          Card
        </Title>
        <CardPreview
          card={{
            amount: v.amount,
            currency: v.currency,
            expires_at: v.expires_at,
            locale: v.currency === 'EUR' ? 'en-MT' : 'rw-RW',
            stations: v.stations.flatMap((s) => stations.all.find((a) => a.id === s)?.name ?? []),
          }}
        />
      </section>
    </Stack>
  );
}

/** The number and the code: masked, until somebody who may see them asks to. */
function Secret({ voucher: v }: { voucher: Voucher }) {
  const may = useMay();
  const shown = useMutation({
    mutationFn: () => client.POST('/vouchers/{id}/reveal', { params: { path: { id: v.id } } }).then(({ data }) => data),
  });
  return (
    <>
      <Text c="dimmed" className="number">
        {shown.data?.number || v.msisdn || 'Whose it was is forgotten'}
      </Text>
      <Group gap="xs" mt={4}>
        <Code fz="md">{shown.data?.code ?? v.code_masked}</Code>
        {may('vouchers.issue') && !shown.data && (
          <Button
            size="compact-sm"
            variant="default"
            leftSection={<IconEye size={14} />}
            loading={shown.isPending}
            onClick={() => shown.mutate()}
            title="The audit log notes it"
          >
            Show code and number
          </Button>
        )}
      </Group>
    </>
  );
}

function Orders({ voucher: v }: { voucher: Voucher }) {
  const ask = useConfirm();
  const path = { params: { path: { id: v.id } } };
  const [sending, dialog] = useDisclosure();
  const told = () =>
    ask({
      title: `Note that this voucher’s guest was told?`,
      impact: ['Its guest knows the code, as from a call. It is no longer listed as not arrived.'],
      reason: 'optional',
      action: 'Note as told',
      run: async (note) => {
        await client.POST('/vouchers/{id}/sent', { ...path, body: { note } });
        tell.done('Noted as told');
        vouchersChanged();
      },
    });
  const withdraw = () =>
    ask({
      title: `Void this voucher of ${worth(v)}?`,
      impact: [
        'Nobody can redeem it any more.',
        v.status === 'sent' ? 'Its guest has it: tell them.' : 'Its guest has not been sent it.',
        'It stays in the list, with the reason.',
      ],
      reason: 'required',
      action: 'Void voucher',
      final: true,
      run: async (reason) => {
        await client.POST('/vouchers/{id}/void', { ...path, body: { reason } });
        tell.done('Voucher void');
        vouchersChanged();
      },
    });
  return (
    <Group gap="xs">
      <Can do="vouchers.issue">
        {v.msisdn && (
          <Button variant="default" leftSection={<IconSend size={16} />} onClick={dialog.open}>
            {v.status === 'issued' ? 'Send…' : 'Send again…'}
          </Button>
        )}
        {(v.status === 'issued' || v.undelivered_at) && (
          <Button variant="default" leftSection={<IconPhoneCall size={16} />} onClick={told}>
            Note as told…
          </Button>
        )}
        <SendAgain voucher={v} opened={sending} close={dialog.close} />
      </Can>
      <Can do="vouchers.void">
        <Button variant="default" leftSection={<IconBan size={16} />} onClick={withdraw}>
          Void…
        </Button>
      </Can>
    </Group>
  );
}

function Events({ id }: { id: string }) {
  const query = api.useQuery('get', '/vouchers/{id}/events', { params: { path: { id } } });
  const stations = useStationNames(query.data?.events.flatMap((e) => e.station_id ?? []) ?? []);
  if (query.isPending) return <Loading rows={2} label="Loading what became of it" />;
  if (!query.data) return <Failed error={query.error} retry={() => void query.refetch()} />;
  return (
    <section aria-label="What became of it">
      <Title order={3} size="h4" mb="xs">
        What became of it
      </Title>
      <ul className="history">
        {query.data.events.map((e) => (
          <li key={e.status}>
            <Group justify="space-between" wrap="nowrap" gap="xs">
              <Status of={e.status} />
              <Text size="sm" c="dimmed">
                <Time at={e.at} seconds />
              </Text>
            </Group>
            <Text size="sm" c="dimmed" className="wrap" mt={4}>
              {e.station_id
                ? `At ${stations.all.find((s) => s.id === e.station_id)?.code ?? 'a station that is gone'}`
                : `By ${e.by === 'system' ? 'Lastcall itself' : e.by}`}
              {e.reason && `: “${e.reason}”`}
            </Text>
          </li>
        ))}
      </ul>
    </section>
  );
}
