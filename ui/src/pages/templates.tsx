import { Alert, Button, Group, Modal, SegmentedControl, Select, Stack, Text, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useDisclosure } from '@mantine/hooks';
import { IconPlus, IconSearch } from '@tabler/icons-react';
import { getRouteApi, useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { api } from '../api/client';
import { Can } from '../app/session';
import { showProblem } from '../parts/form';
import { localZone, zoneName } from '../parts/format';
import { Page } from '../parts/page';
import { Empty } from '../parts/states';
import { Status, statusWord } from '../parts/status';
import { type Column, DataTable } from '../parts/table';
import { Time } from '../parts/time';
import { categoryName, languagesOf, type Template, templatesChanged } from './template/template';
import { newKey } from './wizard/kept';
import { sendable } from './wizard/message';

export type TemplatesSearch = {
  sought?: string;
  status?: 'draft' | 'submitted' | 'approved' | 'locked' | 'retired';
  category?: 'marketing' | 'utility';
};

/** A template: its newest version, and the newest one that campaigns may send. */
type Row = { newest: Template; sent?: Template };

const columns: Column<Row>[] = [
  { header: 'Template', width: 184, cell: ({ newest }) => <span className="wrap">{newest.name}</span> },
  {
    header: 'Newest version',
    width: 152,
    cell: ({ newest }) => (
      <Group gap={8} wrap="nowrap">
        v{newest.version} <Status of={newest.status} />
      </Group>
    ),
  },
  {
    header: 'Campaigns send',
    width: 120,
    cell: ({ sent }) =>
      sent ? (
        `v${sent.version}`
      ) : (
        <Text size="sm" c="dimmed">
          none yet
        </Text>
      ),
  },
  { header: 'For', width: 96, cell: ({ newest }) => categoryName(newest.category) },
  {
    header: 'Languages',
    width: 200,
    cell: ({ newest }) => languagesOf(Object.keys(newest.texts)) || '–',
  },
  {
    header: `Changed (${zoneName(localZone)})`,
    width: 136,
    cell: ({ newest }) => <Time at={newest.updated_at} bare />,
  },
];

const route = getRouteApi('/templates');
const statuses = ['draft', 'submitted', 'approved', 'locked', 'retired'] as const;

export function TemplatesPage() {
  const { sought, status, category } = route.useSearch();
  const navigate = route.useNavigate();
  const [writing, { open: write, close }] = useDisclosure();
  const query = api.useQuery('get', '/templates');
  const filter = (to: TemplatesSearch) => void navigate({ search: (s) => ({ ...s, ...to }), replace: true });
  const shown = ({ newest }: Row) =>
    (!sought || newest.name.includes(sought.toLowerCase())) &&
    (!status || newest.status === status) &&
    (!category || newest.category === category);
  return (
    <Page
      title="Templates"
      about="What campaigns send, as WhatsApp approved it. A campaign keeps the version it was made with."
      action={
        <Can do="templates.write">
          <Button leftSection={<IconPlus size={16} />} onClick={write}>
            New template
          </Button>
        </Can>
      }
    >
      <Group mb="md" gap="sm" className="filters">
        <TextInput
          aria-label="Name"
          placeholder="Name"
          type="search"
          autoComplete="off"
          spellCheck={false}
          leftSection={<IconSearch size={16} />}
          value={sought ?? ''}
          onChange={(e) => filter({ sought: e.currentTarget.value || undefined })}
        />
        <Select
          aria-label="Status"
          placeholder="Any status"
          data={statuses.map((s) => ({ value: s, label: statusWord(s) }))}
          value={status ?? null}
          onChange={(to) => filter({ status: (to as TemplatesSearch['status']) ?? undefined })}
          clearable
        />
        <Select
          aria-label="For"
          placeholder="Marketing or service"
          data={(['marketing', 'utility'] as const).map((c) => ({ value: c, label: categoryName(c) }))}
          value={category ?? null}
          onChange={(to) => filter({ category: (to as TemplatesSearch['category']) ?? undefined })}
          clearable
        />
      </Group>
      <DataTable
        caption="templates"
        query={query}
        rows={({ templates }) => byName(templates).filter(shown)}
        rowKey={({ newest }) => newest.id}
        rowLink={({ newest }) => ({ to: '/templates/$name', params: { name: newest.name } })}
        columns={columns}
        empty={
          sought || status || category ? (
            <Empty title="No such template">Another filter may find it.</Empty>
          ) : (
            <Empty title="No templates">A campaign needs one that may be sent.</Empty>
          )
        }
      />
      <Modal opened={writing} onClose={close} title="New template" centered>
        <NewTemplate close={close} />
      </Modal>
    </Page>
  );
}

/** The server lists every version, by name, the newest first. */
function byName(all: Template[]): Row[] {
  return all
    .filter((t, i) => all[i - 1]?.name !== t.name)
    .map((newest) => ({ newest, sent: all.find((t) => t.name === newest.name && sendable(t)) }));
}

/** Names a template and what it is for; the rest is written in its editor. */
function NewTemplate({ close }: { close: () => void }) {
  const navigate = useNavigate();
  const [key] = useState(newKey);
  const [failure, setFailure] = useState('');
  const form = useForm({
    initialValues: { name: '', category: 'marketing' as 'marketing' | 'utility' },
    validate: {
      name: (v) =>
        /^[a-z][a-z0-9_]*$/.test(v.trim()) ? null : 'Use lower-case letters, digits and _, a letter first.',
    },
  });
  const create = api.useMutation('post', '/templates', {
    meta: { inPlace: true },
    onSuccess: async (made) => {
      await templatesChanged();
      void navigate({ to: '/templates/$name', params: { name: made.name }, search: { version: 1, edit: true } });
    },
    onError: (error) => setFailure(showProblem(form, error)),
  });
  return (
    <form
      noValidate
      onSubmit={form.onSubmit((v) => {
        setFailure('');
        const name = v.name.trim();
        create.mutate({
          params: { header: { 'Idempotency-Key': `${key}-${name}-${v.category}`.slice(0, 200) } },
          body: { name, category: v.category },
        });
      })}
    >
      <Stack gap="md">
        <TextInput
          label="Name"
          description="As WhatsApp knows it, like jazz_night. It stays."
          maxLength={512}
          autoComplete="off"
          spellCheck={false}
          data-autofocus
          {...form.getInputProps('name')}
        />
        <div>
          <Text size="sm" fw={500} mb={4} id="new-template-for">
            For
          </Text>
          <SegmentedControl
            aria-labelledby="new-template-for"
            data={[
              { value: 'marketing', label: 'Marketing' },
              { value: 'utility', label: 'Service' },
            ]}
            {...form.getInputProps('category')}
          />
        </div>
        {failure && (
          <Alert color="red" role="alert">
            {failure}
          </Alert>
        )}
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          <Button type="submit" loading={create.isPending}>
            Write template
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
