import { accessible, expect, lookAt, test } from './support';

test('a service is made to fail, people are told what is lost, and it is switched off again', async ({
  signedIn: page,
  complaints,
}) => {
  test.slow();
  const slow = { timeout: 60_000 };
  // What a run before this one left behind, if it was broken off.
  for (const fault of (await (await page.request.get('/api/v1/edge-functions')).json()).faults)
    await page.request.delete(`/api/v1/faults/${fault.id}`);
  await page.goto('/integrations');
  const cards = page.getByRole('row', { name: /^Voucher cards/ });
  await expect(cards).toContainText('Working', slow);
  await expect(page.getByRole('row', { name: /^WhatsApp messaging/ })).toContainText('Working', slow);
  await expect(page.getByRole('row', { name: /^Panel sign-in/ })).toContainText('Working', slow);
  await lookAt(page, 'integrations');

  await page.getByRole('button', { name: 'Make one fail' }).click();
  const form = page.getByRole('dialog', { name: 'Make a service fail' });
  await expect(form.getByRole('button', { name: 'Make it fail' })).toBeDisabled(); // it wants a reason
  await form.getByLabel('Reason').fill('To see what a preview says');
  await accessible(page);
  await form.getByRole('combobox', { name: 'How it fails' }).click();
  await page.getByRole('option', { name: 'Connection is reset' }).click();
  await form.getByRole('button', { name: 'Make it fail' }).click();
  await expect(form).toBeHidden(slow);
  const banner = page.locator('.fault-banner');
  await expect(banner).toContainText('Voucher cards: reset', slow);

  await page.getByRole('button', { name: 'Recheck Voucher cards' }).click();
  await expect(cards).toContainText('Down', slow);
  await expect(page.getByRole('link', { name: /Integrations.*1 down/ })).toBeVisible();
  await lookAt(page, 'integrations-down');
  await cards.getByRole('link').click();
  const drawer = page.getByRole('dialog', { name: 'Voucher cards' });
  await expect(drawer).toContainText('recipients see the code as text', slow);
  await expect(drawer.getByRole('table')).toContainText('A fault was in the way on purpose.', slow);
  await lookAt(page, 'integrations-drawer');
  await drawer.getByRole('button', { name: 'Close' }).click();

  // Where cards are used, the page says what is lost.
  await page.goto('/vouchers');
  await expect(banner).toBeVisible(slow);
  complaints.splice(0); // the browser notes what was not answered

  await banner.getByRole('button', { name: 'Switch off' }).click();
  await expect(banner).toBeHidden(slow);
  await page.goto('/integrations');
  await page.getByRole('button', { name: 'Recheck Voucher cards' }).click();
  await expect(cards).toContainText('Working', slow);
});
