import { colleague, expect, lookAt, numbers, runCampaign, setFor, test } from './support';

/** A time of day on Malta's clocks, so many hours from now. */
const malta = (hours: number) =>
  new Intl.DateTimeFormat('en-GB', { timeZone: 'Europe/Malta', hour: '2-digit', minute: '2-digit' }).format(
    Date.now() + hours * 36e5,
  );

test('a campaign waits for quiet hours, a project lead lets it go on, and whoever asked ends that early', async ({
  signedIn: page,
  browser,
  complaints,
}) => {
  test.slow();
  const noNight = await setFor(page, 'quiet_hours', () => ({ MT: { start: malta(-1), end: malta(3) } }));
  const faster = await setFor(page, 'throttle', () => ({ whatsapp: { per_minute: 2 } }));
  const name = `Late concert ${Date.now()}`;
  const id = await runCampaign(page, name, numbers(8, 70_000));
  try {
    await page.goto(`/campaigns/${id}`);
    await page.getByRole('button', { name: 'Request override…' }).click({ timeout: 60_000 });
    const dialog = page.getByRole('dialog');
    await expect(dialog.getByRole('button', { name: 'Request override' })).toBeDisabled();
    await dialog.getByLabel('Reason').fill('The concert ends later');
    await lookAt(page, 'override-request');
    // Longer than the setting allows: the server says so, in the dialog.
    const to = dialog.getByRole('textbox', { name: 'To' }).or(dialog.getByLabel(/^To \(/));
    const inAnHour = await to.first().inputValue();
    await to.first().fill(`${Number(inAnHour.slice(0, 4)) + 1}${inAnHour.slice(4)}`);
    await dialog.getByRole('button', { name: 'Request override' }).click();
    await expect(dialog.getByRole('alert')).toContainText('4h is the most');
    complaints.length = 0; // the browser notes the refusal as an error
    await to.first().fill(inAnHour);
    await dialog.getByRole('button', { name: 'Request override' }).click();
    const card = page.getByRole('region', { name: 'Override of quiet hours' });
    await expect(card.getByText('Waits for a lead')).toBeVisible();
    await expect(card.getByRole('button', { name: 'Approve…' })).toBeHidden();
    await lookAt(page, 'override-waiting');

    const hers = await colleague(browser, page, 'Lea', 'project_lead');
    await hers.goto('/approvals');
    await expect(hers.getByRole('row', { name: new RegExp(name) })).toContainText('You decide');
    await lookAt(hers, 'override-inbox');
    await hers.getByRole('link', { name }).click();
    const drawer = hers.getByRole('dialog', { name: 'Override' });
    await expect(drawer.getByText('The concert ends later').first()).toBeVisible();
    await lookAt(hers, 'override-decide');
    await drawer.getByRole('button', { name: 'Approve…' }).click();
    const sure = hers.getByRole('dialog', { name: /Let .* send in quiet hours/ });
    await expect(sure).toContainText('Opt-outs, consent, the frequency cap and throttles do.');
    await lookAt(hers, 'override-approve'); // a dialog over a drawer
    await sure.getByRole('button', { name: 'Approve override' }).click();
    await expect(drawer.getByText('It ends in', { exact: false })).toBeVisible({ timeout: 30_000 });
    await expect(drawer.getByRole('list', { name: 'What happened' })).toContainText('Became active', {
      timeout: 30_000,
    });
    await lookAt(hers, 'override-active');
    await drawer.getByRole('button', { name: 'Close' }).or(drawer.locator('.mantine-Drawer-close')).first().click();
    await lookAt(hers, 'overrides');
    await hers.context().close();

    await expect(card.getByText('It ends in', { exact: false })).toBeVisible({ timeout: 30_000 });
    await expect(page.getByText('2 a minute', { exact: false }).first()).toBeVisible({ timeout: 60_000 });
    await lookAt(page, 'override-campaign');
    await card.getByRole('button', { name: 'Cancel override…' }).click();
    await page.getByRole('dialog').getByLabel('Reason').fill('The concert is over');
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel override' }).click();
    await expect(page.getByRole('button', { name: 'Request override…' })).toBeVisible({ timeout: 90_000 });
    await page.goto('/overrides');
    await expect(page.getByRole('row', { name: new RegExp(name) })).toContainText('The concert is over');
  } finally {
    await page.request.post(`/api/v1/campaigns/${id}/stop`, { data: { reason: 'browser tests' } });
    await faster();
    await noNight();
  }
});
