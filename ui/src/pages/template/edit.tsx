import { Alert, Button, Group, List, SegmentedControl, Select, Stack, Text, TextInput } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { keepPreviousData } from '@tanstack/react-query';
import { useBlocker, useNavigate, useRouter } from '@tanstack/react-router';
import { useRef, useState } from 'react';
import { api } from '../../api/client';
import { problemOf } from '../../api/problem';
import { useConfirm } from '../../parts/confirm';
import { localeName } from '../../parts/format';
import { Page, Section } from '../../parts/page';
import { Phone } from '../../parts/phone';
import { Status } from '../../parts/status';
import { tell } from '../../parts/toast';
import { faultOf, faultText } from './faults';
import { type Content, contentOf, type Template, templatesChanged } from './template';
import { Texts } from './texts';
import { Variables } from './variables';

/** What a version says, in a form, with a phone beside it that shows it as it is typed. */
export function EditTemplate({ template }: { template: Template }) {
  // What was there when the editor opened: somebody else's change must not slip under what is typed here.
  const [base, setBase] = useState(template);
  const [content, setContent] = useState(contentOf(base));
  const [chosen, setChosen] = useState('');
  const [failure, setFailure] = useState<string>();
  const locales = Object.keys(content.texts).sort();
  const locale = locales.includes(chosen) ? chosen : (locales[0] ?? '');
  const dirty = JSON.stringify(content) !== JSON.stringify(contentOf(base));
  const change = (part: Partial<Content>) => setContent((c) => ({ ...c, ...part }));

  const navigate = useNavigate();
  const leave = useLeave(() => dirty);
  const close = () => {
    leave.free();
    void navigate({ to: '/templates/$name', params: { name: base.name }, search: { version: base.version, locale } });
  };
  const save = api.useMutation('put', '/templates/{template}', {
    meta: { inPlace: true },
    onSuccess: async (saved) => {
      tell.done('Draft saved');
      await templatesChanged();
      setBase(saved);
      close();
    },
    onError: (error) => setFailure(problemOf(error).status === 412 ? 'changed' : problemOf(error).message),
  });
  const problems = useProblems(base.name, content);

  return (
    <Page
      title={`Edit ${base.name}`}
      about={
        <Group gap="xs" component="span">
          Version {base.version} <Status of={base.status} />
        </Group>
      }
    >
      <form
        className="beside"
        aria-label="Template"
        onSubmit={(event) => {
          event.preventDefault();
          setFailure(undefined);
          save.mutate({
            params: { path: { template: base.id }, header: { 'If-Match': `"${base.revision}"` } },
            body: content,
          });
        }}
      >
        <Stack gap="lg">
          {base.status !== 'draft' && (
            <Alert color="amber" title={`This version is ${base.status}`}>
              <Text size="sm">
                What you save makes it a draft again, and what was asked or approved about it is void.
              </Text>
            </Alert>
          )}
          <Section title="Message">
            <Stack gap="md">
              <div>
                <Text size="sm" fw={500} mb={4} id="template-for">
                  For
                </Text>
                <SegmentedControl
                  aria-labelledby="template-for"
                  value={content.category}
                  onChange={(v) => change({ category: v === 'utility' ? 'utility' : 'marketing' })}
                  data={[
                    { value: 'marketing', label: 'Marketing' },
                    { value: 'utility', label: 'Service' },
                  ]}
                />
                <Text size="xs" c="dimmed" mt={4}>
                  {content.category === 'marketing'
                    ? 'Goes only to who agreed to marketing.'
                    : 'About something the recipient did, like a voucher they got.'}
                </Text>
              </div>
              <TextInput
                label="Picture on top"
                description="An https:// address, or the id WhatsApp gave the file. Empty: none."
                maxLength={512}
                value={content.header_media}
                onChange={(e) => change({ header_media: e.currentTarget.value })}
                error={content.header_media && faultOf(problems, 'header_media')}
              />
            </Stack>
          </Section>
          <Texts content={content} change={change} locale={locale} choose={setChosen} problems={problems} />
          <Variables
            variables={content.variables}
            change={(variables) => change({ variables })}
            problems={problems}
            used={content.texts}
          />
        </Stack>
        <Stack gap="md" className="beside-stays">
          {locales.length > 1 && (
            <Select
              aria-label="Language of the preview"
              value={locale}
              data={locales.map((l) => ({ value: l, label: localeName(l) }))}
              onChange={(l) => setChosen(l ?? '')}
              allowDeselect={false}
            />
          )}
          <Phone template={content} locale={locale} />
          <section aria-label="Before it can be submitted" aria-live="polite">
            {problems.length === 0 ? (
              <Text size="sm" c="dimmed">
                Nothing keeps it from being submitted.
              </Text>
            ) : (
              <>
                <Text size="sm" fw={500}>
                  Before it can be submitted
                </Text>
                <List size="sm" mt={4} spacing={2}>
                  {problems.map((p) => (
                    <List.Item key={`${p.field} ${p.code}`}>{faultText(p)}</List.Item>
                  ))}
                </List>
              </>
            )}
          </section>
          {failure && (
            <Alert color="red" role="alert">
              {failure === 'changed' ? <Changed name={base.name} version={base.version} free={leave.free} /> : failure}
            </Alert>
          )}
          <Group gap="xs" justify="flex-end">
            <Button variant="default" onClick={close}>
              {dirty ? 'Discard' : 'Close'}
            </Button>
            <Button type="submit" loading={save.isPending} disabled={!dirty}>
              Save draft
            </Button>
          </Group>
        </Stack>
      </form>
    </Page>
  );
}

/** Somebody else was quicker: what is typed stays here until its writer has looked. */
function Changed({ name, version, free }: { name: string; version: number; free: () => void }) {
  return (
    <>
      Somebody else changed this version since you opened it. Copy what you need, then{' '}
      <a className="text-link" href={`/templates/${name}?version=${version}&edit=true`} onClick={free}>
        open it anew
      </a>
      .
    </>
  );
}

/** What keeps what is typed from being submitted, by the server's rules; the last answer until the next comes. */
function useProblems(name: string, content: Content) {
  const [asked] = useDebouncedValue(content, 300);
  const query = api.useQuery(
    'post',
    '/templates/check',
    { body: { name, ...asked } },
    { placeholderData: keepPreviousData, staleTime: Number.POSITIVE_INFINITY, gcTime: 0 },
  );
  return query.data?.problems ?? [];
}

/** Asks before what is typed is lost. `free` lets go without asking. */
function useLeave(dirty: () => boolean) {
  const forced = useRef(false);
  const router = useRouter();
  const ask = useConfirm();
  useBlocker({
    enableBeforeUnload: () => !forced.current && dirty(),
    shouldBlockFn: ({ next }) => {
      if (forced.current || !dirty()) return false;
      const to = router.buildLocation({ to: next.pathname, search: next.search } as never).href;
      ask({
        title: 'Leave without saving?',
        impact: ['What you have typed is lost.'],
        action: 'Leave',
        final: true,
        run: async () => {
          forced.current = true;
          router.history.push(to);
        },
      });
      return true;
    },
  });
  return {
    free: () => {
      forced.current = true;
    },
  };
}
