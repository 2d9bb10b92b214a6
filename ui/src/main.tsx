import '@fontsource-variable/inter/wght.css';
import '@fontsource-variable/jetbrains-mono/wght.css';
import '@mantine/core/styles.css';
import '@mantine/notifications/styles.css';
import '@mantine/spotlight/styles.css';
import './app/panel.css';

import { MantineProvider } from '@mantine/core';
import { Notifications } from '@mantine/notifications';
import { QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { setNonce } from 'get-nonce';
import { lazy, StrictMode, Suspense } from 'react';
import { createRoot } from 'react-dom/client';
import './app/links';
import { queries } from './api/client';
import { router } from './app/pages';
import { SessionGate } from './app/session';
import { theme, variables } from './app/theme';
import { ConfirmProvider } from './parts/confirm';

// The page's content security policy lets in only styles that carry its nonce.
const nonce = document.querySelector<HTMLMetaElement>('meta[name=csp-nonce]')?.content ?? '';
setNonce(nonce); // for react-remove-scroll, under Mantine's dialogs

// The pages that links from mails lead to are for who is not signed in, and stand outside of the panel.
const FromMail = {
  '/welcome': lazy(() => import('./pages/welcome').then((m) => ({ default: m.WelcomePage }))),
  '/reset': lazy(() => import('./pages/reset').then((m) => ({ default: m.ResetPage }))),
}[location.pathname];

const root = document.getElementById('root');
if (!root) throw new Error('index.html has no #root');

createRoot(root).render(
  <StrictMode>
    <MantineProvider
      theme={theme}
      cssVariablesResolver={variables}
      defaultColorScheme="auto"
      getStyleNonce={() => nonce}
    >
      <QueryClientProvider client={queries}>
        <Notifications position="bottom-right" limit={4} transitionDuration={120} zIndex={600} />
        <ConfirmProvider>
          {FromMail ? (
            <Suspense>
              <FromMail />
            </Suspense>
          ) : (
            <SessionGate>
              <RouterProvider router={router} />
            </SessionGate>
          )}
        </ConfirmProvider>
      </QueryClientProvider>
    </MantineProvider>
  </StrictMode>,
);
