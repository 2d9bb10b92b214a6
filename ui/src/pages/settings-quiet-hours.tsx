import { ActionIcon, Button, Chip, Group, Select, Stack, Text, TextInput, Title } from '@mantine/core';
import { IconPlus, IconX } from '@tabler/icons-react';
import { useState } from 'react';
import { CountrySelect } from '../parts/country';
import { DayPicture } from '../parts/day-picture';
import { countryName, localeName } from '../parts/format';
import {
  type Day,
  dayName,
  days,
  type Hours,
  type Override,
  type QuietHours,
  readHours,
  type Window,
  windowFault,
  windowsInWords,
  writeHours,
} from '../parts/hours';
import { type Revision, SaveBar, Setting, useEdit } from './settings-save';

const night: Window = { start: '22:00', end: '06:00', days: [] };

export function QuietHoursSetting({ revision }: { revision: Revision }) {
  const edit = useEdit(revision, readHours);
  const [open, setOpen] = useState<string>();
  const countries = Object.keys(edit.value).sort((a, b) => countryName(a).localeCompare(countryName(b), 'en'));
  const set = (country: string, h: Hours | undefined) => {
    const { [country]: _, ...others } = edit.value;
    edit.change(h ? { ...others, [country]: h } : others);
  };
  return (
    <Setting
      title="Quiet hours"
      about="When nobody is written to, by country, on the clock of whoever would get the message. What falls into them waits until they end."
      revision={revision}
      inWords={(v) => hoursInWords(readHours(v))}
    >
      {countries.length === 0 && (
        <Text size="sm" mb="md">
          There are none: people are written to at any hour, at night too.
        </Text>
      )}
      <Stack gap={0}>
        {countries.map((c) => (
          <Country
            key={c}
            code={c}
            hours={edit.value[c] ?? { windows: [], overrides: [] }}
            opened={open === c}
            toggle={() => setOpen(open === c ? undefined : c)}
            change={(h) => set(c, h)}
          />
        ))}
      </Stack>
      <Group mt="md">
        <CountrySelect
          aria-label="Add a country"
          placeholder="Add a country"
          leftSection={<IconPlus size={16} />}
          except={countries}
          value={null}
          onChange={(c) => {
            if (!c) return;
            set(c, { windows: [night], overrides: [] });
            setOpen(c);
          }}
        />
      </Group>
      <SaveBar
        edit={edit}
        name="quiet hours"
        wrong={!fine(edit.value)}
        save={() =>
          edit.save(writeHours(edit.value), {
            title: 'Change the quiet hours?',
            impact: changes(edit.saved, edit.value),
            action: 'Save quiet hours',
          })
        }
      />
    </Setting>
  );
}

function Country({
  code,
  hours,
  opened,
  toggle,
  change,
}: {
  code: string;
  hours: Hours;
  opened: boolean;
  toggle: () => void;
  change: (h: Hours | undefined) => void;
}) {
  const name = countryName(code);
  const setOverride = (i: number, to: Override | undefined) =>
    change({ ...hours, overrides: hours.overrides.flatMap((o, j) => (i !== j ? [o] : to ? [to] : [])) });
  return (
    <section className="quiet-country" aria-label={name}>
      <div className="quiet-head">
        <div>
          <Title order={3} size="h4">
            {name}
          </Title>
          <Text size="sm" c="dimmed">
            {sentence(windowsInWords(hours.windows))}
          </Text>
          {hours.overrides.map((o) => (
            <Text key={`${o.locale}/${o.channel}`} size="sm" c="dimmed">
              {whom(o)}: {windowsInWords(o.windows)}
            </Text>
          ))}
        </div>
        <DayPicture windows={hours.windows} of={name} country={code} />
        <Button variant="subtle" size="compact-sm" onClick={toggle} aria-expanded={opened} aria-label={`Edit ${name}`}>
          {opened ? 'Close' : 'Edit'}
        </Button>
      </div>
      {opened && (
        <Stack gap="md" pt="md">
          <Windows of={name} windows={hours.windows} change={(windows) => change({ ...hours, windows })} />
          {hours.overrides.map((o, i) => (
            <fieldset key={i} className="quiet-override">
              <legend>Instead, for some in {name}</legend>
              <Group gap="sm" align="flex-start" mb="sm">
                <TextInput
                  label="Language"
                  description="Like en or en-MT."
                  w={160}
                  value={o.locale}
                  onChange={(e) => setOverride(i, { ...o, locale: e.currentTarget.value.trim() })}
                  error={!o.locale && !o.channel ? 'Name a language or a channel.' : undefined}
                />
                <Select
                  label="Channel"
                  description="Or all of them."
                  w={160}
                  value={o.channel || 'any'}
                  data={[
                    { value: 'any', label: 'Any' },
                    { value: 'whatsapp', label: 'WhatsApp' },
                  ]}
                  onChange={(v) => setOverride(i, { ...o, channel: v === 'any' ? '' : (v ?? '') })}
                />
              </Group>
              <DayPicture windows={o.windows} of={whom(o)} country={code} />
              <Windows of={whom(o)} windows={o.windows} change={(windows) => setOverride(i, { ...o, windows })} />
              <Button variant="subtle" color="red" size="compact-sm" mt="sm" onClick={() => setOverride(i, undefined)}>
                Remove this exception
              </Button>
            </fieldset>
          ))}
          <Group gap="xs">
            <Button
              variant="default"
              size="compact-sm"
              onClick={() =>
                change({
                  ...hours,
                  overrides: [...hours.overrides, { locale: '', channel: '', windows: [{ ...night }] }],
                })
              }
            >
              Add an exception for a language or channel
            </Button>
            <Button variant="subtle" color="red" size="compact-sm" onClick={() => change(undefined)}>
              Remove {name}
            </Button>
          </Group>
        </Stack>
      )}
    </section>
  );
}

function Windows({ of, windows, change }: { of: string; windows: Window[]; change: (w: Window[]) => void }) {
  const set = (i: number, to: Window | undefined) =>
    change(windows.flatMap((w, j) => (i !== j ? [w] : to ? [to] : [])));
  return (
    <Stack gap="sm">
      {windows.map((w, i) => {
        const fault = windowFault(w);
        return (
          <Group key={i} gap="sm" align="flex-start" role="group" aria-label={`Hours ${i + 1} of ${of}`}>
            <TextInput
              aria-label="From"
              leftSection={<Text size="xs">from</Text>}
              leftSectionWidth={44}
              w={120}
              value={w.start}
              error={fault.start}
              onChange={(e) => set(i, { ...w, start: e.currentTarget.value })}
            />
            <TextInput
              aria-label="To"
              leftSection={<Text size="xs">to</Text>}
              leftSectionWidth={32}
              w={112}
              value={w.end}
              error={fault.end}
              onChange={(e) => set(i, { ...w, end: e.currentTarget.value })}
            />
            <Chip.Group
              multiple
              value={w.days.length === 0 ? [...days] : w.days}
              onChange={(on) =>
                on.length > 0 &&
                set(i, { ...w, days: on.length === 7 ? [] : days.filter((d) => on.includes(d as Day)) })
              }
            >
              <Group gap={4} mt={4}>
                {days.map((d) => (
                  <Chip key={d} value={d} size="xs" radius={4} variant="outline">
                    {dayName(d)}
                  </Chip>
                ))}
              </Group>
            </Chip.Group>
            <ActionIcon
              variant="subtle"
              color="gray"
              size={36}
              aria-label={`Remove hours ${i + 1} of ${of}`}
              onClick={() => set(i, undefined)}
            >
              <IconX size={16} />
            </ActionIcon>
          </Group>
        );
      })}
      <Group>
        <Button variant="default" size="compact-sm" onClick={() => change([...windows, { ...night }])}>
          Add hours
        </Button>
      </Group>
      {windows.some((w) => w.days.length > 0 && w.start > w.end) && (
        <Text size="xs" c="dimmed">
          Hours over midnight belong to the day on which they begin.
        </Text>
      )}
    </Stack>
  );
}

function fine(all: QuietHours): boolean {
  const good = (windows: Window[]) => windows.every((w) => Object.keys(windowFault(w)).length === 0);
  return Object.values(all).every(
    (h) => good(h.windows) && h.overrides.every((o) => good(o.windows) && (o.locale || o.channel)),
  );
}

function whom(o: Override): string {
  const who = o.locale ? localeName(o.locale) : 'Everybody';
  return o.channel ? `${who}, by ${o.channel === 'whatsapp' ? 'WhatsApp' : o.channel}` : who;
}

function inWords(h: Hours): string {
  const others = h.overrides.map((o) => `${whom(o)}: ${windowsInWords(o.windows)}`);
  return [windowsInWords(h.windows), ...others].join('; ');
}

function hoursInWords(all: QuietHours): string {
  const each = Object.entries(all).map(([c, h]) => `${countryName(c)} ${inWords(h)}`);
  return each.join('. ') || 'No quiet hours';
}

/** What saving means, a sentence a country. */
function changes(before: QuietHours, after: QuietHours): string[] {
  const countries = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  const told = countries.flatMap((c) => {
    const [was, is] = [before[c], after[c]];
    if (JSON.stringify(was) === JSON.stringify(is)) return [];
    if (!is) return [`${countryName(c)}: no quiet hours any more; people are written to at night, too.`];
    return [`${countryName(c)}: ${inWords(is)}${was ? `; until now ${inWords(was)}` : ''}.`];
  });
  return told.length > 0 ? told : ['Nothing changes.'];
}

const sentence = (s: string) => s.charAt(0).toUpperCase() + s.slice(1);
