import { request } from '@playwright/test';
import { expect, lookAt, sandbox, test } from './support';

test('[smoke 7, 8, 9, 10, 11] vouchers are filtered and exported, previewed, degraded, issued one by one and from a file, and void', async ({
  signedIn: page,
  complaints,
}) => {
  test.slow();
  const tail = String(Date.now()).slice(-6);
  await page.goto('/vouchers');
  await page.getByRole('button', { name: 'Issue voucher' }).click();
  const dialog = page.getByRole('dialog', { name: 'Issue voucher' });
  await dialog.getByLabel('Number').fill('soon');
  await dialog.getByRole('button', { name: 'Issue voucher' }).click();
  await expect(dialog.getByText('This is not a phone number.')).toBeVisible();
  complaints.splice(0); // the browser notes the 422
  await expect(dialog.getByRole('img', { name: 'The voucher’s card' })).toBeVisible();
  await lookAt(page, 'voucher-issue');

  // Nobody draws cards: the preview says so, and what messages say meanwhile.
  await sandbox(page, 'PUT', '/faults', { kind: 'outage', scope: 'voucher-card', for: '10m' });
  await dialog.getByLabel('Amount').fill('2500');
  await expect(dialog.getByText('No card can be drawn now')).toBeVisible({ timeout: 30_000 });
  await expect(dialog.getByText('Until then messages say:')).toBeVisible();
  complaints.splice(0); // and the 503
  await lookAt(page, 'voucher-issue-degraded');
  await sandbox(page, 'DELETE', '/faults');
  await dialog.getByRole('button', { name: 'Try again' }).click();
  await expect(dialog.getByRole('img', { name: 'The voucher’s card' })).toBeVisible({ timeout: 30_000 });
  complaints.splice(0);

  await dialog.getByLabel('Number').fill(`+250788${tail}`);
  await dialog.getByRole('button', { name: 'Issue voucher' }).click();
  const code = (await dialog.getByText(/^[0-9A-Z]{4}-[0-9A-Z]{4}$/).textContent()) ?? '';
  await dialog.getByRole('button', { name: 'Open the voucher' }).click();
  const drawer = page.getByRole('dialog', { name: 'Voucher', exact: true });
  await expect(drawer.getByRole('heading', { name: '2,500 RWF' })).toBeVisible();
  await expect(page).toHaveURL(/\/vouchers\?voucher=[0-9a-f-]{36}$/);
  await expect(drawer.getByText(code)).toBeHidden(); // neither code nor number is shown whole, until asked for
  await drawer.getByRole('button', { name: 'Show code and number' }).click();
  await expect(drawer.getByText(code)).toBeVisible();
  await expect(drawer.getByText(`+250788${tail}`)).toBeVisible();

  // It goes in a message of its own; a second one wants somebody who knows that it may arrive twice.
  await drawer.getByRole('button', { name: 'Send…' }).click();
  const sending = page.getByRole('dialog', { name: 'Send this voucher', exact: true });
  await expect(sending.getByLabel('Template').first()).not.toHaveValue('', { timeout: 30_000 });
  await lookAt(page, 'voucher-send');
  await sending.getByRole('button', { name: 'Send voucher' }).click();
  await expect(sending).toBeHidden({ timeout: 30_000 });
  await expect(drawer.getByRole('region', { name: 'What became of it' }).getByText('Sent')).toBeVisible({
    timeout: 30_000,
  });
  await expect(drawer.getByRole('region', { name: 'Messages' }).getByRole('listitem')).toHaveCount(1);
  await drawer.getByRole('button', { name: 'Send again…' }).click();
  const twice = page.getByRole('dialog', { name: 'Send this voucher again' });
  await expect(twice.getByRole('button', { name: 'Send voucher' })).toBeDisabled();
  await twice.getByLabel('The guest may have it already').check();
  await expect(twice.getByRole('button', { name: 'Send voucher' })).toBeEnabled();
  await twice.getByRole('button', { name: 'Cancel' }).click();
  await expect(drawer.getByRole('img', { name: 'The voucher’s card' })).toBeVisible({ timeout: 30_000 });
  await lookAt(page, 'voucher');
  await drawer.getByRole('button', { name: 'Void…' }).click();
  const voiding = page.getByRole('dialog', { name: 'Void this voucher of 2,500 RWF?' });
  await voiding.getByLabel('Reason').fill('Issued by mistake');
  await lookAt(page, 'voucher-void');
  await voiding.getByRole('button', { name: 'Void voucher' }).click();
  await expect(drawer.getByText('“Issued by mistake”')).toBeVisible();
  await expect(drawer.getByRole('button', { name: 'Void…' })).toBeHidden();
  await page.keyboard.press('Escape');
  await expect(drawer).toBeHidden();

  // By its code, which gets into no address; then by what does.
  await page.getByLabel('Code or number').fill(code.toLowerCase());
  await expect(page.getByRole('row')).toHaveCount(2);
  await expect(page).toHaveURL('/vouchers');
  await page.getByLabel('Code or number').fill('K7QM');
  await expect(page.getByText('Give a whole code')).toBeVisible();
  complaints.splice(0);
  await page.getByLabel('Code or number').fill('');
  await page.getByRole('combobox', { name: 'Status' }).click();
  await page.getByRole('option', { name: 'Void' }).click();
  await expect(page).toHaveURL('/vouchers?status=void');
  await expect(page.getByRole('row').nth(1)).toContainText('Void');
  const exported = page.waitForEvent('download');
  await page.getByRole('link', { name: 'Export' }).click();
  expect((await exported).suggestedFilename()).toBe('vouchers.csv');
  await page.getByLabel('Expires from').fill('2099-01-01');
  await expect(page.getByRole('heading', { name: 'No voucher fits' })).toBeVisible();
  await page.getByRole('button', { name: 'Show all vouchers' }).click();
  await expect(page.getByRole('row', { name: 'Redeemed' }).first()).toBeVisible();
  await lookAt(page, 'vouchers');

  await page.getByRole('button', { name: 'Issue from a file' }).click();
  const batch = page.getByRole('dialog', { name: 'Issue vouchers from a file' });
  const file = `Mobile no;amount;stations\n+250788${tail};1500;ENG-001\nnobody;500;\n+250789${tail};;ENG-002\n`;
  await batch
    .locator('input[type=file]')
    .setInputFiles({ name: 'guests.csv', mimeType: 'text/csv', buffer: Buffer.from(file) });
  await expect(batch.getByText('Say which column holds the phone numbers.')).toBeVisible();
  await batch.getByRole('combobox', { name: 'Phone number' }).click();
  await page.getByRole('option', { name: 'Mobile no' }).click();
  await lookAt(page, 'vouchers-file');
  await batch.getByRole('button', { name: 'Issue vouchers' }).click();
  await expect(batch.getByText(/Line 3: msisdn/)).toBeVisible({ timeout: 30_000 });
  await lookAt(page, 'vouchers-file-done');
  await batch.getByRole('button', { name: 'Show these vouchers' }).click();
  await expect(page).toHaveURL(/\/vouchers\?batch=/);
  await expect(page.getByRole('row')).toHaveCount(3);
  await expect(page.getByRole('row', { name: '1,500 RWF' })).toContainText('ENG-001');
  await expect(page.getByRole('row', { name: '2,000 RWF' })).toContainText('ENG-002');
});

test('what stations redeem is seen by station, and what they accepted offline in vain is settled', async ({
  signedIn: page,
  baseURL,
}) => {
  test.slow();
  const tail = String(Date.now()).slice(-5);
  const post = async (path: string, data: object, by = page.request) => {
    const answer = await by.post(`/api/v1${path}`, { data, headers: { 'Idempotency-Key': crypto.randomUUID() } });
    return { status: answer.status(), body: await answer.json() };
  };
  const bar = (await post('/bars', { code: `V2E-${tail}`, name: 'Voucher Tavern', country: 'RW' })).body;
  const station = (await post('/stations', { bar_id: bar.id, code: `V2E-${tail}-1`, name: 'Counter' })).body;
  const { pin } = (await post(`/stations/${station.id}/operators`, { name: 'Jeanne Example' })).body;
  const { link } = (await post(`/stations/${station.id}/enrolments`, { name: 'Phone' })).body;
  const phone = await request.newContext({ baseURL });
  expect((await post('/station/device', { token: link.split('#enrol=')[1] }, phone)).status).toBe(201);
  expect((await post('/station/session', { station: station.code, pin }, phone)).status).toBe(200);
  const issue = async () => {
    const expires_at = new Date(Date.now() + 3_600_000).toISOString();
    const made = { msisdn: `+2507880${tail}`, amount: '700', currency: 'RWF', stations: [station.code], expires_at };
    return (await post('/vouchers', made)).body;
  };
  const first = await issue();
  expect((await post('/station/redemptions', { code: first.code }, phone)).status).toBe(201);
  const second = await issue();
  const { qr } = (await post(`/vouchers/${second.id}/reveal`, {})).body;
  const offline = { qr, offline_at: new Date(Date.now() - 8 * 24 * 3_600_000).toISOString() };
  expect((await post('/station/redemptions', offline, phone)).status).toBe(409); // longer ago than any setting allows
  await phone.dispose();

  await page.goto('/vouchers');
  await page.getByRole('tab', { name: 'Redemptions' }).click();
  await expect(page).toHaveURL('/vouchers?view=redemptions');
  await lookAt(page, 'redemptions');
  await page.getByRole('combobox', { name: 'Station' }).fill(station.code);
  await page.getByRole('option', { name: `${station.code}, Counter` }).click();
  await expect(page.getByRole('row')).toHaveCount(2);
  await expect(page.getByRole('row', { name: '700 RWF' })).toContainText('Jeanne Example');
  await page.getByLabel('Redeemed to').fill('2020-01-01');
  await expect(page.getByRole('heading', { name: 'Nothing was redeemed' })).toBeVisible();

  await page.getByRole('tab', { name: 'For Support' }).click();
  const row = page.getByRole('row', { name: station.code });
  await expect(row).toBeVisible();
  await lookAt(page, 'support-tasks');
  await row.getByRole('button', { name: 'Resolve…' }).click();
  const resolving = page.getByRole('dialog', { name: 'Resolve this task?' });
  await resolving.getByLabel('Reason').fill('Paid to the bar by hand');
  await resolving.getByRole('button', { name: 'Resolve task' }).click();
  await expect(row).toBeHidden();
  await page.getByRole('switch', { name: 'Resolved ones, too' }).click();
  await expect(row).toContainText('Paid to the bar by hand');
  await page.request.delete(`/api/v1/bars/${bar.id}`, { data: { reason: 'the test is over', with_stations: true } });
});
