import { Text } from '@mantine/core';
import { keepPreviousData } from '@tanstack/react-query';
import { api } from '../../api/client';
import { problemOf } from '../../api/problem';
import type { operations } from '../../api/schema';
import { count } from '../../parts/format';
import { statusWord } from '../../parts/status';
import { worth } from './parts';

/** What the vouchers that fit are worth, by currency and state. */
export function Totals({ of }: { of: NonNullable<operations['voucher-totals']['parameters']['query']> }) {
  const query = api.useQuery(
    'get',
    '/vouchers/totals',
    { params: { query: of } },
    { placeholderData: keepPreviousData },
  );
  if (query.isError) {
    return (
      <Text size="sm" c="dimmed" mb="md" role="status">
        What they are worth cannot be told now. {problemOf(query.error).message}
      </Text>
    );
  }
  if (!query.data || query.data.totals.length === 0) return null;
  return (
    <dl className="facts totals" aria-label="Totals" data-stale={query.isPlaceholderData || undefined}>
      {query.data.totals.map((t) => (
        <div key={`${t.currency} ${t.status}`}>
          <dt>
            {statusWord(t.status)} <span className="number">· {count(t.vouchers)}</span>
          </dt>
          <dd className="number">{worth(t)}</dd>
        </div>
      ))}
    </dl>
  );
}
