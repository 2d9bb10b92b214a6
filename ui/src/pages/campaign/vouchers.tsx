import { Alert, Table, Text, Title } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { api } from '../../api/client';
import { problemOf } from '../../api/problem';
import { count, money, share, upper } from '../../parts/format';
import { Failed, Loading } from '../../parts/states';
import { statusWord } from '../../parts/status';
import { Time } from '../../parts/time';
import type { Campaign } from './campaign';

const states = ['issued', 'sent', 'redeemed', 'expired', 'void'] as const;
const about: Record<(typeof states)[number], string> = {
  issued: 'made, and not known to have come to their guests',
  sent: 'with their guests, and not spent yet',
  redeemed: 'spent at a station',
  expired: 'out of date',
  void: 'withdrawn',
};

/** What became of the vouchers a campaign gives, as it is now, and which did not come to their guests. */
export function VouchersView({ campaign: c }: { campaign: Campaign }) {
  const id = c.campaign_id;
  const query = api.useQuery(
    'get',
    '/campaigns/{id}/vouchers',
    { params: { path: { id } } },
    { refetchInterval: 5_000 },
  );
  if (query.isPending) return <Loading rows={6} />;
  if (!query.data) return <Failed error={query.error} retry={() => void query.refetch()} />;
  const v = query.data;
  const worth = (n: number) => money(n * Number(v.amount), v.currency);
  return (
    <section aria-labelledby="vouchers">
      <Title order={2} size="h3" mb="md" id="vouchers">
        {count(v.made)} vouchers worth {money(Number(v.made_value), v.currency)}
      </Title>
      <div className="table-scroll report-table">
        <Table verticalSpacing={8}>
          <Table.Thead>
            <Table.Tr>
              <Table.Th scope="col">{money(Number(v.amount), v.currency)} each</Table.Th>
              <Table.Th scope="col" ta="right">
                Vouchers
              </Table.Th>
              <Table.Th scope="col" ta="right">
                Share
              </Table.Th>
              <Table.Th scope="col" ta="right">
                Worth
              </Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {states.map((s) => (
              <Table.Tr key={s}>
                <Table.Th scope="row" fw={500}>
                  {upper(statusWord(s))}
                  <Text size="xs" c="dimmed" fw={400}>
                    {about[s]}
                  </Text>
                </Table.Th>
                <Table.Td ta="right">{count(v[s])}</Table.Td>
                <Table.Td ta="right">{share(v[s], v.made)}</Table.Td>
                <Table.Td ta="right">{worth(v[s])}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </div>
      <Text size="sm" c="dimmed" mt="sm">
        {count(v.cards)} went with the picture of their card, {count(v.texts)} in words alone
        {v.texts > 0 && ': the template has no picture, or their cards were not drawn at that moment'}.
      </Text>
      {v.unsent > 0 && <Unsent id={id} n={v.unsent} />}
    </section>
  );
}

const shown = 20;

/** Those whose message finally failed, or of which nobody knows: somebody has to look after them. */
function Unsent({ id, n }: { id: string; n: number }) {
  const query = api.useQuery('get', '/vouchers/unsent', { params: { query: { campaign: id, limit: shown } } });
  return (
    <>
      <Alert color="amber" mt="lg" title={`${count(n)} did not come to their guests`}>
        They are good all the same. Sending again what failed sends the same vouchers; Support can send one by itself,
        tell its guest otherwise or withdraw it.
      </Alert>
      {query.isError && (
        <Text size="sm" c="dimmed" mt="sm">
          {problemOf(query.error).message}
        </Text>
      )}
      {query.data && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, with the keyboard too
        <section className="table-scroll" tabIndex={0} aria-label="Vouchers that did not come to their guests">
          <Table verticalSpacing={8} mt="sm">
            <Table.Thead>
              <Table.Tr>
                <Table.Th scope="col">Number</Table.Th>
                <Table.Th scope="col">Voucher</Table.Th>
                <Table.Th scope="col">Message</Table.Th>
                <Table.Th scope="col">Good until</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {query.data.vouchers.map((u) => (
                <Table.Tr key={u.voucher.id}>
                  <Table.Td>{u.voucher.msisdn}</Table.Td>
                  <Table.Td className="mono">
                    <Link to="/vouchers" search={{ voucher: u.voucher.id }} className="text-link">
                      {u.voucher.code_masked}
                    </Link>
                  </Table.Td>
                  <Table.Td>
                    {statusWord(u.target_state)}
                    <Text size="xs" c="dimmed">
                      {upper(u.meaning)}
                    </Text>
                  </Table.Td>
                  <Table.Td>
                    <Time at={u.voucher.expires_at} />
                  </Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
          {n > shown && (
            <Text size="sm" c="dimmed" mt="xs">
              The newest {shown} of {count(n)}.
            </Text>
          )}
        </section>
      )}
    </>
  );
}
