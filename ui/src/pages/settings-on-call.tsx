import { ActionIcon, Button, Group, Select, Stack, TagsInput, TextInput } from '@mantine/core';
import { IconPlus, IconX } from '@tabler/icons-react';
import { localZone } from '../parts/format';
import { zoneChoices } from '../parts/zones';
import { type Revision, SaveBar, Setting, useEdit } from './settings-save';

type Swap = { week: string; member: string };
type Rota = { zone: string; starts: string; members: string[]; swaps: Swap[] };

/** Who is woken at night: a week each, in turn. */
export function OnCallSetting({ revision }: { revision: Revision }) {
  const edit = useEdit(revision, read);
  const v = edit.value;
  const set = (change: Partial<Rota>) => edit.change({ ...v, ...change });
  const swap = (i: number, change: Partial<Swap>) =>
    set({ swaps: v.swaps.map((s, n) => (n === i ? { ...s, ...change } : s)) });
  const wrong = v.starts === '' || v.swaps.some((s) => s.week === '' || s.member === '');
  return (
    <Setting
      title="On call"
      about="Who is told of alerts by mail, and named in what is announced: a week each, in this order."
      revision={revision}
      inWords={(value) => told(read(value))}
    >
      <Stack gap="md">
        <TagsInput
          label="In turn"
          description="Addresses of accounts; Enter after each. None: nobody is on call."
          value={v.members}
          onChange={(members) => set({ members: members.map((m) => m.trim().toLowerCase()) })}
          maxTags={52}
          allowDuplicates={false}
        />
        <Group align="flex-start" gap="md">
          <TextInput
            type="datetime-local"
            label="The first week begins"
            w={240}
            value={v.starts}
            onChange={(e) => set({ starts: e.currentTarget.value.slice(0, 16) })}
            error={edit.dirty && v.starts === '' ? 'Choose a date and a time.' : undefined}
          />
          <Select
            label="By the clocks of"
            w={240}
            searchable
            nothingFoundMessage="No such zone"
            data={zoneChoices}
            value={v.zone}
            onChange={(zone) => zone && set({ zone })}
          />
        </Group>
        {v.swaps.map((s, i) => (
          <Group key={i} align="flex-end" gap="xs" role="group" aria-label={`Swap ${i + 1}`}>
            <TextInput
              type="date"
              label="In the week of"
              w={176}
              value={s.week}
              onChange={(e) => swap(i, { week: e.currentTarget.value })}
            />
            <TextInput
              label="Instead"
              placeholder="ops@example.com"
              w={264}
              value={s.member}
              onChange={(e) => swap(i, { member: e.currentTarget.value.trim().toLowerCase() })}
            />
            <ActionIcon
              variant="subtle"
              color="gray"
              size={36}
              aria-label={`Remove swap ${i + 1}`}
              onClick={() => set({ swaps: v.swaps.filter((_, n) => n !== i) })}
            >
              <IconX size={16} />
            </ActionIcon>
          </Group>
        ))}
        <Group>
          <Button
            variant="subtle"
            size="compact-sm"
            leftSection={<IconPlus size={16} />}
            onClick={() => set({ swaps: [...v.swaps, { week: '', member: '' }] })}
          >
            Swap a week
          </Button>
        </Group>
      </Stack>
      <SaveBar
        edit={edit}
        name="rota"
        wrong={wrong}
        save={() =>
          edit.save(v, {
            title: 'Change who is on call?',
            impact: [`Now: ${told(edit.saved)}.`, `Then: ${told(v)}.`],
            action: 'Save rota',
          })
        }
      />
    </Setting>
  );
}

function read(value: unknown): Rota {
  const v = (value ?? {}) as Partial<{ [K in keyof Rota]: Rota[K] | null }>;
  return {
    zone: v.zone || localZone,
    starts: v.starts || '',
    members: v.members ?? [],
    swaps: v.swaps ?? [],
  };
}

function told({ members, starts, zone, swaps }: Rota): string {
  if (members.length === 0) return 'Nobody is on call';
  const others = swaps.length === 0 ? '' : `; ${swaps.map((s) => `${s.member} in the week of ${s.week}`).join(', ')}`;
  return `${members.join(', ')}, a week each from ${starts.replace('T', ' ')} (${zone})${others}`;
}
