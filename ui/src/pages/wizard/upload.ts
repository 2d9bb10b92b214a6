import { useSyncExternalStore } from 'react';
import { client, queries } from '../../api/client';
import { Problem, problemOf } from '../../api/problem';
import type { components } from '../../api/schema';

// Uploads live outside of the pages: whoever goes to another step and comes back finds theirs going on.

export type Upload = {
  file: File;
  /** Bytes that Lastcall has. */
  sent: number;
  /**
   * sending: parts go · waiting: the connection is lost, it goes on by itself · completing: all are there ·
   * failed: somebody must do something
   */
  phase: 'sending' | 'waiting' | 'completing' | 'failed';
  problem?: Problem;
};

export type Reading = { country?: string; columns: Record<string, string> };

const uploads = new Map<string, Upload>();
const watchers = new Set<() => void>();

/** A campaign's upload from this page, if there is one. */
export function useUpload(campaign: string): Upload | undefined {
  return useSyncExternalStore(
    (changed) => {
      watchers.add(changed);
      return () => watchers.delete(changed);
    },
    () => uploads.get(campaign),
  );
}

function become(campaign: string, now: Upload | undefined) {
  if (now) uploads.set(campaign, now);
  else uploads.delete(campaign);
  for (const changed of watchers) changed();
}

/** Forgets a failed upload; what the server has of it stays. */
export const dismiss = (campaign: string) => become(campaign, undefined);

/** Whether one is on its way. */
export const busy = (upload: Upload | undefined) => upload !== undefined && upload.phase !== 'failed';

const atOnce = 2; // parts: the next is read and hashed while one goes
const mostParts = 10_000;

addEventListener('beforeunload', (event) => {
  if ([...uploads.values()].some(busy)) event.preventDefault();
});

/**
 * Sends a file in parts and has it imported. `begun` is the upload it goes on with, if any: what has arrived is
 * not sent again. A lost connection or an ended session only holds it up.
 */
export async function send(campaign: string, file: File, reading: Reading, begun?: string) {
  if (busy(uploads.get(campaign))) return; // a second click
  let sent = 0;
  const tell = (phase: Upload['phase'], problem?: Problem) => become(campaign, { file, sent, phase, problem });
  tell('sending');
  try {
    if (!globalThis.crypto?.subtle)
      throw fault('insecure', 'The browser checks files only over HTTPS or on localhost. Open the panel there.');
    const path = { id: campaign };
    const upload = await persist(tell, () =>
      begun
        ? client.GET('/uploads/{id}', { params: { path: { id: begun } } }).then((r) => r.data)
        : client.POST('/campaigns/{id}/uploads', { params: { path } }).then((r) => r.data),
    );
    if (!upload) throw fault('unreadable', 'Lastcall does not answer as it should.');
    const size = Math.max(upload.part_size, Math.ceil(file.size / mostParts));
    const parts = Math.max(1, Math.ceil(file.size / size));
    const there = new Map(upload.received.map((p) => [p.n, p]));
    const arrived = (bytes: number) => {
      sent += bytes;
      tell('sending');
    };
    let next = 1;
    const lane = async () => {
      while (next <= parts) {
        const n = next++;
        const part = await bytesOf(file, (n - 1) * size, Math.min(n * size, file.size));
        const digest = base64(new Uint8Array(await crypto.subtle.digest('SHA-256', part)));
        const known = there.get(n);
        if (known && known.sha256 !== digest)
          throw fault(
            'other_file',
            'This is not the file whose upload was begun. Choose that one, or cancel the upload.',
          );
        if (!known) await persist(tell, () => put(upload.import_id, n, part, digest));
        arrived(part.byteLength);
      }
    };
    await Promise.all(Array.from({ length: Math.min(atOnce, parts) }, lane));
    tell('completing');
    await persist(tell, () =>
      client.POST('/uploads/{id}/complete', {
        params: { path: { id: upload.import_id } },
        body: { parts, ...reading },
      }),
    );
    await refresh(campaign);
    become(campaign, undefined);
  } catch (error) {
    tell('failed', problemOf(error));
    void refresh(campaign);
  }
}

function put(id: string, n: number, part: ArrayBuffer, digest: string) {
  return client.PUT('/uploads/{id}/parts/{n}', {
    params: { path: { id, n }, header: { 'Content-Digest': `sha-256=:${digest}:` } },
    body: part as unknown as string, // binary, which the document has no type for
    bodySerializer: (body) => body,
    headers: { 'Content-Type': 'application/octet-stream' },
  });
}

/** Asks until there is an answer. What the server refuses is thrown; that it is away, busy or wants a sign-in is waited for. */
async function persist<T>(tell: (phase: Upload['phase']) => void, ask: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await ask();
    } catch (error) {
      const problem = problemOf(error);
      if (!problem.passing && problem.status !== 401) throw problem;
      tell('waiting');
      await pause((problem.retryAfter ?? Math.min(2 ** tries, 15)) * 1000);
      // Asking for the session is what brings up the sign-in.
      if (problem.status === 401) await queries.fetchQuery(session).catch(() => undefined);
    }
  }
}

const session = {
  queryKey: ['alive'],
  queryFn: () => client.GET('/session').then((r) => r.data ?? null),
  staleTime: 0,
  retry: false,
};

/** Waits, or until the browser is back on line. */
function pause(milliseconds: number) {
  return new Promise<void>((done) => {
    const over = () => {
      clearTimeout(timer);
      removeEventListener('online', over);
      done();
    };
    const timer = setTimeout(over, milliseconds);
    addEventListener('online', over);
  });
}

async function bytesOf(file: File, from: number, to: number): Promise<ArrayBuffer> {
  try {
    return await file.slice(from, to).arrayBuffer();
  } catch {
    throw fault('file_changed', 'The file can no longer be read: it was changed or moved. Choose it again.');
  }
}

const fault = (code: string, detail: string) => new Problem({ code, detail }, 422);

function base64(bytes: Uint8Array) {
  return btoa(String.fromCharCode(...bytes));
}

type Import = components['schemas']['Import'];
export const ended = (i: Import) => i.phase === 'done' || i.phase === 'failed' || i.phase === 'cancelled';

/** Reads anew what an import changes. */
export function refresh(campaign: string) {
  const path = { params: { path: { id: campaign } } };
  return Promise.all(
    ['/campaigns/{id}', '/campaigns/{id}/imports', '/campaigns/{id}/preflight', '/campaigns/{id}/forecast'].map((of) =>
      queries.invalidateQueries({
        queryKey: ['get', of],
        predicate: (q) => JSON.stringify(q.queryKey[2] ?? {}).includes(path.params.path.id),
      }),
    ),
  );
}
