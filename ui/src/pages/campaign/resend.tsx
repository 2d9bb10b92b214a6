import { Alert, Button, Checkbox, Modal, Skeleton, Stack, Text, Textarea } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { type FormEvent, useEffect, useRef, useState } from 'react';
import { api, client, queries } from '../../api/client';
import { take } from '../../api/live';
import { problemOf } from '../../api/problem';
import type { components } from '../../api/schema';
import { FormEnd } from '../../parts/form-end';
import { count, upper, words } from '../../parts/format';
import { tell } from '../../parts/toast';
import type { Campaign } from './campaign';

type Order = components['schemas']['Resend'];

/** Asks whom to send to again, shows what that would do, and does it once however often it is clicked. */
export function ResendDialog({
  campaign: c,
  opened,
  close,
}: {
  campaign: Campaign;
  opened: boolean;
  close: () => void;
}) {
  return (
    <Modal opened={opened} onClose={close} title={`Send “${c.name}” again?`} size={560} centered>
      <Choice campaign={c} close={close} />
    </Modal>
  );
}

function Choice({ campaign: c, close }: { campaign: Campaign; close: () => void }) {
  const [failed, setFailed] = useState(c.failed > 0);
  const [unknown, setUnknown] = useState(false);
  const [hopeless, setHopeless] = useState(false);
  const [accepts, setAccepts] = useState(false);
  const [reason, setReason] = useState('');
  const [failure, setFailure] = useState('');

  const id = c.campaign_id;
  const resend = useMutation({
    meta: { inPlace: true },
    mutationFn: async ({ body, key }: { body: Order; key: string }) => {
      const { data, response } = await client.POST('/campaigns/{id}/resend', {
        params: { path: { id }, header: { 'Idempotency-Key': key } },
        body,
      });
      if (!data) throw new Error('a resend was answered without a campaign');
      return { campaign: data, inEffect: response.status === 200 };
    },
    onSuccess: ({ campaign, inEffect }) => {
      take(campaign);
      void queries.invalidateQueries({ queryKey: ['get', '/campaigns/{id}'] });
      const n = campaign.resent?.targets ?? 0;
      tell.done(
        inEffect ? 'Sending again' : 'Resend ordered',
        `${count(n)} ${n === 1 ? 'recipient is' : 'recipients are'} back in the queue.${inEffect ? '' : ' It takes effect shortly.'}`,
      );
      close();
    },
    onError: (error) => {
      if (problemOf(error).status !== 401) setFailure(problemOf(error).message);
    },
  });
  // It may have been done although no answer came: what was chosen from stays, and the same can be asked for again.
  const unanswered = resend.isPending || (resend.isError && problemOf(resend.error).passing);

  // What failed tells by code whether the same message would fail again.
  const all = api.useQuery(
    'get',
    '/campaigns/{id}/resend',
    { params: { path: { id }, query: { states: ['failed', 'unknown'] } } },
    { enabled: !unanswered },
  );
  const groups = (all.data?.by ?? []).filter((g) => g.state === 'failed');
  const worth = groups.filter((g) => !g.will_fail);
  const splits = worth.length > 0 && worth.length < groups.length && worth.every((g) => g.error_code !== undefined);
  const codes = failed && splits && !hopeless ? worth.flatMap((g) => g.error_code ?? []) : undefined;
  const states = [...(failed ? (['failed'] as const) : []), ...(unknown ? (['unknown'] as const) : [])];
  const preview = api.useQuery(
    'get',
    '/campaigns/{id}/resend',
    { params: { path: { id }, query: { states, codes } } },
    { enabled: states.length > 0 && !all.isPending && !unanswered, staleTime: 0 },
  );
  const p = states.length > 0 ? preview.data : undefined;

  const body: Order = { states, codes, reason: reason.trim(), accept_duplicates: unknown && accepts };
  const key = useKeyOf(JSON.stringify(body));
  const may = p && p.targets > 0 && !p.problems?.length && body.reason !== '' && (!unknown || accepts);
  const going = useRef(false);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!may || going.current) return;
    going.current = true;
    setFailure('');
    resend.mutate(
      { body, key },
      {
        onSettled: () => {
          going.current = false;
        },
      },
    );
  };

  return (
    <form onSubmit={submit}>
      <Stack gap="md">
        <Checkbox.Group
          label="To whom"
          value={states}
          onChange={(to) => {
            resend.reset();
            setFailed(to.includes('failed'));
            setUnknown(to.includes('unknown'));
          }}
        >
          <Stack gap="xs">
            <Checkbox
              value="failed"
              disabled={c.failed === 0}
              label={`${count(c.failed)} failed`}
              description="The provider refused them: they did not get the message."
            />
            <Checkbox
              value="unknown"
              disabled={c.unknown === 0}
              label={`${count(c.unknown)} unknown`}
              description="Nobody can tell whether they got it: some may get it twice."
            />
          </Stack>
        </Checkbox.Group>
        {failed && splits && (
          <Checkbox
            checked={hopeless}
            onChange={(e) => {
              resend.reset();
              setHopeless(e.currentTarget.checked);
            }}
            label={`Also ${count(groups.filter((g) => g.will_fail).reduce((n, g) => n + g.targets, 0))} that will most likely be refused again`}
          />
        )}
        <div aria-live="polite">
          {states.length === 0 && (
            <Text size="sm" c="dimmed">
              Choose who should get it again.
            </Text>
          )}
          {states.length > 0 && !p && !preview.isError && <Skeleton height={72} />}
          {states.length > 0 && preview.isError && (
            <Alert color="red" role="alert">
              {problemOf(preview.error).message}
            </Alert>
          )}
          {p && (
            <Stack gap="sm">
              <Text size="sm" fw={500}>
                {count(p.targets)} {p.targets === 1 ? 'recipient goes' : 'recipients go'} back into the queue
                {p.opted_out > 0 && `; ${count(p.opted_out)} opted out since and stay out`}.
              </Text>
              <ul className="lines">
                {p.by.map((g) => (
                  <li key={`${g.state} ${g.reason} ${g.error_code}`}>
                    <span className="amount">{count(g.targets)}</span>
                    <span>
                      {upper(g.meaning)}
                      <Text span size="xs" c="dimmed" display="block">
                        {words(g.reason ?? g.state)}
                        {g.error_code !== undefined && ` · code ${g.error_code}`}
                        {g.will_fail && ' · will most likely fail again'}
                      </Text>
                    </span>
                  </li>
                ))}
              </ul>
              {p.problems?.map((f) => (
                <Alert key={f.code + f.message} color="red" title="It cannot go">
                  {f.message}
                </Alert>
              ))}
              {p.warnings?.map((f) => (
                <Alert key={f.code + f.message} color="violet">
                  {f.message}
                </Alert>
              ))}
            </Stack>
          )}
        </div>
        {unknown && (
          <Checkbox
            checked={accepts}
            onChange={(e) => setAccepts(e.currentTarget.checked)}
            label="Some may get the message twice, and I accept that"
          />
        )}
        <Textarea
          label="Reason"
          description="It goes into the audit log."
          withAsterisk
          value={reason}
          onChange={(e) => setReason(e.currentTarget.value)}
          maxLength={500}
          autosize
          minRows={2}
        />
        <FormEnd failure={failure} close={close}>
          <Button type="submit" loading={resend.isPending} disabled={!may}>
            {p && p.targets > 0 ? `Send to ${count(p.targets)} again` : 'Send again'}
          </Button>
        </FormEnd>
      </Stack>
    </form>
  );
}

/** A key that stays while the request stays: sent twice, or again after a lost answer, it is done once. */
function useKeyOf(request: string): string {
  const [key, setKey] = useState(newKey);
  const seen = useRef(request);
  useEffect(() => {
    if (seen.current === request) return;
    seen.current = request;
    setKey(newKey());
  }, [request]);
  return key;
}

/** crypto.randomUUID is there only behind https. */
const newKey = () =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, '0')).join('');
