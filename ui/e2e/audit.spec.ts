import { expect, lookAt, test } from './support';

test('[smoke 18] what somebody did is found, told in words, sealed, followed live and taken home', async ({ signedIn: page }) => {
  test.slow();
  const tail = String(Date.now()).slice(-6);
  const was = (await (await page.request.get('/api/v1/settings/toggles')).json()).value;
  const save = async (reason: string) => {
    const answer = await page.request.put('/api/v1/settings/toggles', { data: { value: was, reason } });
    expect(answer.ok(), await answer.text()).toBe(true);
  };
  await save(`Looked at ${tail}`);
  await page.goto('/');
  await page.getByRole('link', { name: 'Audit log' }).click();
  await expect(page.getByRole('heading', { name: 'Audit log', level: 1 })).toBeVisible();
  const row = page.getByRole('row', { name: `Looked at ${tail}` });
  await expect(row).toContainText('Settings changed');

  // Filters stand in the address.
  await page.getByRole('combobox', { name: 'Action' }).fill('settings changed');
  await page.getByRole('option', { name: 'Settings changed' }).click();
  await expect(page).toHaveURL(/action=settings\.changed/);
  await page.getByRole('textbox', { name: 'To what' }).fill('settings/toggles');
  await page.getByRole('textbox', { name: 'To what' }).press('Enter');
  await expect(page).toHaveURL(/target=settings/);
  await page.reload();
  await expect(row).toBeVisible();
  await expect(page.getByRole('textbox', { name: 'To what' })).toHaveValue('settings/toggles');

  // Followed live: what is entered comes by itself, and gets its seal.
  await page.getByRole('switch', { name: 'Live' }).click();
  await expect(page).toHaveURL(/live=true/);
  await save(`Seen at once ${tail}`);
  const live = page.getByRole('row', { name: `Seen at once ${tail}` });
  await expect(live).toBeVisible({ timeout: 30_000 });
  await expect(live.getByText('not sealed')).toBeHidden({ timeout: 30_000 });
  await page.getByRole('switch', { name: 'Live' }).click();
  await expect(page).not.toHaveURL(/live=true/);

  await page.getByRole('button', { name: 'Verify now' }).click();
  await expect(page.getByText('The audit log is whole')).toBeVisible({ timeout: 60_000 });
  const chain = page.getByRole('region', { name: 'Chain' });
  await expect(chain).toContainText('Whole');
  await expect(chain).toContainText('Verified up to');
  await page.getByRole('button', { name: 'Dismiss' }).click();
  await lookAt(page, 'audit');

  const [file] = await Promise.all([
    page.waitForEvent('download'),
    (async () => {
      await page.getByRole('button', { name: 'Export' }).click();
      await page.getByRole('menuitem', { name: /^JSON lines/ }).click();
    })(),
  ]);
  expect(file.suggestedFilename()).toBe('audit-log.ndjson');

  await live.getByRole('link').click();
  const entry = page.getByRole('dialog', { name: 'Entry of the audit log' });
  await expect(entry.getByText(`Seen at once ${tail}`)).toBeVisible();
  await expect(entry.getByText('It was saved as it had been.')).toBeVisible();
  await entry.getByRole('button', { name: 'All of this request' }).click();
  await expect(page.getByRole('row')).toHaveCount(2); // the header, and the one
  await page.getByRole('button', { name: 'Show everything' }).click();

  // An entry with a change; then a filter that nothing fits.
  const other = { ...was, dispatch: !was.dispatch };
  await page.request.put('/api/v1/settings/toggles', { data: { value: other, reason: `Switched ${tail}` } });
  await save(`Switched back ${tail}`);
  await page.reload();
  await page
    .getByRole('row', { name: `Switched back ${tail}` })
    .getByRole('link')
    .click();
  await expect(entry.getByRole('row', { name: /^Dispatch/ })).toContainText(was.dispatch ? 'noyes' : 'yesno');
  await lookAt(page, 'audit-entry');
  await page.goto('/audit?target=nobody');
  await expect(page.getByText('No entry fits')).toBeVisible();
  await lookAt(page, 'audit-empty');
});
