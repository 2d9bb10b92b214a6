import { useEffect, useState } from 'react';

/**
 * State that survives a reload, in this browser: what somebody typed and has not sent yet. What was stored by
 * another version and no longer fits is as if it were not there.
 */
export function useKept<T>(key: string, initial: T, fits: (v: unknown) => v is T): [T, (v: T) => void] {
  const [value, setValue] = useState<T>(() => {
    try {
      const stored: unknown = JSON.parse(localStorage.getItem(key) ?? 'null');
      return fits(stored) ? stored : initial;
    } catch {
      return initial;
    }
  });
  useEffect(() => {
    try {
      localStorage.setItem(key, JSON.stringify(value));
    } catch {
      // A full or closed store: then it lasts as long as the page.
    }
  }, [key, value]);
  return [value, setValue];
}

export function forget(key: string) {
  try {
    localStorage.removeItem(key);
  } catch {
    // It was not kept either.
  }
}

/** A key that no other request has. */
export function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, '0')).join('');
}
