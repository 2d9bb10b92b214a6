import { Select, Stack, Text } from '@mantine/core';
import { useState } from 'react';
import { localeName } from '../../parts/format';
import { Section } from '../../parts/page';
import { diff } from './diff';
import { categoryName, type Template } from './template';

/** What a version says otherwise than another one, the one before it unless another is chosen. */
export function Compare({ template, versions }: { template: Template; versions: Template[] }) {
  const others = versions.filter((t) => t.id !== template.id);
  const [chosen, setChosen] = useState<string>();
  const other =
    others.find((t) => t.id === chosen) ?? others.find((t) => t.version < template.version) ?? others.at(-1);
  if (!other) return null;
  const changes = changesOf(other, template);
  return (
    <Section
      title="Changes"
      aside={
        <Select
          aria-label="Compared with"
          w={176}
          value={other.id}
          data={others.map((t) => ({ value: t.id, label: `Since version ${t.version}` }))}
          onChange={(id) => setChosen(id ?? undefined)}
          allowDeselect={false}
        />
      }
    >
      {changes.length === 0 ? (
        <Text size="sm" c="dimmed">
          None: it says what version {other.version} says.
        </Text>
      ) : (
        <Stack gap="sm">
          {changes.map(([what, before, after]) => (
            <div key={what}>
              <Text size="xs" c="dimmed">
                {what}
              </Text>
              <Words before={before} after={after} />
            </div>
          ))}
        </Stack>
      )}
    </Section>
  );
}

function Words({ before, after }: { before: string; after: string }) {
  return (
    <p className="words">
      {diff(before, after).map((p, i) =>
        p.of === 'both' ? p.text : p.of === 'before' ? <del key={i}>{p.text}</del> : <ins key={i}>{p.text}</ins>,
      )}
    </p>
  );
}

/** Each part that is not the same, with what it was and what it is. */
function changesOf(before: Template, after: Template): [what: string, before: string, after: string][] {
  const parts: [string, string, string][] = [
    ['For', categoryName(before.category), categoryName(after.category)],
    ['Opens with', before.header_media ?? '', after.header_media ?? ''],
  ];
  const locales = new Set([...Object.keys(before.texts), ...Object.keys(after.texts)]);
  for (const l of [...locales].sort())
    parts.push(
      [`${localeName(l)}, header`, before.headers?.[l] ?? '', after.headers?.[l] ?? ''],
      [localeName(l), before.texts[l] ?? '', after.texts[l] ?? ''],
      [`${localeName(l)}, footer`, before.footers?.[l] ?? '', after.footers?.[l] ?? ''],
    );
  const said = (t: Template, name: string) => {
    const v = t.variables.find((v) => v.name === name);
    return v ? `example “${v.example}”, ${v.default ? `without a value “${v.default}”` : 'a value is needed'}` : '';
  };
  const names = new Set([...before.variables, ...after.variables].map((v) => v.name));
  for (const name of names) parts.push([`Variable ${name}`, said(before, name), said(after, name)]);
  return parts.filter(([, was, is]) => was !== is);
}
