import { ActionIcon, Button, Group, Table, Text, TextInput } from '@mantine/core';
import { IconPlus, IconTrash } from '@tabler/icons-react';
import type { components } from '../../api/schema';
import { Section } from '../../parts/page';
import { type Fault, faultOf } from './faults';

type Variable = components['schemas']['Variable'];

/** What the texts leave open: a name, what previews and WhatsApp's reviewers see, and what who has no value gets. */
export function Variables({
  variables,
  change,
  problems,
  used,
}: {
  variables: Variable[];
  change: (variables: Variable[]) => void;
  problems: Fault[];
  used: Record<string, string>;
}) {
  const set = (i: number, part: Partial<Variable>) =>
    change(variables.map((v, at) => (at === i ? { ...v, ...part } : v)));
  const unknown = [
    ...new Set(Object.values(used).flatMap((text) => text.match(/(?<=\{\{)[a-z][a-z0-9_]*(?=\}\})/g) ?? [])),
  ].filter((name) => !variables.some((v) => v.name === name));
  return (
    <Section
      title="Variables"
      about="What a recipient’s list fills in, written {{name}} in the texts. WhatsApp wants an example of each."
      aside={
        <Button
          size="xs"
          variant="default"
          leftSection={<IconPlus size={14} />}
          onClick={() => change([...variables, { name: '', example: '' }])}
        >
          Add variable
        </Button>
      }
    >
      {variables.length === 0 && unknown.length === 0 && (
        <Text size="sm" c="dimmed">
          None: everybody gets the same text.
        </Text>
      )}
      {variables.length > 0 && (
        <section className="table-scroll" aria-label="Names, examples and defaults">
          <Table miw={520}>
            <Table.Thead>
              <Table.Tr>
                <Table.Th scope="col">Name</Table.Th>
                <Table.Th scope="col">Example</Table.Th>
                <Table.Th scope="col">Without a value</Table.Th>
                <Table.Td />
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {variables.map((v, i) => (
                <Table.Tr key={i}>
                  <Table.Td>
                    <TextInput
                      aria-label={`Name of variable ${i + 1}`}
                      maxLength={64}
                      spellCheck={false}
                      value={v.name}
                      onChange={(e) => set(i, { name: e.currentTarget.value })}
                      error={faultOf(problems, `variables.${v.name}`)}
                    />
                  </Table.Td>
                  <Table.Td>
                    <TextInput
                      aria-label={`Example of ${v.name || `variable ${i + 1}`}`}
                      maxLength={256}
                      value={v.example}
                      onChange={(e) => set(i, { example: e.currentTarget.value })}
                    />
                  </Table.Td>
                  <Table.Td>
                    <TextInput
                      aria-label={`Without a value of ${v.name || `variable ${i + 1}`}`}
                      placeholder="not sent"
                      maxLength={256}
                      value={v.default ?? ''}
                      onChange={(e) => set(i, { default: e.currentTarget.value || undefined })}
                    />
                  </Table.Td>
                  <Table.Td>
                    <ActionIcon
                      variant="default"
                      size={36}
                      aria-label={`Remove ${v.name || `variable ${i + 1}`}`}
                      onClick={() => change(variables.filter((_, at) => at !== i))}
                    >
                      <IconTrash size={16} />
                    </ActionIcon>
                  </Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </section>
      )}
      {unknown.length > 0 && (
        <Group gap={8} mt="sm">
          <Text size="sm">In a text, but not here:</Text>
          {unknown.map((name) => (
            <Button
              key={name}
              size="compact-sm"
              variant="default"
              leftSection={<IconPlus size={12} />}
              onClick={() => change([...variables.filter((v) => v.name), { name, example: '' }])}
            >
              {name}
            </Button>
          ))}
        </Group>
      )}
    </Section>
  );
}
