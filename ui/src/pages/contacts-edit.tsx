import { Button, Group, Select, Stack, TagsInput, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useState } from 'react';
import { api, queries } from '../api/client';
import type { components } from '../api/schema';
import { showProblem } from '../parts/form';
import { FormEnd } from '../parts/form-end';
import { Loading } from '../parts/states';
import { tell } from '../parts/toast';

type Contact = components['schemas']['Contact'];
/** The form in place of a contact's facts. */
export function EditContact({ contact, close }: { contact: Contact; close: () => void }) {
  const facets = api.useQuery('get', '/contacts/facets');
  if (facets.isPending) return <Loading label="Loading the bars" />;
  return <EditForm contact={contact} close={close} bars={facets.data?.bars ?? []} />;
}

function EditForm({
  contact,
  close,
  bars,
}: {
  contact: Contact;
  close: () => void;
  bars: components['schemas']['Facet'][];
}) {
  const form = useForm({
    initialValues: {
      name: contact.name,
      locale: contact.locale ?? '',
      zone: contact.zone ?? '',
      tags: contact.tags,
      bar: contact.bar?.code ?? (null as string | null),
    },
  });
  const [failure, setFailure] = useState('');
  const path = { path: { id: contact.id } };
  const change = api.useMutation('patch', '/contacts/{id}', {
    meta: { inPlace: true },
    onSuccess: (changed) => {
      queries.setQueryData(['get', '/contacts/{id}', { params: path }], changed);
      void queries.invalidateQueries({ queryKey: ['post', '/contacts/search'] });
      tell.done('Contact changed');
      close();
    },
    onError: (error) => {
      if (error.status === 412) void queries.invalidateQueries({ queryKey: ['get', '/contacts/{id}'] });
      setFailure(showProblem(form, error));
    },
  });
  const known = new Map(bars.map((b) => [b.value, b.name || b.value]));
  if (contact.bar) known.set(contact.bar.code, contact.bar.name);
  return (
    <form
      onSubmit={form.onSubmit(({ bar, ...texts }) => {
        setFailure('');
        change.mutate({
          params: { ...path, header: { 'If-Match': `"${contact.revision}"` } },
          body: { ...texts, bar: bar ?? '' },
        });
      })}
      noValidate
      aria-label="Edit contact"
    >
      <Stack gap="md">
        <TextInput label="Name" maxLength={200} autoComplete="off" data-autofocus {...form.getInputProps('name')} />
        <Group grow align="flex-start" className="pair">
          <TextInput label="Language" description="Like rw-RW or en-MT." {...form.getInputProps('locale')} />
          <TextInput
            label="Time zone"
            description="Only if the country has several."
            placeholder="Africa/Kigali"
            {...form.getInputProps('zone')}
          />
        </Group>
        <Select
          label="Bar"
          placeholder="None"
          data={[...known].map(([value, label]) => ({ value, label }))}
          clearable
          searchable
          {...form.getInputProps('bar')}
        />
        <TagsInput label="Tags" description="Enter after each." maxTags={50} {...form.getInputProps('tags')} />
        <FormEnd failure={failure} close={close}>
          <Button type="submit" loading={change.isPending}>
            Save
          </Button>
        </FormEnd>
      </Stack>
    </form>
  );
}
