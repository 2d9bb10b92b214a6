import type { Page } from '@playwright/test';
import { accessible, expect, lookAt, sandbox, test } from './support';

const main = (page: Page) => page.getByRole('main');
const next = (page: Page) => main(page).getByRole('button', { name: 'Continue' });

async function read(page: Page, path: string) {
  const answer = await page.request.get(`/api/v1${path}`);
  expect(answer.ok(), await answer.text()).toBe(true);
  return answer.json();
}

test('a campaign that gives vouchers, from its first step to what became of them', async ({ signedIn: page }) => {
  test.slow();
  const mark = String(Date.now() % 10_000).padStart(4, '0');
  const numbers = Array.from({ length: 12 }, (_, i) => `+250788${mark}${String(i).padStart(2, '0')}`);
  await page.goto('/campaigns/new');
  await page.getByLabel('Name').fill(`A drink on us ${mark}`);
  await page.getByRole('radio', { name: 'Voucher campaign' }).click();
  await next(page).click();
  await expect(page.getByText('In whole francs, like 2000.')).toBeVisible();
  await page.getByLabel('Worth').fill('2000');
  await page.getByRole('combobox', { name: 'Stations' }).click();
  await page.getByRole('option', { name: /ENG-001/ }).click();
  await page.keyboard.press('Escape');
  await page.reload();
  await expect(page.getByLabel('Worth')).toHaveValue('2000');
  await lookAt(page, 'voucher-kind');
  await next(page).click();

  await expect(page.getByRole('heading', { name: 'What does it say?', level: 2 })).toBeVisible();
  const id = /campaigns\/([0-9a-f-]{36})/.exec(page.url())?.[1] ?? '';
  expect((await read(page, `/campaigns/${id}`)).voucher).toMatchObject({ amount: '2000', valid_seconds: 604_800 });
  await expect(page.getByText('Each voucher fills in its own code')).toBeVisible();
  await expect(page.getByLabel('code', { exact: true })).toHaveCount(0);
  await lookAt(page, 'voucher-message');
  await page.getByRole('link', { name: /Name/ }).click(); // and changed on second thoughts
  await page.getByLabel('Worth').fill('2500');
  await next(page).click();
  await expect(page.getByRole('heading', { name: 'What does it say?', level: 2 })).toBeVisible();
  await next(page).click();
  await page.locator('input[type=file]').setInputFiles({
    name: 'guests.csv',
    mimeType: 'text/csv',
    buffer: Buffer.from(`msisdn,name\n${numbers.map((n) => `${n},Guest`).join('\n')}\n`),
  });
  await page.getByRole('button', { name: 'Upload and import' }).click();
  await expect(page.getByText('12 recipients so far')).toBeVisible({ timeout: 60_000 });
  await next(page).click();
  await next(page).click();
  await sandbox(page, 'PUT', '/faults', { kind: 'error', code: 131026, share: 0.5, for: '10m' });
  try {
    await page.getByRole('button', { name: 'Start campaign' }).click({ timeout: 60_000 });
    await expect(page).toHaveURL(`/campaigns/${id}`);
    await expect.poll(async () => (await read(page, `/campaigns/${id}`)).status, { timeout: 120_000 }).toBe('done');
  } finally {
    await sandbox(page, 'DELETE', '/faults');
  }
  const figures = await read(page, `/campaigns/${id}/vouchers`);
  expect(figures).toMatchObject({ made: 12, amount: '2500', made_value: '30000' });
  await page.getByRole('tab', { name: 'Vouchers' }).click();
  await expect(page.getByRole('heading', { name: '12 vouchers worth 30,000 RWF' })).toBeVisible();
  if (figures.unsent > 0) await expect(page.getByText(`${figures.unsent} did not come to their guests`)).toBeVisible();
  await lookAt(page, 'voucher-figures');
  await page.getByRole('tab', { name: 'Report' }).click();
  await expect(main(page).getByText('12 of 2,500 RWF, worth 30,000 RWF')).toBeVisible();
  await accessible(page);
});
