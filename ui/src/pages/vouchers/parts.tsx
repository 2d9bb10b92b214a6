import { Group, Text, TextInput } from '@mantine/core';
import { money } from '../../parts/format';
import { useStationsOf } from '../../parts/stations';

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

/** Where the vouchers of these stations may be redeemed, in words: "ENG-001, ENG-002", or everywhere for no station. */
export function useStationNames(ids: string[]) {
  const all = useStationsOf({ id: ids }).data?.stations ?? [];
  return {
    all,
    named: (of: string[]) => {
      if (of.length === 0)
        return (
          <Text span size="sm" c="dimmed">
            Everywhere
          </Text>
        );
      const codes = of.map((id) => all.find((s) => s.id === id)?.code).filter(Boolean);
      if (codes.length < of.length) codes.push(codes.length === 0 ? `${of.length} stations` : 'others');
      return codes.length > 2 ? `${codes.slice(0, 2).join(', ')} + ${codes.length - 2}` : codes.join(', ');
    },
  };
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
