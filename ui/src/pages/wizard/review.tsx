import { Alert, Anchor, Button, Stack, Text, Title } from '@mantine/core';
import { Link, useRouter } from '@tanstack/react-router';
import { useRef, useState } from 'react';
import { api } from '../../api/client';
import { problemOf } from '../../api/problem';
import { EdgeDegraded } from '../../parts/edge';
import { count, dayTimeZone } from '../../parts/format';
import { Degraded, Failed, Loading } from '../../parts/states';
import { tell } from '../../parts/toast';
import { approvers, open, useApproval, useAsk } from '../campaign/approval';
import { type Campaign, Foot, type Step, take } from './frame';
import { forget } from './kept';
import { ForecastPicture } from './picture';
import { meant, scheduleKey, useSchedule } from './schedule';
import { busy, refresh, useUpload } from './upload';

/** Which step mends what keeps a campaign from starting. */
const mends: Record<string, Step> = { no_targets: 'audience', template_not_approved: 'message' };

/** What will happen, and the start. */
export function ReviewStep({ campaign }: { campaign: Campaign }) {
  const id = campaign.campaign_id;
  const router = useRouter();
  const upload = useUpload(id);
  const [schedule] = useSchedule(id);
  const { at, wrong } = meant(schedule);
  const path = { id };
  const check = api.useQuery('get', '/campaigns/{id}/preflight', { params: { path } }, { staleTime: 0 });
  const forecast = api.useQuery(
    'get',
    '/campaigns/{id}/forecast',
    { params: { path, query: at ? { at: at.toISOString() } : {} } },
    { staleTime: 0, refetchInterval: 30_000, enabled: campaign.targets > 0 && !wrong },
  );
  const [failure, setFailure] = useState('');
  const under = useRef(false); // a second click comes before the button knows of the first
  const start = api.useMutation('post', '/campaigns/{id}/start', {
    meta: { inPlace: true },
    onSuccess: (started) => {
      forget(scheduleKey(id));
      router.history.push(`/campaigns/${id}`);
      take(started);
      tell.done(at ? 'Campaign scheduled' : 'Campaign started');
    },
    onError: (error) => {
      under.current = false;
      const problem = problemOf(error);
      if (problem.status === 401) return; // the sign-in says it
      setFailure(
        problem.status === 0
          ? 'Lastcall did not answer, so it is not certain whether the campaign has started. This page shows it as soon as the connection is back; starting again starts it once only.'
          : problem.message,
      );
      void refresh(id); // somebody else may have started it, or changed its audience
    },
  });
  const problems = check.data?.problems ?? [];
  const approval = useApproval(id);
  const a = approval.data && open(approval.data) ? approval.data : undefined;
  const ready =
    check.data !== undefined && approval.data !== undefined && problems.length === 0 && !wrong && !busy(upload);
  // An approval is of the time that was asked about, too.
  const same = a && (a.send_at ? Date.parse(a.send_at) === at?.getTime() : !at);
  const submit = a && !(a.state === 'approved' && same);
  const waits = a?.state === 'waiting' && same;
  const asking = useAsk(id);
  const ask = () => {
    setFailure('');
    asking.mutate(
      { at: at?.toISOString() },
      {
        onSuccess: () => {
          router.history.push(`/campaigns/${id}`);
          tell.done('Submitted for approval');
        },
        onError: (error) => setFailure(problemOf(error).message),
      },
    );
  };
  const to = (step: Step, label: string) => (
    <Anchor
      component={Link}
      to="/campaigns/$id/edit"
      params={path as never}
      search={{ step } as never}
      className="text-link"
      size="sm"
    >
      {label}
    </Anchor>
  );

  return (
    <>
      <div className="review">
        <Stack gap="lg">
          {check.isError && check.data === undefined && (
            <Failed error={check.error} retry={() => void check.refetch()} />
          )}
          {problems.map((p) => (
            <Alert key={p.code} color="red" title="This keeps it from starting" role="alert">
              {sentence(p.message)} {mends[p.code] && to(mends[p.code] as Step, 'Mend it')}
            </Alert>
          ))}
          {wrong && (
            <Alert color="red" title="This keeps it from starting" role="alert">
              {wrong} {to('schedule', 'Mend it')}
            </Alert>
          )}
          {busy(upload) && (
            <Alert color="violet" title="A file is still being uploaded" role="status">
              The campaign can start when its recipients are in. {to('audience', 'See how far it is')}
            </Alert>
          )}
          <EdgeDegraded of="messaging" />
          <EdgeDegraded of="dispatcher" />
          {campaign.voucher && <EdgeDegraded of="voucher-card" />}
          {check.data?.warnings
            ?.filter((w) => w.code !== 'edge_function_down') // said above, and live
            .map((w) => (
              <Alert key={w.code} color="amber" title="You should know">
                {sentence(w.message)}
              </Alert>
            ))}
          {approval.isError && approval.data === undefined && (
            <Failed error={approval.error} retry={() => void approval.refetch()} />
          )}
          {a && (
            <Alert
              color={a.state === 'approved' && same ? 'green' : 'violet'}
              title={
                a.state === 'approved' && same
                  ? 'Approved'
                  : waits
                    ? 'Waits for approval'
                    : 'Somebody else must approve it'
              }
              role="status"
            >
              {a.state === 'approved' && same
                ? 'It may start as it is. Whatever is changed of it, it must be approved again.'
                : `${approvers(a)} may approve it, but not whoever submits it or edited it last.`}{' '}
              <Anchor component={Link} to={`/campaigns/${id}`} className="text-link" size="sm">
                See where it stands
              </Anchor>
            </Alert>
          )}
          {(check.data?.opted_out ?? 0) > 0 && (
            <Alert color="violet" title="Some have opted out">
              {count(check.data?.opted_out ?? 0)} of {count(campaign.targets)} have opted out since. They are left out.
            </Alert>
          )}
          {campaign.targets > 0 &&
            !wrong &&
            (forecast.data ? (
              <>
                {forecast.isError && (
                  <Degraded
                    error={forecast.error}
                    since={forecast.dataUpdatedAt}
                    retry={() => void forecast.refetch()}
                  />
                )}
                <ForecastPicture forecast={forecast.data} />
              </>
            ) : forecast.isError ? (
              <Failed error={forecast.error} retry={() => void forecast.refetch()} />
            ) : (
              <Loading rows={6} label="Loading the forecast" />
            ))}
        </Stack>
        <section className="card summary" aria-labelledby="summary">
          <Title id="summary" order={3} size="h4" mb="sm">
            In short
          </Title>
          <dl>
            <dt>Name</dt>
            <dd className="wrap">{campaign.name}</dd>
            <dt>Message</dt>
            <dd>
              {campaign.template}, version {campaign.template_version} {to('message', 'Change')}
              {Object.entries(campaign.variables).map(([name, text]) => (
                <Text key={name} size="sm" c="dimmed" className="wrap">
                  {name}: {text}
                </Text>
              ))}
            </dd>
            <dt>Recipients</dt>
            <dd>
              {count(campaign.targets)} {to('audience', 'Change')}
            </dd>
            <dt>Begins</dt>
            <dd>
              {at ? dayTimeZone(at, schedule.zone) : schedule.when === 'now' ? 'As soon as it is started' : '–'}{' '}
              {to('schedule', 'Change')}
            </dd>
          </dl>
        </section>
      </div>
      {failure && (
        <Alert color="red" role="alert" mt="lg" title={submit ? 'Not submitted' : 'Not started'}>
          {failure}
        </Alert>
      )}
      <Foot
        campaign={campaign}
        step="review"
        hint={
          ready && submit
            ? 'Nothing is sent before somebody has approved it and it is started.'
            : ready
              ? 'From then on its message and audience are fixed. It can be paused and stopped at any time.'
              : undefined
        }
        action={
          submit ? (
            <Button loading={asking.isPending || asking.isSuccess} disabled={!ready || waits} onClick={ask}>
              {waits ? 'Waits for approval' : 'Submit for approval'}
            </Button>
          ) : (
            <Button
              loading={start.isPending || start.isSuccess}
              disabled={!ready}
              onClick={() => {
                if (under.current) return;
                under.current = true;
                setFailure('');
                start.mutate({ params: { path }, body: at ? { send_at: at.toISOString() } : {} });
              }}
            >
              {at ? 'Schedule campaign' : 'Start campaign'}
            </Button>
          )
        }
      />
    </>
  );
}

const sentence = (s: string) => `${s.charAt(0).toUpperCase()}${s.slice(1)}${/[.!?]$/.test(s) ? '' : '.'}`;
