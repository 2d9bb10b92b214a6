import { IconChevronRight } from '@tabler/icons-react';
import { Link, type LinkProps } from '@tanstack/react-router';
import type { components } from '../../api/schema';
import { useMay } from '../../app/session';
import { count } from '../../parts/format';
import { Time } from '../../parts/time';

type Need = components['schemas']['Need'];

/** What waits, in words for one and for several, and where one sees to it. */
const kinds: Record<Need['kind'], { one: string; more: string; link: LinkProps; takes?: string }> = {
  alerts: {
    one: 'alert that nobody has seen',
    more: 'alerts that nobody has seen',
    link: { to: '/alerts' },
    takes: 'alerts.read',
  },
  edge_functions: {
    one: 'edge function is red',
    more: 'edge functions are red',
    link: { to: '/integrations' },
    takes: 'probes.read',
  },
  campaigns: {
    one: 'campaign waits for somebody to mend something',
    more: 'campaigns wait for somebody to mend something',
    link: { to: '/campaigns', search: { show: 'active' } },
  },
  campaign_approvals: { one: 'campaign to approve', more: 'campaigns to approve', link: { to: '/approvals' } },
  override_approvals: {
    one: 'override to decide',
    more: 'overrides to decide',
    link: { to: '/overrides', search: { show: 'open' } },
  },
  template_approvals: {
    one: 'template to review',
    more: 'templates to review',
    link: { to: '/templates', search: { status: 'submitted' } },
  },
  approvals: { one: 'other decision to take', more: 'other decisions to take', link: { to: '/approvals' } },
  daily_reviews: {
    one: 'day of the rollout to review',
    more: 'days of the rollout to review',
    link: { to: '/rollout/reviews' },
  },
  support_tasks: {
    one: 'offline voucher for Support',
    more: 'offline vouchers for Support',
    link: { to: '/vouchers', search: { view: 'tasks' } },
  },
  unsent_vouchers: {
    one: 'voucher did not come to its guest',
    more: 'vouchers did not come to their guests',
    link: { to: '/vouchers', search: { view: 'tasks' } },
  },
};

export function Needs({ of }: { of: Need[] }) {
  const may = useMay();
  return (
    <ul className="needs">
      {of.map((need) => {
        const { one, more, link: to, takes } = kinds[need.kind];
        const link = !takes || may(takes) ? to : undefined;
        const what = (
          <>
            <span className="needs-count">{need.n >= 1000 ? '1,000+' : count(need.n)}</span>
            <span className="needs-what">
              {need.n === 1 ? one : more}
              {need.names && need.names.length > 0 && `: ${need.names.join(', ')}`}
              {need.since && (
                <small>
                  {need.n === 1 ? 'Since' : 'The oldest since'} <Time at={need.since} />
                </small>
              )}
            </span>
          </>
        );
        return (
          <li key={need.kind}>
            {link ? (
              <Link {...link}>
                {what}
                <IconChevronRight size={16} className="push-right no-shrink" aria-hidden />
              </Link>
            ) : (
              <span>{what}</span>
            )}
          </li>
        );
      })}
    </ul>
  );
}
