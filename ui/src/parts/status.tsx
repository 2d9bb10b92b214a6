import { Badge } from '@mantine/core';
import {
  IconAlertTriangle,
  IconArchive,
  IconBan,
  IconCalendarClock,
  IconCheck,
  IconChecks,
  IconClockOff,
  IconGlassFull,
  IconHelpCircle,
  IconHourglass,
  IconListCheck,
  IconLock,
  IconPencil,
  IconPlayerPause,
  IconPlayerPlay,
  IconPlayerStop,
  IconSend,
  IconTicket,
  IconUserOff,
} from '@tabler/icons-react';
import type { ComponentType } from 'react';

/** What a colour says, everywhere: amber is live or needs a human, green went well, red did not, violet waits. */
export type Tone = 'live' | 'good' | 'bad' | 'waits' | 'quiet';

type Look = { word: string; tone: Tone; icon: ComponentType<{ size?: number }> };

const looks: Record<string, Look> = {
  // of a campaign
  draft: { word: 'Draft', tone: 'quiet', icon: IconPencil },
  scheduled: { word: 'Scheduled', tone: 'waits', icon: IconCalendarClock },
  preflight: { word: 'Preparing', tone: 'live', icon: IconListCheck },
  running: { word: 'Running', tone: 'live', icon: IconPlayerPlay },
  paused: { word: 'Paused', tone: 'waits', icon: IconPlayerPause },
  settling: { word: 'Settling', tone: 'live', icon: IconHourglass },
  done: { word: 'Done', tone: 'good', icon: IconCheck },
  stopped: { word: 'Stopped', tone: 'quiet', icon: IconPlayerStop },
  // of a target
  queued: { word: 'Queued', tone: 'quiet', icon: IconHourglass },
  sending: { word: 'Sending', tone: 'live', icon: IconSend },
  sent: { word: 'Sent', tone: 'quiet', icon: IconCheck },
  delivered: { word: 'Delivered', tone: 'good', icon: IconCheck },
  read: { word: 'Read', tone: 'good', icon: IconChecks },
  opted_out: { word: 'Opted out', tone: 'waits', icon: IconUserOff },
  unknown: { word: 'Unknown', tone: 'waits', icon: IconHelpCircle },
  cancelled: { word: 'Cancelled', tone: 'quiet', icon: IconBan },
  // of a single message
  blocked: { word: 'Blocked', tone: 'waits', icon: IconBan },
  // of a template's version
  submitted: { word: 'Submitted', tone: 'waits', icon: IconHourglass },
  approved: { word: 'Approved', tone: 'good', icon: IconCheck },
  locked: { word: 'Locked', tone: 'good', icon: IconLock },
  retired: { word: 'Retired', tone: 'quiet', icon: IconArchive },
  // of a voucher; sent ones look like targets
  issued: { word: 'Issued', tone: 'waits', icon: IconTicket },
  redeemed: { word: 'Redeemed', tone: 'good', icon: IconGlassFull },
  expired: { word: 'Expired', tone: 'quiet', icon: IconClockOff },
  void: { word: 'Void', tone: 'quiet', icon: IconBan },
  // of several
  failed: { word: 'Failed', tone: 'bad', icon: IconAlertTriangle },
};

/** The one status badge: an icon, a word and a colour, in this order of importance. Another word may be given. */
export function Status({ of, word }: { of: string; word?: string }) {
  const look = looks[of] ?? { word: of, tone: 'quiet' as const, icon: IconHelpCircle };
  return <Mark {...look} word={word ?? look.word} />;
}

/** A status in a word: "Opted out". */
export const statusWord = (of: string) => looks[of]?.word ?? of;

/** A badge for what is no status of the list above. */
export function Mark({ word, tone, icon: Icon }: Look) {
  return (
    <Badge variant="light" data-tone={tone} leftSection={<Icon size={12} />}>
      {word}
    </Badge>
  );
}
