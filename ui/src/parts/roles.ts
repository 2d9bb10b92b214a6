import type { components } from '../api/schema';
import { upper, words } from './format';

export type Role = components['schemas']['Account']['role'];

/** What each role is there for. What it may in full is the server's to say: see the table of the page Users. */
export const roles: { role: Role; about: string }[] = [
  { role: 'admin', about: 'Administration and campaigns' },
  { role: 'project_lead', about: 'Approves, waives, decides go or no-go' },
  { role: 'ops', about: 'Runs campaigns, drills and incidents' },
  { role: 'support', about: 'Contacts, vouchers, single sends' },
  { role: 'compliance', about: 'Reviews templates, reads the audit log' },
  { role: 'finance', about: 'Payment settings and voucher totals' },
  { role: 'viewer', about: 'Reads, with numbers masked' },
  { role: 'station_operator', about: 'The app of one station, nothing here' },
];

/** Project lead, of project_lead. */
export const roleName = (role: string) => upper(words(role));

/** For a Select. */
export const roleOptions = roles.map(({ role, about }) => ({ value: role, label: `${roleName(role)} – ${about}` }));

/** Campaigns: run, of campaigns.run. */
export const permissionName = (permission: string) => upper(words(permission.replace('.', ': ')));
