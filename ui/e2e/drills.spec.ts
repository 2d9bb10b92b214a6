import { expect, lookAt, test } from './support';

test('a drill goes round: begun with a reason, watched as it happens, and reported with its score', async ({
  signedIn: page,
}) => {
  test.slow();
  test.setTimeout(420_000); // the drill itself may take two minutes and a half
  await page.goto('/drills');
  await expect(page.getByRole('heading', { name: 'Drills', level: 1 })).toBeVisible();
  await page.getByRole('button', { name: 'Start drill…' }).click();
  const dialog = page.getByRole('dialog', { name: 'Start drill' });
  await expect(dialog.getByRole('combobox', { name: 'Scenario' })).toHaveValue('WhatsApp does not answer');
  await expect(dialog).toContainText('Nothing is sent.');
  await lookAt(page, 'drill-start');
  await dialog.getByRole('button', { name: 'Start drill' }).click();
  await expect(dialog).toContainText('Say what it is for.');
  await dialog.getByLabel('Reason').fill('Browser tests');
  // Nothing else may be wrong: what other tests have left behind passes.
  await expect
    .poll(
      async () => {
        const answer = await (await page.request.get('/api/v1/edge-functions')).json();
        const states = answer.functions.filter((f: { name: string }) => ['messaging', 'dispatcher'].includes(f.name));
        return states.every((f: { state: string }) => f.state === 'green');
      },
      { timeout: 150_000 },
    )
    .toBe(true);
  await dialog.getByRole('button', { name: 'Start drill' }).click();

  const loop = page.getByRole('list', { name: 'The loop' });
  await expect(loop).toBeVisible({ timeout: 30_000 });
  await expect(page.getByText('Fault is there')).toBeVisible({ timeout: 60_000 });
  await expect(loop.getByRole('listitem').filter({ hasText: 'Detected' }).getByLabel('in time')).toBeVisible({
    timeout: 60_000,
  });
  await lookAt(page, 'drill-live');
  await expect(page.getByText('Completed')).toBeVisible({ timeout: 180_000 });
  for (const event of ['Detected', 'Alerted', 'Acknowledged', 'Mitigated', 'Recovered', 'Steady again'])
    await expect(loop.getByRole('listitem').filter({ hasText: event }).getByLabel('in time')).toBeVisible();
  await expect(page.getByRole('region', { name: 'Score' })).toContainText('100');
  const journal = page.getByRole('region', { name: 'Journal' });
  await expect(journal).toContainText('by the drill’s own script');
  await expect(journal.getByRole('region', { name: 'Taken back' })).toContainText('Take the fault away');
  await expect(journal).toContainText(/N-\d+/);
  await lookAt(page, 'drill-report');

  await page.getByRole('link', { name: 'Drills' }).first().click();
  const row = page.getByRole('row', { name: /WhatsApp does not answer/ }).first();
  await expect(row).toContainText('100');
  await page.mouse.move(0, 0); // off the rows, one of which was under it
  await lookAt(page, 'drills');
});

test('a drill is scheduled, paused and begins by hand only again', async ({ signedIn: page }) => {
  test.slow();
  await page.request.delete('/api/v1/drill-schedules/redemption-failures?reason=anew'); // of an earlier run
  await page.goto('/drills');
  await page.getByRole('button', { name: 'Schedule…' }).click();
  const dialog = page.getByRole('dialog', { name: 'Schedule drills' });
  await dialog.getByRole('combobox', { name: 'Scenario' }).click();
  await page.getByRole('option', { name: 'One redemption in four fails' }).click();
  await dialog.getByRole('checkbox', { name: 'Thursday' }).check();
  await dialog.getByLabel('At', { exact: true }).fill('10:30');
  await dialog.getByRole('button', { name: 'Save schedule' }).click();
  await expect(dialog).toContainText('Say what it is for.');
  await dialog.getByLabel('Reason').fill('Each week');
  await lookAt(page, 'drill-schedule');
  await dialog.getByRole('button', { name: 'Save schedule' }).click();
  await expect(dialog).toBeHidden();
  const row = page.getByRole('region', { name: 'By themselves' }).getByRole('row', { name: /redemption-failures/ });
  await expect(row).toContainText('Monday, Thursday');
  await expect(row).toContainText('10:30 (Africa/Kigali)');
  await lookAt(page, 'drill-schedules');
  await row.getByRole('button', { name: /Change the schedule/ }).click();
  await dialog.getByRole('switch', { name: 'Paused' }).check({ force: true });
  await dialog.getByRole('button', { name: 'Save schedule' }).click();
  await expect(row).toContainText('Paused');
  await row.getByRole('button', { name: /Change the schedule/ }).click();
  await dialog.getByRole('button', { name: 'Remove…' }).click();
  const sure = page.getByRole('dialog', { name: 'Begin it by hand only?' });
  await sure.getByLabel('Reason').fill('Enough');
  await sure.getByRole('button', { name: 'Remove schedule' }).click();
  await expect(row).toBeHidden();
});
