import { readFileSync } from 'node:fs';
import { AxeBuilder } from '@axe-core/playwright';
import { type Browser, test as base, expect, type Page } from '@playwright/test';
import { email, password, session } from './sign-in';

export { email, expect, password };

type Watched = {
  /** What the console said about errors and the security policy about violations. A test that expects one empties it. */
  complaints: string[];
  /** The page, with the admin signed in. */
  signedIn: Page;
};

/** Every test fails on an error in the console, an uncaught exception and a report of the security policy. */
export const test = base.extend<Watched>({
  complaints: [
    async ({ page }, use) => {
      const complaints: string[] = [];
      page.on('pageerror', (error) => complaints.push(`uncaught: ${error.message}`));
      page.on('console', (message) => {
        // The browser notes every answer of 401 as an error; that nobody is signed in is none.
        const notSignedIn = message.text().includes('status of 401');
        if (message.type() === 'error' && !notSignedIn) complaints.push(`console: ${message.text()}`);
      });
      await page.exposeFunction('lastcallReport', (report: string) => complaints.push(`policy: ${report}`));
      await page.addInitScript(() => {
        document.addEventListener('securitypolicyviolation', (v) => {
          // biome-ignore lint/suspicious/noExplicitAny: the test put it there
          (window as any).lastcallReport(
            `${v.violatedDirective} ${v.blockedURI} ${v.sourceFile}:${v.lineNumber} ${v.sample}`,
          );
        });
      });
      await use(complaints);
      expect(complaints).toEqual([]);
    },
    { auto: true },
  ],
  signedIn: async ({ page, context }, use) => {
    await context.addCookies(JSON.parse(readFileSync(session, 'utf8')).cookies);
    await use(page);
  },
});

export async function signIn(page: Page, as = { email, password }) {
  await page.getByLabel('E-mail').fill(as.email);
  await page.getByLabel('Password', { exact: true }).fill(as.password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('navigation', { name: 'Main' })).toBeAttached();
}

/** A page in which a second person is signed in, whose account the first one makes. */
export async function colleague(browser: Browser, page: Page, name: string, role: string): Promise<Page> {
  const as = { email: `${name.toLowerCase()}-${Date.now()}@example.test`, password: 'a colleague of the tests 1' };
  const made = await page.request.post('/api/v1/accounts', { data: { ...as, name, role } });
  expect(made.ok(), await made.text()).toBe(true);
  const context = await browser.newContext({ baseURL: test.info().project.use.baseURL });
  const answer = await context.request.post('/api/v1/session', { data: as });
  expect(answer.ok(), await answer.text()).toBe(true);
  return context.newPage();
}

/**
 * No violation of WCAG 2.2 AA and of axe's best practices, or of the given rules alone, in what is shown now. Only
 * violations are gathered and no style sheet is fetched again: that halves what takes most of the browser tests' time.
 */
export async function accessible(page: Page, runOnly?: string[]) {
  await page.evaluate(() => Promise.all(document.getAnimations().map((a) => a.finished.catch(() => undefined))));
  // The panel has no frames: axe's old mode does without a second page to gather them in.
  const axe = new AxeBuilder({ page }).setLegacyMode();
  const { violations } = await axe
    .options({ resultTypes: ['violations'], preload: false, ...(runOnly && { runOnly }) })
    .analyze();
  expect(violations.map((v) => `${v.id}: ${v.help} ${v.nodes.map((n) => `${n.target} ${n.failureSummary}`)}`)).toEqual(
    [],
  );
}

/** The widths at which every page is looked at. */
export const widths = [1280, 1024, 375];

/** Looks at the page at every width, in light and dark: nothing sticks out, nothing is inaccessible. SHOTS=dir keeps pictures. */
export async function lookAt(page: Page, name: string) {
  for (const scheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
    await expect(page.locator('html')).toHaveAttribute('data-mantine-color-scheme', scheme);
    for (const width of widths) {
      await page.setViewportSize({ width, height: width === 375 ? 812 : 800 });
      // The frame moves to its new place within 120 ms.
      await expect
        .poll(
          () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth),
          `${name} sticks out at ${width}`,
        )
        .toBeLessThanOrEqual(0);
      if (process.env.SHOTS)
        await page.screenshot({ path: `${process.env.SHOTS}/${name}-${width}-${scheme}.png`, animations: 'disabled' });
      // At 1024 it is the same page as at 1280, with less air; in the dark only its colours are others.
      if (width !== 1024) await accessible(page, scheme === 'dark' ? ['color-contrast'] : undefined);
    }
  }
  await page.setViewportSize({ width: 1280, height: 800 });
}

/** Makes a campaign by the API, as the page's own account. */
export async function makeCampaign(page: Page, name: string): Promise<string> {
  const answer = await page.request.post('/api/v1/campaigns', { data: { name, template: 'promo_generic' } });
  expect(answer.status(), await answer.text()).toBe(201);
  return (await answer.json()).campaign_id;
}

/** What a running Lastcall says of itself: LASTCALL_UP is its up.json, which is replaced as its processes are. */
export function up(): {
  sandbox: string;
  pids: Record<string, number>;
  accounts: { email: string; password: string; role: string }[];
} {
  const file = process.env.LASTCALL_UP;
  if (!file) throw new Error('LASTCALL_UP must be the up.json of the Lastcall that is tested');
  return JSON.parse(readFileSync(file, 'utf8'));
}

/** Asks the outside world's stand-in for something, like a fault. */
export async function sandbox(page: Page, method: 'PUT' | 'DELETE', path: string, data?: object) {
  const answer = await page.request.fetch(up().sandbox + path, { method, data });
  expect(answer.ok(), await answer.text()).toBe(true);
}

/** What a setting may be called dangerous for; a test that puts one knows of it. */
export const dangers = [
  'hardly_open',
  'inverted_window',
  'night_without_zone',
  'consent_off',
  'cap_jump',
  'blocks_masses',
  'releases_masses',
];

/** Puts a setting, and what it was before when the test is over. */
export async function setFor(page: Page, key: string, change: (was: Record<string, unknown>) => object) {
  const at = `/api/v1/settings/${key}`;
  const was = (await (await page.request.get(at)).json()).value;
  const put = async (value: object) => {
    const answer = await page.request.put(at, { data: { value, reason: 'browser tests', acknowledged: dangers } });
    expect(answer.ok(), await answer.text()).toBe(true);
  };
  await put(change(was));
  return () => put(was);
}

/** Maltese numbers of nobody, from the nth on. */
export const numbers = (count: number, from = 0) =>
  Array.from({ length: count }, (_, i) => `+356790${String(10_000 + from + i)}`);

/** Makes a campaign with these lines under "msisdn,name", and starts it. */
export async function runCampaign(page: Page, name: string, to: string[]): Promise<string> {
  const id = await makeCampaign(page, name);
  const imported = await page.request.post(`/api/v1/campaigns/${id}/imports`, {
    data: `msisdn,name\n${to.map((n, i) => `${n},Guest ${i}`).join('\n')}\n`,
    headers: { 'Content-Type': 'text/csv' },
  });
  expect(imported.ok(), await imported.text()).toBe(true);
  const started = await page.request.post(`/api/v1/campaigns/${id}/start`, { data: {} });
  expect(started.ok(), await started.text()).toBe(true);
  return id;
}
