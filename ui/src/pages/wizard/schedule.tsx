import { Alert, Radio, Select, Stack, Text, TextInput } from '@mantine/core';
import { dayTimeZone, duration, localZone, zoneName } from '../../parts/format';
import { zoneChoices, zones } from '../../parts/zones';
import { type Campaign, Foot } from './frame';
import { useKept } from './kept';
import { instantOf, wallOf } from './moment';

export type Schedule = { when: 'now' | 'at'; wall: string; zone: string };

const isSchedule = (v: unknown): v is Schedule => {
  const s = v as Schedule | null;
  return (s?.when === 'now' || s?.when === 'at') && typeof s.wall === 'string' && zones.includes(s.zone);
};

/** When a draft shall go. It stays in this browser until the start. */
export function useSchedule(campaign: string) {
  const tomorrow = `${wallOf(new Date(Date.now() + 864e5), localZone).slice(0, 10)}T18:00`;
  return useKept<Schedule>(scheduleKey(campaign), { when: 'now', wall: tomorrow, zone: localZone }, isSchedule);
}

export const scheduleKey = (campaign: string) => `lastcall.schedule.${campaign}`;

/** The instant that is meant; undefined for now. `wrong` says why there is none. */
export function meant(s: Schedule): { at?: Date; wrong?: string } {
  if (s.when === 'now') return {};
  const at = instantOf(s.wall, s.zone);
  if (s.wall === '') return { wrong: 'Choose a date and a time.' };
  if (!at) return { wrong: `The clocks in ${zoneName(s.zone)} skip this time on that day. Choose another one.` };
  if (at.getTime() <= Date.now()) return { wrong: 'This is past. Choose a later time, or send it now.' };
  if (at.getTime() > Date.now() + 10 * 365 * 864e5) return { wrong: 'This is more than ten years away.' };
  return { at };
}

export function ScheduleStep({ campaign }: { campaign: Campaign }) {
  const [schedule, set] = useSchedule(campaign.campaign_id);
  const { at, wrong } = meant(schedule);
  return (
    <>
      <Stack gap="lg" maw={560}>
        <Radio.Group
          value={schedule.when}
          onChange={(when) => set({ ...schedule, when: when as Schedule['when'] })}
          label="Begin"
        >
          <Stack gap="sm" mt={8}>
            <Radio value="now" label="As soon as it is started" />
            <Radio value="at" label="On a date, at a time" />
          </Stack>
        </Radio.Group>
        {schedule.when === 'at' && (
          <div className="when">
            <TextInput
              type="datetime-local"
              label="Date and time"
              value={schedule.wall}
              min={wallOf(new Date(), schedule.zone)}
              onChange={(e) => set({ ...schedule, wall: e.currentTarget.value.slice(0, 16) })}
              error={wrong}
            />
            <Select
              label="By the clocks of"
              searchable
              nothingFoundMessage="No such zone"
              data={zoneChoices}
              value={schedule.zone}
              onChange={(zone) => zone && set({ ...schedule, zone })}
            />
          </div>
        )}
        <div aria-live="polite">
          {at && (
            <Text size="sm">
              {dayTimeZone(at, schedule.zone)}
              {schedule.zone !== localZone && `, which is ${dayTimeZone(at)}`}: in{' '}
              {duration((at.getTime() - Date.now()) / 1000)}.
            </Text>
          )}
        </div>
        <Alert color="gray">
          Nobody is written to in quiet hours. Whoever’s clock forbids it then waits, and goes as soon as it may. The
          next step shows when.
        </Alert>
      </Stack>
      <Foot campaign={campaign} step="schedule" />
    </>
  );
}
