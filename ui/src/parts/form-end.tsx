import { Alert, Button, Group } from '@mantine/core';
import type { ReactNode } from 'react';

type Props = {
  /** What the server found wrong with the whole; '' when nothing is. */
  failure: string;
  close: () => void;
  /** Whether Cancel is what the keyboard is on when the form opens. */
  cautious?: boolean;
  /** The button that submits. */
  children: ReactNode;
};

/** How a form in a dialog or drawer ends: what is wrong, Cancel, and the button that does it. */
export function FormEnd({ failure, close, cautious, children }: Props) {
  return (
    <>
      {failure && (
        <Alert color="red" role="alert">
          {failure}
        </Alert>
      )}
      <Group justify="flex-end" gap="xs">
        <Button variant="default" onClick={close} data-autofocus={cautious || undefined}>
          Cancel
        </Button>
        {children}
      </Group>
    </>
  );
}
