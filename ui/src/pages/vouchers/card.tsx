import { Alert, Button, Skeleton, Stack, Text } from '@mantine/core';
import { IconCloudOff } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { client } from '../../api/client';
import { problemOf } from '../../api/problem';
import type { components } from '../../api/schema';
import { EdgeDegraded } from '../../parts/edge';

type Card = components['schemas']['CardPreview'];

/** How a voucher's card looks, as a specimen; where nobody draws it now, what messages say instead, and why. */
export function CardPreview({ card }: { card: Card }) {
  const query = useQuery({
    queryKey: ['voucher card', card],
    queryFn: async ({ signal }) => {
      const { data } = await client.POST('/vouchers/preview', { body: card, parseAs: 'blob', signal });
      return await address(data as unknown as Blob);
    },
    staleTime: 5 * 60_000,
    retry: false,
  });
  if (query.isPending) return <Skeleton height={240} aria-label="Drawing the card" role="status" />;
  if (query.data) {
    return (
      <figure className="voucher-card">
        <img src={query.data} alt="The voucher’s card, as a specimen: its codes are worth nothing" />
      </figure>
    );
  }
  const problem = problemOf(query.error);
  const down = problem.code === 'voucher_card_unavailable';
  return (
    <Alert
      color={down ? 'violet' : 'red'}
      icon={<IconCloudOff size={16} />}
      title={down ? 'No card can be drawn now' : 'There is no preview'}
      role="status"
    >
      <Stack gap="xs" align="flex-start">
        <Text size="sm">{problem.message}</Text>
        {down && <EdgeDegraded of="voucher-card" />}
        {problem.text && (
          <>
            <Text size="sm">Until then messages say:</Text>
            <Text size="sm" className="card-text">
              {problem.text}
            </Text>
          </>
        )}
        <Button size="compact-sm" variant="default" onClick={() => void query.refetch()} loading={query.isFetching}>
          Try again
        </Button>
      </Stack>
    </Alert>
  );
}

/** A picture as an address of its own: the policy of the panel lets no other one in. */
function address(picture: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(picture);
  });
}
