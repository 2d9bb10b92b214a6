import { Alert, Group, Skeleton, Stack, Text, Tooltip } from '@mantine/core';
import { IconAlertTriangle, IconCircleCheck, IconCloudOff, IconInfoCircle } from '@tabler/icons-react';
import { keepPreviousData } from '@tanstack/react-query';
import { Link, type LinkProps } from '@tanstack/react-router';
import { lazy, type ReactNode, Suspense } from 'react';
import { api } from '../api/client';
import type { EdgeFunction } from '../api/edge';
import { problemOf } from '../api/problem';
import type { components } from '../api/schema';
import { useMay } from '../app/session';
import { count, dayTime, localZone, percent, upper, words, zoneName } from '../parts/format';
import { Page, Section } from '../parts/page';
import { Degraded, Failed } from '../parts/states';
import { Needs } from './dashboard/needs';

type Figure = components['schemas']['Figure'];
type Part = components['schemas']['FigurePart'];

const VoucherChart = lazy(() => import('./dashboard/chart'));

/** How Lastcall does, each number with its formula, its time and the rows behind it; and what needs a human now. */
export function DashboardPage() {
  const query = api.useQuery(
    'get',
    '/dashboard',
    { params: { query: { zone: localZone } } },
    { refetchInterval: 15_000, placeholderData: keepPreviousData },
  );
  const snap = query.data;
  if (!snap && query.isError) return <Failed level={1} error={query.error} retry={() => void query.refetch()} />;
  return (
    <Page
      title="Dashboard"
      about={
        snap
          ? `As of ${dayTime(snap.at)} (${zoneName(localZone)}). Drills and rehearsals are in no figure.`
          : 'How Lastcall does, now.'
      }
    >
      {snap && query.isError && problemOf(query.error).status !== 401 && (
        <Degraded error={query.error} since={query.dataUpdatedAt} retry={() => void query.refetch()} />
      )}
      <div className="tiles">
        {snap
          ? snap.figures.map((f) => <Tile key={f.name} figure={f} />)
          : [1, 2, 3, 4, 5, 6].map((i) => (
              <div key={i} className="card tile" role="status" aria-label="Loading a figure">
                <Skeleton height={12} width="50%" />
                <Skeleton height={28} width="35%" mt={16} />
                <Skeleton height={12} width="75%" mt={20} />
              </div>
            ))}
      </div>
      <div className="dashboard-rest">
        <Section title="Vouchers, 30 days" about={`Issued and redeemed, by day in ${zoneName(localZone)}.`}>
          {!snap ? (
            <Skeleton height={240} />
          ) : snap.days_problem ? (
            <Unread code={snap.days_problem} />
          ) : (
            <Suspense fallback={<Skeleton height={240} />}>
              <VoucherChart days={snap.days} />
            </Suspense>
          )}
        </Section>
        <Section title="Needs a human now">
          {!snap ? (
            <Skeleton height={120} />
          ) : snap.needs_problem ? (
            <Unread code={snap.needs_problem} />
          ) : snap.needs.length === 0 ? (
            <Group gap={8} c="dimmed">
              <IconCircleCheck size={18} color="var(--good)" aria-hidden />
              <Text size="sm">Nothing. All of it goes by itself.</Text>
            </Group>
          ) : (
            <Needs of={snap.needs} />
          )}
        </Section>
      </div>
    </Page>
  );
}

function Tile({ figure: f }: { figure: Figure }) {
  const bad = alarming(f);
  return (
    <section className="card tile" aria-label={f.title} data-degraded={f.problem ? true : undefined}>
      <Group justify="space-between" wrap="nowrap" gap={8}>
        <h2 className="tile-title">{f.title}</h2>
        <Tooltip
          label={f.formula}
          multiline
          withinPortal={false}
          w={280}
          events={{ hover: true, focus: true, touch: true }}
          withArrow
        >
          <button type="button" className="tile-formula" aria-label={`How “${f.title}” is reckoned: ${f.formula}`}>
            <IconInfoCircle size={16} aria-hidden />
          </button>
        </Tooltip>
      </Group>
      {f.problem ? (
        <Unread code={f.problem} />
      ) : (
        <>
          <p className="tile-value">
            {bad && (
              <IconAlertTriangle size={20} className="tile-mark" color="var(--bad)" aria-label="Needs attention" />
            )}
            <Value of={f} />
          </p>
          <div className="tile-parts">
            <Rows of={f} />
          </div>
        </>
      )}
      <p className="tile-time">
        {dayTime(f.from)} – {dayTime(f.to)} ({zoneName(localZone)})
      </p>
    </section>
  );
}

/** The number itself, with its unit. */
function Value({ of: f }: { of: Figure }) {
  if (f.value === null) return <span className="tile-none">No data</span>;
  if (f.unit === 'share') return <>{percent(f.value)}</>;
  if (f.name === 'vouchers') {
    const redeemed = f.parts.find((p) => p.name === 'redeemed')?.n ?? 0;
    return (
      <>
        {count(f.of)} <small>issued</small> {count(redeemed)} <small>redeemed</small>
      </>
    );
  }
  return (
    <>
      {count(f.of)} <small>{f.of === 1 ? f.unit.replace(/s$/, '') : f.unit}</small>
    </>
  );
}

/** Whether a figure is past what is taken for well: the limits are those of the rollback signals. */
function alarming(f: Figure) {
  if (f.name === 'redemption_failures') return f.value !== null && f.among >= 50 && f.value > 0.05;
  return f.name === 'availability' && f.parts.some((p) => p.state === 'red');
}

/** What a figure is made of, each leading to the rows behind it, where one may see them. */
function Rows({ of: f }: { of: Figure }) {
  const may = useMay();
  const since = f.from;
  const row = (key: string, text: ReactNode, link?: LinkProps) => (
    <span key={key}>
      {link ? (
        <Link {...link} className="text-link">
          {text}
        </Link>
      ) : (
        text
      )}
    </span>
  );
  const n = (name: string) => count(f.parts.find((p) => p.name === name)?.n ?? 0);
  const campaigns: LinkProps = { to: '/campaigns', search: { since } };
  switch (f.name) {
    case 'sent':
      return [
        row('c', `${n('campaigns')} of campaigns`, campaigns),
        row('s', `${n('singles')} single`, { to: '/sends', search: { since } }),
      ];
    case 'delivery':
      return row('c', `${count(f.of)} of ${count(f.among)} messages`, campaigns);
    case 'vouchers':
      return [
        row('i', 'Issued', { to: '/vouchers', search: { since } }),
        row('r', 'Redeemed', { to: '/vouchers', search: { view: 'redemptions', since } }),
      ];
    case 'redemption_failures':
      return [
        row('f', `${n('failed')} failed`, { to: '/vouchers', search: { view: 'refusals', kind: 'system', since } }),
        row('r', `${n('redeemed')} redeemed`, { to: '/vouchers', search: { view: 'redemptions', since } }),
      ];
    case 'blocks': {
      if (f.parts.length === 0) return row('none', 'Nothing was held back');
      const shown = f.parts.slice(0, 3);
      const rest = f.parts.slice(3).reduce((sum, p) => sum + p.n, 0);
      return [
        ...shown.map((p) =>
          row(
            p.name,
            `${count(p.n)} ${p.title.toLowerCase()}`,
            may('audit.read')
              ? { to: '/audit', search: { action: 'outbound_policy_check', block: p.name, since } }
              : undefined,
          ),
        ),
        ...(rest ? [row('rest', `${count(rest)} others`)] : []),
      ];
    }
    default: {
      const worse = f.parts.filter((p) => p.state !== 'green' || (p.among ?? 0) === 0 || p.n < (p.among ?? 0));
      if (f.parts.every((p) => !p.among)) return row('none', 'No edge function has been probed in this time');
      const integrations = (edge?: EdgeFunction['name']): LinkProps | undefined =>
        may('probes.read') ? { to: '/integrations', search: { edge } } : undefined;
      if (worse.length === 0) return row('all', `All ${f.parts.length} edge functions were green`, integrations());
      return [
        ...worse.slice(0, 3).map((p) => row(p.name, functionText(p), integrations(p.name as EdgeFunction['name']))),
        ...(worse.length > 3 ? [row('rest', `${worse.length - 3} more`, integrations())] : []),
      ];
    }
  }
}

const functionText = (p: Part) =>
  p.among
    ? `${p.title} ${percent(p.n / p.among)}${p.state === 'green' ? '' : `, now ${p.state}`}`
    : `${p.title}: no data`;

/** It could not be read; the rest of the page stands. */
function Unread({ code }: { code: string }) {
  return (
    <Alert color="violet" icon={<IconCloudOff size={16} />} title="Cannot be read now" role="status" p="xs" mt={8}>
      <Stack gap={0}>
        <Text size="sm">{upper(words(code))}. It is tried again every 15 seconds.</Text>
      </Stack>
    </Alert>
  );
}
