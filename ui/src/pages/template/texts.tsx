import { Autocomplete, Button, Group, Stack, Tabs, Text, Textarea, TextInput } from '@mantine/core';
import { IconPlus, IconTrash } from '@tabler/icons-react';
import { useRef, useState } from 'react';
import { count, localeName } from '../../parts/format';
import { Section } from '../../parts/page';
import { type Fault, faultOf } from './faults';
import type { Content } from './template';

/** What WhatsApp takes at most, in characters. */
const most = { headers: 60, texts: 1024, footers: 60 };

type Part = keyof typeof most;

/** The texts, language by language. */
export function Texts({
  content,
  change,
  locale,
  choose,
  problems,
}: {
  content: Required<Content>;
  change: (part: Partial<Content>) => void;
  locale: string;
  choose: (locale: string) => void;
  problems: Fault[];
}) {
  const area = useRef<HTMLTextAreaElement>(null);
  const locales = Object.keys(content.texts).sort();
  const say = (part: Part, text: string) => {
    const { [locale]: _, ...others } = content[part];
    change({ [part]: text || part === 'texts' ? { ...others, [locale]: text } : others });
  };
  const remove = () => {
    const without = (texts: Record<string, string>) =>
      Object.fromEntries(Object.entries(texts).filter(([l]) => l !== locale));
    change({
      texts: without(content.texts),
      headers: without(content.headers),
      footers: without(content.footers),
    });
  };
  /** Puts {{name}} where the cursor is. */
  const insert = (name: string) => {
    const text = content.texts[locale] ?? '';
    const at = area.current?.selectionStart ?? text.length;
    const to = area.current?.selectionEnd ?? text.length;
    say('texts', `${text.slice(0, at)}{{${name}}}${text.slice(to)}`);
    area.current?.focus();
  };
  const length = (part: Part) => `${count([...(content[part][locale] ?? '')].length)} of ${count(most[part])}`;
  return (
    <Section
      title="Texts"
      about="One for each language. Who reads none of them gets English, or else the first."
      aside={
        <AddLanguage
          have={locales}
          add={(l) => {
            change({ texts: { ...content.texts, [l]: content.texts[l] ?? '' } });
            choose(l);
          }}
        />
      }
    >
      {locales.length === 0 ? (
        <Text size="sm" c="dimmed">
          None yet: add a language.
        </Text>
      ) : (
        <Tabs value={locale} onChange={(l) => l && choose(l)} keepMounted={false}>
          <Tabs.List aria-label="Languages">
            {locales.map((l) => (
              <Tabs.Tab key={l} value={l}>
                {localeName(l)}
              </Tabs.Tab>
            ))}
          </Tabs.List>
          <Tabs.Panel value={locale} pt="md">
            <Stack gap="md">
              <TextInput
                label="Header"
                description={`Over the text; ${length('headers')} characters.`}
                maxLength={200}
                lang={locale}
                value={content.headers[locale] ?? ''}
                onChange={(e) => say('headers', e.currentTarget.value)}
                error={faultOf(problems, `headers.${locale}`)}
              />
              <div>
                <Textarea
                  ref={area}
                  label="Text"
                  description={`${length('texts')} characters.`}
                  lang={locale}
                  autosize
                  minRows={5}
                  maxRows={16}
                  maxLength={8192}
                  value={content.texts[locale] ?? ''}
                  onChange={(e) => say('texts', e.currentTarget.value)}
                  error={faultOf(problems, `texts.${locale}`)}
                />
                {content.variables.length > 0 && (
                  <Group gap={4} mt={8} role="group" aria-label="Insert a variable">
                    {content.variables
                      .filter((v) => v.name)
                      .map((v) => (
                        <Button
                          key={v.name}
                          size="compact-xs"
                          variant="default"
                          leftSection={<IconPlus size={12} />}
                          onClick={() => insert(v.name)}
                        >
                          {v.name}
                        </Button>
                      ))}
                  </Group>
                )}
              </div>
              <TextInput
                label="Footer"
                description={`Small, under the text; ${length('footers')} characters.`}
                maxLength={200}
                lang={locale}
                value={content.footers[locale] ?? ''}
                onChange={(e) => say('footers', e.currentTarget.value)}
                error={faultOf(problems, `footers.${locale}`)}
              />
              <div>
                <Button size="compact-sm" variant="default" leftSection={<IconTrash size={14} />} onClick={remove}>
                  Remove {localeName(locale)}
                </Button>
              </div>
            </Stack>
          </Tabs.Panel>
        </Tabs>
      )}
    </Section>
  );
}

const usual = ['en', 'en-MT', 'mt-MT', 'rw-RW', 'fr', 'sw'];

/** Adds a language by its code, as the server writes it. */
function AddLanguage({ have, add }: { have: string[]; add: (locale: string) => void }) {
  const [typed, setTyped] = useState('');
  const locale = canonical(typed.trim());
  const submit = () => {
    if (!locale || have.includes(locale)) return;
    add(locale);
    setTyped('');
  };
  return (
    <Group gap={4} wrap="nowrap">
      <Autocomplete
        aria-label="Language to add"
        placeholder="Like rw-RW"
        w={112}
        size="xs"
        data={usual.filter((l) => !have.includes(l))}
        renderOption={({ option }) => (
          <Text size="xs">
            {option.value} · {localeName(option.value)}
          </Text>
        )}
        comboboxProps={{ width: 208, position: 'bottom-end' }}
        value={typed}
        onChange={setTyped}
        onKeyDown={(e) => {
          if (e.key !== 'Enter') return;
          e.preventDefault(); // it would save the draft
          submit();
        }}
      />
      <Button
        size="xs"
        variant="default"
        aria-label="Add language"
        onClick={submit}
        disabled={!locale || have.includes(locale)}
      >
        Add
      </Button>
    </Group>
  );
}

/** A locale as it is written canonically: rw-RW of rw_rw; '' for none. */
function canonical(typed: string): string {
  try {
    return /^[a-z]{2,3}([-_][a-z0-9]+)*$/i.test(typed)
      ? (Intl.getCanonicalLocales(typed.replaceAll('_', '-'))[0] ?? '')
      : '';
  } catch {
    return '';
  }
}
