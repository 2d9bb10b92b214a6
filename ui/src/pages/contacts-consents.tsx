import { Alert, Button, Group, Stack, Text, TextInput, Title } from '@mantine/core';
import { IconCheck, IconHelpCircle, IconUserOff, IconX } from '@tabler/icons-react';
import { useState } from 'react';
import { api, queries } from '../api/client';
import { problemOf } from '../api/problem';
import type { components } from '../api/schema';
import { Can } from '../app/session';
import { Mark } from '../parts/status';
import { Time } from '../parts/time';
import { tell } from '../parts/toast';

type Contact = components['schemas']['Contact'];
type Consent = components['schemas']['Consent'];

/** Whether marketing may go to a contact, in a word. */
export function ConsentMark({ contact }: { contact: Contact }) {
  if (contact.opted_out) return <Mark word="Opted out" tone="waits" icon={IconUserOff} />;
  if (contact.opted_in_at) return <Mark word="Agreed" tone="good" icon={IconCheck} />;
  return <Mark word="Not agreed" tone="quiet" icon={IconHelpCircle} />;
}

/** What a contact said about marketing, the word that holds first, and a form for another one. */
export function Consents({ contact }: { contact: Contact }) {
  const path = { path: { id: contact.id } };
  const history = api.useQuery('get', '/contacts/{id}/consents', { params: { ...path, query: { limit: 20 } } });
  const [said, setSaid] = useState('');
  const record = api.useMutation('post', '/contacts/{id}/consents', {
    meta: { inPlace: true },
    onSuccess: (changed) => {
      queries.setQueryData(['get', '/contacts/{id}', { params: path }], changed);
      void queries.invalidateQueries({ queryKey: ['get', '/contacts/{id}/consents'] });
      void queries.invalidateQueries({ queryKey: ['post', '/contacts/search'] });
      setSaid('');
      tell.done(changed.opted_in_at ? 'Agreement recorded' : 'Withdrawal recorded');
    },
  });
  const send = (granted: boolean) => record.mutate({ params: path, body: { granted, reference: said.trim() } });
  return (
    <section className="card" aria-label="Marketing">
      <Group justify="space-between" mb="sm">
        <Title order={4}>Marketing</Title>
        <ConsentMark contact={contact} />
      </Group>
      {contact.opted_out && (
        <Text size="sm" mb="sm">
          This number is in the opt-out registry: nothing is sent to it, whatever was agreed.
        </Text>
      )}
      <Stack gap="xs" component="ol" className="plain-list" mb="md">
        {history.data?.consents.map((c) => (
          <li key={`${c.at} ${c.recorded_at}`}>
            <Group gap="xs" wrap="nowrap" align="flex-start">
              {c.granted ? <IconCheck size={16} aria-hidden /> : <IconX size={16} aria-hidden />}
              <div>
                <Text size="sm" className="wrap">
                  {c.granted ? 'Agreed' : 'Withdrew'} on <Time at={c.at} />: “{c.reference}”
                </Text>
                <Text size="xs" c="dimmed" className="wrap">
                  {ways[c.source]}
                  {c.source === 'panel' || c.source === 'api' || c.source === 'import' ? `, recorded by ${c.by}` : ''}
                </Text>
              </div>
            </Group>
          </li>
        ))}
        {history.data?.consents.length === 0 && (
          <Text size="sm" component="li">
            Nobody has recorded what this person said about marketing.
          </Text>
        )}
        {history.error && history.error.status !== 401 && (
          <Text size="sm" component="li" c="red">
            {problemOf(history.error).message}
          </Text>
        )}
        {history.data?.next && (
          <Text size="xs" c="dimmed" component="li">
            The newest 20. The API has them all.
          </Text>
        )}
      </Stack>
      <Can do="contacts.write">
        <form
          onSubmit={(event) => {
            event.preventDefault();
            if (said.trim()) send(true);
          }}
        >
          <Stack gap="sm">
            <TextInput
              label="What they just said or saw, and where"
              description="It goes into the history. An opt-out still stands."
              placeholder="Card at the bar"
              value={said}
              maxLength={200}
              onChange={(e) => setSaid(e.currentTarget.value)}
            />
            {record.error && record.error.status !== 401 && (
              <Alert color="red" role="alert">
                {problemOf(record.error).message}
              </Alert>
            )}
            <Group gap="xs">
              <Button type="submit" variant="default" loading={record.isPending} disabled={said.trim() === ''}>
                Record agreement
              </Button>
              <Button
                variant="default"
                loading={record.isPending}
                disabled={said.trim() === '' || !contact.opted_in_at}
                onClick={() => send(false)}
              >
                Record withdrawal
              </Button>
            </Group>
          </Stack>
        </form>
      </Can>
    </section>
  );
}

const ways: Record<Consent['source'], string> = {
  panel: 'In the panel',
  api: 'Through the API',
  import: 'In a file',
  join: 'With a bar’s QR code',
  message: 'In a message to us',
  earlier: 'From before there was a history',
};
