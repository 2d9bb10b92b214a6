import { Button, Group, Table, Text } from '@mantine/core';
import { Link, type LinkProps } from '@tanstack/react-router';
import { type KeyboardEvent, type ReactNode, useRef } from 'react';
import { problemOf } from '../api/problem';
import { Degraded, Failed, Loading } from './states';

/** One column. The first one names the row: it is what a screen reader reads out and what links. */
export type Column<R> = {
  header: string;
  cell: (row: R) => ReactNode;
  /** Numbers stand right. */
  align?: 'right';
  /** CSS pixels at least. */
  width?: number;
};

/** What api.useQuery returns, as far as a table needs it. */
type Query<P> = {
  data: P | undefined;
  error: unknown;
  isPending: boolean;
  isError: boolean;
  isPlaceholderData: boolean;
  dataUpdatedAt: number;
  refetch: () => Promise<unknown>;
};

type Props<R, P> = {
  /** What it is a table of, for screen readers. */
  caption: string;
  query: Query<P>;
  rows: (page: P) => R[];
  rowKey: (row: R) => string;
  columns: Column<R>[];
  /** Where a row leads. The whole row can be clicked then; Up and Down move through the rows. */
  rowLink?: (row: R) => LinkProps | undefined;
  /** What stands there when there are no rows. */
  empty: ReactNode;
  /** What usePager returned, and the page's `next`. Absent: the list is whole. */
  pager?: Pager;
  next?: (page: P) => string | undefined;
};

/** The one table: loading, failed, degraded and empty states, pages by the server's cursor, rows that lead somewhere. */
export function DataTable<R, P>({ caption, query, rows, rowKey, columns, rowLink, empty, pager, next }: Props<R, P>) {
  if (query.isPending) return <Loading rows={8} height={48} label={`Loading ${caption}`} />;
  if (query.data === undefined) return <Failed error={query.error} retry={() => void query.refetch()} />;
  const all = rows(query.data);
  const after = next?.(query.data);
  return (
    <>
      {query.isError && problemOf(query.error).status !== 401 && (
        <Degraded error={query.error} since={query.dataUpdatedAt} retry={() => void query.refetch()} />
      )}
      {all.length === 0 ? (
        empty
      ) : (
        // Narrow screens scroll it sideways; the keyboard can, too.
        <section
          className="table-scroll"
          aria-label={caption}
          // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable
          tabIndex={0}
          data-stale={query.isPlaceholderData || undefined}
        >
          <Table
            highlightOnHover={!!rowLink}
            verticalSpacing={10}
            miw={columns.reduce((sum, c) => sum + (c.width ?? 120), 0)}
          >
            <Table.Thead>
              <Table.Tr>
                {columns.map((c) => (
                  <Table.Th key={c.header} ta={c.align} miw={c.width} scope="col">
                    {c.header}
                  </Table.Th>
                ))}
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody onKeyDown={walk}>
              {all.map((row) => (
                <Row key={rowKey(row)} row={row} columns={columns} link={rowLink?.(row)} />
              ))}
            </Table.Tbody>
          </Table>
        </section>
      )}
      {pager && (after || pager.isLater) && (
        <Group justify="space-between" mt="md" component="nav" aria-label={`Pages of ${caption}`}>
          <Text size="sm" c="dimmed" aria-live="polite">
            {all.length} on this page
          </Text>
          <Group gap="xs">
            <Button variant="default" size="sm" disabled={!pager.isLater} onClick={pager.back}>
              Previous
            </Button>
            <Button variant="default" size="sm" disabled={!after} onClick={() => after && pager.forth(after)}>
              Next
            </Button>
          </Group>
        </Group>
      )}
    </>
  );
}

function Row<R>({ row, columns, link }: { row: R; columns: Column<R>[]; link?: LinkProps }) {
  const anchor = useRef<HTMLAnchorElement>(null);
  return (
    <Table.Tr
      className={link && 'row-link'}
      onClick={(event) => {
        const onControl = (event.target as Element).closest('a,button,input,label,[role=menuitem]');
        if (link && !onControl && !getSelection()?.toString()) anchor.current?.click();
      }}
    >
      {columns.map((c, i) =>
        i === 0 ? (
          <Table.Th key={c.header} scope="row" fw={500}>
            {link ? (
              <Link {...link} ref={anchor} data-row>
                {c.cell(row)}
              </Link>
            ) : (
              c.cell(row)
            )}
          </Table.Th>
        ) : (
          <Table.Td key={c.header} ta={c.align}>
            {c.cell(row)}
          </Table.Td>
        ),
      )}
    </Table.Tr>
  );
}

/** Up and Down go from row to row, Home and End to the first and the last. */
function walk(event: KeyboardEvent<HTMLElement>) {
  const rows = [...event.currentTarget.querySelectorAll<HTMLElement>('a[data-row]')];
  const here = rows.indexOf(document.activeElement as HTMLElement);
  const to = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: rows.length - 1 }[event.key];
  if (here < 0 || to === undefined) return;
  event.preventDefault();
  rows[to]?.focus();
}

export type Pager = { isLater: boolean; back: () => void; forth: (after: string) => void };

/**
 * Pages by the server's cursor, which stands in the address as `after`. The way back is the way one came;
 * who came by a link to a later page gets back to the first.
 */
export function usePager(after: string | undefined, go: (after: string | undefined) => void): Pager {
  const trail = useRef<(string | undefined)[]>([]);
  return {
    isLater: after !== undefined,
    back: () => go(trail.current.pop()),
    forth: (next) => {
      trail.current.push(after);
      go(next);
    },
  };
}
