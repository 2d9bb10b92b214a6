import { Alert, Group, SegmentedControl, Select, Stack, Table, Text } from '@mantine/core';
import { getRouteApi, Link } from '@tanstack/react-router';
import { api } from '../api/client';
import { useMay } from '../app/session';
import { Facts } from '../parts/facts';
import { localeName } from '../parts/format';
import { Page, Section } from '../parts/page';
import { Phone } from '../parts/phone';
import { Empty, Failed, Loading } from '../parts/states';
import { Time } from '../parts/time';
import { Compare } from './template/compare';
import { EditTemplate } from './template/edit';
import { Outside } from './template/outside';
import { ReviewCard } from './template/review';
import type { Template } from './template/template';

const route = getRouteApi('/templates/$name');

export function TemplatePage() {
  const { name } = route.useParams();
  const { version, edit } = route.useSearch();
  const may = useMay();
  const query = api.useQuery('get', '/templates');
  if (query.isPending) return <Loading label="Loading the template" />;
  if (!query.data) return <Failed level={1} error={query.error} retry={() => void query.refetch()} />;
  const versions = query.data.templates.filter((t) => t.name === name);
  const template = versions.find((t) => t.version === version) ?? versions[0];
  if (!template) {
    return (
      <Empty level={1} title="There is no such template">
        <Link to="/templates" className="text-link">
          All templates
        </Link>
      </Empty>
    );
  }
  const changeable = template.status !== 'locked' && template.status !== 'retired';
  if (edit && changeable && may('templates.write')) return <EditTemplate key={template.id} template={template} />;
  return <Shown template={template} versions={versions} />;
}

/** Whether WhatsApp takes it: campaigns wait where it does not. */
function Suspended({ name }: { name: string }) {
  const query = api.useQuery('get', '/template-suspensions');
  return query.data?.suspensions
    .filter((s) => s.name === name)
    .map((s) => (
      <Alert
        key={s.language ?? ''}
        color="violet"
        title={`WhatsApp does not take it${s.language ? ` in ${localeName(s.language)}` : ''}: ${s.state}`}
      >
        <Text size="sm">
          {s.why} {s.advice} Since <Time at={s.since} />.
        </Text>
      </Alert>
    ));
}

function Shown({ template, versions }: { template: Template; versions: Template[] }) {
  const { locale } = route.useSearch();
  const navigate = route.useNavigate();
  const locales = Object.keys(template.texts).sort();
  const shown = locale && template.texts[locale] !== undefined ? locale : (locales[0] ?? '');
  return (
    <Page
      title={template.name}
      about={
        <Link to="/templates" className="text-link">
          All templates
        </Link>
      }
      action={
        versions.length > 1 && (
          <Select
            aria-label="Version"
            value={String(template.version)}
            data={versions.map((t) => ({ value: String(t.version), label: `Version ${t.version}` }))}
            onChange={(v) => void navigate({ search: (s) => ({ ...s, version: Number(v) }) })}
            allowDeselect={false}
          />
        )
      }
    >
      <div className="beside">
        <Stack gap="lg">
          <Suspended name={template.name} />
          <ReviewCard template={template} />
          <Compare key={template.id} template={template} versions={versions} />
          <Section title={`Version ${template.version}`}>
            <Facts
              of={[
                ['For', template.category === 'marketing' ? 'Marketing' : 'Service messages'],
                ['Opens with', template.header_media ? <code key="media">{template.header_media}</code> : 'Text'],
                ['Made', <Time key="made" at={template.created_at} />],
                ['Changed', <Time key="changed" at={template.updated_at} />],
              ]}
            />
          </Section>
          <Section title="Variables" about="What a recipient’s list fills in.">
            {template.variables.length === 0 ? (
              <Text size="sm" c="dimmed">
                None: everybody gets the same text.
              </Text>
            ) : (
              <section className="table-scroll" aria-label="Names, examples and defaults">
                <Table>
                  <Table.Thead>
                    <Table.Tr>
                      <Table.Th scope="col">Name</Table.Th>
                      <Table.Th scope="col">Example</Table.Th>
                      <Table.Th scope="col">Without a value</Table.Th>
                    </Table.Tr>
                  </Table.Thead>
                  <Table.Tbody>
                    {template.variables.map((v) => (
                      <Table.Tr key={v.name}>
                        <Table.Th scope="row" fw={500}>
                          <code>{v.name}</code>
                        </Table.Th>
                        <Table.Td>{v.example}</Table.Td>
                        <Table.Td>
                          {v.default ? (
                            `“${v.default}”`
                          ) : (
                            <Text span size="sm" c="dimmed">
                              the message is not sent
                            </Text>
                          )}
                        </Table.Td>
                      </Table.Tr>
                    ))}
                  </Table.Tbody>
                </Table>
              </section>
            )}
          </Section>
          <Outside key={`outside ${template.id}`} template={template} />
        </Stack>
        <Stack gap="md" align="center" className="beside-stays">
          {locales.length < 2 ? null : locales.length > 3 ? (
            <Select
              aria-label="Language"
              value={shown}
              data={locales.map((l) => ({ value: l, label: localeName(l) }))}
              onChange={(l) => void navigate({ search: (s) => ({ ...s, locale: l ?? undefined }) })}
            />
          ) : (
            <Group maw="100%" justify="center">
              <SegmentedControl
                aria-label="Language"
                value={shown}
                data={locales.map((l) => ({ value: l, label: l }))}
                onChange={(l) => void navigate({ search: (s) => ({ ...s, locale: l }) })}
              />
            </Group>
          )}
          <Phone template={template} locale={shown} />
          <Text size="xs" c="dimmed">
            {shown ? `${localeName(shown)}, with the examples` : 'It has no text yet'}
          </Text>
        </Stack>
      </div>
    </Page>
  );
}
