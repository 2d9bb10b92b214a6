import { execFileSync } from 'node:child_process';
import { defineConfig } from '@playwright/test';
import { results } from './e2e/sign-in';

// Against a running Lastcall: LASTCALL_PANEL is its address, LASTCALL_EMAIL and LASTCALL_PASSWORD an admin of it.
export default defineConfig({
  testDir: 'e2e',
  testMatch: process.env.SCREENSHOTS ? 'screenshots.ts' : '*.spec.ts',
  outputDir: results,
  globalSetup: './e2e/sign-in.ts',
  workers: 1, // they share one Lastcall
  forbidOnly: true,
  retries: 1, // a browser may hang as it opens a page; the report names what passed only then
  timeout: 120_000,
  expect: { timeout: 10_000 },
  reporter: [['list']],
  use: {
    baseURL: process.env.LASTCALL_PANEL,
    locale: 'en-GB',
    timezoneId: 'Africa/Kigali',
    navigationTimeout: 30_000,
    screenshot: 'only-on-failure', // and `--trace retain-on-failure` for more: it takes a third of the time
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
});

/** The browser: CHROME_PATH, else the one on PATH. scripts/chromium.sh installs one. */
function chromium(): string {
  return process.env.CHROME_PATH || execFileSync('scripts/chromium.sh', { encoding: 'utf8' }).trim();
}
