import { localZone } from './format';

/** The time zones that one may choose, one's own and Lastcall's first. */
export const zones = [
  ...new Set([localZone, 'Africa/Kigali', 'Europe/Malta', 'UTC', ...Intl.supportedValuesOf('timeZone')]),
];

/** The same for a select. */
export const zoneChoices = zones.map((z) => ({ value: z, label: z.replaceAll('_', ' ') }));
