import { Button, Code, Group, List, Stack, Text } from '@mantine/core';
import { IconArchive, IconCheck, IconLock, IconPencil, IconPlus, IconSend, IconX } from '@tabler/icons-react';
import { useNavigate } from '@tanstack/react-router';
import { client } from '../../api/client';
import { useMay } from '../../app/session';
import { useConfirm } from '../../parts/confirm';
import { localeName } from '../../parts/format';
import { Section } from '../../parts/page';
import { Failed, Loading } from '../../parts/states';
import { Mark, Status } from '../../parts/status';
import { Time } from '../../parts/time';
import { tell } from '../../parts/toast';
import { Digest } from '../campaign/approval';
import { newKey } from '../wizard/kept';
import { faultText } from './faults';
import { called, categoryName, languagesOf, type Review, type Template, templatesChanged, useReview } from './template';

/** How a version stands with its reviewers, what was decided about it, and what to do now. */
export function ReviewCard({ template: t }: { template: Template }) {
  const query = useReview(t.id);
  return (
    <Section title="Review" aside={<Status of={t.status} />}>
      {query.isPending ? (
        <Loading rows={3} label="Loading the review" />
      ) : !query.data ? (
        <Failed error={query.error} retry={() => void query.refetch()} />
      ) : (
        <Standing template={t} review={query.data} />
      )}
    </Section>
  );
}

function Standing({ template: t, review: r }: { template: Template; review: Review }) {
  const may = useMay();
  return (
    <>
      <Text size="sm" className="wrap">
        {said(t, r)}
      </Text>
      {t.status === 'draft' && r.problems.length > 0 && (
        <List size="sm" mt="xs" spacing={2} aria-label="What keeps it from being submitted">
          {r.problems.map((p) => (
            <List.Item key={`${p.field} ${p.code}`}>{faultText(p)}</List.Item>
          ))}
        </List>
      )}
      {r.request && (
        <Text size="sm" mt="xs" className="wrap">
          Submitted by {r.request.requested_by.name}, <Time at={r.request.requested_at} />
          {r.request.reason && `: “${r.request.reason}”`}. Digest <Digest of={r.digest} />
        </Text>
      )}
      {(t.status === 'submitted' || t.status === 'approved') && may('templates.review') && !r.may_review && (
        <Text size="sm" mt="xs" c="dimmed">
          You cannot review it: {r.why_not}.
        </Text>
      )}
      <Orders template={t} review={r} />
      {r.decisions.length > 0 && (
        <ol className="history approval-past" aria-label="Decisions">
          {r.decisions.map((d) => (
            <Past key={d.id} decision={d} />
          ))}
        </ol>
      )}
    </>
  );
}

/** Where it stands, in a sentence or two. */
function said(t: Template, r: Review): string {
  switch (t.status) {
    case 'draft':
      if (r.problems.length > 0) return 'It is being written. Before it can be submitted:';
      return 'It is being written, and nothing keeps it from being submitted.';
    case 'submitted':
      return `It waits for somebody of compliance who has not written any of it. ${writers(r)}`;
    case 'approved':
      return r.started > 0
        ? 'Campaigns send it. What they have begun with stays as it is.'
        : 'Campaigns may send it. Once it is locked nobody can change it any more.';
    case 'locked':
      return 'Campaigns may send it, and nobody can change it. For another text, make a new version.';
    default:
      return 'It is out of use: nothing is sent with it.';
  }
}

const writers = (r: Review) => (r.authors.length > 0 ? `Written by ${r.authors.map((a) => a.name).join(', ')}.` : '');

function Past({ decision: d }: { decision: Review['decisions'][number] }) {
  return (
    <li>
      <Group gap="xs">
        {d.verdict === 'approved' ? (
          <Status of="approved" word={d.voided_at ? 'Approved, void' : undefined} />
        ) : (
          <Mark word="Changes requested" tone="bad" icon={IconPencil} />
        )}
        <Text size="sm" className="wrap">
          {d.by.name} ({d.role.replaceAll('_', ' ')}), <Time at={d.at} />
          {d.reason && `: “${d.reason}”`}
        </Text>
      </Group>
      <Text size="xs" c="dimmed" className="wrap">
        Digest <Digest of={d.digest} />
        {d.voided_at && ' · void: it was changed since'}
      </Text>
    </li>
  );
}

function Orders({ template: t, review: r }: { template: Template; review: Review }) {
  const may = useMay();
  const ask = useConfirm();
  const navigate = useNavigate();
  const path = { path: { template: t.id } };
  const known = { ...path, header: { 'If-Match': `"${t.revision}"` } };
  const open = (version: number, edit?: true) =>
    void navigate({ to: '/templates/$name', params: { name: t.name }, search: { version, edit } });

  /** Does something to the version, and shows what became of it. */
  const order = async (done: string, run: () => Promise<unknown>) => {
    try {
      await run();
    } finally {
      await templatesChanged();
    }
    tell.done(done);
  };
  const submit = () =>
    ask({
      title: `Submit ${called(t)}?`,
      impact: [
        'It is reviewed as it is now. Whatever of it changes, it must be submitted again.',
        'Somebody of compliance decides who has not written any of it.',
      ],
      reason: 'optional',
      action: 'Submit for review',
      run: (reason) =>
        order('Submitted for review', () =>
          client.POST('/templates/{template}/submit', { params: known, body: { reason } }),
        ),
    });
  const review = (verdict: 'approved' | 'changes_requested') => async (reason: string) =>
    order(verdict === 'approved' ? 'Template approved' : 'Changes requested', () =>
      client.POST('/templates/{template}/review', { params: path, body: { verdict, reason, digest: r.digest } }),
    );
  const approve = () =>
    ask({
      title: `Approve ${called(t)}?`,
      impact: [
        `${categoryName(t.category)}, in ${languagesOf(Object.keys(t.texts))}. ${writers(r)}`,
        'Campaigns may send it then. If anybody changes any of it, your approval is void.',
        ...(r.request?.reason ? [`${r.request.requested_by.name} says: “${r.request.reason}”`] : []),
      ],
      details: () => <Said template={t} digest={r.digest} />,
      reason: 'optional',
      action: 'Approve template',
      run: review('approved'),
    });
  const requestChanges = () =>
    ask({
      title: `Request changes to ${called(t)}?`,
      impact: ['It becomes a draft again, with what you say below. Its writers see it.'],
      reason: 'required',
      action: 'Request changes',
      run: review('changes_requested'),
    });
  const lock = () =>
    ask({
      title: `Lock ${called(t)}?`,
      impact: ['Nobody can change it any more. For another text somebody writes a new version.'],
      details: () => <Said template={t} digest={r.digest} />,
      reason: 'optional',
      action: 'Lock template',
      run: (reason) =>
        order('Template locked', () => client.POST('/templates/{template}/lock', { params: known, body: { reason } })),
    });
  const retire = () =>
    ask({
      title: `Retire ${called(t)}?`,
      impact: [
        'Nothing is sent with it any more, for good.',
        r.under_way > 0
          ? `${r.under_way === 1 ? 'One campaign is' : `${r.under_way} campaigns are`} under way with it: they send nothing more and wait until somebody stops them.`
          : 'No campaign is under way with it.',
      ],
      reason: 'required',
      action: 'Retire template',
      final: true,
      run: (reason) =>
        order('Template retired', () =>
          client.POST('/templates/{template}/retire', { params: known, body: { reason, confirm: r.under_way > 0 } }),
        ),
    });
  const next = () =>
    ask({
      title: `Write a new version of ${t.name}?`,
      impact: [
        `It begins as a copy of version ${t.version}, as a draft. Campaigns keep the version they were made with.`,
      ],
      action: 'Write new version',
      run: async () => {
        const made = await client.POST('/templates/{template}/versions', {
          params: { ...path, header: { 'Idempotency-Key': newKey() } },
        });
        await templatesChanged();
        if (made.data) open(made.data.version, true);
      },
    });

  const writes = may('templates.write');
  const mayEdit = writes && t.status !== 'locked' && t.status !== 'retired' && r.started === 0;
  const ready = t.status === 'draft' && r.problems.length === 0;
  return (
    <Group gap="xs" mt="md">
      {t.status === 'submitted' && r.may_review && (
        <>
          <Button leftSection={<IconCheck size={16} />} onClick={approve}>
            Approve…
          </Button>
          <Button variant="default" leftSection={<IconX size={16} />} onClick={requestChanges}>
            Request changes…
          </Button>
        </>
      )}
      {t.status === 'approved' && r.may_review && (
        <Button leftSection={<IconLock size={16} />} onClick={lock}>
          Lock…
        </Button>
      )}
      {ready && writes && (
        <Button leftSection={<IconSend size={16} />} onClick={submit}>
          Submit for review…
        </Button>
      )}
      {mayEdit && (
        <Button
          variant={t.status === 'draft' && !ready ? 'filled' : 'default'}
          leftSection={<IconPencil size={16} />}
          onClick={() => open(t.version, true)}
        >
          Edit
        </Button>
      )}
      {writes && !mayEdit && (
        <Button variant="default" leftSection={<IconPlus size={16} />} onClick={next}>
          New version…
        </Button>
      )}
      {t.status !== 'retired' && may('templates.review') && (
        <Button variant="default" leftSection={<IconArchive size={16} />} onClick={retire}>
          Retire…
        </Button>
      )}
    </Group>
  );
}

/** All that is agreed to, word for word. */
function Said({ template: t, digest }: { template: Template; digest: string }) {
  return (
    <Stack gap="sm" className="said" component="section" aria-label="What it says">
      {Object.keys(t.texts)
        .sort()
        .map((l) => (
          <div key={l}>
            <Text size="xs" c="dimmed">
              {localeName(l)}
            </Text>
            {t.headers?.[l] && (
              <p className="words" lang={l}>
                <b>{t.headers[l]}</b>
              </p>
            )}
            <p className="words" lang={l}>
              {t.texts[l]}
            </p>
            {t.footers?.[l] && (
              <p className="words small" lang={l}>
                {t.footers[l]}
              </p>
            )}
          </div>
        ))}
      {t.header_media && (
        <Text size="sm" className="wrap">
          Opens with <Code>{t.header_media}</Code>
        </Text>
      )}
      <Text size="xs" c="dimmed">
        Digest <Digest of={digest} />
      </Text>
    </Stack>
  );
}
