import { Alert, Button } from '@mantine/core';
import { useForm } from '@mantine/form';
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router';
import { lazy, Suspense, useState } from 'react';
import { api } from '../../api/client';
import type { components } from '../../api/schema';
import { showProblem } from '../../parts/form';
import { Page } from '../../parts/page';
import { Degraded, Empty, Failed, Loading } from '../../parts/states';
import { useStationsOf } from '../../parts/stations';
import { Status } from '../../parts/status';
import { AudienceStep } from './audience';
import { type Campaign, Foot, take, useSaving, Wizard } from './frame';
import { forget, newKey, useKept } from './kept';
import { choices, MessageStep } from './message';
import { blank, type Kind, KindFields, kindOf, offerOf, rules, saysCode } from './offer';
import { ScheduleStep } from './schedule';

type Template = components['schemas']['Template'];

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
type Unmade = { typed: string; request: string; key: string };
const unmade: Unmade = { typed: '', request: '', key: '' };
const isUnmade = (v: unknown): v is Unmade =>
  Object.keys(unmade).every((k) => typeof (v as Record<string, unknown> | null)?.[k] === 'string');

function NewForm() {
  const navigate = useNavigate();
  const templates = api.useQuery('get', '/templates');
  const [kept, keep] = useKept(newDraft, unmade, isUnmade);
  const form = useForm<Kind>({
    initialValues: typed(kept.typed),
    onValuesChange: (values) => keep({ ...kept, typed: JSON.stringify(values) }),
    validate: rules,
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
      onSubmit={form.onSubmit((values) => {
        if (!first || create.isPending) return;
        setFailure('');
        const template = preferred(templates.data?.templates ?? [], values.kind);
        if (!template) return setFailure(noTemplate);
        const body = { name: values.name.trim(), template: template.id, voucher: offerOf(values) };
        const request = JSON.stringify(body);
        // The same request has the same key, however often it is sent, after a reload too: one draft.
        const key = kept.request === request ? kept.key : newKey();
        keep({ ...kept, request, key });
        create.mutate({ params: { header: { 'Idempotency-Key': key } }, body });
      })}
    >
      <KindFields form={form} />
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

/**
 * What a draft begins with, until somebody chooses: a template that needs nothing of the audience, if there is one; of a
 * campaign with vouchers, one that says their code.
 */
function preferred(all: Template[], kind: Kind['kind']) {
  const fit = choices(all).filter((t) =>
    kind === 'voucher' ? saysCode(t) : !t.variables.some((v) => v.name === 'code'),
  );
  return (
    fit.find((t) => t.variables.every((v) => v.default)) ?? fit[0] ?? (kind === 'message' ? choices(all)[0] : undefined)
  );
}

const noTemplate =
  'No template that may be sent says a voucher’s {{code}} in all its languages. One has to be approved first.';

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

/** What was typed before a reload; what another version kept is as if it were not there. */
function typed(text: string): Kind {
  try {
    const kept = JSON.parse(text) as Kind;
    return Object.keys(blank).every(
      (k) => typeof kept[k as keyof Kind] === typeof blank[k as keyof Kind] || k === 'days',
    )
      ? kept
      : blank;
  } catch {
    return blank;
  }
}

function NameStep({ campaign }: { campaign: Campaign }) {
  const stations = useStationsOf({ id: campaign.voucher?.stations });
  const templates = api.useQuery('get', '/templates');
  if (campaign.voucher?.stations.length && stations.isPending) return <Loading rows={4} />;
  if (templates.isPending) return <Loading rows={4} />;
  if (!templates.data) return <Failed error={templates.error} retry={() => void templates.refetch()} />;
  const codes = new Map(stations.data?.stations.map((s) => [s.id, s.code]));
  return <NameForm campaign={campaign} initial={kindOf(campaign, codes)} templates={templates.data.templates} />;
}

function NameForm({ campaign, initial, templates }: { campaign: Campaign; initial: Kind; templates: Template[] }) {
  const form = useForm<Kind>({ initialValues: initial, validate: rules });
  const [failure, setFailure] = useState('');
  const change = api.useMutation('patch', '/campaigns/{id}', { meta: { inPlace: true } });
  const save = async () => {
    setFailure('');
    if (form.validate().hasErrors) return false;
    const values = form.getValues();
    const its = templates.find((t) => t.name === campaign.template && t.version === campaign.template_version);
    const template = values.kind === 'voucher' && its && !saysCode(its) ? preferred(templates, 'voucher') : its;
    if (values.kind === 'voucher' && !(template && saysCode(template))) {
      setFailure(noTemplate);
      return false;
    }
    try {
      const body = {
        name: values.name.trim(),
        template: template === its ? undefined : template?.id,
        voucher: offerOf(values),
        kind: values.kind === 'message' && campaign.kind === 'voucher' ? ('message' as const) : undefined,
      };
      take(await change.mutateAsync({ params: { path: { id: campaign.campaign_id } }, body }));
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
      <KindFields form={form} fixed={campaign.targets > 0} />
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
