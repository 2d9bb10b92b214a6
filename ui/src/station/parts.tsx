import { type ReactNode, useEffect, useRef } from 'react';
import { dayTimeZone } from '../parts/format';
import { station } from './state';

// What the pages are made of.

/** A page's heading. It takes the focus, so that it is read out when the page changes. */
export function Title({ children }: { children: ReactNode }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus({ preventScroll: true }), []);
  return (
    <h1 ref={heading} tabIndex={-1}>
      {children}
    </h1>
  );
}

/** 2,000 RWF, 12.50 EUR: of the plain decimal that the API tells. */
export function money(amount: string, currency: string): string {
  const [whole = '0', cents] = amount.split('.');
  return `${Number(whole).toLocaleString('en')}${cents ? `.${cents}` : ''} ${currency}`;
}

/** An amount that is read across a bar: 48 points, its currency smaller. */
export function Amount({ amount, currency }: { amount: string; currency: string }) {
  const [number = '', unit] = money(amount, currency).split(' ');
  return (
    <p className={number.length > 8 ? 'amount long' : 'amount'}>
      {number} <small>{unit}</small>
    </p>
  );
}

/** 23 Nov, 06:02 (Kigali), in the station's zone. */
export const when = (at: string | number) =>
  dayTimeZone(new Date(at), station().session?.station.zone ?? station().device?.station.zone);

/** What went wrong. */
export function Failed({ children, retry }: { children: ReactNode; retry?: () => void }) {
  return (
    <div className="failed" role="alert">
      <p>{children}</p>
      {retry && (
        <button type="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

export function Facts({ of }: { of: [string, ReactNode][] }) {
  return (
    <dl>
      {of.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
