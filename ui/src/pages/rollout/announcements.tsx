import { Anchor, Button, Group, Stack, Text } from '@mantine/core';
import { IconAlertTriangle, IconCheck, IconHourglass, IconLinkOff, IconMail, IconSend } from '@tabler/icons-react';
import { Link } from '@tanstack/react-router';
import { type ReactNode, useState } from 'react';
import { api, client } from '../../api/client';
import { problemOf } from '../../api/problem';
import type { components } from '../../api/schema';
import { Can } from '../../app/session';
import { useConfirm } from '../../parts/confirm';
import { Facts } from '../../parts/facts';
import { count, upper, words } from '../../parts/format';
import { Page, Section } from '../../parts/page';
import { Empty, Failed, Loading } from '../../parts/states';
import { Mark } from '../../parts/status';
import { Time } from '../../parts/time';
import { tell } from '../../parts/toast';
import { plain, rolloutChanged } from './rollout';

type Announcement = components['schemas']['RolloutAnnouncement'];
type Run = components['schemas']['AnnouncementRun'];

const states = {
  not_sent: { word: 'Not sent', tone: 'quiet', icon: IconMail },
  checking: { word: 'Links looked at', tone: 'live', icon: IconHourglass },
  sending: { word: 'On its way', tone: 'live', icon: IconSend },
  sent: { word: 'Went out', tone: 'good', icon: IconCheck },
  refused: { word: 'A dead link', tone: 'bad', icon: IconLinkOff },
  undelivered: { word: 'Not delivered', tone: 'bad', icon: IconAlertTriangle },
} as const;

const gates = { pilot: 'the pilot opens', production: 'production opens', live: 'the launch' } as const;

/** What the rollout tells people: each announcement as it would go out, and what went out. */
export function AnnouncementsPage() {
  const rollout = api.useQuery('get', '/rollout', undefined, { staleTime: 0 });
  const name = rollout.data?.name ?? '';
  const query = api.useQuery(
    'get',
    '/rollouts/{name}/announcements',
    { params: { path: { name } } },
    { staleTime: 0, refetchInterval: 5_000, enabled: name !== '' },
  );
  const none = rollout.data?.phase === 'none';
  return (
    <Page
      above={
        <Link to="/rollout" className="text-link">
          Rollout
        </Link>
      }
      title="Announcements"
      about="What the rollout tells people. A phase does not open before its announcements went out."
    >
      {rollout.isError && !rollout.data && <Failed error={rollout.error} retry={() => void rollout.refetch()} />}
      {none && <Empty title="No rollout is under way">Its plan says what is announced, and before which phase.</Empty>}
      {!none && query.isPending && !rollout.isError && <Loading label="Loading the announcements" />}
      {query.isError && !query.data && <Failed error={query.error} retry={() => void query.refetch()} />}
      <Stack gap="lg" maw={960}>
        {query.data?.announcements.map((a) => (
          <One key={a.id} of={a} rollout={name} />
        ))}
      </Stack>
    </Page>
  );
}

function One({ of: a, rollout }: { of: Announcement; rollout: string }) {
  return (
    <Section
      title={plain(a.text)}
      about={`${a.event === 'phase_ready' ? `When everything of ${a.phase} is passed` : `At any time in ${a.phase}`}, before ${gates[a.before]}.`}
    >
      <Stack gap="md">
        <span>
          <Mark {...states[a.state]} />
        </span>
        <Letter subject={a.subject} body={a.body} />
        <Facts of={directory(a)} />
        <Actions of={a} rollout={rollout} />
        <Runs of={a.runs} />
      </Stack>
    </Section>
  );
}

function Letter({ subject, body }: { subject: string; body: string }) {
  return (
    <div>
      <Text size="sm" fw={500} className="wrap">
        {subject}
      </Text>
      <p className="words">{body}</p>
    </div>
  );
}

/** Who gets it, and where it leads. */
function directory(a: Announcement): [string, ReactNode][] {
  const facts: [string, ReactNode][] = a.lists.map((l) => [
    `To ${words(l.name)}`,
    l.addresses.length > 0 ? l.addresses.join(', ') : 'Nobody: the setting announcements says who',
  ]);
  if (a.channels.includes('ops')) facts.push(['And', 'The Ops channel']);
  for (const l of a.links)
    facts.push([
      l.name === 'faq' ? 'FAQ' : upper(words(l.name)),
      l.url === '' ? (
        'Not set: the setting announcements says where it leads'
      ) : (
        <span key={l.name}>
          <Anchor href={l.url} size="sm" className="text-link wrap" target="_blank" rel="noreferrer">
            {l.url}
          </Anchor>
          <Text span size="xs" c="dimmed" display="block">
            {!l.checked_at ? (
              'Nobody has looked whether it leads anywhere'
            ) : (
              <>
                {l.problem ? upper(l.problem) : 'It leads somewhere'}, looked at <Time at={l.checked_at} />
              </>
            )}
          </Text>
        </span>
      ),
    ]);
  return facts;
}

function Actions({ of: a, rollout }: { of: Announcement; rollout: string }) {
  const ask = useConfirm();
  const [busy, setBusy] = useState(false);
  const params = { path: { name: rollout, announcement: a.id } };

  async function preview() {
    setBusy(true);
    try {
      await client.POST('/rollouts/{name}/announcements/{announcement}/preview', { params });
    } catch (error) {
      tell.problem(problemOf(error));
    } finally {
      setBusy(false);
      rolloutChanged();
    }
  }

  const mails = new Set(a.lists.flatMap((l) => l.addresses)).size;
  const send = () =>
    ask({
      title: 'Send this announcement?',
      impact: [
        `“${a.subject}” goes ${[
          a.channels.includes('mail') && `to ${count(mails)} ${mails === 1 ? 'address' : 'addresses'}`,
          a.channels.includes('ops') && 'to the Ops channel',
        ]
          .filter(Boolean)
          .join(' and ')}.`,
        'It cannot be taken back.',
        ...(a.links.length > 0 ? ['Its links are looked at first; where one leads nowhere it does not go.'] : []),
      ],
      details: () => <Letter subject={a.subject} body={a.body} />,
      action: 'Send',
      run: async () => {
        let done = false;
        try {
          const { response } = await client.POST('/rollouts/{name}/announcements/{announcement}/send', {
            params,
            body: { digest: a.digest },
          });
          done = response.status === 200;
        } finally {
          rolloutChanged();
        }
        tell.done(done ? 'It went out' : 'It is on its way');
      },
    });

  if (a.code === 'announcement_sent') return null;
  return (
    <Can do="rollout.run">
      <Group gap="xs">
        <Button
          variant={a.may_send ? 'filled' : 'default'}
          leftSection={<IconSend size={16} />}
          disabled={!a.may_send}
          onClick={send}
        >
          Send…
        </Button>
        {a.links.length > 0 && (
          <Button variant="default" loading={busy} onClick={() => void preview()}>
            Look at the links
          </Button>
        )}
      </Group>
      {a.why_not && (
        <Text size="sm" c="dimmed" className="wrap">
          Not now: {a.why_not}.
        </Text>
      )}
    </Can>
  );
}

/** Each time that somebody had it sent. */
function Runs({ of }: { of: Run[] }) {
  if (of.length === 0) return null;
  return (
    <section aria-label="What went out">
      <Text fw={500} size="sm">
        What went out
      </Text>
      <ol className="history">
        {of.map((r) => (
          <li key={r.id}>
            <Text size="sm" className="wrap">
              {states[r.state].word}: sent by {r.by.name}
              {r.problem && `, but ${r.problem}`}
            </Text>
            <Text size="xs" c="dimmed" className="wrap">
              <Time at={r.at} /> · digest {r.digest.slice(0, 12)}
              {r.messages.map(
                (m) =>
                  ` · ${m.channel === 'ops' ? 'Ops channel' : `${words(m.list ?? '')}, ${count(m.recipients)}`}: message ${m.outbox_id}, ${
                    m.outcome ? words(m.outcome) : 'on its way'
                  }`,
              )}
            </Text>
          </li>
        ))}
      </ol>
    </section>
  );
}
