import { Code, Text } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { IconAlertTriangle, IconCheck } from '@tabler/icons-react';
import type { Problem } from '../api/problem';

/** Toasts. They stand in a live region, so they are read out too. */
export const tell = {
  /** Something was done: `tell.done('Campaign paused')`. */
  done(title: string, message?: string) {
    notifications.show({
      title,
      message,
      icon: <IconCheck size={16} />,
      color: 'green',
      autoClose: 5000,
      closeButtonProps: { 'aria-label': 'Dismiss' },
    });
  },
  /** Something was not done. It stays longer, because it has to be read. */
  problem(problem: Problem) {
    notifications.show({
      title: 'Not done',
      message: (
        <>
          {problem.message}
          {problem.reference && (
            <Text span display="block" size="xs" c="dimmed" mt={4}>
              Reference <Code>{problem.reference}</Code>
            </Text>
          )}
        </>
      ),
      icon: <IconAlertTriangle size={16} />,
      color: 'red',
      autoClose: 15_000,
      closeButtonProps: { 'aria-label': 'Dismiss' },
    });
  },
};
