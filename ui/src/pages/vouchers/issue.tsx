import { Alert, Button, Code, CopyButton, Group, Modal, Select, Stack, Text, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useDebouncedValue, useDisclosure } from '@mantine/hooks';
import { IconFileImport, IconPlus } from '@tabler/icons-react';
import { useState } from 'react';
import { api } from '../../api/client';
import type { components } from '../../api/schema';
import { Can } from '../../app/session';
import { Facts } from '../../parts/facts';
import { showProblem } from '../../parts/form';
import { localZone, zoneName } from '../../parts/format';
import { StationsSelect, useStationsOf } from '../../parts/stations';
import { Time } from '../../parts/time';
import { tell } from '../../parts/toast';
import { IssueBatch } from './batch';
import { CardPreview } from './card';
import { vouchersChanged } from './drawer';
import { dayStart, worth } from './parts';

type Voucher = components['schemas']['Voucher'];

/** Issues vouchers, one or a file of them, for who may. */
export function IssueActions({ issued }: { issued: (id: string) => void }) {
  const [one, { open: issueOne, close: stopOne }] = useDisclosure();
  const [many, { open: issueMany, close: stopMany }] = useDisclosure();
  return (
    <Can do="vouchers.issue">
      <Group gap="xs">
        <Button variant="default" leftSection={<IconFileImport size={16} />} onClick={issueMany}>
          Issue from a file
        </Button>
        <Button leftSection={<IconPlus size={16} />} onClick={issueOne}>
          Issue voucher
        </Button>
      </Group>
      <Modal opened={one} onClose={stopOne} title="Issue voucher" size="xl" centered>
        <IssueOne key={String(one)} close={stopOne} show={issued} />
      </Modal>
      <IssueBatch opened={many} close={stopMany} />
    </Can>
  );
}

/** 2026-12-23, so many days from today, where whoever looks is. */
export function dayIn(days: number): string {
  const at = new Date();
  at.setDate(at.getDate() + days);
  return `${at.getFullYear()}-${String(at.getMonth() + 1).padStart(2, '0')}-${String(at.getDate()).padStart(2, '0')}`;
}

function IssueOne({ close, show }: { close: () => void; show: (id: string) => void }) {
  const [done, setDone] = useState<Voucher>();
  const [failure, setFailure] = useState('');
  const [key] = useState(() => crypto.randomUUID()); // a request that is sent twice issues one voucher
  const form = useForm({
    initialValues: {
      msisdn: '',
      amount: '2000',
      currency: 'RWF',
      stations: [] as string[],
      expires_at: dayIn(30),
      reference: '',
    },
    validate: {
      msisdn: (v) => (v.trim() ? null : 'Enter the phone number.'),
      amount: (v) => (/^\d+(\.\d+)?$/.test(v.trim()) ? null : 'Enter an amount in digits.'),
      expires_at: (v) => (dayStart(v, 1) ? null : 'Choose a day.'),
    },
  });
  const issue = api.useMutation('post', '/vouchers', {
    meta: { inPlace: true },
    onSuccess: (v) => {
      vouchersChanged();
      tell.done('Voucher issued');
      setDone(v);
    },
    onError: (error) => setFailure(showProblem(form, error)),
  });
  const [shown] = useDebouncedValue(form.values, 400);
  const expires = dayStart(shown.expires_at, 1);
  const stations = useStationsOf({ code: shown.stations });
  if (done) return <Issued voucher={done} close={close} show={show} />;
  return (
    <form
      onSubmit={form.onSubmit((v) => {
        setFailure('');
        issue.mutate({
          params: { header: { 'Idempotency-Key': key } },
          body: {
            msisdn: v.msisdn,
            amount: v.amount.trim(),
            currency: v.currency,
            stations: v.stations,
            expires_at: dayStart(v.expires_at, 1) ?? '',
            reference: v.reference.trim() || undefined,
          },
        });
      })}
      noValidate
    >
      <div className="issue">
        <Stack gap="md">
          <TextInput
            label="Number"
            description="Whose it is, with + and country code."
            type="tel"
            autoComplete="off"
            withAsterisk
            data-autofocus
            {...form.getInputProps('msisdn')}
          />
          <Group grow align="flex-start" className="pair">
            <TextInput label="Amount" inputMode="decimal" withAsterisk {...form.getInputProps('amount')} />
            <Select label="Currency" data={['RWF', 'EUR']} allowDeselect={false} {...form.getInputProps('currency')} />
          </Group>
          <TextInput
            type="date"
            label="Good through"
            description={`To the end of that day in ${zoneName(localZone)}.`}
            withAsterisk
            {...form.getInputProps('expires_at')}
          />
          <StationsSelect
            label="Stations"
            description="Where it is redeemed. None: everywhere."
            {...form.getInputProps('stations')}
          />
          <TextInput
            label="Reference"
            description="Your own, if there is one: a number gets one voucher of each."
            maxLength={100}
            {...form.getInputProps('reference')}
          />
        </Stack>
        <div>
          <Text size="sm" fw={500} mb={4}>
            What the guest sees
          </Text>
          <div className="phone">
            <div className="phone-top" aria-hidden />
            <div className="bubble">
              {expires && /^\d+(\.\d+)?$/.test(shown.amount.trim()) ? (
                <CardPreview
                  card={{
                    amount: shown.amount.trim(),
                    currency: shown.currency,
                    expires_at: expires,
                    locale: shown.currency === 'EUR' ? 'en-MT' : 'rw-RW',
                    stations:
                      stations.data?.stations.filter((s) => shown.stations.includes(s.code)).map((s) => s.name) ?? [],
                  }}
                />
              ) : (
                <Text size="sm">An amount and a day make a card.</Text>
              )}
            </div>
          </div>
        </div>
      </div>
      {failure && (
        <Alert color="red" role="alert" mt="md">
          {failure}
        </Alert>
      )}
      <Group justify="flex-end" gap="xs" mt="md">
        <Button variant="default" onClick={close}>
          Cancel
        </Button>
        <Button type="submit" loading={issue.isPending}>
          Issue voucher
        </Button>
      </Group>
    </form>
  );
}

function Issued({ voucher: v, close, show }: { voucher: Voucher; close: () => void; show: (id: string) => void }) {
  return (
    <Stack gap="md">
      <Facts
        of={[
          [
            'Code',
            <Group key="code" gap="xs">
              <Code fz="lg">{v.code}</Code>
              <CopyButton value={v.code ?? ''}>
                {({ copied, copy }) => (
                  <Button size="compact-sm" variant="default" onClick={copy}>
                    {copied ? 'Copied' : 'Copy'}
                  </Button>
                )}
              </CopyButton>
            </Group>,
          ],
          ['Worth', worth(v)],
          [
            'For',
            <span key="for" className="number">
              {v.msisdn}
            </span>,
          ],
          ['Expires', <Time key="expires" at={v.expires_at} />],
        ]}
      />
      <Text size="sm" c="dimmed">
        Whoever has the code has the voucher. Nobody was sent it: tell its guest, and note that it was sent.
      </Text>
      <Group justify="flex-end" gap="xs">
        <Button variant="default" onClick={close}>
          Done
        </Button>
        <Button
          onClick={() => {
            close();
            show(v.id);
          }}
        >
          Open the voucher
        </Button>
      </Group>
    </Stack>
  );
}
