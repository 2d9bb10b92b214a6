import { Group, Select, Text, TextInput } from '@mantine/core';
import { api } from '../../api/client';
import { money } from '../../parts/format';

// What the pages about vouchers share.

/** 2,000 RWF or 12.50 EUR. */
export function worth({ amount, currency }: { amount: string; currency: string }): string {
  const n = Number(amount);
  if (currency === 'RWF') return money(n);
  return `${n.toLocaleString('en', { minimumFractionDigits: 2, maximumFractionDigits: 2 })} ${currency}`;
}

/** The beginning of a day of whoever looks, or of one so many days later, as the API takes it. */
export function dayStart(day: string | undefined, later = 0): string | undefined {
  if (!day) return undefined;
  const [y = 0, m = 1, d = 1] = day.split('-').map(Number);
  const at = new Date(y, m - 1, d + later);
  return Number.isNaN(at.getTime()) ? undefined : at.toISOString();
}

/** The stations there are, the first hundred by code, and what they are called. */
export function useStations() {
  const query = api.useQuery('get', '/stations', { params: { query: { limit: 100 } } });
  const all = query.data?.stations ?? [];
  return {
    all,
    /** Where a voucher may be redeemed: "ENG-001, ENG-002", or everywhere for no station. */
    named: (ids: string[]) => {
      if (ids.length === 0)
        return (
          <Text span size="sm" c="dimmed">
            Everywhere
          </Text>
        );
      const codes = ids.map((id) => all.find((s) => s.id === id)?.code).filter(Boolean);
      if (codes.length < ids.length) codes.push(codes.length === 0 ? `${ids.length} stations` : 'others');
      return codes.length > 2 ? `${codes.slice(0, 2).join(', ')} + ${codes.length - 2}` : codes.join(', ');
    },
  };
}

export function StationSelect({
  value,
  onChange,
}: {
  value?: string;
  onChange: (station: string | undefined) => void;
}) {
  const { all } = useStations();
  return (
    <Select
      aria-label="Station"
      placeholder="Any station"
      data={all.map((s) => ({ value: s.id, label: `${s.code}, ${s.name}` }))}
      value={value ?? null}
      onChange={(to) => onChange(to ?? undefined)}
      searchable
      clearable
    />
  );
}

/** Two days, each of them inside. */
export function Days({
  label,
  from,
  to,
  change,
}: {
  label: string;
  from?: string;
  to?: string;
  change: (days: { from?: string; to?: string }) => void;
}) {
  return (
    <Group gap={4} wrap="nowrap" className="days">
      <Text span size="sm" c="dimmed">
        {label}
      </Text>
      <TextInput
        type="date"
        aria-label={`${label} from`}
        title={`${label} on this day or later`}
        value={from ?? ''}
        max={to}
        onChange={(e) => change({ from: e.currentTarget.value || undefined })}
      />
      <Text span size="sm" c="dimmed">
        to
      </Text>
      <TextInput
        type="date"
        aria-label={`${label} to`}
        title={`${label} on this day or earlier`}
        value={to ?? ''}
        min={from}
        onChange={(e) => change({ to: e.currentTarget.value || undefined })}
      />
    </Group>
  );
}
