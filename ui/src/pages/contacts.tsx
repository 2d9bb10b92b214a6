import { Badge, Button, Drawer, Group, Select, Text, TextInput } from '@mantine/core';
import { useDebouncedValue, useDisclosure } from '@mantine/hooks';
import { IconDownload, IconFileImport, IconPlus, IconSearch } from '@tabler/icons-react';
import { keepPreviousData } from '@tanstack/react-query';
import { getRouteApi } from '@tanstack/react-router';
import { useState } from 'react';
import { api } from '../api/client';
import type { components } from '../api/schema';
import { Can } from '../app/session';
import { CountrySelect } from '../parts/country';
import { countryName, localeName, localZone, zoneName } from '../parts/format';
import { Page } from '../parts/page';
import { Empty } from '../parts/states';
import { type Column, DataTable, usePager } from '../parts/table';
import { Time } from '../parts/time';
import { AddContact } from './contacts-add';
import { ConsentMark } from './contacts-consents';
import { ContactFacts } from './contacts-drawer';
import { ImportContacts } from './contacts-import';

type Contact = components['schemas']['Contact'];

/** What of the page stands in its address: no name and no number. */
export type ContactsSearch = {
  tag?: string;
  country?: string;
  bar?: string;
  locale?: string;
  consent?: 'agreed' | 'withdrawn' | 'none';
  out?: 'yes' | 'no';
  after?: string;
  contact?: string;
};

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
    cell: (c) => <ConsentMark contact={c} />,
  },
  { header: `Added (${zoneName(localZone)})`, width: 104, cell: (c) => <Time at={c.created_at} bare /> },
];

export function ContactsPage() {
  const { contact, after, out, ...filters } = route.useSearch();
  const navigate = route.useNavigate();
  const [adding, { open: add, close: stopAdding }] = useDisclosure();
  const [importing, { open: importFile, close: stopImporting }] = useDisclosure();
  const [typed, setTyped] = useState('');
  const [sought] = useDebouncedValue(typed.trim(), 300);
  const isNumber = sought.replace(/\D/g, '').length >= 7;
  const choice = { ...filters, opted_out: out };
  const filtered = Object.values(choice).some(Boolean) || sought !== '';
  const query = api.useQuery(
    'post',
    '/contacts/search',
    {
      body: {
        ...choice,
        limit: 25,
        after,
        ...(sought === '' ? {} : isNumber ? { msisdn: sought, dialled_in: filters.country } : { name: sought }),
      },
    },
    { placeholderData: keepPreviousData },
  );
  const facets = api.useQuery('get', '/contacts/facets');
  const filter = (to: ContactsSearch) => void navigate({ search: (s) => ({ ...s, ...to, after: undefined }) });
  const pager = usePager(after, (to) => void navigate({ search: (s) => ({ ...s, after: to }) }));
  const show = (id: string) => void navigate({ search: (s) => ({ ...s, contact: id }) });
  const unreadable = isNumber && query.error?.status === 422;
  return (
    <Page
      title="Contacts"
      about="People who may be written to, by number."
      action={
        <Group gap="xs">
          <Can do="contacts.reveal">
            <Button
              component="a"
              variant="default"
              leftSection={<IconDownload size={16} />}
              href={`/api/v1/contacts.csv${queryOf(choice)}`}
              download
              title="With their numbers; the audit log notes it"
            >
              Export
            </Button>
          </Can>
          <Can do="contacts.write">
            <Button variant="default" leftSection={<IconFileImport size={16} />} onClick={importFile}>
              Import
            </Button>
            <Button leftSection={<IconPlus size={16} />} onClick={add}>
              Add contact
            </Button>
          </Can>
        </Group>
      }
    >
      <Group mb="md" align="flex-start" gap="sm" className="filters">
        <TextInput
          aria-label="Name or number"
          placeholder="Name or number"
          type="search"
          autoComplete="off"
          spellCheck={false}
          maxLength={100}
          leftSection={<IconSearch size={16} />}
          value={typed}
          error={unreadable ? 'Give the whole number, with + and country code.' : undefined}
          onChange={(e) => {
            setTyped(e.currentTarget.value);
            if (after) filter({});
          }}
        />
        <TagFilter key={filters.tag} tag={filters.tag} filter={(tag) => filter({ tag })} />
        <CountrySelect
          aria-label="Country"
          placeholder="Any country"
          value={filters.country ?? null}
          onChange={(to) => filter({ country: to ?? undefined })}
        />
        <Select
          aria-label="Language"
          placeholder="Any language"
          data={facets.data?.locales.map((l) => ({ value: l.value, label: localeName(l.value) })) ?? []}
          value={filters.locale ?? null}
          onChange={(to) => filter({ locale: to ?? undefined })}
          clearable
        />
        <Select
          aria-label="Bar"
          placeholder="Any bar"
          data={facets.data?.bars.map((b) => ({ value: b.value, label: b.name || b.value })) ?? []}
          value={filters.bar ?? null}
          onChange={(to) => filter({ bar: to ?? undefined })}
          clearable
        />
        <Select
          aria-label="Marketing"
          placeholder="Any consent"
          data={[
            { value: 'agreed', label: 'Agreed' },
            { value: 'withdrawn', label: 'Withdrawn' },
            { value: 'none', label: 'Not recorded' },
          ]}
          value={filters.consent ?? null}
          onChange={(to) => filter({ consent: (to as ContactsSearch['consent']) ?? undefined })}
          clearable
        />
        <Select
          aria-label="Opt-outs"
          placeholder="Opted out or not"
          data={[
            { value: 'yes', label: 'Opted out' },
            { value: 'no', label: 'Not opted out' },
          ]}
          value={out ?? null}
          onChange={(to) => filter({ out: (to as ContactsSearch['out']) ?? undefined })}
          clearable
        />
      </Group>
      <DataTable
        caption="contacts"
        query={unreadable ? { ...query, isError: false } : query}
        rows={(page) => page.contacts}
        next={(page) => page.next}
        rowKey={(c) => c.id}
        rowLink={(c) => ({ to: '/contacts', search: { ...filters, out, after, contact: c.id } })}
        columns={columns}
        pager={pager}
        empty={
          filtered ? (
            <Empty
              title="No contact fits"
              action={
                <Button
                  variant="default"
                  onClick={() => {
                    setTyped('');
                    void navigate({ search: {} });
                  }}
                >
                  Show all contacts
                </Button>
              }
            >
              {isNumber
                ? 'No contact has this number.'
                : 'Nobody is like this. Take a filter away, or search for less.'}
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
        size="lg"
      >
        {contact && (
          <ContactFacts id={contact} gone={() => void navigate({ search: (s) => ({ ...s, contact: undefined }) })} />
        )}
      </Drawer>
      <ImportContacts opened={importing} close={stopImporting} />
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

/** The filter as the query of an address. */
function queryOf(choice: Record<string, string | undefined>) {
  const given = Object.entries(choice).flatMap(([k, v]) => (v ? [[k, v]] : []));
  return given.length > 0 ? `?${new URLSearchParams(given)}` : '';
}

const Unknown = () => (
  <Text span size="sm" c="dimmed">
    –
  </Text>
);

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
