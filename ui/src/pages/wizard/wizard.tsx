import { Alert, Button, Stack, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { IconMessage } from '@tabler/icons-react';
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router';
import { lazy, Suspense, useState } from 'react';
import { api } from '../../api/client';
import { showProblem } from '../../parts/form';
import { Page } from '../../parts/page';
import { Degraded, Empty, Failed, Loading } from '../../parts/states';
import { Status } from '../../parts/status';
import { AudienceStep } from './audience';
import { type Campaign, Foot, take, useSaving, Wizard } from './frame';
import { forget, newKey, useKept } from './kept';
import { choices, MessageStep } from './message';
import { ScheduleStep } from './schedule';

// The forecast's picture is the largest part and the last step: it comes when it is wanted.
const ReviewStep = lazy(() => import('./review').then((m) => ({ default: m.ReviewStep })));

/** The first step of a campaign that does not exist yet. From the second on there is a draft on the server. */
export function NewCampaignPage() {
  return (
    <Wizard step="name">
      <NewForm />
    </Wizard>
  );
}

const newDraft = 'lastcall.new-campaign';
/** What was typed, and the key under which which request was last sent. */
type Unmade = { name: string; request: string; key: string };
const unmade: Unmade = { name: '', request: '', key: '' };
const isUnmade = (v: unknown): v is Unmade =>
  Object.keys(unmade).every((k) => typeof (v as Record<string, unknown> | null)?.[k] === 'string');

function NewForm() {
  const navigate = useNavigate();
  const templates = api.useQuery('get', '/templates');
  const [kept, keep] = useKept(newDraft, unmade, isUnmade);
  const form = useForm({
    initialValues: { name: kept.name },
    onValuesChange: ({ name }) => keep({ ...kept, name }),
    validate: { name: named },
  });
  const [failure, setFailure] = useState('');
  const create = api.useMutation('post', '/campaigns', {
    meta: { inPlace: true },
    onSuccess: async (made) => {
      forget(newDraft);
      take(made);
      await navigate({
        to: '/campaigns/$id/edit',
        params: { id: made.campaign_id },
        search: { step: 'message' },
        replace: true,
      });
    },
    onError: (error) => setFailure(showProblem(form, error)),
  });
  const first = choices(templates.data?.templates ?? [])[0];
  const none = templates.data && !first;
  return (
    <form
      onSubmit={form.onSubmit(({ name }) => {
        if (!first || create.isPending) return;
        setFailure('');
        const body = { name: name.trim(), template: preferred(templates.data?.templates ?? [])?.id ?? first.id };
        const request = JSON.stringify(body);
        // The same request has the same key, however often it is sent, after a reload too: one draft.
        const key = kept.request === request ? kept.key : newKey();
        keep({ ...kept, request, key });
        create.mutate({ params: { header: { 'Idempotency-Key': key } }, body });
      })}
    >
      <NameFields form={form} />
      {templates.isError && (
        <Degraded
          error={templates.error}
          since={templates.dataUpdatedAt || Date.now()}
          retry={() => void templates.refetch()}
        />
      )}
      {none && (
        <Alert color="red" role="alert" mt="md" maw={560}>
          No template may be sent yet. One has to be approved before a campaign can be made.
        </Alert>
      )}
      {failure && (
        <Alert color="red" role="alert" mt="md" maw={560}>
          {failure}
        </Alert>
      )}
      <Foot
        step="name"
        action={
          <Button type="submit" loading={create.isPending || create.isSuccess} disabled={!first}>
            Continue
          </Button>
        }
      />
    </form>
  );
}

/** What a draft begins with, until somebody chooses: a template that needs nothing of the audience, if there is one. */
const preferred = (all: Parameters<typeof choices>[0]) => choices(all).find((t) => t.variables.every((v) => v.default));

const named = (v: string) => (v.trim() ? null : 'Give it a name by which your team finds it.');

function NameFields({ form }: { form: { getInputProps: (path: 'name') => object } }) {
  return (
    <Stack gap="lg" maw={560}>
      <TextInput
        label="Name"
        description="Your team sees it; recipients do not."
        placeholder="e.g. Friday happy hour"
        maxLength={200}
        data-autofocus
        {...form.getInputProps('name')}
      />
      <div className="kind">
        <IconMessage size={20} aria-hidden />
        <div>
          <strong>Message campaign</strong>
          <p>One WhatsApp template to everybody in the audience, each in the hours that suit them.</p>
        </div>
      </div>
    </Stack>
  );
}

const route = getRouteApi('/campaigns/$id/edit');

/** A draft's steps. Which one stands in the address. */
export function EditCampaignPage() {
  const { id } = route.useParams();
  const { step } = route.useSearch();
  const query = api.useQuery('get', '/campaigns/{id}', { params: { path: { id } } });
  if (query.isPending) return <Loading rows={6} />;
  if (!query.data) return <Failed level={1} error={query.error} retry={() => void query.refetch()} />;
  const campaign = query.data;
  if (campaign.status !== 'draft') return <Started campaign={campaign} />;
  const here = step ?? (campaign.targets > 0 ? 'review' : 'message');
  return (
    <Wizard campaign={campaign} step={here}>
      {here === 'name' && <NameStep campaign={campaign} />}
      {here === 'message' && <MessageStep campaign={campaign} />}
      {here === 'audience' && <AudienceStep campaign={campaign} />}
      {here === 'schedule' && <ScheduleStep campaign={campaign} />}
      {here === 'review' && (
        <Suspense fallback={<Loading rows={6} />}>
          <ReviewStep campaign={campaign} />
        </Suspense>
      )}
    </Wizard>
  );
}

function NameStep({ campaign }: { campaign: Campaign }) {
  const form = useForm({ initialValues: { name: campaign.name }, validate: { name: named } });
  const [failure, setFailure] = useState('');
  const change = api.useMutation('patch', '/campaigns/{id}', { meta: { inPlace: true } });
  const save = async () => {
    setFailure('');
    if (form.validate().hasErrors) return false;
    try {
      const name = form.getValues().name.trim();
      take(await change.mutateAsync({ params: { path: { id: campaign.campaign_id } }, body: { name } }));
      form.resetDirty();
      return true;
    } catch (error) {
      setFailure(showProblem(form, error));
      return false;
    }
  };
  useSaving(() => form.isDirty(), save);
  return (
    <>
      <NameFields form={form} />
      {failure && (
        <Alert color="red" role="alert" mt="md" maw={560}>
          {failure}
        </Alert>
      )}
      <Foot campaign={campaign} step="name" saving={change.isPending} />
    </>
  );
}

/** It is no draft any more: somebody has started it, perhaps just now. */
function Started({ campaign }: { campaign: Campaign }) {
  return (
    <Page title={campaign.name} about={<Status of={campaign.status} />}>
      <Empty
        title="This campaign has been started"
        action={
          <Button component="a" href={`/campaigns/${campaign.campaign_id}`}>
            See how it goes
          </Button>
        }
      >
        Its message and its audience are fixed from then on.{' '}
        <Link to="/campaigns/new" className="text-link">
          Make another one
        </Link>{' '}
        instead.
      </Empty>
    </Page>
  );
}
