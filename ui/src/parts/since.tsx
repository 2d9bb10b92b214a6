import { Button, Group, Text } from '@mantine/core';
import { Time } from './time';

/** A list that shows only what is newer than a moment says so, and how to see all. */
export function Since({ at, what, clear }: { at: string | undefined; what: string; clear: () => void }) {
  if (!at) return null;
  return (
    <Group mb="sm" gap="xs">
      <Text size="sm">
        {what} since <Time at={at} />.
      </Text>
      <Button size="compact-sm" variant="default" onClick={clear}>
        Show all
      </Button>
    </Group>
  );
}
