import type { components } from '../../api/schema';
import { localeName, upper } from '../../parts/format';

export type Fault = components['schemas']['Fault'];

const parts: Record<string, string> = { texts: '', headers: 'header', footers: 'footer' };

/** "Kinyarwanda (Rwanda), footer: another language has one" */
export function faultText(f: Fault): string {
  const [part = '', name = ''] = (f.field ?? '').split(/\.(.*)/s);
  if (part in parts && name) return `${[localeName(name), parts[part]].filter(Boolean).join(', ')}: ${f.detail}.`;
  if (part === 'variables' && name) return `Variable ${name}: ${f.detail}.`;
  return `${upper(f.detail)}.`;
}

/** What is wrong with one field, in a sentence; undefined: nothing. */
export function faultOf(faults: Fault[], field: string): string | undefined {
  const its = faults.filter((f) => f.field === field);
  return its.length > 0 ? its.map((f) => `${upper(f.detail)}.`).join(' ') : undefined;
}
