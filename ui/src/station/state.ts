import { useSyncExternalStore } from 'react';
import * as box from './box';
import { call, type Device, type Keys, type Session, type Trouble, troubleOf } from './call';
import * as clock from './clock';
import type { Known } from './offline';
import { sendAll } from './outbox';
import * as pending from './pending';
import type { Key } from './token';

// What all pages share: who works here, whether the server is heard of, what waits to be sent. Pages read it with useStation.

export type Station = {
  /** What stands between this phone and its work. */
  phase: 'starting' | 'unreachable' | 'enrol' | 'sign-in' | 'ready';
  device?: Device;
  session?: Session;
  keys: Key[];
  /** Whether the last call was answered. */
  online: boolean;
  rows: box.Row[];
  outcomes: box.Outcome[];
  /** Why what waits is not sent, when it is not for want of a connection. */
  held?: Trouble;
  /** How many vouchers waited to be sent when the browser cleared what the phone keeps. */
  lost?: number;
  /** A newer app is here; calling it changes over. */
  update?: () => void;
  /** The browser would install the app; calling it asks. */
  install?: () => void;
};

let state: Station = { phase: 'starting', keys: [], online: navigator.onLine, rows: [], outcomes: [] };
const listeners = new Set<() => void>();

export function set(change: Partial<Station>) {
  state = { ...state, ...change };
  for (const listener of listeners) listener();
}

export const station = () => state;

export function useStation(): Station {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => state,
  );
}

/** Other tabs of the app. */
const tabs = 'BroadcastChannel' in self ? new BroadcastChannel('lastcall-station') : undefined;

/** Looks at what waits, here and in the other tabs. */
export async function refresh() {
  await reread();
  tabs?.postMessage('changed');
}

async function reread() {
  const read = await Promise.all([box.rows(), box.outcomes(), box.fact('box')]).catch(() => undefined);
  if (!read) return;
  const [rows, outcomes, name = ''] = read;
  const waited = pending.noted();
  if (waited.n > 0 && waited.box !== name)
    set({ lost: waited.n }); // noted until somebody has seen it
  else pending.note(rows.length, name);
  set({ rows, outcomes });
}

/** Somebody has read that vouchers were lost. */
export async function lostSeen() {
  pending.note(0, '');
  set({ lost: undefined });
  await refresh();
}

/** What the phone knows of itself, for accepting vouchers without a connection. */
export const known = (): Known => ({
  session: state.session,
  keys: state.keys,
  now: clock.now(),
  contact: clock.contact(),
  putBack: clock.putBack(),
});

/** A call, by which the app learns whether there is a connection and whether somebody is signed in. */
export async function ask<T>(method: string, path: string, body?: object): Promise<T> {
  try {
    const answer = await call<T>(method, path, body);
    if (!state.online) set({ online: true });
    return answer;
  } catch (error) {
    throw await heard(troubleOf(error));
  }
}

/** Takes in what a failure says about the connection and the session. */
export async function heard(trouble: Trouble): Promise<Trouble> {
  set({ online: trouble.status !== 0 });
  if (trouble.status === 401 && trouble.code !== 'wrong_credentials') await signedOut(trouble.code);
  return trouble;
}

async function signedOut(why: string) {
  await box.keep('session', undefined).catch(() => undefined);
  if (why === 'device_unknown') {
    await box.keep('device', undefined).catch(() => undefined);
    set({ phase: 'enrol', session: undefined, device: undefined });
  } else {
    set({ phase: state.device ? 'sign-in' : 'starting', session: undefined });
    if (!state.device) await start();
  }
}

/** Somebody has signed in, or their session has changed. */
export async function signedIn(session: Session) {
  const { device, station: here } = session;
  set({ phase: 'ready', session, device: { device, station: here }, held: undefined });
  await Promise.all([box.keep('session', session), box.keep('device', { device, station: here })]).catch(
    () => undefined,
  );
}

/** Finds out where the app stands: from the server, else from what the phone keeps. */
export async function start() {
  await reread();
  const [device, session, keys] = await Promise.all([box.fact('device'), box.fact('session'), box.fact('keys')]).catch(
    () => [],
  );
  set({ device, session, keys: keys ?? [] });
  if (session) set({ phase: 'ready' }); // work goes on while the server is asked
  try {
    if (!device) {
      const found = await call<Device>('GET', '/device');
      set({ device: found });
      await box.keep('device', found).catch(() => undefined);
    }
    await signedIn(await call<Session>('GET', '/session'));
    set({ online: true });
    void work();
  } catch (error) {
    const trouble = troubleOf(error);
    set({ online: trouble.status !== 0 });
    if (trouble.status === 401) {
      await box.keep('session', undefined).catch(() => undefined);
      const enrolled = trouble.code !== 'device_unknown' && state.device !== undefined;
      set({ phase: enrolled ? 'sign-in' : 'enrol', session: undefined });
    } else if (!session) {
      set({ phase: device ? 'sign-in' : 'unreachable' });
    }
  }
}

let working: Promise<void> | undefined;

/** Hears of the server, sends what waits, and keeps what is needed without a connection. One at a time. */
export function work(): Promise<void> {
  working ??= round().finally(() => {
    working = undefined;
  });
  return working;
}

let keysAt = 0;

async function round() {
  if (state.phase === 'starting' || state.phase === 'enrol') return;
  if (state.phase === 'unreachable') return start();
  if (state.phase === 'sign-in' && state.session === undefined) {
    // Whether there is a connection can be told without anybody being signed in.
    await ask('GET', '/device').catch(() => undefined);
    return;
  }
  try {
    await signedIn(await ask<Session>('GET', '/session'));
    if (Date.now() - keysAt > 5 * 60_000) {
      const { keys } = await ask<Keys>('GET', '/keys');
      set({ keys });
      await box.keep('keys', keys).catch(() => undefined);
      keysAt = Date.now();
    }
  } catch {
    return; // ask has told what there is to tell
  }
  if ((await box.rows().catch(() => [])).length > 0) {
    const held = await sendAll();
    set({ held });
    if (held) await heard(held);
  }
  await box.tidy(clock.now()).catch(() => undefined);
  await refresh();
}

const often = 5_000; // ms, while something waits or there is no connection
const seldom = 60_000;
let last = 0;

/** Works whenever there is a reason to: a connection, somebody who looks, another tab, time. */
export function keepWorking() {
  addEventListener('online', () => void work());
  addEventListener('offline', () => set({ online: false }));
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible') void work();
  });
  tabs?.addEventListener('message', (event) => {
    if (event.data === 'session') void start();
    else void reread();
  });
  setInterval(() => {
    const wait =
      (state.rows.length > 0 || !state.online) && (state.held?.retryAfter ?? 0) * 1000 <= Date.now() - last
        ? often
        : seldom;
    if (Date.now() - last < wait) return;
    last = Date.now();
    void work();
  }, 1000);
}

/** Tells the other tabs that somebody has signed in or out. */
export const tellTabs = () => tabs?.postMessage('session');
