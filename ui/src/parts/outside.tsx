import { Stack, Text, Title } from '@mantine/core';
import { type ReactNode, useEffect } from 'react';
import { Bell } from './bell';

/** The frame of what is shown to whoever has not signed in. */
export function Outside({ title, about, children }: { title: string; about?: ReactNode; children: ReactNode }) {
  useEffect(() => {
    document.title = `${title} · Lastcall`;
  }, [title]);
  return (
    <main className="sign-in">
      <div className="sign-in-card">
        <Stack gap={4} mb="lg">
          <Bell size={32} />
          <Title order={1} size="h2" mt="sm">
            {title}
          </Title>
          {about && (
            <Text size="sm" c="dimmed">
              {about}
            </Text>
          )}
        </Stack>
        {children}
      </div>
    </main>
  );
}
