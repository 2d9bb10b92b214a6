import { Alert, Checkbox, List, Stack, Text, Title } from '@mantine/core';
import { IconAlertTriangle } from '@tabler/icons-react';
import { useEffect, useState } from 'react';
import { api } from '../api/client';
import type { components } from '../api/schema';
import { countryName, dayTimeZone, words } from '../parts/format';
import { Failed, Loading } from '../parts/states';

// What a change of a setting would mean, before it is saved.

export type Change = components['schemas']['SettingChange'];
type Told = components['schemas']['Impact'];

export const impactKey = ['post', '/settings/{key}/impact'];

/** What differs between two values of a setting, field by field. */
export function Changes({ of, before = 'Was', after = 'Is' }: { of: Change[]; before?: string; after?: string }) {
  return (
    <table className="changes">
      <thead>
        <tr>
          <th>What</th>
          <th>{before}</th>
          <th>{after}</th>
        </tr>
      </thead>
      <tbody>
        {of.map((c) => (
          <tr key={c.field ?? ''}>
            <th scope="row">{fieldName(c.field ?? '')}</th>
            <td>{valueText(c.before)}</td>
            <td>{valueText(c.after)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** Asks what a value would mean and shows it. Dangers hold the dialog until each is agreed to. */
export function Impact({
  of,
  value,
  acknowledged,
  hold,
}: {
  of: string;
  value: unknown;
  acknowledged: Set<string>;
  hold: (on: boolean) => void;
}) {
  const query = api.useQuery(
    'post',
    '/settings/{key}/impact',
    { params: { path: { key: of } }, body: { value } },
    { staleTime: 0, gcTime: 0, refetchOnWindowFocus: false },
  );
  const [agreed, setAgreed] = useState<string[]>([]);
  const findings = query.data?.findings ?? [];
  const dangers = [...new Set(findings.filter((f) => f.severity === 'danger').map((f) => f.code))];
  const open = dangers.some((code) => !agreed.includes(code));
  useEffect(() => hold(open), [open, hold]);
  if (query.isPending) return <Loading label="Reckoning what it would mean" rows={2} />;
  if (!query.data) return <Failed error={query.error} retry={() => void query.refetch()} level={2} />;
  const agree = (code: string, on: boolean) => {
    if (on) acknowledged.add(code);
    else acknowledged.delete(code);
    setAgreed([...acknowledged]);
  };
  return (
    <Stack gap="sm">
      {query.data.changes.length > 0 && <Changes of={query.data.changes} before="Now" after="Then" />}
      <section aria-label="What it would mean">
        <Title order={3} size="h5" mb={4}>
          What it would mean
        </Title>
        <List size="sm" spacing={4}>
          {sentences(query.data).map((s) => (
            <List.Item key={s}>{s}</List.Item>
          ))}
        </List>
      </section>
      {findings.length > 0 && (
        <Stack gap="xs" role="group" aria-label="Look twice">
          {findings.map((f) => (
            <Alert
              key={`${f.code}/${f.field}`}
              color={f.severity === 'danger' ? 'red' : 'yellow'}
              icon={<IconAlertTriangle size={16} />}
              title={f.severity === 'danger' ? 'Dangerous' : 'Look twice'}
            >
              <Text size="sm">{sentence(f.message)}</Text>
            </Alert>
          ))}
          {dangers.map((code) => (
            <Checkbox
              key={code}
              label={`I know, and save it all the same: ${words(code)}`}
              checked={agreed.includes(code)}
              onChange={(e) => agree(code, e.currentTarget.checked)}
            />
          ))}
        </Stack>
      )}
    </Stack>
  );
}

/** The effect, and when campaigns would end. */
function sentences(told: Told): string[] {
  const ends = told.campaigns.flatMap((c) => {
    const [was, is] = [c.finishes_before, c.finishes_after];
    if (was === is) return [];
    const then = is ? `would end ${dayTimeZone(is)}` : 'would not end by itself';
    return [`“${c.name}” ${then}${was ? ` instead of ${dayTimeZone(was)}` : ''}.`];
  });
  const more = ends.length > 6 ? [`And ${ends.length - 5} other campaigns would end at another time.`] : [];
  return [...told.summary.map(sentence), ...(more.length > 0 ? [...ends.slice(0, 5), ...more] : ends)];
}

function sentence(s: string) {
  const text = (s.charAt(0).toUpperCase() + s.slice(1)).replace(/ in ([A-Z]{2})\b/g, (_, c) => ` in ${countryName(c)}`);
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

const names: Record<string, string> = { start: 'from', end: 'to', whatsapp: 'WhatsApp', marketing: 'Marketing' };

/** RW.end as people say it. */
function fieldName(field: string): string {
  if (!field) return 'All of it';
  return field
    .split('.')
    .map((part) => names[part] ?? (/^[A-Z]{2}$/.test(part) ? countryName(part) : words(part)))
    .join(', ');
}

function valueText(value: unknown): string {
  if (value === undefined) return '–';
  if (typeof value === 'number') return value.toLocaleString('en');
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (Array.isArray(value)) return value.map(valueText).join('; ') || 'none';
  if (value && typeof value === 'object') {
    const { start, end, ...others } = value as Record<string, unknown>;
    const rest = Object.entries(others).map(([k, v]) => `${words(k)} ${valueText(v)}`);
    return [...(start ? [`${start}–${end}`] : []), ...rest].join(', ');
  }
  return String(value);
}
