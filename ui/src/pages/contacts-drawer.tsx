import { Alert, Badge, Button, Group, Stack, Text, TextInput, Title } from '@mantine/core';
import { IconCheck, IconHelpCircle } from '@tabler/icons-react';
import { type FormEvent, useState } from 'react';
import { api, client, queries } from '../api/client';
import { problemOf } from '../api/problem';
import type { components } from '../api/schema';
import { Facts } from '../parts/facts';
import { countryName, localeName, zoneName } from '../parts/format';
import { PhoneNumber } from '../parts/number';
import { Failed, Loading } from '../parts/states';
import { Mark } from '../parts/status';
import { Time } from '../parts/time';
import { tell } from '../parts/toast';

type Contact = components['schemas']['Contact'];

export function ContactFacts({ id }: { id: string }) {
  const query = api.useQuery('get', '/contacts/{id}', { params: { path: { id } } });
  if (query.isPending) return <Loading label="Loading the contact" />;
  if (!query.data) return <Failed error={query.error} retry={() => void query.refetch()} />;
  const c = query.data;
  return (
    <Stack gap="lg">
      <div>
        <Title order={3} size="h3" className="wrap">
          {c.name || 'No name'}
        </Title>
        <Text c="dimmed" component="div">
          <PhoneNumber
            masked={c.masked}
            reveal={() =>
              client.POST('/contacts/{id}/reveal', { params: { path: { id } } }).then(({ data }) => data?.msisdn)
            }
          />
        </Text>
      </div>
      <Facts
        of={[
          ['Country', countryName(c.country)],
          ['Language', c.locale ? `${localeName(c.locale)} · ${c.locale}` : 'Not known: messages come in English'],
          ['Time zone', c.zone ? zoneName(c.zone) : 'The country’s only one, if it has only one'],
          [
            'Tags',
            c.tags.length === 0 ? (
              'None'
            ) : (
              <Group gap={4}>
                {c.tags.map((t) => (
                  <Badge key={t} variant="light" className="tag">
                    {t}
                  </Badge>
                ))}
              </Group>
            ),
          ],
          ['Added', <Time key="added" at={c.created_at} />],
          ['Changed', <Time key="changed" at={c.updated_at} />],
        ]}
      />
      <Consent contact={c} />
    </Stack>
  );
}

function Consent({ contact }: { contact: Contact }) {
  const [source, setSource] = useState('');
  const record = api.useMutation('put', '/contacts/{id}/opt-in', {
    meta: { inPlace: true },
    onSuccess: (changed) => {
      queries.setQueryData(['get', '/contacts/{id}', { params: { path: { id: contact.id } } }], changed);
      void queries.invalidateQueries({ queryKey: ['get', '/contacts'] });
      setSource('');
      tell.done('Agreement recorded');
    },
  });
  function submit(event: FormEvent) {
    event.preventDefault();
    if (source.trim()) record.mutate({ params: { path: { id: contact.id } }, body: { source: source.trim() } });
  }
  return (
    <section className="card" aria-label="Marketing">
      <Group justify="space-between" mb="sm">
        <Title order={4}>Marketing</Title>
        {contact.opted_in_at ? (
          <Mark word="Agreed" tone="good" icon={IconCheck} />
        ) : (
          <Mark word="Not recorded" tone="quiet" icon={IconHelpCircle} />
        )}
      </Group>
      <Text size="sm" mb="md">
        {contact.opted_in_at ? (
          <>
            Agreed on <Time at={contact.opted_in_at} />, source “{contact.opt_in_source}”.
          </>
        ) : (
          'Nobody has recorded that this person agreed to marketing.'
        )}
      </Text>
      <form onSubmit={submit}>
        <Stack gap="sm">
          <TextInput
            label={contact.opted_in_at ? 'Agreed again, where' : 'Agreed just now, where'}
            description="It goes into the audit log. An opt-out still stands."
            placeholder="Card at the bar"
            value={source}
            maxLength={200}
            onChange={(e) => setSource(e.currentTarget.value)}
          />
          {record.error && record.error.status !== 401 && (
            <Alert color="red" role="alert">
              {problemOf(record.error).message}
            </Alert>
          )}
          <Group>
            <Button type="submit" variant="default" loading={record.isPending} disabled={source.trim() === ''}>
              Record agreement
            </Button>
          </Group>
        </Stack>
      </form>
    </section>
  );
}
