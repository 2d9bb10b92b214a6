import { Badge, Button, Group, Stack, Text, Title } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconEraser, IconPencil, IconSend } from '@tabler/icons-react';
import { api, client, queries } from '../api/client';
import { problemOf } from '../api/problem';
import { Can } from '../app/session';
import { useConfirm } from '../parts/confirm';
import { Facts } from '../parts/facts';
import { count, countryName, localeName, zoneName } from '../parts/format';
import { PhoneNumber } from '../parts/number';
import { Failed, Loading } from '../parts/states';
import { Time } from '../parts/time';
import { tell } from '../parts/toast';
import { Consents } from './contacts-consents';
import { EditContact } from './contacts-edit';
import { Messages } from './contacts-messages';
import { SendMessage } from './contacts-send';

/** A contact: what is known, what they said about marketing, what was sent to them. */
export function ContactFacts({ id, gone }: { id: string; gone: () => void }) {
  const [editing, { open: edit, close: stopEditing }] = useDisclosure();
  const [writing, { open: write, close: stopWriting }] = useDisclosure();
  const erase = useErase(id, gone);
  const query = api.useQuery('get', '/contacts/{id}', { params: { path: { id } } });
  if (query.isPending) return <Loading label="Loading the contact" />;
  if (!query.data) return <Failed error={query.error} retry={() => void query.refetch()} />;
  const c = query.data;
  if (editing) return <EditContact close={stopEditing} contact={c} />;
  if (writing) return <SendMessage close={stopWriting} contact={c} />;
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
          ['Bar', c.bar ? c.bar.name : 'None'],
          ['Added', <Time key="added" at={c.created_at} />],
          ['Changed', <Time key="changed" at={c.updated_at} />],
        ]}
      />
      <Group gap="xs">
        <Can do="sends.write">
          <Button leftSection={<IconSend size={16} />} onClick={write}>
            Send a message
          </Button>
        </Can>
        <Can do="contacts.write">
          <Button variant="default" leftSection={<IconPencil size={16} />} onClick={edit}>
            Edit
          </Button>
        </Can>
        <Can do="contacts.erase">
          <Button variant="default" leftSection={<IconEraser size={16} />} onClick={erase}>
            Erase
          </Button>
        </Can>
      </Group>
      <Consents contact={c} />
      <Messages id={id} />
    </Stack>
  );
}

/** Asks before a contact is erased, with what goes and what stays. */
function useErase(id: string, gone: () => void) {
  const ask = useConfirm();
  return async () => {
    const path = { params: { path: { id } } };
    try {
      const { data: impact } = await client.GET('/contacts/{id}/erasure', path);
      if (!impact) return;
      gone(); // one dialog at a time
      const people = (n: number, one: string, many: string) => `${count(n)} ${n === 1 ? one : many}`;
      ask({
        title: 'Erase this contact?',
        impact: [
          'The number, the name and what they said about marketing are gone for good.',
          ...(impact.targets > 0
            ? [
                `In ${people(impact.targets, 'campaign', 'campaigns')} the number becomes a pseudonym; the counts stay as they are.`,
              ]
            : []),
          ...(impact.sends > 0
            ? [`The number leaves ${people(impact.sends, 'single message', 'single messages')}, too.`]
            : []),
          ...(impact.queued > 0
            ? [`${people(impact.queued, 'message that is', 'messages that are')} still queued will not be sent.`]
            : []),
          ...(impact.vouchers > 0
            ? [
                `${people(impact.vouchers, 'voucher no longer says whose it is', 'vouchers no longer say whose they are')}; who has a code can still redeem it.`,
              ]
            : []),
          impact.opted_out
            ? 'They opted out: a fingerprint of the number stays in the registry, so that nobody writes to them again.'
            : 'They did not opt out: who imports the number again may write to it.',
        ],
        reason: 'required',
        action: 'Erase contact',
        final: true,
        run: async (reason) => {
          await client.POST('/contacts/{id}/erase', { ...path, body: { reason } });
          queries.removeQueries({ queryKey: ['get', '/contacts/{id}', path] });
          void queries.invalidateQueries({ queryKey: ['post', '/contacts/search'] });
          tell.done('Contact erased');
        },
      });
    } catch (error) {
      tell.problem(problemOf(error));
    }
  };
}
