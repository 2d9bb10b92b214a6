import { AxeBuilder } from '@axe-core/playwright';
import { chromium, type Page } from '@playwright/test';
import { film, qrCode } from './qr';
import { accessible, expect, setFor, test } from './support';

// The station app, on a phone of its own. The admin's session is in the same browser: below /station it counts for nothing.

test.use({ viewport: { width: 375, height: 812 }, hasTouch: true });

type Counter = { id: string; code: string; pin: string; link: string };
type Voucher = { id: string; code: string; qr: string };

/** A bar with a station, somebody who works there, and a link that enrols a phone. */
async function counter(page: Page, name: string): Promise<Counter> {
  const code = `ST-${name}-${String(Date.now()).slice(-6)}`;
  const bar = await post(page, '/bars', { code, name: 'Sundowner', country: 'RW' });
  const station = await post(page, '/stations', { bar_id: bar.id, code: `${code}-1`, name: 'Long counter' });
  const { pin } = await post(page, `/stations/${station.id}/operators`, { name: 'Jeanne Example' });
  return { id: station.id, code: station.code, pin, link: await link(page, station.id) };
}

const link = async (page: Page, station: string): Promise<string> => {
  const { link } = await post(page, `/stations/${station}/enrolments`, { name: 'Counter phone' });
  return new URL(link).pathname + new URL(link).hash;
};

async function voucher(page: Page, stations: string[], amount = '2000'): Promise<Voucher> {
  const body = {
    msisdn: '+250788000321',
    amount,
    currency: 'RWF',
    stations,
    expires_at: new Date(Date.now() + 86_400_000),
  };
  const { id } = await post(page, '/vouchers', body);
  const { code, qr } = await post(page, `/vouchers/${id}/reveal`);
  return { id, code, qr };
}

// biome-ignore lint/suspicious/noExplicitAny: what the API answers
async function post(page: Page, path: string, data?: object): Promise<any> {
  const answer = await page.request.post(`/api/v1${path}`, { data });
  expect(answer.ok(), `${path}: ${await answer.text()}`).toBe(true);
  return answer.json();
}

/** What the server has of a station's redemptions. */
async function redeemed(page: Page, at: Counter): Promise<{ voucher_id: string }[]> {
  return (await (await page.request.get(`/api/v1/redemptions?station=${at.id}`)).json()).redemptions;
}

async function enrol(page: Page, at: Counter) {
  await page.goto(at.link);
  await page.getByRole('button', { name: 'Enrol this phone' }).click();
  await expect(page.getByRole('heading', { name: 'Long counter' })).toBeVisible();
}

async function signIn(page: Page, pin: string) {
  for (const digit of pin) await page.getByRole('button', { name: digit, exact: true }).click();
}

async function open(page: Page, at: Counter) {
  await enrol(page, at);
  await signIn(page, at.pin);
  await expect(page.getByRole('button', { name: 'Scan' })).toBeVisible();
}

/** Looks at the page on the smallest phone, on a usual one and on its side: nothing sticks out, contrast is AA, of buttons AAA. */
async function look(page: Page, name: string) {
  for (const [width, height] of [
    [320, 568],
    [375, 812],
    [667, 375],
  ] as const) {
    await page.setViewportSize({ width, height });
    const out = () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    await expect.poll(out, `${name} sticks out at ${width}`).toBeLessThanOrEqual(0);
    if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/${name}-${width}.png` });
  }
  await page.setViewportSize({ width: 375, height: 812 });
  await accessible(page);
  const buttons = page.locator('.primary, .tile');
  if ((await buttons.count()) === 0) return;
  const axe = new AxeBuilder({ page }).setLegacyMode().withRules('color-contrast-enhanced').include('.primary, .tile');
  const { violations, passes } = await axe.analyze();
  expect([violations.map((v) => v.help), passes.length], `${name}: AAA`).toEqual([[], 1]);
}

/** The browser notes answers that refuse and calls without a connection; the tests look at what the app makes of them. */
test.afterEach(({ complaints }) => {
  complaints.splice(0, complaints.length, ...complaints.filter((c) => !c.includes('Failed to load resource')));
});

/** A camera in front of which scan() holds a code. */
async function camera(page: Page) {
  await page.addInitScript(() => {
    const canvas = Object.assign(document.createElement('canvas'), { width: 640, height: 480 });
    const paint = canvas.getContext('2d');
    let rows: number[][] = [];
    const draw = () => {
      if (!paint) return;
      paint.fillStyle = 'white';
      paint.fillRect(0, 0, 640, 480);
      paint.fillStyle = 'black';
      for (const [y, row] of rows.entries())
        for (const [x, value] of row.entries()) if (value === 0) paint.fillRect(60 + x * 8, 30 + y * 8, 8, 8);
    };
    const lastcallPresent = (shown: number[][]) => {
      rows = shown;
      draw();
    };
    Object.assign(window, { lastcallPresent });
    setInterval(draw, 50);
    navigator.mediaDevices.getUserMedia = async () => canvas.captureStream(10);
  });
}

/** Goes to the camera, with a code in front of it. */
async function scan(page: Page, qr: string) {
  const { rows } = await qrCode(qr);
  // biome-ignore lint/suspicious/noExplicitAny: camera() put it there
  await page.evaluate((shown) => (window as any).lastcallPresent(shown), rows);
  await page.getByRole('button', { name: 'Scan' }).click();
}

async function offline(page: Page, is: boolean) {
  await page.context().setOffline(is);
  await expect(page.getByRole('banner').getByText(is ? 'No connection' : 'Online')).toBeVisible({ timeout: 30_000 });
}

const home = (page: Page) => page.getByRole('button', { name: 'Home', exact: true }).last().click();

test('[smoke 21, 22, 30] sign-in, home, contrast: a phone is enrolled, somebody signs in and finds what there is to do', async ({
  signedIn: page,
}) => {
  test.slow();
  const at = await counter(page, 'A');
  await page.goto('/station');
  await expect(page).toHaveURL(/\/station\/$/);
  await expect(page.getByRole('heading', { name: 'This phone is not enrolled' })).toBeVisible();
  await look(page, 'station-not-enrolled');
  await page.goto(at.link);
  await page.reload();
  await expect(page.getByRole('button', { name: 'Enrol this phone' })).toBeVisible();
  await look(page, 'station-enrol');
  await page.getByRole('button', { name: 'Enrol this phone' }).click();
  await expect(page.getByRole('heading', { name: 'Long counter' })).toBeVisible();
  await expect(page, 'the token is gone').toHaveURL(/\/station\/$/);
  await signIn(page, at.pin === '135790' ? '135791' : '135790');
  await expect(page.getByRole('alert')).toContainText('This PIN is nobody’s here');
  await look(page, 'station-sign-in');
  await page.keyboard.type(at.pin);
  await expect(page.getByRole('navigation', { name: 'What to do' }).getByRole('button')).toHaveText([
    'Scan',
    'Enter code',
    'Balance',
    'History',
  ]);
  for (const tile of await page.locator('.tile').all()) {
    const size = await tile.evaluate((e) => Number.parseFloat(getComputedStyle(e).fontSize));
    expect(size).toBeGreaterThanOrEqual(20);
  }
  await look(page, 'station-home');

  await page.getByRole('button', { name: 'Scan' }).click();
  await expect(page.getByRole('alert')).toContainText('no camera'); // this browser has no camera
  await look(page, 'station-no-camera');
  await page.getByRole('button', { name: 'Jeanne' }).click();
  await expect(page.getByText('Vouchers are not accepted without a connection')).toBeVisible();
  await look(page, 'station-phone');
  await page.getByRole('button', { name: 'Sign out' }).click();
  await expect(page.getByRole('heading', { name: 'Long counter' })).toBeVisible();
});

test('[smoke 24, 25, 26, 27, 28] redeem by code, wrong code, replay, balance, history paging', async ({
  signedIn: page,
  context,
}) => {
  test.slow();
  const at = await counter(page, 'B');
  await open(page, at);
  const one = await voucher(page, [], '12500');
  const enter = async (code: string) => {
    await page.getByRole('button', { name: 'Enter code' }).click();
    await page.getByLabel('The eight characters').fill(code);
    await page.getByRole('button', { name: 'Look it up' }).click();
  };

  // A slip of the finger is found before the network: it costs no try.
  let calls = 0;
  page.on('request', (r) => r.url().includes('/vouchers/check') && calls++);
  const last = one.code.endsWith('0') ? '1' : '0';
  await enter(one.code.slice(0, -1) + last);
  await expect(page.getByRole('alert')).toContainText('look at it again');
  expect(calls).toBe(0);
  await look(page, 'station-code-slip');
  await page.getByLabel('The eight characters').fill('0000 0000');
  await page.getByRole('button', { name: 'Look it up' }).click();
  await expect(page.getByRole('heading', { name: 'Refused' })).toBeFocused();
  await expect(page.getByText('No voucher has this code')).toBeVisible();
  expect(calls).toBe(1);
  await look(page, 'station-wrong-code');
  await home(page);

  await enter(one.code.toLowerCase().replace('-', ' '));
  await expect(page.getByText('12,500 RWF')).toBeVisible();
  await expect(page.getByText('+250 78• ••• 321')).toBeVisible();
  await look(page, 'station-confirm');
  await page.getByRole('button', { name: 'Redeem', exact: true }).click();
  await expect(page.getByRole('heading', { name: 'Redeemed' })).toBeFocused();
  expect(await page.locator('.amount').evaluate((e) => getComputedStyle(e).fontSize)).toBe('64px'); // 48 points
  await look(page, 'station-confirmed');
  await page.getByRole('button', { name: 'Next voucher' }).click();
  await page.getByLabel('The eight characters').fill(one.code);
  await page.getByRole('button', { name: 'Look it up' }).click();
  await expect(page.getByText('This voucher was redeemed on')).toBeVisible();
  await expect(page.getByText(`${at.code}, Long counter`, { exact: true })).toBeVisible();
  await look(page, 'station-replay');
  await home(page);

  // The server commits, and its answer is lost: the same is sent again, and answered as the first time.
  const two = await voucher(page, [at.code]);
  let lost = 0;
  await context.route('**/station/redemptions', async (route) => {
    if (lost++) return route.continue();
    await route.fetch();
    await route.abort();
  });
  await enter(two.code);
  await page.getByRole('button', { name: 'Redeem', exact: true }).click();
  await expect(page.getByRole('heading', { name: 'Not confirmed yet' })).toBeVisible();
  await expect(page.getByRole('heading', { name: 'Redeemed' })).toBeVisible({ timeout: 30_000 });
  expect(lost).toBeGreaterThan(1);
  expect((await redeemed(page, at)).map((r) => r.voucher_id)).toEqual([two.id, one.id]);
  await context.unroute('**/station/redemptions');
  await home(page);

  for (let n = 0; n < 21; n++) {
    const v = await voucher(page, [at.code], String(100 + n));
    const done = await page.evaluate(
      async ({ code, key }) =>
        (
          await fetch('/api/v1/station/redemptions', {
            method: 'POST',
            headers: { 'Content-Type': 'application/json', 'Idempotency-Key': key },
            body: JSON.stringify({ code }),
          })
        ).status,
      { code: v.code, key: v.id },
    );
    expect(done).toBe(201);
  }
  await page.getByRole('button', { name: 'Balance' }).click();
  await expect(page.getByText('16,810 RWF').first()).toBeVisible();
  await expect(page.getByText('23 vouchers')).toBeVisible();
  await expect(page.getByText('Pending settlement')).toBeVisible();
  await look(page, 'station-balance');
  await home(page);
  await page.getByRole('button', { name: 'History' }).click();
  await expect(page.getByRole('listitem')).toHaveCount(20);
  await look(page, 'station-history');
  await page.getByRole('button', { name: 'Show older ones' }).click();
  await expect(page.getByRole('listitem')).toHaveCount(23);
  await expect(page.getByRole('button', { name: 'Show older ones' })).toBeHidden();
  await page.getByRole('button', { name: '12,500 RWF' }).click();
  await expect(page.getByText('Jeanne Example')).toBeVisible();
  await expect(page.getByText('Pending')).toBeVisible();
  await look(page, 'station-detail');
});

test('[smoke 23] redeem by QR: the camera reads the card', async ({ signedIn: page, baseURL }, info) => {
  test.slow();
  const at = await counter(page, 'C');
  const one = await voucher(page, [at.code]);
  const file = info.outputPath('card.y4m');
  film(await qrCode(one.qr), file);
  const { launchOptions } = info.project.use;
  const fake = [
    '--use-fake-device-for-media-stream',
    '--use-fake-ui-for-media-stream',
    `--use-file-for-fake-video-capture=${file}`,
  ];
  const browser = await chromium.launch({ ...launchOptions, args: [...(launchOptions?.args ?? []), ...fake] });
  const phone = await browser.newPage({ baseURL, viewport: { width: 375, height: 812 }, locale: 'en-GB' });
  const complaints: string[] = [];
  phone.on('console', (m) => m.type() === 'error' && !m.text().includes('status of 401') && complaints.push(m.text()));
  try {
    await open(phone, at);
    await phone.getByRole('button', { name: 'Scan' }).click();
    await expect(phone.getByRole('heading', { name: 'Redeem this voucher?' })).toBeVisible({ timeout: 30_000 });
    await expect(phone.getByText('2,000 RWF')).toBeVisible();
    await phone.getByRole('button', { name: 'Redeem', exact: true }).click();
    await expect(phone.getByRole('heading', { name: 'Redeemed' })).toBeVisible();
    expect((await redeemed(page, at)).map((r) => r.voucher_id)).toEqual([one.id]);
    expect(complaints, 'what reads QR codes is allowed to run, and is ours').toEqual([]);
  } finally {
    await browser.close();
  }
});

test('a newer app waits to be asked for, the app can be installed, and cleared storage is told', async ({
  signedIn: page,
  context,
}) => {
  test.slow();
  const at = await counter(page, 'E');
  const [ahead, gone] = [await voucher(page, [at.code]), await voucher(page, [at.code])];
  await camera(page);
  const restore = await setFor(page, 'offline_redemptions', () => ({ mode: 'on', max_age_minutes: 120 }));
  try {
    // The phone's clock is a day ahead. What it accepts is dated by the server's all the same.
    await page.clock.install({ time: Date.now() + 86_400_000 });
    await open(page, at);
    await page.getByRole('button', { name: 'Jeanne' }).click();
    await page.getByRole('button', { name: 'Accept on this phone' }).click();
    await expect(page.getByText('This phone accepts QR codes')).toBeVisible();

    // The browser would install the app: the button asks it to, once.
    await page.evaluate(() => {
      const asked = Object.assign(new Event('beforeinstallprompt', { cancelable: true }), {
        prompt: async () => void document.body.setAttribute('data-asked', ''),
      });
      window.dispatchEvent(asked);
    });
    await page.getByRole('button', { name: 'Install the app on this phone' }).click();
    await expect(page.locator('body')).toHaveAttribute('data-asked', '');
    await expect(page.getByRole('button', { name: 'Install the app on this phone' })).toBeHidden();
    await home(page);

    // Another worker is a newer app: nothing changes until somebody says so.
    await page.evaluate(async () => {
      await navigator.serviceWorker.ready;
      document.body.setAttribute('data-old', '');
      await navigator.serviceWorker.register('/station/sw.js?newer', { scope: '/station/' });
    });
    await expect(page.getByText('A newer app is here.')).toBeVisible({ timeout: 30_000 });
    await expect(page.locator('body')).toHaveAttribute('data-old', '');
    await look(page, 'station-newer');
    await page.getByRole('button', { name: 'A newer app is here.' }).click();
    await expect(page.locator('body')).not.toHaveAttribute('data-old', '', { timeout: 30_000 });
    await expect(page.getByRole('button', { name: 'Scan' })).toBeVisible();

    await offline(page, true);
    await scan(page, ahead.qr);
    await page.getByRole('button', { name: 'Accept', exact: true }).click({ timeout: 30_000 });
    await expect(page.getByRole('heading', { name: 'Accepted, not yet redeemed' })).toBeVisible();
    await offline(page, false);
    await expect
      .poll(async () => (await redeemed(page, at)).map((r) => r.voucher_id), { timeout: 60_000 })
      .toEqual([ahead.id]);
    const [done] = (await redeemed(page, at)) as unknown as { offline_at: string }[];
    expect(Math.abs(Date.parse(done?.offline_at ?? '') - Date.now())).toBeLessThan(10 * 60_000);
    await home(page);

    // The browser clears the storage while a voucher waits: the phone says what that means.
    await offline(page, true);
    await scan(page, gone.qr);
    await page.getByRole('button', { name: 'Accept', exact: true }).click({ timeout: 30_000 });
    await expect(page.getByRole('heading', { name: 'Accepted, not yet redeemed' })).toBeVisible();
    const devtools = await context.newCDPSession(page);
    const origin = new URL(page.url()).origin;
    await devtools.send('Storage.clearDataForOrigin', { origin, storageTypes: 'indexeddb' });
    await context.setOffline(false);
    await page.goto('/station/');
    await expect(page.getByRole('alert')).toContainText('This phone lost a voucher', { timeout: 30_000 });
    await look(page, 'station-lost');
    await page.getByRole('button', { name: 'Support knows' }).click();
    await expect(page.getByText('This phone lost')).toBeHidden();
    await page.reload();
    await expect(page.getByRole('button', { name: 'Scan' })).toBeVisible();
    await expect(page.getByText('This phone lost')).toBeHidden();
    expect((await redeemed(page, at)).map((r) => r.voucher_id)).toEqual([ahead.id]);
  } finally {
    await context.setOffline(false);
    await restore();
  }
});

test('[smoke 29] offline: accepted without a connection, kept over a reload, sent once, and honest about it', async ({
  signedIn: page,
  context,
}) => {
  test.slow();
  const at = await counter(page, 'D');
  const [good, spoilt, everywhere] = [
    await voucher(page, [at.code]),
    await voucher(page, [at.code]),
    await voucher(page, []),
  ];
  await camera(page);
  const restore = await setFor(page, 'offline_redemptions', () => ({ mode: 'on', max_age_minutes: 120 }));
  try {
    await open(page, at);
    await page.getByRole('button', { name: 'Jeanne' }).click();
    await page.getByRole('button', { name: 'Accept on this phone' }).click();
    await expect(page.getByText('This phone accepts QR codes')).toBeVisible();
    await look(page, 'station-lease');
    await home(page);
    await page.evaluate(() => navigator.serviceWorker.ready);
    await offline(page, true);

    // The app opens without a connection, and reads codes.
    await page.reload();
    await expect(page.getByRole('banner').getByText('No connection')).toBeVisible();
    await expect(page.getByText('QR codes of vouchers for this station can be accepted')).toBeVisible();
    await look(page, 'station-home-offline');
    await scan(page, good.qr);
    await expect(page.getByRole('heading', { name: 'Accept without a connection?' })).toBeVisible({ timeout: 30_000 });
    await look(page, 'station-confirm-offline');
    await page.getByRole('button', { name: 'Accept', exact: true }).click();
    await expect(page.getByRole('heading', { name: 'Accepted, not yet redeemed' })).toBeVisible();
    await look(page, 'station-provisional');
    await home(page);
    await expect(page.getByText('1 voucher waits to be sent')).toBeVisible();

    // Not twice, in another tab neither; not what is good elsewhere; not what was typed.
    const tab = await context.newPage();
    await camera(tab);
    await tab.goto('/station/');
    await expect(tab.getByText('1 voucher waits to be sent')).toBeVisible();
    await scan(tab, good.qr);
    await expect(tab.getByText('This phone accepted this voucher on')).toBeVisible({ timeout: 30_000 });
    await tab.close();
    await scan(page, everywhere.qr);
    await expect(page.getByText('good at more than one station')).toBeVisible({ timeout: 30_000 });
    await home(page);
    await page.getByRole('button', { name: 'Enter code' }).click();
    await page.getByLabel('The eight characters').fill(good.code);
    await page.getByRole('button', { name: 'Look it up' }).click();
    await expect(page.getByText('codes take one')).toBeVisible();
    await home(page);
    await page.reload();
    await expect(page.getByText('1 voucher waits to be sent')).toBeVisible();
    expect(await redeemed(page, at)).toEqual([]);

    await offline(page, false);
    await expect(page.getByText('waits to be sent')).toBeHidden({ timeout: 30_000 });
    expect((await redeemed(page, at)).map((r) => r.voucher_id)).toEqual([good.id]);

    // Withdrawn while it waited: the phone says so, and Support has a task.
    await offline(page, true);
    await scan(page, spoilt.qr);
    await page.getByRole('button', { name: 'Accept', exact: true }).click({ timeout: 30_000 });
    await expect(page.getByRole('heading', { name: 'Accepted, not yet redeemed' })).toBeVisible();
    await post(page, `/vouchers/${spoilt.id}/void`, { reason: 'browser tests' });
    await offline(page, false);
    await expect(page.getByRole('heading', { name: 'Refused' })).toBeVisible({ timeout: 30_000 });
    await expect(page.getByText('This voucher was withdrawn')).toBeVisible();
    await look(page, 'station-refused-at-sync');
    await home(page);
    await page.getByRole('button', { name: '1 voucher was refused' }).click();
    await look(page, 'station-outbox');
    await page.getByRole('button', { name: 'Seen' }).first().click();
    const { tasks } = await (await page.request.get('/api/v1/support/tasks?limit=500')).json();
    expect(tasks.filter((t: { voucher_id: string }) => t.voucher_id === spoilt.id)).toHaveLength(1);
    expect((await redeemed(page, at)).map((r) => r.voucher_id)).toEqual([good.id]);
  } finally {
    await context.setOffline(false);
    await restore();
  }
});
