import { Group, Text, Title } from '@mantine/core';
import { type ReactNode, useEffect } from 'react';

/** A page's frame: its title, what it is for, and its one primary action. */
export function Page({
  title,
  about,
  above,
  action,
  children,
}: {
  title: string;
  about?: ReactNode;
  /** The way back, over the title. */
  above?: ReactNode;
  action?: ReactNode;
  children: ReactNode;
}) {
  useEffect(() => {
    document.title = `${title} · Lastcall`;
  }, [title]);
  return (
    <>
      <Group justify="space-between" align="flex-start" mb="lg" gap="md">
        <div>
          {above}
          <Title order={1} size="h2" className="wrap">
            {title}
          </Title>
          {about && (
            <Text c="dimmed" size="sm" mt={4}>
              {about}
            </Text>
          )}
        </div>
        {action}
      </Group>
      {children}
    </>
  );
}

/** One of several things on a page, in a frame of its own. `aside` stands at its title's right. */
export function Section({
  title,
  about,
  aside,
  children,
}: {
  title: string;
  about?: ReactNode;
  aside?: ReactNode;
  children: ReactNode;
}) {
  return (
    <section className="card" aria-label={title}>
      <Group justify="space-between" gap="sm" wrap="nowrap">
        <Title order={2} size="h3">
          {title}
        </Title>
        {aside}
      </Group>
      {about && (
        <Text c="dimmed" size="sm" mt={2} maw={640}>
          {about}
        </Text>
      )}
      <div className="section-body">{children}</div>
    </section>
  );
}
