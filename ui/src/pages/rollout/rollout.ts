import {
  IconAlertTriangle,
  IconCheck,
  IconHandStop,
  IconHelpCircle,
  IconHourglass,
  IconPlayerPlay,
} from '@tabler/icons-react';
import { queries } from '../../api/client';
import type { components } from '../../api/schema';

export type Rollout = components['schemas']['Rollout'];
export type Phase = components['schemas']['RolloutPhase'];
export type Item = components['schemas']['RolloutItem'];
export type Gate = components['schemas']['RolloutGate'];

/** How what an item came to looks. */
export const outcomes = {
  passed: { word: 'Passed', tone: 'good', icon: IconCheck },
  failed: { word: 'Failed', tone: 'bad', icon: IconAlertTriangle },
  inconclusive: { word: 'Inconclusive', tone: 'waits', icon: IconHelpCircle },
  waived: { word: 'Waived', tone: 'quiet', icon: IconHandStop },
} as const;

/** How far a phase is. */
export const phases = {
  over: { word: 'Over', tone: 'good', icon: IconCheck },
  now: { word: 'Now', tone: 'live', icon: IconPlayerPlay },
  later: { word: 'Later', tone: 'quiet', icon: IconHourglass },
} as const;

export const kinds = { check: 'Check', sign_off: 'Sign-off', drill: 'Drill' } as const;

/** A line of the plan as a name. */
export const plain = (text: string) => text.replaceAll('`', '').replace(/\.$/, '');

/** What a phase lets, in a sentence. */
export function allows(g: Phase['guardrails']): string {
  const said: string[] = [];
  if (g.provider) said.push('messages go to the sandbox only');
  if (g.redemptions) said.push('stations only rehearse');
  const most = [
    g.bars && `${g.bars} bars`,
    g.stations && `${g.stations} stations`,
    g.support && `${g.support} people of support`,
  ].filter(Boolean);
  if (most.length > 0) said.push(`at most ${most.join(', ')}`);
  if (g.targets) said.push(`${g.targets} recipients a campaign`);
  if (g.templates) said.push('only locked templates');
  if (said.length === 0) return '';
  const sentence = said.join('; ');
  return `${sentence.charAt(0).toUpperCase()}${sentence.slice(1)}.`;
}

/** Forgets what the panel knows of the rollout. */
export function rolloutChanged() {
  for (const path of [
    '/rollout',
    '/rollout/items/{item}',
    '/rollouts/{name}/announcements',
    '/reviews',
    '/reviews/{id}',
  ])
    void queries.invalidateQueries({ queryKey: ['get', path] });
}
