import { Alert, Button, Code, CopyButton, Group, Skeleton, Stack, Text, Title } from '@mantine/core';
import { IconAlertTriangle, IconCloudOff, IconRefresh } from '@tabler/icons-react';
import type { ReactNode } from 'react';
import { type Problem, problemOf } from '../api/problem';
import { dayTimeZone } from './format';

// The four states that are not the page itself. Every page that loads something uses them.

/** Nothing is there, and why; `action` is how to change that. `level` 1: there is nothing else on the page. */
export function Empty({
  title,
  children,
  action,
  level = 2,
}: {
  title: string;
  children?: ReactNode;
  action?: ReactNode;
  level?: 1 | 2;
}) {
  return (
    <Stack align="center" gap="xs" py={64} px="md" ta="center">
      <Title order={level} size="h4">
        {title}
      </Title>
      {children && (
        <Text c="dimmed" size="sm" maw={440}>
          {children}
        </Text>
      )}
      {action && <Group mt="sm">{action}</Group>}
    </Stack>
  );
}

/** It comes. Rows as high as the ones that will be there, so that nothing jumps. */
export function Loading({
  rows = 6,
  height = 40,
  label = 'Loading',
}: {
  rows?: number;
  height?: number;
  label?: string;
}) {
  return (
    <div role="status" aria-label={label}>
      {Array.from({ length: rows }, (_, i) => (
        <Group key={i} h={height} className="hairline-below">
          <Skeleton height={12} width={`${70 - ((i * 13) % 40)}%`} />
        </Group>
      ))}
    </div>
  );
}

/** It did not come. `retry` tries again. */
export function Failed({ error, retry, level = 2 }: { error: unknown; retry?: () => void; level?: 1 | 2 }) {
  const problem = problemOf(error);
  return (
    <Stack align="center" gap="xs" py={64} px="md" ta="center" role="alert">
      <IconAlertTriangle size={24} color="var(--bad)" aria-hidden />
      <Title order={level} size="h4">
        {headline(problem)}
      </Title>
      <Text c="dimmed" size="sm" maw={440}>
        {problem.message}
      </Text>
      {problem.reference && <Reference code={problem.reference} />}
      {retry && (
        <Button mt="sm" variant="default" leftSection={<IconRefresh size={16} />} onClick={retry}>
          Try again
        </Button>
      )}
    </Stack>
  );
}

/** What is shown is from before: it could not be brought up to date. */
export function Degraded({ error, since, retry }: { error: unknown; since: number; retry: () => void }) {
  return (
    <Alert color="violet" icon={<IconCloudOff size={16} />} title="Not up to date" role="status" mb="md">
      <Group justify="space-between" gap="xs">
        <Text size="sm">
          As of {dayTimeZone(new Date(since))}. {problemOf(error).message}
        </Text>
        <Button size="compact-sm" variant="default" onClick={retry}>
          Try again
        </Button>
      </Group>
    </Alert>
  );
}

/** The code by which the log knows what happened. */
export function Reference({ code }: { code: string }) {
  return (
    <Group gap={8} justify="center">
      <Text size="xs" c="dimmed">
        Reference <Code>{code}</Code>
      </Text>
      <CopyButton value={code}>
        {({ copied, copy }) => (
          <Button size="compact-xs" variant="subtle" onClick={copy}>
            {copied ? 'Copied' : 'Copy'}
          </Button>
        )}
      </CopyButton>
    </Group>
  );
}

function headline(problem: Problem) {
  if (problem.status === 0) return 'No connection to Lastcall';
  if (problem.status === 404) return 'There is nothing here';
  if (problem.status === 403) return 'Your role does not allow this';
  if (problem.status === 503) return 'Lastcall is not quite up';
  return 'This did not work';
}
