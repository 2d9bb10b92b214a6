import type { Page } from '@playwright/test';
import { accessible, expect, lookAt, makeCampaign, numbers, runCampaign, sandbox, setFor, test, up } from './support';

// Whatever the hour is: nobody's quiet hours are now. Each test sets how fast it goes.
let restore: (() => Promise<void>)[] = [];

test.beforeEach(async ({ signedIn: page }) => {
  const hour = (n: number) => `${String((new Date().getUTCHours() + n) % 24).padStart(2, '0')}:00`;
  restore = [
    await setFor(page, 'quiet_hours', (was) => ({ ...was, MT: { start: hour(10), end: hour(12) } })),
    await setFor(page, 'throttle', () => ({ whatsapp: { per_minute: 6000 } })),
  ];
});

test.afterEach(async ({ signedIn: page }) => {
  for (const back of restore) await back();
  await sandbox(page, 'DELETE', '/faults');
});

const throttle = (page: Page, perMinute: number) =>
  page.request.put('/api/v1/settings/throttle', { data: { value: { whatsapp: { per_minute: perMinute } } } });
const standing = (page: Page) => page.locator('.standing');
const toast = (page: Page, text: string | RegExp) => page.getByRole('alert').filter({ hasText: text });

test('a campaign is watched, paused, resumed and stopped where the numbers say', async ({ signedIn: page }) => {
  test.slow(); // it waits for the ledger's minute, and looks at much
  await throttle(page, 60);
  const name = `Throttled ${Date.now()}`;
  const id = await runCampaign(page, name, numbers(200));

  // From the list by keyboard alone.
  await page.goto('/campaigns');
  const row = page.getByRole('link', { name });
  await expect(row).toBeVisible();
  await accessible(page);
  await page.locator('a[data-row]').first().focus();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowUp');
  await page.locator('a[data-row]').filter({ hasText: name }).focus();
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(`/campaigns/${id}`);
  await expect(page.getByRole('heading', { level: 1, name })).toBeVisible();

  // Nobody reloads: figures move, it says what is waited for and when the rest goes.
  await expect(page.getByRole('link', { name: /^queued \d+/ })).toContainText(/queued 1\d\d /, {
    timeout: 70_000, // the ledger's minute may be full of another test's messages
  });
  await expect(page.getByRole('heading', { name: /What \d+ wait for/ })).toBeVisible();
  await expect(page.getByText(/in the last (\d+ s|minute)/)).toBeVisible();
  await expect(page.getByText(/^in \d+ (min|s)/)).toBeVisible();
  const wave = page.getByRole('region', { name: 'When the rest goes' }).getByRole('listitem').first();
  await expect(wave).toBeVisible();
  await lookAt(page, 'campaign-running');

  // Pause: asked first, with numbers; the answer is the exact boundary.
  await page.getByRole('button', { name: 'Pause…' }).click();
  const dialog = page.getByRole('dialog');
  await expect(dialog.getByText(/\d+ recipients in the queue wait until somebody resumes it/)).toBeVisible();
  await accessible(page);
  await dialog.getByLabel('Reason').fill('The band is late');
  await dialog.getByRole('button', { name: 'Pause campaign' }).click();
  await expect(toast(page, 'Campaign paused')).toContainText(/\d+ sent, 0 in flight/);
  await expect(dialog).toBeHidden();
  await expect(standing(page)).toContainText(/Paused.*\d+ sent, 0 in flight, \d+ wait/s);
  const paused = await (await page.request.get(`/api/v1/campaigns/${id}`)).json();
  const sent = paused.sent + paused.delivered + paused.read;
  await expect(standing(page)).toContainText(`${sent} sent, 0 in flight`);
  await accessible(page);

  await page.getByRole('button', { name: 'Resume…' }).click();
  await dialog.getByRole('button', { name: 'Resume campaign' }).click();
  await expect(toast(page, 'Campaign resumed')).toBeVisible();
  await expect(standing(page)).toContainText('Running', { timeout: 60_000 });

  // Stop: only with a reason, and once however often it is clicked.
  let stops = 0;
  page.on('request', (r) => void (r.url().endsWith('/stop') && stops++));
  await page.getByRole('button', { name: 'Stop…' }).click();
  const stop = dialog.getByRole('button', { name: 'Stop campaign' });
  await expect(stop).toBeDisabled();
  await expect(dialog.getByText(/recipients still queued are cancelled/)).toBeVisible();
  await accessible(page);
  await dialog.getByLabel('Reason').fill('Rained off');
  await stop.dblclick();
  await expect(toast(page, 'Campaign stopped')).toContainText(/\d+ sent, 0 in flight/);
  await expect(standing(page)).toContainText(/Stopped for good: \d+ sent, 0 in flight, \d+ cancelled/, {
    timeout: 60_000,
  });
  expect(stops).toBe(1);
  await expect(page.getByRole('button', { name: /Pause|Resume|Stop/ })).toHaveCount(0);

  await page.getByRole('tab', { name: 'History' }).click();
  await expect(page).toHaveURL(/view=history/);
  await expect(page.getByRole('row', { name: /Stopped for good “Rained off”/ })).toBeVisible();
  await expect(page.getByRole('row', { name: /Paused “The band is late”/ })).toBeVisible();
  await accessible(page);

  // The report, as a file and on paper.
  await page.getByRole('tab', { name: 'Report' }).click();
  await expect(page.getByRole('row', { name: /^Cancelled \d+/ })).toBeVisible();
  await lookAt(page, 'campaign-report');
  const download = page.waitForEvent('download');
  await page.getByRole('link', { name: 'Report as CSV' }).click();
  expect((await download).suggestedFilename()).toBe(`report-${id}.csv`);
  await page.evaluate(() => {
    window.print = () => document.body.setAttribute('data-printed', '');
  });
  await page.getByRole('button', { name: 'Print' }).click();
  await expect(page.locator('body[data-printed]')).toBeAttached();
  await page.emulateMedia({ media: 'print', colorScheme: 'dark' });
  await expect(page.getByRole('navigation', { name: 'Main' })).toBeHidden();
  await expect(page.getByRole('button', { name: 'Print' })).toBeHidden();
  await expect(page.getByRole('heading', { name: 'Report' })).toBeVisible();
  if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/campaign-print.png`, fullPage: true });
});

test('what failed says why, and is sent again once', async ({ signedIn: page, complaints }) => {
  await sandbox(page, 'PUT', '/faults', { kind: 'error', code: 131026, share: 1, for: '5m' });
  const name = `Failing ${Date.now()}`;
  const id = await runCampaign(page, name, numbers(6, 500));
  await page.goto(`/campaigns/${id}?view=failures`);
  await expect(page.getByRole('row', { name: /code 131026/ })).toBeVisible();
  await expect(standing(page)).toContainText('Done', { timeout: 30_000 });
  await lookAt(page, 'campaign-failures');
  const download = page.waitForEvent('download');
  await page.getByRole('link', { name: 'Failures as CSV' }).click();
  expect((await download).suggestedFilename()).toBe(`failures-${id}.csv`);

  await sandbox(page, 'DELETE', '/faults');
  const keys: string[] = [];
  page.on('request', (r) => {
    if (r.method() === 'POST' && r.url().endsWith('/resend')) keys.push(r.headers()['idempotency-key'] ?? '');
  });
  await page.getByRole('main').getByRole('button', { name: 'Resend…' }).first().click();
  const dialog = page.getByRole('dialog');
  await expect(dialog.getByText('6 recipients go back into the queue.')).toBeVisible();
  await expect(dialog.getByText(/will most likely fail again/)).toBeVisible();
  await lookAt(page, 'campaign-resend');
  const again = dialog.getByRole('button', { name: 'Send to 6 again' });
  await expect(again).toBeDisabled();
  await dialog.getByLabel('Reason').fill('The phones are back');

  // The answer gets lost: said in place; the same request again is done once.
  let lose = true;
  await page.route('**/resend', async (route) => {
    if (route.request().method() !== 'POST' || !lose) return route.fallback();
    lose = false;
    await route.fetch();
    await route.abort();
  });
  await again.dblclick();
  await expect(dialog.getByText(/Lastcall cannot be reached/)).toBeVisible();
  await again.click();
  await expect(toast(page, '6 recipients are back in the queue')).toBeVisible();
  expect(keys).toHaveLength(2);
  expect(keys[0]).toMatch(/^[0-9a-f]{32}$/);
  expect(keys[1]).toBe(keys[0]);

  await expect(page.getByRole('img', { name: /^6 of 6: .*(sent|delivered|read)/ }).first()).toBeVisible({
    timeout: 30_000,
  });
  const now = await (await page.request.get(`/api/v1/campaigns/${id}`)).json();
  expect(now.resend).toBe(1);
  complaints.splice(0); // the browser notes the lost answer
});

test('whoever is unknown is sent to again only by who accepts that it may be twice', async ({ signedIn: page }) => {
  await sandbox(page, 'PUT', '/faults', { kind: 'reset', share: 1, for: '5m' });
  const id = await runCampaign(page, `Unknown ${Date.now()}`, numbers(3, 600));
  await page.goto(`/campaigns/${id}?view=failures`);
  await expect(page.getByText('3 unknown')).toBeVisible({ timeout: 60_000 });
  await page.request.post(`/api/v1/campaigns/${id}/stop`, { data: { reason: 'the test is in a hurry' } });
  const button = page.getByRole('banner').or(page.getByRole('main')).getByRole('button', { name: 'Resend…' }).first();
  await expect(button).toBeVisible({ timeout: 100_000 });
  await sandbox(page, 'DELETE', '/faults');
  await button.click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel(/3 unknown/).check();
  await dialog.getByLabel('Reason').fill('They asked for it');
  await expect(dialog.getByRole('button', { name: 'Send to 3 again' })).toBeDisabled();
  await dialog.getByLabel(/may get the message twice/).check();
  await lookAt(page, 'campaign-resend-unknown');
  await dialog.getByRole('button', { name: 'Send to 3 again' }).click();
  await expect(toast(page, '3 recipients are back in the queue')).toBeVisible();
});

test('each recipient has a story, found by number, and no number stands in an address', async ({
  signedIn: page,
  complaints,
}) => {
  const addresses: string[] = [];
  page.on('request', (r) => addresses.push(r.url()));
  const id = await runCampaign(page, `Stories ${Date.now()}`, numbers(30, 700));
  await page.goto(`/campaigns/${id}`);
  const main = page.getByRole('main');
  await expect(main.getByRole('row')).toHaveCount(26);
  await expect(main.getByText('+356 79• ••• •00')).toBeVisible();
  await expect(main.getByText('+3567901')).toHaveCount(0);
  await main.getByRole('button', { name: 'Next' }).click();
  await expect(page).toHaveURL(/after=\d+/);
  await expect(main.getByRole('row')).toHaveCount(6);
  await main.getByRole('button', { name: 'Previous' }).click();

  await page.getByLabel('Find by number').fill('+35679010729');
  await page.keyboard.press('Enter');
  const drawer = page.getByRole('dialog', { name: 'One recipient' });
  await expect(drawer.getByText('+356 79• ••• •29')).toBeVisible();
  await expect(
    drawer
      .getByRole('listitem')
      .filter({ hasText: /sending|accepted/i })
      .first(),
  ).toBeVisible();
  await expect(page).toHaveURL(/target=\d+/);
  await lookAt(page, 'campaign-timeline');
  await page.keyboard.press('Escape');
  await expect(drawer).toBeHidden();
  await expect(page).not.toHaveURL(/target=/);

  // By keyboard from the table, and back to where one was.
  const link = main.locator('a[data-row]').nth(1);
  await link.focus();
  await page.keyboard.press('Enter');
  await expect(drawer).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(drawer).toBeHidden();
  await expect(link).toBeFocused();

  await page.getByLabel('Find by number').fill('+35679999999');
  await page.keyboard.press('Enter');
  await expect(page.getByText(/The campaign has no target with this number/)).toBeVisible();
  await page.getByLabel('Find by number').fill('nobody');
  await page.keyboard.press('Enter');
  await expect(main.locator('form').getByText(/./).first()).toBeVisible();

  await page.goto(`/campaigns/${id}?state=failed`);
  await expect(page.getByRole('heading', { name: 'Nobody is failed' })).toBeVisible();
  expect(addresses.filter((a) => /35679|79010/.test(decodeURIComponent(a)))).toEqual([]);
  complaints.splice(0); // the browser notes the 404 and the 422
});

test('what others order meanwhile is seen, and nothing is done twice', async ({ signedIn: page, complaints }) => {
  await throttle(page, 60);
  const id = await runCampaign(page, `Contested ${Date.now()}`, numbers(150, 800));
  await page.goto(`/campaigns/${id}`);
  const dialog = page.getByRole('dialog');

  // No answer: the dialog stays, and the same order can be given again.
  await page.route('**/pause', (route) => route.abort(), { times: 1 });
  await page.getByRole('button', { name: 'Pause…' }).click();
  await dialog.getByRole('button', { name: 'Pause campaign' }).click();
  await expect(dialog.getByRole('alert')).toContainText('Lastcall cannot be reached');

  // Noted, but not in effect within its time.
  await page.route(
    '**/pause',
    async (route) => {
      const answer = await route.fetch();
      await route.fulfill({ response: answer, status: 202 });
    },
    { times: 1 },
  );
  await dialog.getByRole('button', { name: 'Pause campaign' }).click();
  await expect(toast(page, 'Pause ordered')).toContainText('It takes effect shortly');
  await page.getByRole('button', { name: 'Resume…' }).click();

  // Somebody else stops it while the question is open.
  const stopped = await page.request.post(`/api/v1/campaigns/${id}/stop`, { data: { reason: 'fire alarm' } });
  expect(stopped.ok()).toBe(true);
  await dialog.getByRole('button', { name: 'Resume campaign' }).click();
  await expect(dialog.getByRole('alert')).toContainText(/Cannot resume: the campaign/);
  await page.keyboard.press('Escape');
  await expect(standing(page)).toContainText('Stopped for good');
  await expect(page.getByRole('button', { name: 'Resume…' })).toHaveCount(0);
  complaints.splice(0); // the browser notes the lost answer and the 409
});

test('an API that goes away is told quietly, and the figures live again when it is back', async ({
  signedIn: page,
  complaints,
}) => {
  await throttle(page, 60);
  const id = await runCampaign(page, `Reconnecting ${Date.now()}`, numbers(300, 1000));
  await page.goto(`/campaigns/${id}`);
  const queued = page.getByRole('link', { name: /^queued \d+/ });
  await expect(queued).toContainText(/queued 2\d\d /, { timeout: 70_000 });
  const before = await queued.textContent();

  const old = up().pids.api;
  if (!old) throw new Error('up.json names no API');
  // It is back within a second: the way to it stays closed until the page has been looked at.
  await page.route('**/api/v1/events', (route) => route.abort());
  process.kill(old, 'SIGKILL');
  await expect(page.getByText(/Reconnecting… figures as of/)).toBeVisible();
  await expect(queued).toBeVisible(); // what was there stays
  await accessible(page);
  if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/campaign-reconnecting.png` });
  await page.unroute('**/api/v1/events');
  await expect(page.getByText(/Reconnecting… figures as of/)).toBeHidden({ timeout: 60_000 });
  await expect.poll(() => up().pids.api).not.toBe(old);
  // The ledger lets more go within the minute, and nobody reloads.
  await expect(queued).not.toHaveText(before ?? '', { timeout: 90_000 });
  await page.request.post(`/api/v1/campaigns/${id}/stop`, { data: { reason: 'the test is over' } });
  complaints.splice(0); // the browser notes what did not answer
});

test('imports tell which lines could not be taken; drafts lead to the wizard; what is not there says so', async ({
  signedIn: page,
  complaints,
}) => {
  const id = await makeCampaign(page, `Imported ${Date.now()}`);
  await page.request.post(`/api/v1/campaigns/${id}/imports`, {
    data: 'msisdn,name\n+35679012000,A\nnobody,B\n+35679012000,C\n12,D\n',
    headers: { 'Content-Type': 'text/csv' },
  });
  await page.goto(`/campaigns/${id}`);
  await expect(page.getByRole('link', { name: 'Continue setting up' })).toHaveAttribute(
    'href',
    `/campaigns/${id}/edit`,
  );
  await page.getByRole('button', { name: 'Show the 2 invalid lines' }).click();
  await expect(page.getByRole('region', { name: 'invalid lines', exact: true }).getByRole('row')).toHaveCount(3);
  await lookAt(page, 'campaign-imports');
  await page.goto('/campaigns/01920000-0000-7000-8000-000000000000');
  await expect(page.getByRole('heading', { name: 'There is no such campaign' })).toBeVisible();
  await page.getByRole('link', { name: 'All campaigns' }).click();
  await expect(page).toHaveURL('/campaigns');
  complaints.splice(0); // the browser notes the 404
});
