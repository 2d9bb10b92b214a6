import { Group, NumberInput, SegmentedControl, Stack } from '@mantine/core';
import { count } from '../parts/format';
import { type Revision, SaveBar, Setting, useEdit } from './settings-save';

type Rule = 'never' | 'above' | 'always';
type Value = { rule: Rule; above: number; late: number; lasts: number };

const words: Record<Rule, string> = { never: 'No campaign', above: 'Large ones', always: 'Every campaign' };

/** Which campaigns a second person has to approve. */
export function CampaignsSetting({ revision }: { revision: Revision }) {
  const edit = useEdit(revision, read);
  const v = edit.value;
  const wrong = !fits(v.above, 0, 1_000_000_000) || !fits(v.late, 1, most) || !fits(v.lasts, 1, most / 60);
  const field = (name: 'above' | 'late' | 'lasts', label: string, description: string, min: number, max: number) => (
    <NumberInput
      label={label}
      description={description}
      w={240}
      min={min}
      max={max}
      allowDecimal={false}
      allowNegative={false}
      thousandSeparator=","
      hideControls
      value={Number.isNaN(v[name]) ? '' : v[name]}
      onChange={(n) => edit.change({ ...v, [name]: typeof n === 'number' ? n : Number.NaN })}
      error={fits(v[name], min, max) ? undefined : `Enter a number from ${count(min)} to ${count(max)}.`}
    />
  );
  return (
    <Setting
      title="Approval of campaigns"
      about="Which campaigns a second person must agree to before they send anything."
      revision={revision}
      inWords={(value) => told(read(value))}
    >
      <Stack gap="md" align="flex-start">
        <SegmentedControl
          aria-label="Campaigns that need approval"
          value={v.rule}
          onChange={(rule) => edit.change({ ...v, rule: rule as Rule })}
          data={Object.entries(words).map(([value, label]) => ({ value, label }))}
        />
        {v.rule !== 'never' && (
          <Group align="flex-start" gap="md">
            {v.rule === 'above' && field('above', 'More recipients than', 'Those need approval.', 0, 1_000_000_000)}
            {field('lasts', 'An approval lasts, hours', 'So long it lets a campaign begin.', 1, most / 60)}
            {field('late', 'Late by at most, minutes', 'Later than that, it is asked about again.', 1, most)}
          </Group>
        )}
      </Stack>
      <SaveBar
        edit={edit}
        name="approval"
        wrong={wrong}
        save={() =>
          edit.save(
            {
              approval: v.rule === 'above' ? { above: v.above } : v.rule,
              max_late: `${v.late}m`,
              approval_ttl: `${v.lasts}h`,
            },
            {
              title: 'Change what needs approval?',
              impact: [
                `Now: ${told(edit.saved)}.`,
                `Then: ${told(v)}.`,
                'Approvals of campaigns that have not begun do not hold any more: they were given under other rules.',
              ],
              action: 'Save',
            },
          )
        }
      />
    </Setting>
  );
}

const most = 720 * 60; // minutes

const fits = (n: number, min: number, max: number) => Number.isInteger(n) && n >= min && n <= max;

function read(value: unknown): Value {
  const v = value as { approval: Rule | { above: number }; max_late: string; approval_ttl: string };
  const large = typeof v.approval === 'object';
  return {
    rule: large ? 'above' : (v.approval as Rule),
    above: large ? (v.approval as { above: number }).above : 1000,
    late: Math.max(1, Math.round(minutes(v.max_late))),
    lasts: Math.max(1, Math.round(minutes(v.approval_ttl) / 60)),
  };
}

/** The minutes of a duration as the API writes it: "2h", "1h30m", "90m". */
export function minutes(span: string): number {
  const units: Record<string, number> = { h: 60, m: 1, s: 1 / 60 };
  return [...span.matchAll(/([\d.]+)([hms])/g)].reduce(
    (sum, [, n, unit]) => sum + Number(n) * (units[unit ?? ''] ?? 0),
    0,
  );
}

function told({ rule, above, late, lasts }: Value): string {
  if (rule === 'never') return words.never;
  const which = rule === 'above' ? `Campaigns of more than ${count(above)} recipients` : words.always;
  return `${which}; an approval lasts ${count(lasts)} h, and a start may be ${count(late)} min late`;
}
