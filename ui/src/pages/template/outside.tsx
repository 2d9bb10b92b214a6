import { Alert, Button, Group, Table, Text } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconAlertTriangle, IconCheck, IconDeviceMobile, IconPlayerPause, IconRefresh } from '@tabler/icons-react';
import { api } from '../../api/client';
import { Can } from '../../app/session';
import { localeName, upper } from '../../parts/format';
import { Section } from '../../parts/page';
import { Mark, Status } from '../../parts/status';
import { Time } from '../../parts/time';
import { type Review, type Template, templatesChanged, useReview } from './template';
import { TestDialog, whyBlocked } from './try';

/** How WhatsApp takes a version, in each language, and what went to somebody's phone to look at it. */
export function Outside({ template: t }: { template: Template }) {
  const r = useReview(t.id).data;
  const [testing, { open: test, close }] = useDisclosure();
  const sync = api.useMutation('post', '/templates/{template}/sync', { onSuccess: () => void templatesChanged() });
  if (!r || r.languages.length === 0) return null;
  return (
    <>
      <Section
        title="WhatsApp"
        about="What its webhooks tell, what sends met, and what it lists when asked."
        aside={
          <Can do="templates.test">
            <Button
              variant="default"
              size="xs"
              leftSection={<IconRefresh size={14} />}
              loading={sync.isPending}
              onClick={() => sync.mutate({ params: { path: { template: t.id } } })}
            >
              Compare
            </Button>
          </Can>
        }
      >
        {r.languages.flatMap((l) =>
          (l.warnings ?? []).map((w) => (
            <Alert key={`${l.locale} ${w.code}`} color="amber" icon={<IconAlertTriangle size={16} />} mb="sm">
              <Text size="sm">
                {localeName(l.locale)}: {w.message}.
              </Text>
            </Alert>
          )),
        )}
        <section
          className="table-scroll"
          aria-label="Languages at WhatsApp"
          // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable
          tabIndex={0}
        >
          <Table>
            <Table.Thead>
              <Table.Tr>
                <Table.Th scope="col">Language</Table.Th>
                <Table.Th scope="col">Takes it</Table.Th>
                <Table.Th scope="col">Listed as</Table.Th>
                <Table.Th scope="col">Asked</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {r.languages.map((l) => (
                <Table.Tr key={l.locale}>
                  <Table.Th scope="row" fw={500}>
                    {localeName(l.locale)}
                  </Table.Th>
                  <Table.Td>
                    {l.state === 'active' ? (
                      <Mark word="Yes" tone="good" icon={IconCheck} />
                    ) : (
                      <Mark word={upper(l.state)} tone="waits" icon={IconPlayerPause} />
                    )}
                  </Table.Td>
                  <Table.Td>{[l.listed?.toLowerCase(), l.category].filter(Boolean).join(', ') || '–'}</Table.Td>
                  <Table.Td>{l.checked_at ? <Time at={l.checked_at} /> : 'never'}</Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </section>
      </Section>
      <Section
        title="Tests"
        about="Single messages with this version. They obey the same rules as everything else."
        aside={
          t.status !== 'retired' && (
            <Can do="templates.test">
              <Button variant="default" size="xs" leftSection={<IconDeviceMobile size={14} />} onClick={test}>
                Send test…
              </Button>
            </Can>
          )
        }
      >
        {r.tests.length === 0 ? (
          <Text size="sm" c="dimmed">
            None yet.
          </Text>
        ) : (
          <ol className="history" aria-label="Tests">
            {r.tests.map((x) => (
              <Test key={x.id} test={x} now={t} />
            ))}
          </ol>
        )}
      </Section>
      <TestDialog template={t} opened={testing} close={close} />
    </>
  );
}

function Test({ test: x, now }: { test: Review['tests'][number]; now: Template }) {
  return (
    <li>
      <Group gap="xs">
        <Status of={x.state} />
        <Text size="sm" className="wrap">
          <span className="number">{x.to}</span>, {localeName(x.locale)}, <Time at={x.at} />, by {x.by}
        </Text>
      </Group>
      {(x.problem || x.state === 'blocked' || x.revision !== now.revision) && (
        <Text size="xs" c="dimmed" mt={4} className="wrap">
          {[
            x.state === 'blocked' && whyBlocked(x.decision),
            x.problem,
            x.revision !== now.revision && 'The version was another revision then.',
          ]
            .filter(Boolean)
            .join(' ')}
        </Text>
      )}
    </li>
  );
}
