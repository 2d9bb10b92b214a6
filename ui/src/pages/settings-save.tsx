import { Alert, Button, Drawer, Group, Stack, Text } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconHistory } from '@tabler/icons-react';
import { type ReactNode, useState } from 'react';
import { api, client, queries } from '../api/client';
import { problemOf } from '../api/problem';
import type { components } from '../api/schema';
import { useMay } from '../app/session';
import { useConfirm } from '../parts/confirm';
import { dayTimeZone } from '../parts/format';
import { Section } from '../parts/page';
import { Empty, Failed, Loading } from '../parts/states';
import { Time } from '../parts/time';
import { tell } from '../parts/toast';
import { type Change, Changes, Impact, impactKey } from './settings-impact';

// What every setting has: who changed it last, what it was, and how it is saved.

export type Revision = components['schemas']['SettingsRevision'];

/** A setting on its page. */
export function Setting({
  title,
  about,
  revision,
  inWords,
  children,
}: {
  title: string;
  about: string;
  revision: Revision;
  inWords: (value: unknown) => string;
  children: ReactNode;
}) {
  const [opened, { open, close }] = useDisclosure();
  return (
    <Section
      title={title}
      about={about}
      aside={
        <Button
          variant="subtle"
          size="compact-sm"
          leftSection={<IconHistory size={16} />}
          onClick={open}
          aria-label={`History of ${title.toLowerCase()}`}
        >
          History
        </Button>
      }
    >
      {children}
      <Text size="xs" c="dimmed" mt="md" className="wrap">
        {revision.revision === 0 ? (
          'As installed: nobody has changed it.'
        ) : (
          <>
            Changed <Time at={revision.created_at} /> by {revision.actor}
            {revision.reason && `: “${revision.reason}”`}
          </>
        )}
      </Text>
      <Drawer opened={opened} onClose={close} title={`${title}: what it was`}>
        {opened && <Past of={revision.key} title={title} inWords={inWords} close={close} />}
      </Drawer>
    </Section>
  );
}

function Past({
  of,
  title,
  inWords,
  close,
}: {
  of: string;
  title: string;
  inWords: (value: unknown) => string;
  close: () => void;
}) {
  const query = api.useQuery('get', '/settings/{key}/revisions', {
    params: { path: { key: of }, query: { limit: 50 } },
  });
  const ask = useConfirm();
  const may = useMay();
  if (query.isPending) return <Loading label="Loading the history" />;
  if (!query.data) return <Failed error={query.error} retry={() => void query.refetch()} />;
  if (query.data.revisions.length === 0) return <Empty title="Never changed">It is as it was installed.</Empty>;
  const newest = query.data.revisions[0]?.revision ?? 0;
  const back = (r: Revision) => {
    const acknowledged = new Set<string>();
    close();
    ask({
      title: `${title}: go back to revision ${r.revision}?`,
      impact: [`Then: ${inWords(r.value)}.`],
      details: (hold) => <Impact of={of} value={r.value} acknowledged={acknowledged} hold={hold} />,
      reason: 'required',
      action: 'Go back',
      run: async (reason) => {
        await client.POST('/settings/{key}/revert', {
          params: { path: { key: of }, header: { 'If-Match': `"${newest}"` } },
          body: { revision: r.revision, reason, acknowledged: [...acknowledged] },
        });
        await saved();
      },
    });
  };
  return (
    <>
      <ol className="history">
        {query.data.revisions.map((r) => (
          <li key={r.revision}>
            <Text size="sm" className="wrap">
              {inWords(r.value)}
            </Text>
            {r.changes && r.changes.length > 0 && <Changes of={r.changes} />}
            <Text size="xs" c="dimmed" className="wrap" mt={4}>
              Revision {r.revision} · <Time at={r.created_at} /> · {r.actor}
              {r.reason && ` · “${r.reason}”`}
            </Text>
            {r.revision !== newest && may('settings.write') && (
              <Button
                variant="subtle"
                size="compact-xs"
                mt={4}
                ml={-8}
                onClick={() => back(r)}
                aria-label={`Go back to revision ${r.revision}`}
              >
                Go back to this…
              </Button>
            )}
          </li>
        ))}
      </ol>
      {query.data.next && (
        <Text size="xs" c="dimmed" mt="sm">
          Older ones are in the audit log.
        </Text>
      )}
    </>
  );
}

/** A setting was saved: everybody who shows it asks again. */
async function saved() {
  await queries.invalidateQueries({ queryKey: ['get', '/settings'] });
  void queries.invalidateQueries({ queryKey: ['get', '/settings/{key}/revisions'] });
  void queries.invalidateQueries({ queryKey: ['get', '/settings/throttle/advice'] });
  tell.done('Setting saved', 'It counts from now on.');
}

/** What is asked before a setting is saved, and the advice that it follows, if any. */
type Question = { title: string; impact: string[]; action: string; advice?: string };

type Conflict = { theirs: Revision; changes: Change[] };

/**
 * A setting while it is edited: what is typed stays whatever the server says, and is saved over the revision from
 * which it began, or not at all.
 */
export function useEdit<V>(revision: Revision, read: (value: unknown) => V) {
  const [edit, setEdit] = useState<{ value: V; over: Revision }>();
  const [conflict, setConflict] = useState<Conflict>();
  const ask = useConfirm();
  const over = edit?.over ?? revision;
  return {
    value: edit ? edit.value : read(revision.value),
    saved: read(revision.value),
    dirty: edit !== undefined,
    overtaken: edit !== undefined && edit.over.revision !== revision.revision ? revision : undefined,
    conflict: conflict?.theirs.revision === revision.revision ? conflict : undefined,
    change: (value: V) => setEdit({ value, over }),
    discard: () => setEdit(undefined),
    /** Goes on with what was typed, over what somebody else saved meanwhile. */
    keep: () => edit && setEdit({ value: edit.value, over: revision }),
    /** Asks, with what it will mean, and saves. */
    save: (value: unknown, question: Question) => {
      const acknowledged = new Set<string>();
      const { advice, ...asked } = question;
      ask({
        ...asked,
        impact: [...asked.impact, 'It counts at once: campaigns that run act on it within a second.'],
        details: (hold) => <Impact of={revision.key} value={value} acknowledged={acknowledged} hold={hold} />,
        reason: 'required',
        run: async (reason) => {
          try {
            await client.PUT('/settings/{key}', {
              params: { path: { key: revision.key }, header: { 'If-Match': `"${over.revision}"` } },
              body: { value, reason, acknowledged: [...acknowledged], ...(advice ? { advice } : {}) },
            });
          } catch (error) {
            const { status, code, facts } = problemOf(error);
            if (status === 412) {
              setConflict(facts as Conflict);
              setEdit((e) => e ?? { value: read(value), over }); // a switch, say, which is not typed
              void queries.invalidateQueries({ queryKey: ['get', '/settings'] });
            }
            // What is dangerous may be another thing than a moment ago.
            if (code === 'settings_danger') void queries.invalidateQueries({ queryKey: impactKey });
            throw error;
          }
          await saved();
          setEdit(undefined);
        },
      });
    },
  };
}

/** The buttons below what is edited. */
export function SaveBar({
  edit,
  save,
  name,
  wrong = false,
}: {
  edit: {
    dirty: boolean;
    discard: () => void;
    keep: () => void;
    overtaken: Revision | undefined;
    conflict: Conflict | undefined;
  };
  save: () => void;
  name: string;
  wrong?: boolean;
}) {
  const may = useMay();
  if (!may('settings.write')) return null;
  return (
    <Stack gap="sm" mt="md">
      {edit.overtaken && (
        <Alert color="violet" role="status" title="Changed meanwhile">
          <Text size="sm">
            {edit.overtaken.actor} changed this on {dayTimeZone(edit.overtaken.created_at)} while you were editing
            {edit.overtaken.reason && `: “${edit.overtaken.reason}”`}.
          </Text>
          {edit.conflict && <Changes of={edit.conflict.changes} before="Theirs" after="Yours" />}
          <Button variant="default" size="compact-sm" mt="sm" onClick={edit.keep}>
            Go on with mine, over theirs
          </Button>
        </Alert>
      )}
      <Group gap="xs">
        <Button
          variant="default"
          disabled={!edit.dirty || wrong || edit.overtaken !== undefined}
          onClick={save}
        >{`Save ${name}…`}</Button>
        {edit.dirty && (
          <Button variant="subtle" onClick={edit.discard}>
            Discard changes
          </Button>
        )}
      </Group>
    </Stack>
  );
}
