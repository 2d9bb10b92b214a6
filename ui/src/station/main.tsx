import '@fontsource-variable/inter';
import '@fontsource-variable/jetbrains-mono';
import './station.css';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './app';
import { keepWorking, set, start } from './state';

const root = document.getElementById('root');
if (!root) throw new Error('the page has no root');
createRoot(root).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
void start();
keepWorking();

addEventListener('beforeinstallprompt', (event) => {
  event.preventDefault();
  const asking = event as Event & { prompt(): Promise<unknown> };
  set({ install: () => void asking.prompt().finally(() => set({ install: undefined })) });
});
addEventListener('appinstalled', () => set({ install: undefined }));

if ('serviceWorker' in navigator && import.meta.env.PROD) void followWorker(navigator.serviceWorker);

/** Keeps the app for when there is no connection, and offers a newer one when there is. */
async function followWorker(workers: ServiceWorkerContainer) {
  let had = workers.controller !== null;
  workers.addEventListener('controllerchange', () => {
    if (had) location.reload(); // every tab changes over together
    had = true;
  });
  const registration = await workers.register('/station/sw.js', { scope: '/station/', updateViaCache: 'none' });
  const offer = () => {
    const { waiting } = registration;
    if (waiting && workers.controller) set({ update: () => waiting.postMessage('update') });
  };
  offer();
  registration.addEventListener('updatefound', () => registration.installing?.addEventListener('statechange', offer));
  setInterval(() => void registration.update().catch(() => undefined), 3600_000);
}
