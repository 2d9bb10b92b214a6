import { expect, lookAt, makeCampaign, test } from './support';

test('campaigns are listed, filtered and paged, all of it in the address', async ({ signedIn: page }) => {
  const mark = `Jazz ${Date.now()}`;
  for (let i = 1; i <= 26; i++) await makeCampaign(page, `${mark} no. ${i}`);
  await page.goto('/campaigns');
  await expect(page.getByRole('row', { name: `${mark} no. 26` })).toBeVisible();
  await lookAt(page, 'campaigns');

  await page.getByText('Drafts', { exact: true }).click();
  await expect(page).toHaveURL('/campaigns?show=draft');
  await expect(page.getByRole('row', { name: `${mark} no. 26` })).toBeVisible();
  await page.getByRole('button', { name: 'Next' }).click();
  await expect(page).toHaveURL(/after=/);
  await expect(page.getByRole('row', { name: `${mark} no. 1 `, exact: false }).first()).toBeVisible();
  await expect(page.getByRole('row', { name: `${mark} no. 26` })).toBeHidden();
  await page.reload();
  await expect(page.getByRole('row', { name: `${mark} no. 26` })).toBeHidden();
  await page.getByRole('button', { name: 'Previous' }).click();
  await expect(page.getByRole('row', { name: `${mark} no. 26` })).toBeVisible();

  await page.goto('/campaigns?show=nonsense&after=');
  await expect(page.getByRole('row', { name: `${mark} no. 26` })).toBeVisible();
});

test('a campaign runs before your eyes', async ({ signedIn: page }) => {
  const name = `Live ${Date.now()}`;
  const id = await makeCampaign(page, name);
  const csv = `msisdn,name\n${Array.from({ length: 40 }, (_, i) => `+35679${String(100_000 + i).padStart(6, '0')},Guest ${i}`).join('\n')}\n`;
  const imported = await page.request.post(`/api/v1/campaigns/${id}/imports`, {
    data: csv,
    headers: { 'Content-Type': 'text/csv' },
  });
  expect(imported.ok(), await imported.text()).toBe(true);
  await page.goto('/campaigns');
  const row = page.getByRole('row', { name });
  await expect(row).toContainText('Draft');
  await expect(page.getByText('Live', { exact: true }).locator('visible=true')).toBeVisible();
  const started = await page.request.post(`/api/v1/campaigns/${id}/start`, { data: {} });
  expect(started.ok(), await started.text()).toBe(true);
  // Nobody reloads: the event stream brings it.
  await expect(row).not.toContainText('Draft');
  await expect(row.getByRole('img', { name: /^\d+ of 40: / })).toBeVisible();
});

test('what cannot be loaded says why, with its reference, and can be tried again', async ({
  signedIn: page,
  complaints,
}) => {
  let broken = true;
  await page.route('**/api/v1/campaigns?*', (route) =>
    broken
      ? route.fulfill({
          status: 500,
          contentType: 'application/problem+json',
          body: JSON.stringify({
            title: 'x',
            status: 500,
            code: 'internal',
            detail: 'something went wrong',
            request_id: 'ref-123',
          }),
        })
      : route.continue(),
  );
  await page.goto('/campaigns?show=ended');
  await expect(page.getByRole('alert')).toContainText('ref-123');
  await lookAt(page, 'failed');
  broken = false;
  await page.getByRole('button', { name: 'Try again' }).click();
  await expect(page.getByRole('alert')).toBeHidden();
  complaints.splice(0); // the browser notes the 500
});

test('a lost connection is told quietly, and what was there stays', async ({ signedIn: page, context, complaints }) => {
  await makeCampaign(page, `Kept ${Date.now()}`);
  await page.goto('/campaigns');
  await expect(page.getByRole('row').nth(1)).toBeVisible();
  await page.route('**/api/v1/campaigns?*', (route) => route.abort());
  await page.getByText('Drafts', { exact: true }).click();
  await expect(page.getByRole('heading', { name: 'No connection to Lastcall' })).toBeVisible();
  await page.getByText('All', { exact: true }).click();
  await expect(page.getByRole('row').nth(1)).toBeVisible();
  await context.clearCookies(); // and nothing else asks for a session meanwhile
  complaints.splice(0);
});
