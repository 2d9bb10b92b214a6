import { Group, Text } from '@mantine/core';
import {
  IconAlertTriangle,
  IconCheck,
  IconFlame,
  IconHeartbeat,
  IconListCheck,
  IconPlayerStop,
  IconPlugX,
} from '@tabler/icons-react';
import type { components } from '../../api/schema';
import { Mark } from '../../parts/status';

export type Drill = components['schemas']['Drill'];
export type DrillHead = components['schemas']['DrillHead'];
export type Entry = components['schemas']['JournalEntry'];
export type Part = components['schemas']['ScorePart'];

const looks = {
  preflight: { word: 'Checks', tone: 'live', icon: IconListCheck },
  injected: { word: 'Fault is there', tone: 'live', icon: IconFlame },
  recovering: { word: 'Recovers', tone: 'live', icon: IconHeartbeat },
  completed: { word: 'Completed', tone: 'good', icon: IconCheck },
  failed: { word: 'Not begun', tone: 'waits', icon: IconAlertTriangle },
  aborted: { word: 'Aborted', tone: 'quiet', icon: IconPlayerStop },
  interrupted: { word: 'Interrupted', tone: 'bad', icon: IconPlugX },
} as const;

/** Where a drill is, or how it ended. */
export const DrillMark = ({ of }: { of: Drill['status'] }) => <Mark {...looks[of]} />;

/** Whether anything can still happen. */
export const isOpen = (s: Drill['status']) => s === 'preflight' || s === 'injected' || s === 'recovering';

/** The score of one that is over, and whether all was as expected. */
export function Score({ of: d }: { of: DrillHead }) {
  if (d.score === null || !d.injected_at) return <Text c="dimmed">–</Text>;
  return (
    <Group gap={6} wrap="nowrap">
      <span className="drill-score">{d.score}</span>
      {d.deviated && (
        <Text size="xs" c="dimmed">
          deviated
        </Text>
      )}
    </Group>
  );
}
