import { MultiSelect, Select } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { keepPreviousData } from '@tanstack/react-query';
import { useState } from 'react';
import { api } from '../api/client';
import type { components } from '../api/schema';

// Choosing stations, of which there may be thousands: the server looks for what somebody types.

type Station = components['schemas']['Station'];

/** What is offered at once; who does not find theirs types more. */
const offered = 50;

const label = (s: Station) => `${s.code}, ${s.name}`;

/** The stations with these ids or codes, a hundred at most. */
export function useStationsOf(by: { id?: string[]; code?: string[] }) {
  const query = {
    id: [...new Set(by.id)].sort().slice(0, 100),
    code: [...new Set(by.code)].sort().slice(0, 100),
  };
  const any = query.id.length + query.code.length > 0;
  return api.useQuery(
    'get',
    '/stations',
    { params: { query: { ...query, limit: 100 } } },
    { enabled: any, staleTime: 60_000, placeholderData: keepPreviousData },
  );
}

/** What to choose from after somebody typed, and what is chosen already. */
function useOffered(typed: string, chosen: Station[], value: (s: Station) => string) {
  // The words of a choice stand in the field once it is made: they are no search.
  const search = chosen.some((s) => label(s) === typed) ? '' : typed.trim();
  const [asked] = useDebouncedValue(search, 200);
  const query = api.useQuery(
    'get',
    '/stations',
    { params: { query: { limit: offered, ...(asked && { search: asked }) } } },
    { staleTime: 60_000, placeholderData: keepPreviousData },
  );
  const found = query.data?.stations ?? [];
  const all = [...found, ...chosen.filter((c) => !found.some((s) => s.id === c.id))];
  const busy = query.isPending || query.isFetching || asked !== search;
  return {
    data: all.map((s) => ({ value: value(s), label: label(s) })),
    // The server has looked already, and not only at the words of the label.
    filter: ({ options }: { options: unknown[] }) => options as never,
    nothingFoundMessage: query.isError ? 'The stations cannot be loaded' : busy ? 'Looking…' : 'No such station',
  };
}

/** One station, by its id. */
export function StationSelect({
  value,
  onChange,
}: {
  value?: string;
  onChange: (station: string | undefined) => void;
}) {
  const [typed, setTyped] = useState('');
  const chosen = useStationsOf({ id: value ? [value] : [] });
  const offer = useOffered(typed, value ? (chosen.data?.stations ?? []) : [], (s) => s.id);
  return (
    <Select
      aria-label="Station"
      placeholder="Any station"
      value={value ?? null}
      onChange={(to) => onChange(to ?? undefined)}
      searchable
      searchValue={typed}
      onSearchChange={setTyped}
      clearable
      {...offer}
    />
  );
}

type ManyProps = {
  label: string;
  description: string;
  error?: React.ReactNode;
  value?: string[];
  onChange?: (codes: string[]) => void;
};

/** Stations, by their codes, a hundred at most; none: everywhere. */
export function StationsSelect({ value = [], ...rest }: ManyProps) {
  const [typed, setTyped] = useState('');
  const chosen = useStationsOf({ code: value });
  const known = chosen.data?.stations.filter((s) => value.includes(s.code)) ?? [];
  const offer = useOffered(typed, known, (s) => s.code);
  const unknown = value.filter((code) => !offer.data.some((s) => s.value === code));
  return (
    <MultiSelect
      value={value}
      searchable
      searchValue={typed}
      onSearchChange={setTyped}
      maxValues={100}
      {...offer}
      data={[...offer.data, ...unknown.map((code) => ({ value: code, label: code }))]}
      {...rest}
    />
  );
}
