import { Badge, Button, Drawer, Group, Text, TextInput } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconCheck, IconHelpCircle, IconPlus, IconSearch } from '@tabler/icons-react';
import { keepPreviousData } from '@tanstack/react-query';
import { getRouteApi } from '@tanstack/react-router';
import { type FormEvent, useState } from 'react';
import { api } from '../api/client';
import { type Problem, problemOf } from '../api/problem';
import type { components } from '../api/schema';
import { Can } from '../app/session';
import { CountrySelect } from '../parts/country';
import { countryName, localeName, localZone, zoneName } from '../parts/format';
import { Page } from '../parts/page';
import { Empty } from '../parts/states';
import { Mark } from '../parts/status';
import { type Column, DataTable, usePager } from '../parts/table';
import { Time } from '../parts/time';
import { AddContact } from './contacts-add';
import { ContactFacts } from './contacts-drawer';

type Contact = components['schemas']['Contact'];

const route = getRouteApi('/contacts');

const columns: Column<Contact>[] = [
  {
    header: 'Contact',
    width: 160,
    cell: (c) => (
      <>
        <span className="wrap">{c.name || 'No name'}</span>
        <Text size="xs" c="dimmed" fw={400} className="number">
          {c.masked}
        </Text>
      </>
    ),
  },
  {
    header: 'Country',
    width: 112,
    cell: (c) => (
      <>
        {countryName(c.country)}
        {c.zone && (
          <Text size="xs" c="dimmed">
            on {zoneName(c.zone)} time
          </Text>
        )}
      </>
    ),
  },
  { header: 'Language', width: 120, cell: (c) => (c.locale ? localeName(c.locale) : <Unknown />) },
  {
    header: 'Tags',
    width: 120,
    cell: (c) =>
      c.tags.length === 0 ? (
        <Unknown />
      ) : (
        <Group gap={4}>
          {c.tags.map((t) => (
            <Badge key={t} variant="light" className="tag">
              {t}
            </Badge>
          ))}
        </Group>
      ),
  },
  {
    header: 'Marketing',
    width: 112,
    cell: (c) =>
      c.opted_in_at ? (
        <Mark word="Agreed" tone="good" icon={IconCheck} />
      ) : (
        <Mark word="Not recorded" tone="quiet" icon={IconHelpCircle} />
      ),
  },
  { header: `Added (${zoneName(localZone)})`, width: 104, cell: (c) => <Time at={c.created_at} bare /> },
];

export function ContactsPage() {
  const { tag, country, after, contact } = route.useSearch();
  const navigate = route.useNavigate();
  const [adding, { open: add, close: stopAdding }] = useDisclosure();
  const query = api.useQuery(
    'get',
    '/contacts',
    { params: { query: { limit: 25, after, tag, country } } },
    { placeholderData: keepPreviousData },
  );
  const pager = usePager(after, (to) => void navigate({ search: (s) => ({ ...s, after: to }) }));
  const show = (id: string) => void navigate({ search: (s) => ({ ...s, contact: id }) });
  return (
    <Page
      title="Contacts"
      about="People who may be written to, by number."
      action={
        <Can do="contacts.write">
          <Button leftSection={<IconPlus size={16} />} onClick={add}>
            Add contact
          </Button>
        </Can>
      }
    >
      <Group mb="md" align="flex-start" gap="sm" className="filters">
        <Find found={show} />
        <TagFilter
          key={tag}
          tag={tag}
          filter={(to) => void navigate({ search: (s) => ({ ...s, tag: to, after: undefined }) })}
        />
        <CountrySelect
          aria-label="Country"
          placeholder="Any country"
          value={country ?? null}
          onChange={(to) => void navigate({ search: (s) => ({ ...s, country: to ?? undefined, after: undefined }) })}
        />
      </Group>
      <DataTable
        caption="contacts"
        query={query}
        rows={(page) => page.contacts}
        next={(page) => page.next}
        rowKey={(c) => c.id}
        rowLink={(c) => ({ to: '/contacts', search: { tag, country, after, contact: c.id } })}
        columns={columns}
        pager={pager}
        empty={
          tag || country ? (
            <Empty
              title="No contact fits"
              action={
                <Button variant="default" onClick={() => void navigate({ search: {} })}>
                  Show all contacts
                </Button>
              }
            >
              Nobody {tag && `is tagged “${tag}”`} {tag && country && 'and'}{' '}
              {country && `is in ${countryName(country)}`}.
            </Empty>
          ) : (
            <Empty title="No contacts yet">
              Contacts have a name, a language and a zone, so that a message is in their words and in hours that suit
              them.
            </Empty>
          )
        }
      />
      <Drawer
        opened={contact !== undefined}
        onClose={() => void navigate({ search: (s) => ({ ...s, contact: undefined }) })}
        title="Contact"
      >
        {contact && <ContactFacts id={contact} />}
      </Drawer>
      <AddContact
        opened={adding}
        close={stopAdding}
        added={(c) => {
          stopAdding();
          show(c.id);
        }}
      />
    </Page>
  );
}

const Unknown = () => (
  <Text span size="sm" c="dimmed">
    –
  </Text>
);

/** Finds by the whole number: it goes in a body, since addresses are written down everywhere. */
function Find({ found }: { found: (id: string) => void }) {
  const [number, setNumber] = useState('');
  const [failure, setFailure] = useState('');
  const find = api.useMutation('post', '/contacts/find', {
    meta: { inPlace: true },
    onSuccess: (c) => {
      setNumber('');
      found(c.id);
    },
    onError: (error) => setFailure(error.status === 404 ? 'No contact has this number.' : inWords(problemOf(error))),
  });
  function submit(event: FormEvent) {
    event.preventDefault();
    setFailure('');
    if (number.trim()) find.mutate({ body: { msisdn: number.trim() } });
  }
  return (
    <form onSubmit={submit}>
      <TextInput
        aria-label="Find a number"
        placeholder="Find +250 78…"
        type="tel"
        autoComplete="off"
        leftSection={<IconSearch size={16} />}
        value={number}
        error={failure || undefined}
        onChange={(e) => {
          setNumber(e.currentTarget.value);
          setFailure('');
        }}
      />
    </form>
  );
}

const inWords = (problem: Problem) => problem.faults[0]?.message ?? problem.message;

function TagFilter({ tag = '', filter }: { tag?: string; filter: (tag: string | undefined) => void }) {
  const [typed, setTyped] = useState(tag);
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        filter(typed.trim() || undefined);
      }}
    >
      <TextInput
        aria-label="Tag"
        placeholder="Any tag"
        value={typed}
        maxLength={50}
        onChange={(e) => setTyped(e.currentTarget.value)}
        onBlur={() => typed.trim() !== tag && filter(typed.trim() || undefined)}
      />
    </form>
  );
}
