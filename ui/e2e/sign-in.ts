import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { request } from '@playwright/test';

/** Where what the tests leave goes: those that run beside others have a directory of their own. */
export const results = process.env.RESULTS ?? 'test-results';

/** Where the one session is that all tests share, but those that are about sessions. */
export const session = `${results}/session.json`;

/** Who signs in. */
export const email = wanted('LASTCALL_EMAIL');
export const password = wanted('LASTCALL_PASSWORD');

/** Signs in once for all tests: each sign-in costs the server an argon2id. */
export default async function signInOnce() {
  const api = await request.newContext({ baseURL: wanted('LASTCALL_PANEL') });
  const answer = await api.post('/api/v1/session', { data: { email, password } });
  if (!answer.ok()) throw new Error(`sign-in: ${await answer.text()}`);
  mkdirSync(dirname(session), { recursive: true });
  await api.storageState({ path: session });
  await api.dispose();
}

function wanted(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`set ${name}: the browser tests run against a running Lastcall (see README.md)`);
  return value;
}
