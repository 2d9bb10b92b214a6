// The station app's service worker: it keeps the app, so that it opens without a connection. It keeps no answer of the
// API's, and sends nothing: what was accepted offline waits in the page's outbox (outbox.ts).
//
// The build puts in which files there are, and a version made of them: another file, another worker, another cache.

const version = 'station-__VERSION__';
const files = __FILES__; // the page is '/station/'

self.addEventListener('install', (event) => {
  event.waitUntil(
    caches.open(version).then((cache) => cache.addAll(files.map((file) => new Request(file, { cache: 'no-cache' })))),
  );
});

self.addEventListener('activate', (event) => {
  const tidy = async () => {
    for (const name of await caches.keys())
      if (name.startsWith('station-') && name !== version) await caches.delete(name);
    await self.clients.claim();
  };
  event.waitUntil(tidy());
});

// A newer worker waits until somebody says so: nothing is swapped in the middle of a redemption.
self.addEventListener('message', (event) => {
  if (event.data === 'update') self.skipWaiting();
});

self.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== 'GET' || url.origin !== location.origin || !url.pathname.startsWith('/station/')) return;
  const kept = async () => {
    const cache = await caches.open(version);
    const name = request.mode === 'navigate' ? '/station/' : url.pathname;
    return (await cache.match(name)) ?? fetch(request);
  };
  event.respondWith(kept());
});
