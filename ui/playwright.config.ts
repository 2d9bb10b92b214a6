import { execFileSync } from 'node:child_process';
import { defineConfig } from '@playwright/test';

// Against a Lastcall that serves the panel itself (LASTCALL_PANEL), or, without one, against the built panel
// behind the stand-in of dev/, which hands calls on to LASTCALL_API with LASTCALL_TOKEN.
const port = Number(process.env.LASTCALL_PREVIEW_PORT ?? 4173);
const panel = process.env.LASTCALL_PANEL ?? `http://127.0.0.1:${port}`;

export default defineConfig({
  testDir: 'e2e',
  outputDir: 'test-results',
  workers: 1, // they share one Lastcall
  forbidOnly: true,
  timeout: 120_000,
  expect: { timeout: 10_000 },
  reporter: [['list']],
  use: {
    baseURL: panel,
    locale: 'en-GB',
    timezoneId: 'Africa/Kigali',
    trace: 'retain-on-failure',
    launchOptions: {
      executablePath: chromium(),
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    },
  },
  webServer: process.env.LASTCALL_PANEL
    ? undefined
    : { command: `npx vite preview --strictPort --port ${port}`, url: panel, reuseExistingServer: false },
});

/** The browser: CHROME_PATH, else the one on PATH. scripts/chromium.sh installs one. */
function chromium(): string {
  return process.env.CHROME_PATH || execFileSync('scripts/chromium.sh', { encoding: 'utf8' }).trim();
}
