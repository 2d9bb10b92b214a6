import { Text } from '@mantine/core';
import { IconCheck } from '@tabler/icons-react';
import { api } from '../api/client';
import type { components } from '../api/schema';
import { permissionName, roleName } from '../parts/roles';
import { type Column, DataTable } from '../parts/table';

type Line = components['schemas']['PermissionEntry'];

/** The server's table of who may what. */
export function RoleTable() {
  const query = api.useQuery('get', '/permissions', undefined, { staleTime: Number.POSITIVE_INFINITY });
  const columns: Column<Line>[] = [
    { header: 'Permission', width: 168, cell: (line) => permissionName(line.permission) },
    ...(query.data?.roles ?? []).map((role) => ({
      header: roleName(role),
      width: 96,
      cell: (line: Line) =>
        line.roles.includes(role) ? (
          <IconCheck size={16} role="img" aria-label="may" color="var(--good)" />
        ) : (
          <Text span c="dimmed" aria-label="may not" role="img">
            –
          </Text>
        ),
    })),
  ];
  return (
    <DataTable
      caption="permissions"
      query={query}
      rows={(table) => table.permissions}
      rowKey={(line) => line.permission}
      columns={columns}
      empty={null}
    />
  );
}
