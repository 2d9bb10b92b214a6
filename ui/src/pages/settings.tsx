import { Button, Group, Progress as Meter, NumberInput, SegmentedControl, Stack, Switch } from '@mantine/core';
import { IconPlayerPause, IconPlayerPlay } from '@tabler/icons-react';
import type { ReactNode } from 'react';
import { api } from '../api/client';
import { useMay } from '../app/session';
import { count } from '../parts/format';
import { Page } from '../parts/page';
import { Degraded, Failed, Loading } from '../parts/states';
import { Mark } from '../parts/status';
import { SpeedAdvice } from './settings-advice';
import { CampaignsSetting } from './settings-campaigns';
import { OnCallSetting } from './settings-on-call';
import { QuietHoursSetting } from './settings-quiet-hours';
import { type Revision, SaveBar, Setting, useEdit } from './settings-save';

export function SettingsPage() {
  const query = api.useQuery('get', '/settings');
  const find = (key: string) => query.data?.settings.find((s) => s.key === key);
  const shown = (key: string, of: (revision: Revision) => ReactNode) => {
    const revision = find(key);
    return revision && of(revision);
  };
  return (
    <Page title="Settings" about="The rules of all campaigns. Each change has its reason, and counts at once.">
      {query.isPending && <Loading label="Loading the settings" />}
      {query.isError && !query.data && <Failed error={query.error} retry={() => void query.refetch()} />}
      {query.isError && query.data && query.error.status !== 401 && (
        <Degraded error={query.error} since={query.dataUpdatedAt} retry={() => void query.refetch()} />
      )}
      <Stack gap="lg" maw={960}>
        {shown('toggles', (r) => (
          <Dispatch revision={r} />
        ))}
        {shown('campaigns', (r) => (
          <CampaignsSetting revision={r} />
        ))}
        {shown('quiet_hours', (r) => (
          <QuietHoursSetting revision={r} />
        ))}
        {shown('missing_zone', (r) => (
          <MissingZone revision={r} />
        ))}
        {shown('consent', (r) => (
          <Consent revision={r} />
        ))}
        {shown('throttle', (r) => (
          <Throttle revision={r} />
        ))}
        {shown('frequency_cap', (r) => (
          <Frequency revision={r} />
        ))}
        {shown('on_call', (r) => (
          <OnCallSetting revision={r} />
        ))}
      </Stack>
    </Page>
  );
}

function Dispatch({ revision }: { revision: Revision }) {
  const read = (value: unknown) => (value as { dispatch: boolean }).dispatch;
  const edit = useEdit(revision, read);
  const on = edit.saved;
  const may = useMay();
  return (
    <Setting
      title="Sending"
      about="The switch for everything. Off, campaigns wait; nothing of theirs is lost."
      revision={revision}
      inWords={(v) => (read(v) ? 'On' : 'Off')}
    >
      <Group gap="md">
        <Mark word={on ? 'On' : 'Off'} tone={on ? 'live' : 'waits'} icon={on ? IconPlayerPlay : IconPlayerPause} />
        {may('settings.write') && (
          <Button
            variant="default"
            onClick={() =>
              edit.save(
                { dispatch: !on },
                on
                  ? {
                      title: 'Stop all sending?',
                      impact: [
                        'No campaign sends anything more until somebody lets it.',
                        'Messages that are on their way to WhatsApp still arrive.',
                      ],
                      action: 'Stop all sending',
                    }
                  : {
                      title: 'Let sending go on?',
                      impact: [
                        'Every running campaign goes on where it stopped, in the hours and the speed that are set.',
                      ],
                      action: 'Go on sending',
                    },
              )
            }
          >
            {on ? 'Stop all sending…' : 'Go on sending…'}
          </Button>
        )}
      </Group>
    </Setting>
  );
}

function MissingZone({ revision }: { revision: Revision }) {
  const read = (value: unknown) => (value as { policy: 'hold' | 'send' }).policy;
  const words = { hold: 'Hold the message back', send: 'Send at any hour' };
  const edit = useEdit(revision, read);
  return (
    <Setting
      title="Unknown time zones"
      about="What happens to somebody in a country with quiet hours whose time zone nobody knows."
      revision={revision}
      inWords={(v) => words[read(v)]}
    >
      <SegmentedControl
        aria-label="Unknown time zones"
        value={edit.value}
        onChange={(v) => edit.change(v as 'hold' | 'send')}
        data={Object.entries(words).map(([value, label]) => ({ value, label }))}
      />
      <SaveBar
        edit={edit}
        name="time zones"
        save={() =>
          edit.save(
            { policy: edit.value },
            {
              title: 'Change what happens without a time zone?',
              impact: [
                edit.value === 'hold'
                  ? 'Who has no known zone gets nothing where there are quiet hours, until somebody enters one.'
                  : 'Who has no known zone is written to at any hour, at night too.',
              ],
              action: 'Save',
            },
          )
        }
      />
    </Setting>
  );
}

function Consent({ revision }: { revision: Revision }) {
  const read = (value: unknown) => (value as { required: boolean }).required;
  const edit = useEdit(revision, read);
  return (
    <Setting
      title="Consent"
      about="Whether marketing goes only to people of whom it is recorded that they agreed."
      revision={revision}
      inWords={(v) => (read(v) ? 'Required for marketing' : 'Not required; a warning is shown')}
    >
      <Switch
        label="Marketing needs a recorded agreement"
        checked={edit.value}
        onChange={(e) => edit.change(e.currentTarget.checked)}
      />
      <SaveBar
        edit={edit}
        name="consent"
        save={() =>
          edit.save(
            { required: edit.value },
            {
              title: edit.value ? 'Require consent?' : 'Send marketing without consent?',
              impact: [
                edit.value
                  ? 'Who has no recorded agreement gets no marketing.'
                  : 'Marketing goes to people of whom no agreement is recorded. The law may forbid that.',
              ],
              action: 'Save',
            },
          )
        }
      />
    </Setting>
  );
}

type Cap = { per_minute: number; per_second?: number; tier?: number; pair_seconds?: number };

function Throttle({ revision }: { revision: Revision }) {
  const read = (value: unknown) => (value as { whatsapp: Cap }).whatsapp;
  const words = (cap: Cap) => {
    if (cap.per_minute === 0) return 'WhatsApp: stopped';
    const limits = [
      `${count(cap.per_minute)} messages in any minute`,
      cap.per_second && `${count(cap.per_second)} in any second`,
      cap.tier && `${count(cap.tier)} different people in any 24 hours`,
      cap.pair_seconds && `${count(cap.pair_seconds)} s between two to the same person`,
    ];
    return `WhatsApp: ${limits.filter(Boolean).join(', ')}`;
  };
  const edit = useEdit(revision, read);
  const wrong = !Number.isInteger(edit.value.per_minute);
  return (
    <Setting
      title="Speed"
      about="How much goes out at most, of all campaigns together."
      revision={revision}
      inWords={(v) => words(read(v))}
    >
      <Use />
      <Group align="flex-start" gap="md">
        <NumberInput
          label="WhatsApp, messages a minute"
          description="In any 60 seconds; 0 stops the channel."
          w={240}
          min={0}
          max={1_000_000_000}
          allowDecimal={false}
          allowNegative={false}
          thousandSeparator=","
          hideControls
          value={Number.isNaN(edit.value.per_minute) ? '' : edit.value.per_minute}
          onChange={(v) => edit.change({ ...edit.value, per_minute: typeof v === 'number' ? v : Number.NaN })}
          error={wrong ? 'Enter a number.' : undefined}
        />
        {(
          [
            ['per_second', 'A second', 'In any second. 0 is no limit.', 1_000_000_000],
            ['tier', 'People a day', 'Different ones, in any 24 hours. 0 is no limit.', 1_000_000_000],
            ['pair_seconds', 'Pause for a person, seconds', 'Between two messages. 0 is none.', 3600],
          ] as const
        ).map(([name, label, description, max]) => (
          <NumberInput
            key={name}
            label={label}
            description={description}
            w={240}
            min={0}
            max={max}
            allowDecimal={false}
            allowNegative={false}
            thousandSeparator=","
            hideControls
            value={edit.value[name] ?? 0}
            onChange={(v) => edit.change({ ...edit.value, [name]: typeof v === 'number' ? v : 0 })}
          />
        ))}
      </Group>
      <SaveBar
        edit={edit}
        name="speed"
        wrong={wrong}
        save={() =>
          edit.save(
            { whatsapp: edit.value },
            {
              title: 'Change the speed?',
              impact: [
                `Now: ${words(edit.saved)}.`,
                `Then: ${words(edit.value)}${edit.value.per_minute > 0 ? `, which is ${count(edit.value.per_minute * 60)} an hour at most` : ''}.`,
              ],
              action: 'Save',
            },
          )
        }
      />
      <SpeedAdvice
        apply={(a) =>
          edit.save(a.proposed, {
            title: 'Apply the advice?',
            impact: [
              `Now: ${words(edit.saved)}.`,
              `Then: ${words(read(a.proposed))}.`,
              'The figures are kept with your name, as a review of the caps.',
            ],
            action: 'Apply',
            advice: a.digest,
          })
        }
      />
    </Setting>
  );
}

/** How much of the limits is used now. */
function Use() {
  const query = api.useQuery(
    'get',
    '/channels/{name}/use',
    { params: { path: { name: 'whatsapp' } } },
    { refetchInterval: 2000 },
  );
  if (query.isPending) return <Loading label="Loading what is used" rows={1} />;
  if (!query.data) return <Failed error={query.error} retry={() => void query.refetch()} />;
  const u = query.data;
  const rows = (
    [
      ['In the last minute', u.used_minute, u.per_minute],
      ['In the last second', u.used_second, u.per_second],
      ['People in the last 24 hours', u.used_tier, u.tier],
    ] as const
  ).filter(([, , limit], i) => i === 0 || limit > 0);
  return (
    <section className="use" aria-label="What is used now">
      {rows.map(([label, used, limit]) => (
        <div key={label} className="use-row">
          <span>{label}</span>
          <Meter
            aria-label={label}
            value={limit > 0 ? Math.min(100, (100 * used) / limit) : 0}
            color={limit > 0 && used >= 0.98 * limit ? 'amber' : undefined}
          />
          <span className="use-count">{limit > 0 ? `${count(used)} of ${count(limit)}` : 'stopped'}</span>
        </div>
      ))}
      {u.wanting > 0 && (
        <span>{u.wanting === 1 ? 'A campaign waits for more.' : `${count(u.wanting)} campaigns wait for more.`}</span>
      )}
    </section>
  );
}

type Limits = { per_day?: number; per_week?: number };

function Frequency({ revision }: { revision: Revision }) {
  const read = (value: unknown) => (value as { marketing: Limits }).marketing;
  const words = ({ per_day = 0, per_week = 0 }: Limits) => {
    const limits = [
      per_day > 0 && `${count(per_day)} in any 24 hours`,
      per_week > 0 && `${count(per_week)} in any 7 days`,
    ];
    return limits.filter(Boolean).join(' and ') || 'No limit';
  };
  const edit = useEdit(revision, read);
  const field = (name: keyof Limits, label: string) => (
    <NumberInput
      label={label}
      description="0 is no limit."
      w={208}
      min={0}
      max={10_000}
      allowDecimal={false}
      allowNegative={false}
      clampBehavior="strict"
      hideControls
      value={edit.value[name] ?? 0}
      onChange={(v) => edit.change({ ...edit.value, [name]: typeof v === 'number' ? v : 0 })}
    />
  );
  return (
    <Setting
      title="Marketing to one person"
      about="How many marketing messages anybody gets at most, over all campaigns. What is more waits."
      revision={revision}
      inWords={(v) => words(read(v))}
    >
      <Group align="flex-start" gap="md">
        {field('per_day', 'In any 24 hours')}
        {field('per_week', 'In any 7 days')}
      </Group>
      <SaveBar
        edit={edit}
        name="limits"
        save={() =>
          edit.save(
            { marketing: { per_day: edit.value.per_day ?? 0, per_week: edit.value.per_week ?? 0 } },
            {
              title: 'Change the limits for one person?',
              impact: [`Now: ${words(edit.saved)}.`, `Then: ${words(edit.value)}.`],
              action: 'Save',
            },
          )
        }
      />
    </Setting>
  );
}
