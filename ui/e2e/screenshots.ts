import type { Page } from '@playwright/test';
import { expect, makeCampaign, test } from './support';

// The pictures that README.md and docs show, of a Lastcall with something in it. `make screenshots` makes them anew,
// each in light and dark: docs/screenshots/<name>-light.png and so on.

type Shot = { name: string; path: string; ready: (page: Page) => Promise<unknown>; signedOut?: boolean };

const shots: Shot[] = [
  {
    name: 'sign-in',
    path: '/',
    signedOut: true,
    ready: (page) => expect(page.getByRole('heading', { name: 'Sign in to Lastcall' })).toBeVisible(),
  },
  {
    name: 'campaigns',
    path: '/campaigns',
    ready: (page) => expect(page.getByRole('row', { name: 'Quiz night' })).toContainText('Running'),
  },
  {
    name: 'campaign',
    path: '/campaigns/:running',
    ready: (page) => expect(page.getByRole('heading', { name: 'Quiz night' })).toBeVisible(),
  },
  {
    name: 'wizard',
    path: '/campaigns/:draft/edit?step=review',
    ready: (page) => expect(page.locator('#forecast')).toBeVisible({ timeout: 30_000 }),
  },
  {
    name: 'settings',
    path: '/settings',
    ready: (page) => expect(page.getByRole('img', { name: 'Quiet hours of Rwanda' })).toBeVisible(),
  },
  {
    name: 'template',
    path: '/templates/promo_generic',
    ready: (page) => expect(page.getByRole('figure')).toBeVisible(),
  },
  {
    name: 'contacts',
    path: '/contacts',
    ready: (page) => expect(page.getByRole('row', { name: 'Aline Example' })).toBeVisible(),
  },
];

test('screenshots', async ({ signedIn: page, context, complaints }) => {
  test.setTimeout(180_000);
  const ids = await furnish(page);
  for (const shot of shots.sort((a, b) => Number(a.signedOut ?? false) - Number(b.signedOut ?? false))) {
    if (shot.signedOut) await context.clearCookies();
    for (const scheme of ['light', 'dark'] as const) {
      await page.setViewportSize({ width: 1280, height: 800 });
      await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
      await page.goto(shot.path.replace(/:(\w+)/, (_, name) => ids[name as keyof typeof ids]));
      await shot.ready(page);
      if (!shot.signedOut) await expect(page.getByText('Live', { exact: true }).locator('visible=true')).toBeVisible();
      await page.evaluate(() => document.fonts.ready);
      await page.screenshot({ path: `../docs/screenshots/${shot.name}-${scheme}.png`, animations: 'disabled' });
    }
  }
  complaints.splice(0);
});

/** Puts in what a bar group might have. The people are made up. */
async function furnish(page: Page): Promise<{ draft: string; running: string }> {
  const call = async (method: 'post' | 'put', path: string, data: unknown, type = 'application/json') => {
    const answer = await page.request[method](`/api/v1${path}`, { data, headers: { 'Content-Type': type } });
    expect(answer.ok(), `${path}: ${await answer.text()}`).toBe(true);
    return answer.json();
  };
  await call('put', '/profile', { name: 'Odile Example' });
  const people = [
    ['+250788000101', 'Aline Example', 'rw-RW', ['regular', 'jazz']],
    ['+250788000102', 'Bosco Example', 'rw-RW', ['regular']],
    ['+35679000103', 'Carmen Example', 'en-MT', ['quiz']],
    ['+250788000104', 'Diane Example', 'en-RW', ['jazz', 'vip']],
  ];
  for (const [msisdn, name, locale, tags] of people) {
    await call('post', '/contacts', { msisdn, name, locale, tags, opt_in_source: 'Card at the bar' });
  }
  const campaign = async (name: string, guests: number, prefix: string) => {
    const id = await makeCampaign(page, name);
    const lines = Array.from({ length: guests }, (_, i) => `${prefix}${String(i).padStart(6, '0')},Guest ${i}`);
    await call('post', `/campaigns/${id}/imports`, `msisdn,name\n${lines.join('\n')}\n`, 'text/csv');
    return id;
  };
  const status = async (id: string) => (await (await page.request.get(`/api/v1/campaigns/${id}`)).json()).status;
  for (const [name, guests] of [
    ['Opening of the terrace', 1840],
    ['Friday jazz', 960],
  ] as const) {
    const id = await campaign(name, guests, '+250788');
    await call('post', `/campaigns/${id}/start`, {});
    await expect.poll(() => status(id), { timeout: 60_000 }).toBe('done');
  }
  await call('put', '/settings/quiet_hours', {
    value: {
      RW: { start: '22:00', end: '06:00' },
      UG: {
        windows: [
          { start: '22:30', end: '06:00', days: ['mon', 'tue', 'wed', 'thu'] },
          { start: '00:00', end: '09:00', days: ['sat', 'sun'] },
        ],
      },
    },
    reason: 'What the neighbours asked for',
  });
  await call('put', '/settings/throttle', {
    value: { whatsapp: { per_minute: 3000 } },
    reason: 'Tier of the new number',
  });
  const draft = await campaign('New Year’s Eve tables', 9200, '+250789');
  const planned = await campaign('Sunday brunch', 640, '+35677');
  await call('post', `/campaigns/${planned}/start`, { send_at: new Date(Date.now() + 2 * 86_400e3).toISOString() });
  const running = await campaign('Quiz night', 420, '+35679');
  await call('post', `/campaigns/${running}/start`, {});
  await expect.poll(() => status(running), { timeout: 30_000 }).toBe('running');
  return { draft, running };
}
