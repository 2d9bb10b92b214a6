import { IconBan } from '@tabler/icons-react';
import { queries } from '../api/client';
import type { components } from '../api/schema';
import { dayTimeZone } from '../parts/format';
import { Mark, Status } from '../parts/status';

type Send = components['schemas']['Send'];
type Block = NonNullable<Send['block']>;

/** Whether something will still happen to a message by itself soon. */
export const moves = (s: Send) => ['queued', 'sending', 'sent'].includes(s.state) && age(s) < 10 * 60_000;

const age = (s: Send) => Date.now() - Date.parse(s.sent_at ?? s.created_at);

/** The state of a message. One that the rules stopped has not failed at WhatsApp: it is called blocked. */
export function SendStatus({ of: s }: { of: Send }) {
  if (s.state === 'failed' && s.block) return <Mark word="Blocked" tone="waits" icon={IconBan} />;
  if (s.state === 'queued' && s.block) return <Status of="queued" word="Waits" />;
  return <Status of={s.state} />;
}

/** "Quiet hours until 24 Nov, 06:00 (Kigali)": why a message may not go, in its reader's hours. */
export function blockWords(b: Pick<Block, 'reason' | 'why' | 'next_window'>): string {
  if (b.next_window) return `quiet hours until ${dayTimeZone(b.next_window.opens, b.next_window.zone)}`;
  return b.why ?? (b.reason ?? '').replaceAll('_', ' ');
}

/** Tells every list of messages that one has changed. */
export function sendsChanged() {
  void queries.invalidateQueries({ queryKey: ['get', '/sends'] });
  void queries.invalidateQueries({ queryKey: ['get', '/sends/{id}'] });
}
