import { Select, type SelectProps } from '@mantine/core';
import { countryName } from './format';

const letters = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZ'];
// Codes that are no country with phones of its own.
const none = new Set(['AQ', 'CP', 'CQ', 'DG', 'EA', 'EU', 'EZ', 'IC', 'QO', 'UN', 'XA', 'XB', 'ZZ']);

/** Every country, by name. Codes of countries that are gone are left out. */
const countries = letters
  .flatMap((a) => letters.map((b) => a + b))
  .filter(
    (code) =>
      countryName(code) !== code && !none.has(code) && Intl.getCanonicalLocales(`und-${code}`)[0] === `und-${code}`,
  )
  .map((code) => ({ value: code, label: `${countryName(code)} (${code})` }))
  .sort((a, b) => a.label.localeCompare(b.label, 'en'));

/** Picks a country, found by its name or code. */
export function CountrySelect({ except = [], ...props }: Omit<SelectProps, 'data'> & { except?: string[] }) {
  return (
    <Select
      searchable
      clearable
      limit={60}
      nothingFoundMessage="No country by this name"
      data={countries.filter((c) => !except.includes(c.value))}
      {...props}
    />
  );
}
