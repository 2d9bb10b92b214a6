import { Alert, Group, SegmentedControl, Select, Stack, Text, TextInput, Title } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useState } from 'react';
import { api } from '../../api/client';
import type { components } from '../../api/schema';
import { showProblem } from '../../parts/form';
import { Phone } from '../../parts/phone';
import { Failed, Loading } from '../../parts/states';
import { type Campaign, Foot, take, useSaving } from './frame';
import { fills, saysCode } from './offer';

type Template = components['schemas']['Template'];

export const sendable = (t: Template) => t.status === 'approved' || t.status === 'locked';

/** Of each template the newest version that may be sent. The server lists by name, newest version first. */
export const choices = (all: Template[]) =>
  all.filter(sendable).filter((t, i, some) => some.findIndex((o) => o.name === t.name) === i);

/** Which template goes out, and what its variables say to everybody. */
export function MessageStep({ campaign }: { campaign: Campaign }) {
  const query = api.useQuery('get', '/templates');
  if (query.isPending) return <Loading rows={4} />;
  if (!query.data) return <Failed error={query.error} retry={() => void query.refetch()} />;
  const all = query.data.templates;
  const its = all.find((t) => t.name === campaign.template && t.version === campaign.template_version);
  return <MessageForm key={campaign.campaign_id} campaign={campaign} templates={all} its={its} />;
}

function MessageForm({ campaign, templates, its }: { campaign: Campaign; templates: Template[]; its?: Template }) {
  const gives = campaign.kind === 'voucher';
  const offered = choices(templates).filter((t) => !gives || saysCode(t));
  if (its && !offered.includes(its)) offered.unshift(its);
  const form = useForm<{ template: string; variables: Record<string, string> }>({
    initialValues: { template: its?.id ?? '', variables: { ...campaign.variables } },
  });
  const [failure, setFailure] = useState('');
  const { template: id, variables } = form.values;
  const template = templates.find((t) => t.id === id);
  const newer = its && offered.find((t) => t.name === its.name && t.version > its.version);
  const change = api.useMutation('patch', '/campaigns/{id}', { meta: { inPlace: true } });

  const save = async () => {
    setFailure('');
    const said = Object.fromEntries(
      (template?.variables ?? []).flatMap((v) => {
        const text = variables[v.name]?.trim();
        return text && !fills(campaign, v.name) ? [[v.name, text]] : [];
      }),
    );
    try {
      take(
        await change.mutateAsync({
          params: { path: { id: campaign.campaign_id } },
          body: { template: template?.id, variables: said },
        }),
      );
      form.setInitialValues({ template: id, variables: said });
      form.setValues({ variables: said });
      form.resetDirty({ template: id, variables: said });
      return true;
    } catch (error) {
      setFailure(showProblem(form, error));
      return false;
    }
  };
  useSaving(() => form.isDirty(), save);

  return (
    <>
      <div className="wizard-message">
        <Stack gap="md">
          <Select
            label="Template"
            description={
              campaign.targets > 0
                ? 'The audience was read for this template, so it stays.'
                : 'Of each template the newest version that may be sent.'
            }
            data={offered.map((t) => ({ value: t.id, label: `${t.name}, version ${t.version} (${t.category})` }))}
            disabled={campaign.targets > 0}
            {...form.getInputProps('template')}
            value={id}
          />
          {template && !sendable(template) && (
            <Alert color="red">
              Version {template.version} is {template.status}: it cannot be sent. Choose another template.
            </Alert>
          )}
          {newer && campaign.targets === 0 && id === its?.id && (
            <Text size="sm" c="dimmed">
              Version {newer.version} of it is newer.
            </Text>
          )}
          {gives && (
            <Text size="sm" c="dimmed">
              Only templates that say a voucher’s code are here. Each voucher fills in its own code, amount, expiry and
              how to pay; where the template opens with a picture, it is the voucher’s card.
            </Text>
          )}
          {template?.variables.some((v) => !fills(campaign, v.name)) && (
            <Stack component="fieldset" className="plain-fieldset" gap="md">
              <Title component="legend" order={3} size="h4" mb={4}>
                Values for everybody
              </Title>
              {template.variables
                .filter((v) => !fills(campaign, v.name))
                .map((v) => (
                  <TextInput
                    key={v.name}
                    label={v.name}
                    placeholder={v.example && `e.g. ${v.example}`}
                    description={
                      v.default
                        ? `Left empty, each recipient’s own is used, and “${v.default}” for who has none.`
                        : v.name === 'name'
                          ? 'Left empty, each recipient’s own name is used; who has none is left out.'
                          : 'Left empty, your file must have a column with it. Contacts have none.'
                    }
                    maxLength={1000}
                    {...form.getInputProps(`variables.${v.name}`)}
                    value={variables[v.name] ?? ''}
                    error={form.errors.variables}
                  />
                ))}
            </Stack>
          )}
          {failure && (
            <Alert color="red" role="alert">
              {failure}
            </Alert>
          )}
        </Stack>
        {template && <Preview template={template} variables={variables} />}
      </div>
      <Foot campaign={campaign} step="message" saving={change.isPending} />
    </>
  );
}

/** A phone with the message as one recipient sees it, in each of the template's languages. */
function Preview({ template, variables }: { template: Template; variables: Record<string, string> }) {
  const locales = Object.keys(template.texts).sort();
  const [chosen, setChosen] = useState('');
  const locale = locales.includes(chosen) ? chosen : (locales.find((l) => l.startsWith('en')) ?? locales[0] ?? '');
  return (
    <section aria-label="Preview" className="wizard-preview">
      <Group justify="center" mb="sm">
        {locales.length > 1 ? (
          <SegmentedControl
            aria-label="Language of the preview"
            value={locale}
            onChange={setChosen}
            data={locales.map((l) => ({ value: l, label: language(l) }))}
          />
        ) : (
          <Text size="sm" c="dimmed">
            {language(locale)}
          </Text>
        )}
      </Group>
      <Phone template={template} locale={locale} values={variables} />
      <Text size="xs" c="dimmed" ta="center" mt="sm" maw={300} mx="auto">
        Dotted: an example of what each recipient gets of their own.
        {locales.length > 1 &&
          ` Who reads none of these languages gets ${language(locales.find((l) => l.startsWith('en')) ?? locales[0] ?? '')}.`}
      </Text>
    </section>
  );
}

function language(locale: string) {
  if (!locale) return '';
  return new Intl.DisplayNames('en', { type: 'language' }).of(locale) ?? locale;
}
