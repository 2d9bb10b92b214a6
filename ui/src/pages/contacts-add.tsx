import { Button, Group, Modal, Stack, TagsInput, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useState } from 'react';
import { api, queries } from '../api/client';
import type { components } from '../api/schema';
import { CountrySelect } from '../parts/country';
import { showProblem } from '../parts/form';
import { FormEnd } from '../parts/form-end';
import { tell } from '../parts/toast';

type Contact = components['schemas']['Contact'];

export function AddContact(props: { opened: boolean; close: () => void; added: (c: Contact) => void }) {
  return (
    <Modal opened={props.opened} onClose={props.close} title="Add contact" size={480} centered>
      <AddForm {...props} />
    </Modal>
  );
}

function AddForm({ close, added }: { close: () => void; added: (c: Contact) => void }) {
  const form = useForm({
    initialValues: {
      msisdn: '',
      country: null as string | null,
      name: '',
      locale: '',
      zone: '',
      tags: [] as string[],
      opt_in_source: '',
    },
    validate: { msisdn: (v) => (v.trim() ? null : 'Enter the phone number.') },
  });
  const [failure, setFailure] = useState('');
  const add = api.useMutation('post', '/contacts', {
    meta: { inPlace: true },
    onSuccess: (contact) => {
      void queries.invalidateQueries({ queryKey: ['post', '/contacts/search'] });
      tell.done('Contact added');
      added(contact);
    },
    onError: (error) => setFailure(showProblem(form, error)),
  });
  return (
    <form
      onSubmit={form.onSubmit(({ country, tags, ...texts }) => {
        setFailure('');
        const filled = Object.fromEntries(Object.entries(texts).filter(([, v]) => v.trim() !== ''));
        add.mutate({ body: { msisdn: texts.msisdn, ...filled, tags, country: country ?? undefined } });
      })}
      noValidate
    >
      <Stack gap="md">
        <Group grow align="flex-start" className="pair">
          <TextInput
            label="Number"
            description="With + and country code."
            type="tel"
            autoComplete="off"
            withAsterisk
            data-autofocus
            {...form.getInputProps('msisdn')}
          />
          <CountrySelect label="Country" description="If the number has no +." {...form.getInputProps('country')} />
        </Group>
        <TextInput label="Name" maxLength={200} autoComplete="off" {...form.getInputProps('name')} />
        <Group grow align="flex-start" className="pair">
          <TextInput label="Language" description="Like rw-RW or en-MT." {...form.getInputProps('locale')} />
          <TextInput
            label="Time zone"
            description="Only if the country has several."
            placeholder="Africa/Kigali"
            {...form.getInputProps('zone')}
          />
        </Group>
        <TagsInput label="Tags" description="Enter after each." maxTags={50} {...form.getInputProps('tags')} />
        <TextInput
          label="Agreed to marketing"
          description="Where, if they did: “card at the bar”. It is recorded as of now."
          maxLength={200}
          {...form.getInputProps('opt_in_source')}
        />
        <FormEnd failure={failure} close={close}>
          <Button type="submit" loading={add.isPending}>
            Add contact
          </Button>
        </FormEnd>
      </Stack>
    </form>
  );
}
