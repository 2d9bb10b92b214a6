import { ActionIcon, Group, Text, Tooltip } from '@mantine/core';
import { IconEye } from '@tabler/icons-react';
import { useMutation } from '@tanstack/react-query';
import { useMay } from '../app/session';

/** A phone number: masked, until somebody who may see it asks to. The audit log keeps that they did. */
export function PhoneNumber({ masked, reveal }: { masked: string; reveal: () => Promise<string | undefined> }) {
  const may = useMay();
  const shown = useMutation({ mutationFn: reveal });
  return (
    <Group gap={4}>
      <Text span inherit className="number nowrap">
        {shown.data ?? masked}
      </Text>
      {may('contacts.reveal') && !shown.data && (
        <Tooltip label="Show the number; the audit log notes it">
          <ActionIcon
            variant="subtle"
            size="sm"
            loading={shown.isPending}
            onClick={() => shown.mutate()}
            aria-label="Show the number"
          >
            <IconEye size={16} />
          </ActionIcon>
        </Tooltip>
      )}
    </Group>
  );
}
