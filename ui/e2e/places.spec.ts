import { request } from '@playwright/test';
import { accessible, expect, lookAt, password, test } from './support';

test('[smoke 17, 20] a bar and its station are added, changed, staffed, equipped and deleted', async ({
  signedIn: page,
  complaints,
  baseURL,
}) => {
  test.slow();
  const tail = String(Date.now()).slice(-5);
  const code = `E2E-${tail}`;
  await page.goto('/bars');
  await page.getByRole('button', { name: 'Add bar' }).click();
  const dialog = page.getByRole('dialog', { name: 'Add bar' });
  await dialog.getByLabel('Name').fill('Test Tavern');
  await dialog.getByLabel('Code').fill(code.toLowerCase());
  await dialog.getByLabel('Address').fill(`${tail} Example Street`);
  await dialog.getByLabel('Latitude').fill('95');
  await dialog.getByLabel('Longitude').fill('30.06');
  await dialog.getByRole('button', { name: 'Add bar' }).click();
  await expect(dialog.getByText('Must be between -90 and 90 degrees.')).toBeVisible();
  complaints.splice(0); // the browser notes the 422
  await lookAt(page, 'bar-add');
  await dialog.getByLabel('Latitude').fill('-1.95');
  await dialog.getByRole('button', { name: 'Add bar' }).click();
  await expect(page.getByRole('heading', { name: 'Test Tavern' })).toBeVisible();
  await expect(page.getByRole('link', { name: '-1.95000, 30.06000' })).toHaveAttribute('href', /openstreetmap\.org/);

  await page.getByRole('button', { name: 'Add station' }).click();
  const adding = page.getByRole('dialog', { name: 'Add station' });
  await adding.getByLabel('Name').fill('Counter');
  await adding.getByLabel('Code').fill(`${code}-1`);
  await adding.getByRole('button', { name: 'Add station' }).click();
  const drawer = page.getByRole('dialog', { name: 'Station', exact: true });
  await expect(drawer.getByRole('heading', { name: 'Counter' })).toBeVisible();
  await drawer.getByRole('button', { name: 'Rename' }).click();
  const renaming = page.getByRole('dialog', { name: `Rename ${code}-1` });
  await renaming.getByLabel('Name').fill('Long counter');
  await renaming.getByRole('button', { name: 'Rename station' }).click();
  await expect(drawer.getByRole('heading', { name: 'Long counter' })).toBeVisible();

  // Somebody who works there gets a PIN, once, and a device its link.
  await drawer.getByLabel('Add somebody').fill('Jeanne Example');
  await drawer.getByRole('button', { name: 'Add and make a PIN' }).click();
  const told = page.getByRole('dialog', { name: 'Jeanne Example' });
  const pin = (await told.getByLabel('PIN').textContent()) ?? '';
  expect(pin).toMatch(/^\d{6}$/);
  await lookAt(page, 'operator-pin');
  await told.getByRole('button', { name: 'They have it' }).click();
  await expect(drawer.getByText('Has a PIN')).toBeVisible();
  await drawer.getByLabel('Enrol a device').fill('Counter phone');
  await drawer.getByRole('button', { name: 'Show the code' }).click();
  const invitation = page.getByRole('dialog', { name: 'Enrol “Counter phone”' });
  await expect(invitation.getByRole('img', { name: `Code that enrols a device at ${code}-1` })).toBeVisible();
  const link = (await invitation.getByText('/station#enrol=').textContent()) ?? '';
  await lookAt(page, 'device-enrol');
  const phone = await request.newContext({ baseURL });
  const enrolled = await phone.post('/api/v1/station/device', { data: { token: link.split('#enrol=')[1] } });
  expect(enrolled.status(), await enrolled.text()).toBe(201);
  const session = { data: { station: `${code}-1`, pin } };
  expect((await phone.post('/api/v1/station/session', session)).status()).toBe(200);
  expect((await phone.post('/api/v1/station/lease', { data: {} })).status()).toBe(200);
  await invitation.getByRole('button', { name: 'Done' }).click();
  await expect(drawer.getByText('Offline too')).toBeVisible();
  await lookAt(page, 'station');
  await drawer.getByRole('button', { name: 'Revoke Counter phone' }).click();
  const revoking = page.getByRole('dialog', { name: 'Revoke “Counter phone”?' });
  await revoking.getByLabel('Reason').fill('Lost');
  await revoking.getByRole('button', { name: 'Revoke device' }).click();
  await expect(drawer.getByText('Counter phone')).toBeHidden();
  expect((await phone.get('/api/v1/station/session')).status()).toBe(401);
  await phone.dispose();
  await page.keyboard.press('Escape');
  await expect(drawer).toBeHidden();
  await lookAt(page, 'bar');

  // Codes for the tables, on paper.
  await page.getByRole('button', { name: 'Table codes' }).click();
  await page.getByLabel('More tables').fill('4');
  await page.getByRole('button', { name: 'Make codes' }).click();
  await expect(page.getByRole('img', { name: 'Code of Table 4' })).toBeVisible();
  await lookAt(page, 'table-codes');
  await page.getByRole('button', { name: 'Revoke the code of Table 2' }).click();
  await page.getByRole('button', { name: 'Revoke code', exact: true }).click();
  await expect(page.getByRole('img', { name: 'Code of Table 2' })).toBeHidden();
  await page.emulateMedia({ media: 'print' });
  await expect(page.getByRole('button', { name: 'Make codes' })).toBeHidden();
  await expect(page.getByRole('img', { name: 'Code of Table 4' })).toBeVisible();
  if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/table-codes-print.png`, fullPage: true });
  await page.emulateMedia({ media: 'screen' });

  await page.goto(`/bars?search=${tail}+Example`);
  await page.getByRole('link', { name: 'Test Tavern' }).click();
  await page.getByRole('button', { name: `Open ${code}-1` }).click();
  await drawer.getByRole('button', { name: 'Delete…' }).click();
  const deleting = page.getByRole('dialog', { name: `Delete station ${code}-1?` });
  await expect(deleting).toContainText('1 person and 0 devices');
  await accessible(page);
  await deleting.getByLabel('Reason').fill('Rebuilt');
  await deleting.getByRole('button', { name: 'Delete station' }).click();
  await expect(page.getByRole('heading', { name: 'No stations yet' })).toBeVisible();
  await page.getByRole('button', { name: 'Delete…' }).click();
  const ending = page.getByRole('dialog', { name: 'Delete “Test Tavern”?' });
  await expect(ending).toContainText('3 codes on tables stop working.');
  await ending.getByLabel('Reason').fill('Closed');
  await ending.getByRole('button', { name: 'Delete bar' }).click();
  await expect(page.getByRole('heading', { name: 'Bars & stations' })).toBeVisible();
  await expect(page.getByText(code, { exact: true })).toBeHidden();
  await expect(page.getByRole('row', { name: 'The Example Engine' })).toContainText('ENG-001');
  await lookAt(page, 'bars');
});

test('how we are paid is written by one of Finance and confirmed by another', async ({
  page,
  context,
  browser,
  baseURL,
  signedIn,
  complaints,
}) => {
  test.slow();
  const tail = String(Date.now()).slice(-6);
  for (const who of ['writer', 'other']) {
    const made = await signedIn.request.post('/api/v1/accounts', {
      data: { email: `${who}-${tail}@example.test`, name: `Finance ${who}`, role: 'finance', password },
    });
    expect(made.status(), await made.text()).toBe(201);
  }
  const enter = async (to: typeof page, who: string) => {
    const done = await to.request.post('/api/v1/session', {
      data: { email: `${who}-${tail}@example.test`, password },
    });
    expect(done.status(), await done.text()).toBe(200);
  };
  await context.clearCookies();
  await enter(page, 'writer');
  await page.goto('/payments');
  await page.getByRole('button', { name: /^(Change|Write another draft)$/ }).click();
  const dialog = page.getByRole('dialog', { name: 'Change how we are paid' });
  await dialog.getByLabel('Revolut link').fill(`https://revolut.me/lastcall${tail}`);
  const takeOut = dialog.getByRole('button', { name: 'Take out' });
  while ((await takeOut.count()) > 0) await takeOut.first().click(); // of a run before
  await dialog.getByRole('button', { name: 'Add an instruction' }).click();
  await dialog
    .getByLabel('What they are told')
    .last()
    .fill('By the 5th of each month.\nNumber of the bar as reference.');
  await dialog.getByLabel('Currency').fill('RWX');
  await dialog.getByLabel('Reason').fill('New account');
  await dialog.getByRole('button', { name: 'Save draft' }).click();
  await expect(dialog.getByText(/ISO code, like RWF/)).toBeVisible();
  complaints.splice(0); // the browser notes the 422
  await lookAt(page, 'payments-write');
  await dialog.getByLabel('Currency').fill('RWF');
  await dialog.getByRole('button', { name: 'Save draft' }).click();
  await expect(dialog).toBeHidden();
  const draft = page.getByRole('region', { name: 'Draft' });
  await expect(draft).toContainText('You wrote it: somebody else of Finance confirms it.');
  await expect(draft.getByRole('button', { name: 'Confirm…' })).toBeHidden();

  const elsewhere = await browser.newContext({ baseURL });
  const second = await elsewhere.newPage();
  await enter(second, 'other');
  await second.goto('/payments');
  await lookAt(second, 'payments-draft');
  await second.getByRole('button', { name: 'Confirm…' }).click();
  const asked = second.getByRole('dialog', { name: 'Confirm how we are paid?' });
  await expect(asked).toContainText(`writer-${tail}@example.test wrote it`);
  await asked.getByRole('button', { name: 'Confirm', exact: true }).click();
  await expect(second.getByRole('region', { name: 'In force' })).toContainText(`https://revolut.me/lastcall${tail}`);
  await expect(second.getByRole('region', { name: 'Draft' })).toBeHidden();
  await lookAt(second, 'payments');
  await elsewhere.close();
});
