import { Alert, Button, Drawer, Group, Stack, Text } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconHistory } from '@tabler/icons-react';
import { type ReactNode, useState } from 'react';
import { api, client, queries } from '../api/client';
import { problemOf } from '../api/problem';
import type { components } from '../api/schema';
import { useConfirm } from '../parts/confirm';
import { dayTimeZone } from '../parts/format';
import { Section } from '../parts/page';
import { Empty, Failed, Loading } from '../parts/states';
import { Time } from '../parts/time';
import { tell } from '../parts/toast';

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
        {opened && <Past of={revision.key} inWords={inWords} />}
      </Drawer>
    </Section>
  );
}

function Past({ of, inWords }: { of: string; inWords: (value: unknown) => string }) {
  const query = api.useQuery('get', '/settings/{key}/revisions', {
    params: { path: { key: of }, query: { limit: 50 } },
  });
  if (query.isPending) return <Loading label="Loading the history" />;
  if (!query.data) return <Failed error={query.error} retry={() => void query.refetch()} />;
  if (query.data.revisions.length === 0) return <Empty title="Never changed">It is as it was installed.</Empty>;
  return (
    <>
      <ol className="history">
        {query.data.revisions.map((r) => (
          <li key={r.revision}>
            <Text size="sm" className="wrap">
              {inWords(r.value)}
            </Text>
            <Text size="xs" c="dimmed" className="wrap">
              <Time at={r.created_at} /> · {r.actor}
              {r.reason && ` · “${r.reason}”`}
            </Text>
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

/**
 * A setting while it is edited: what is typed stays whatever the server says, and is saved over the revision from
 * which it began, or not at all.
 */
export function useEdit<V>(revision: Revision, read: (value: unknown) => V) {
  const [edit, setEdit] = useState<{ value: V; over: Revision }>();
  const ask = useConfirm();
  const over = edit?.over ?? revision;
  return {
    value: edit ? edit.value : read(revision.value),
    saved: read(revision.value),
    dirty: edit !== undefined,
    overtaken: edit !== undefined && edit.over.revision !== revision.revision ? revision : undefined,
    change: (value: V) => setEdit({ value, over }),
    discard: () => setEdit(undefined),
    /** Asks, with what it will mean, and saves. */
    save: (value: unknown, question: { title: string; impact: string[]; action: string }) =>
      ask({
        ...question,
        impact: [...question.impact, 'It counts at once: campaigns that run act on it within a second.'],
        reason: 'required',
        run: async (reason) => {
          try {
            await client.PUT('/settings/{key}', {
              params: { path: { key: revision.key }, header: { 'If-Match': `"${over.revision}"` } },
              body: { value, reason },
            });
          } catch (error) {
            if (problemOf(error).status === 412) void queries.invalidateQueries({ queryKey: ['get', '/settings'] });
            throw error;
          }
          await queries.invalidateQueries({ queryKey: ['get', '/settings'] });
          void queries.invalidateQueries({ queryKey: ['get', '/settings/{key}/revisions'] });
          setEdit(undefined);
          tell.done('Setting saved', 'It counts from now on.');
        },
      }),
  };
}

/** The buttons below what is edited. */
export function SaveBar({
  edit,
  save,
  name,
  wrong = false,
}: {
  edit: { dirty: boolean; discard: () => void; overtaken: Revision | undefined };
  save: () => void;
  name: string;
  wrong?: boolean;
}) {
  return (
    <Stack gap="sm" mt="md">
      {edit.overtaken && (
        <Alert color="violet" role="status" title="Changed meanwhile">
          <Text size="sm">
            {edit.overtaken.actor} changed this on {dayTimeZone(edit.overtaken.created_at)} while you were editing.
            Discard your changes to see it.
          </Text>
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
