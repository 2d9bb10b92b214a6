import { Select } from '@mantine/core';
import type { ReactNode } from 'react';
import { columnFor, type Head } from './csv';

/** What a file can tell of each of its lines. */
export type Field = { key: string; label: string; about: string };

type Props = {
  fields: Field[];
  head: Head;
  /** Which column holds a field; null: none. */
  columnOf: (key: string) => string | null;
  choose: (key: string, column: string | null) => void;
  /** What else is to be said of the file. */
  children: ReactNode;
};

/** Which column of a file is what. */
export function Columns({ fields, head, columnOf, choose, children }: Props) {
  return (
    <div className="mapping">
      {fields.map((f) => (
        <Select
          key={f.key}
          label={f.label}
          description={f.about}
          placeholder="Not in the file"
          data={head.columns.filter((c, i, all) => c && all.indexOf(c) === i)}
          value={columnOf(f.key)}
          onChange={(v) => choose(f.key, v)}
          // A column called like the field is taken for it in any case.
          clearable={f.key !== 'msisdn' && columnFor(f.key, head.columns) === undefined}
          clearButtonProps={{ 'aria-label': `No column for ${f.label}` }}
          comboboxProps={{ withinPortal: true }}
          inputWrapperOrder={['label', 'description', 'input', 'error']}
          error={f.key === 'msisdn' && !columnOf(f.key) ? 'Say which column holds the phone numbers.' : undefined}
          rightSectionPointerEvents={columnOf(f.key) ? undefined : 'none'}
        />
      ))}
      {children}
    </div>
  );
}
