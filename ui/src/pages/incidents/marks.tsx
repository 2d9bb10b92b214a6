import {
  IconAlertTriangle,
  IconBandage,
  IconBellRinging,
  IconCheck,
  IconEye,
  IconFlame,
  IconHourglass,
  IconInfoCircle,
  IconMask,
  IconSitemap,
} from '@tabler/icons-react';
import { queries } from '../../api/client';
import type { components } from '../../api/schema';
import { Mark } from '../../parts/status';

export type Alert = components['schemas']['Alert'];
export type Incident = components['schemas']['Incident'];

const severities = {
  info: { word: 'Info', tone: 'quiet', icon: IconInfoCircle },
  warning: { word: 'Warning', tone: 'waits', icon: IconAlertTriangle },
  critical: { word: 'Critical', tone: 'bad', icon: IconFlame },
} as const;

/** How soon somebody should look. */
export const SeverityMark = ({ of }: { of: keyof typeof severities }) => <Mark {...severities[of]} />;

/** Where an alert is; and whether somebody has seen it. */
export function AlertMark({ of: a }: { of: Alert }) {
  if (a.state === 'pending') return <Mark word="Clock runs" tone="waits" icon={IconHourglass} />;
  if (a.state === 'resolved') return <Mark word="Over" tone="good" icon={IconCheck} />;
  if (a.symptom_of) return <Mark word="Symptom" tone="quiet" icon={IconSitemap} />;
  if (a.acknowledged_at) return <Mark word="Seen" tone="waits" icon={IconEye} />;
  return <Mark word="Firing" tone="live" icon={IconBellRinging} />;
}

const states = {
  open: { word: 'Open', tone: 'live', icon: IconBellRinging },
  mitigated: { word: 'Mitigated', tone: 'waits', icon: IconBandage },
  resolved: { word: 'Resolved', tone: 'good', icon: IconCheck },
} as const;

/** Where an incident is. */
export const IncidentMark = ({ of }: { of: Incident }) => <Mark {...states[of.state]} />;

/** What a drill made. */
export const DrillMark = () => <Mark word="Drill" tone="quiet" icon={IconMask} />;

/** Forgets what the panel knows of alerts and incidents. */
export function alertsChanged() {
  for (const path of ['/alerts', '/alerts/{id}', '/alert-rules', '/incidents', '/incidents/{id}']) {
    void queries.invalidateQueries({ queryKey: ['get', path] });
  }
}
