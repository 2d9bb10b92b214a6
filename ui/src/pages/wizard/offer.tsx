import { NumberInput, Radio, Select, SimpleGrid, Stack, TextInput } from '@mantine/core';
import type { UseFormReturnType } from '@mantine/form';
import { IconMessage, IconTicket } from '@tabler/icons-react';
import type { components } from '../../api/schema';
import { StationsSelect } from '../../parts/stations';
import type { Campaign } from './frame';

type NewOffer = components['schemas']['NewCampaignOffer'];
type Template = components['schemas']['Template'];

/** What the first step asks: what the campaign is called, and whether it gives vouchers. */
export type Kind = {
  name: string;
  kind: 'message' | 'voucher';
  amount: string;
  currency: string;
  stations: string[];
  ends: 'after' | 'at';
  days: number | string;
  /** By the clock of whoever types it, as an input has it. */
  at: string;
};

export const blank: Kind = {
  name: '',
  kind: 'message',
  amount: '',
  currency: 'RWF',
  stations: [],
  ends: 'after',
  days: 7,
  at: '',
};

/** What a voucher says in a template; nobody else gives values to these. */
const filled = ['code', 'amount', 'expiry', 'payment'];
export const fills = (campaign: Campaign, variable: string) => campaign.kind === 'voucher' && filled.includes(variable);

/** Whether every guest gets to read the code of their voucher. */
export const saysCode = (t: Template) => Object.values(t.texts).every((text) => text.includes('{{code}}'));

const whole = /^[0-9]{1,9}$/;
const cents = /^[0-9]{1,9}(\.[0-9]{1,2})?$/;

export const rules = {
  name: (v: string) => (v.trim() ? null : 'Give it a name by which your team finds it.'),
  amount: (v: string, k: Kind) => {
    if (k.kind === 'message') return null;
    const fits = (k.currency === 'RWF' ? whole : cents).test(v.trim()) && Number(v) > 0;
    return fits ? null : k.currency === 'RWF' ? 'In whole francs, like 2000.' : 'Like 12.50.';
  },
  days: (v: number | string, k: Kind) =>
    k.kind === 'message' || k.ends === 'at' || (Number(v) >= 1 && Number(v) <= 1096)
      ? null
      : 'Between one day and three years.',
  at: (v: string, k: Kind) =>
    k.kind === 'message' || k.ends === 'after' || Date.parse(v) > Date.now() ? null : 'A moment in the future.',
};

/** The voucher that was asked for, as the server wants it; none of a message campaign. */
export function offerOf(k: Kind): NewOffer | undefined {
  if (k.kind === 'message') return undefined;
  return {
    amount: k.amount.trim(),
    currency: k.currency,
    stations: k.stations,
    ...(k.ends === 'after' ? { valid_seconds: Number(k.days) * 86_400 } : { expires_at: new Date(k.at).toISOString() }),
  };
}

/** The first step of a draft as it is. Stations are known by their codes once they are loaded. */
export function kindOf(c: Campaign, codes: Map<string, string>): Kind {
  const v = c.voucher;
  if (!v) return { ...blank, name: c.name };
  const at = v.expires_at ? new Date(v.expires_at) : undefined;
  return {
    name: c.name,
    kind: 'voucher',
    amount: v.amount,
    currency: v.currency,
    stations: v.stations.map((id) => codes.get(id) ?? id),
    ends: at ? 'at' : 'after',
    days: v.valid_seconds ? Math.max(1, Math.round(v.valid_seconds / 86_400)) : 7,
    at: at ? new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16) : '',
  };
}

export function KindFields({ form, fixed }: { form: UseFormReturnType<Kind>; fixed?: boolean }) {
  const k = form.values;
  return (
    <Stack gap="lg" maw={560}>
      <TextInput
        label="Name"
        description="Your team sees it; recipients do not."
        placeholder="e.g. Friday happy hour"
        maxLength={200}
        data-autofocus
        {...form.getInputProps('name')}
      />
      <Radio.Group
        label="Kind"
        description={fixed ? 'The audience was read for this kind, so it stays.' : undefined}
        {...form.getInputProps('kind')}
      >
        <Stack gap="xs" mt="xs">
          <Radio.Card className="kind" value="message" disabled={fixed} aria-label="Message campaign">
            <IconMessage size={20} aria-hidden />
            <div>
              <strong>Message campaign</strong>
              <p>One WhatsApp template to everybody in the audience, each in the hours that suit them.</p>
            </div>
            <Radio.Indicator />
          </Radio.Card>
          <Radio.Card className="kind" value="voucher" disabled={fixed} aria-label="Voucher campaign">
            <IconTicket size={20} aria-hidden />
            <div>
              <strong>Voucher campaign</strong>
              <p>The same, and each gets a voucher of their own, to be spent once at your stations.</p>
            </div>
            <Radio.Indicator />
          </Radio.Card>
        </Stack>
      </Radio.Group>
      {k.kind === 'voucher' && (
        <Stack component="fieldset" className="plain-fieldset" gap="md">
          <legend className="sr-only">The vouchers</legend>
          <SimpleGrid cols={2} spacing="md">
            <TextInput
              label="Worth"
              inputMode="decimal"
              placeholder={k.currency === 'RWF' ? 'e.g. 2000' : 'e.g. 12.50'}
              {...form.getInputProps('amount')}
            />
            <Select
              label="Currency"
              data={[
                { value: 'RWF', label: 'RWF, francs' },
                { value: 'EUR', label: 'EUR, euros' },
              ]}
              allowDeselect={false}
              {...form.getInputProps('currency')}
            />
          </SimpleGrid>
          <StationsSelect
            label="Stations"
            description="Where it can be spent. None chosen: everywhere."
            {...form.getInputProps('stations')}
          />
          <Radio.Group label="Good until" {...form.getInputProps('ends')}>
            <Stack gap="xs" mt="xs">
              <Radio value="after" label="Some days after each was sent" />
              {k.ends === 'after' && (
                <NumberInput
                  aria-label="Days"
                  suffix=" days"
                  min={1}
                  max={1096}
                  allowDecimal={false}
                  maw={200}
                  ml={28}
                  {...form.getInputProps('days')}
                />
              )}
              <Radio value="at" label="A date and time, the same for all" />
              {k.ends === 'at' && (
                <TextInput
                  aria-label="Date and time"
                  type="datetime-local"
                  maw={260}
                  ml={28}
                  {...form.getInputProps('at')}
                />
              )}
            </Stack>
          </Radio.Group>
        </Stack>
      )}
    </Stack>
  );
}
