import type { Page } from '@playwright/test';
import { accessible, dangers, expect, lookAt, test } from './support';

/** Sets a setting by the API, as the page's own account. */
async function put(page: Page, key: string, value: unknown, reason = 'a test') {
  const answer = await page.request.put(`/api/v1/settings/${key}`, { data: { value, reason, acknowledged: dangers } });
  expect(answer.ok(), await answer.text()).toBe(true);
}

/** Gives the reason that the open dialog wants, and agrees. */
async function agree(page: Page, action: string, reason: string) {
  const dialog = page.getByRole('dialog');
  await expect(dialog.getByRole('button', { name: action })).toBeDisabled();
  await dialog.getByLabel('Reason').fill(reason);
  await dialog.getByRole('button', { name: action }).click();
  await expect(dialog).toBeHidden();
}

test('[smoke 19] quiet hours are drawn, changed for a weekday and a language, and saved with their reason', async ({
  signedIn: page,
}) => {
  test.slow(); // it looks at much
  // Countries that no other test writes to.
  await put(page, 'quiet_hours', {
    KE: { start: '22:00', end: '06:00' },
    TZ: {
      windows: [
        { start: '23:00', end: '07:00' },
        { start: '00:00', end: '24:00', days: ['sun'] },
      ],
      overrides: [{ locale: 'sw', start: '21:00', end: '08:00' }],
    },
  });
  await page.goto('/settings');
  await expect(page.getByRole('img', { name: 'Quiet hours of Kenya: 22:00–06:00 every day' })).toBeVisible();
  await expect(page.getByText('Swahili: 21:00–08:00 every day')).toBeVisible();
  await lookAt(page, 'settings');

  await page.getByRole('button', { name: 'Edit Kenya' }).click();
  const kenya = page.getByRole('region', { name: 'Kenya' });
  const hours = kenya.getByRole('group', { name: 'Hours 1 of Kenya' });
  await hours.getByLabel('To').fill('6');
  await expect(hours.getByText('Use 00:00 to 24:00.')).toBeVisible();
  await expect(page.getByRole('button', { name: 'Save quiet hours…' })).toBeDisabled();
  await hours.getByLabel('To').fill('07:30');
  await hours.getByText('Sun', { exact: true }).click();
  await expect(page.getByRole('img', { name: 'Quiet hours of Kenya: 22:00–07:30 Mon–Sat' })).toBeVisible();
  await kenya.getByRole('button', { name: 'Add an exception' }).click();
  await expect(page.getByRole('button', { name: 'Save quiet hours…' })).toBeDisabled(); // for whom?
  await kenya.getByLabel('Language').fill('en-KE');
  await lookAt(page, 'settings-editing');

  await page.getByRole('button', { name: 'Save quiet hours…' }).click();
  await expect(page.getByRole('dialog')).toContainText(
    'Kenya: 22:00–07:30 Mon–Sat; English (Kenya): 22:00–06:00 every day; until now 22:00–06:00 every day.',
  );
  await accessible(page);
  await agree(page, 'Save quiet hours', 'Neighbours');
  await expect(page.getByText('by Admin: “Neighbours”').or(page.getByText('“Neighbours”'))).toBeVisible();
  const saved = await (await page.request.get('/api/v1/settings/quiet_hours')).json();
  expect(saved.reason).toBe('Neighbours');
  expect(saved.value.KE).toEqual({
    windows: [{ start: '22:00', end: '07:30', days: ['mon', 'tue', 'wed', 'thu', 'fri', 'sat'] }],
    overrides: [{ locale: 'en-KE', windows: [{ start: '22:00', end: '06:00' }] }],
  });

  await page.getByRole('button', { name: 'History of quiet hours' }).click();
  await expect(page.getByRole('dialog').getByRole('listitem').first()).toContainText('Neighbours');
  await accessible(page);
});

test('sending is stopped and goes on', async ({ signedIn: page }) => {
  await page.goto('/settings');
  const sending = page.getByRole('region', { name: 'Sending' });
  await sending.getByRole('button', { name: 'Stop all sending…' }).click();
  await lookAt(page, 'settings-stop');
  await agree(page, 'Stop all sending', 'Wrong text');
  await expect(sending.getByText('Off', { exact: true })).toBeVisible();
  await sending.getByRole('button', { name: 'Go on sending…' }).click();
  await agree(page, 'Go on sending', 'Text mended');
  await expect(sending.getByText('On', { exact: true })).toBeVisible();
});

test('what somebody else changed meanwhile is not overwritten', async ({ signedIn: page, complaints }) => {
  test.slow();
  await put(page, 'frequency_cap', { marketing: { per_day: 0, per_week: 100 } });
  await page.goto('/settings');
  const limits = page.getByRole('region', { name: 'Marketing to one person' });
  await limits.getByLabel('In any 7 days').fill('90');
  await put(page, 'frequency_cap', { marketing: { per_day: 0, per_week: 80 } });
  await limits.getByRole('button', { name: 'Save limits…' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Reason').fill('Fewer');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await expect(dialog.getByRole('alert')).toContainText('Somebody changed this setting in the meantime');
  complaints.splice(0); // the browser notes the 412
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await expect(limits.getByText('Changed meanwhile')).toBeVisible();
  await expect(limits.getByLabel('In any 7 days')).toHaveValue('90');
  await expect(limits.getByRole('row', { name: 'Marketing, per week 80 90' })).toBeVisible();
  await lookAt(page, 'settings-conflict');
  await limits.getByRole('button', { name: 'Discard changes' }).click();
  await expect(limits.getByLabel('In any 7 days')).toHaveValue('80');
});

test('speed, consent and time zones say what they will mean', async ({ signedIn: page }) => {
  await put(page, 'throttle', { whatsapp: { per_minute: 600_000 } });
  await put(page, 'consent', { required: false });
  await put(page, 'missing_zone', { policy: 'hold' });
  await page.goto('/settings');
  const used = page.getByRole('region', { name: 'What is used now' });
  await expect(used.getByText(/^[\d,]+ of 600,000$/)).toBeVisible();
  await page.getByLabel('WhatsApp, messages a minute').fill('480000');
  await page.getByRole('button', { name: 'Save speed…' }).click();
  await expect(page.getByRole('dialog')).toContainText('Then: WhatsApp: 480,000 messages in any minute');
  await agree(page, 'Save', 'Tier 3');
  await expect(page.getByLabel('WhatsApp, messages a minute')).toHaveValue('480,000');

  await page.getByRole('switch', { name: 'Marketing needs a recorded agreement' }).click();
  await page.getByRole('button', { name: 'Save consent…' }).click();
  await agree(page, 'Save', 'The law');
  await page.getByText('Send at any hour').click();
  await page.getByRole('button', { name: 'Save time zones…' }).click();
  await expect(page.getByRole('dialog')).toContainText('at night too');
  await agree(page, 'Save', 'A test');
  for (const [key, value] of [
    ['throttle', { whatsapp: { per_minute: 480_000 } }],
    ['consent', { required: true }],
    ['missing_zone', { policy: 'send' }],
  ] as const) {
    expect((await (await page.request.get(`/api/v1/settings/${key}`)).json()).value).toEqual(value);
  }
  await put(page, 'consent', { required: false }); // others' tests send marketing
});

test('a change is shown before it is saved, dangers are agreed to, and history goes back', async ({
  signedIn: page,
  complaints,
}) => {
  test.slow();
  await put(page, 'consent', { required: false });
  const night = { KE: { start: '22:00', end: '06:00' } };
  await put(page, 'quiet_hours', night, 'Quiet nights');
  for (const n of [1, 2])
    await page.request.post('/api/v1/contacts', { data: { msisdn: `+25471234567${n}`, name: 'Guest' } });

  // Somebody swaps the two.
  await page.goto('/settings');
  await expect(page.getByRole('img', { name: /Quiet hours of Kenya: .*; now \d\d:\d\d there/ })).toBeVisible();
  await page.getByRole('button', { name: 'Edit Kenya' }).click();
  const hours = page.getByRole('group', { name: 'Hours 1 of Kenya' });
  await hours.getByLabel('From').fill('06:00');
  await hours.getByLabel('To').fill('22:00');
  await page.getByRole('button', { name: 'Save quiet hours…' }).click();
  const dialog = page.getByRole('dialog', { name: 'Change the quiet hours?' });
  await expect(dialog.getByRole('row', { name: 'Kenya, from 22:00 06:00' })).toBeVisible();
  // By day two people would wait, by night they would go: there are always two.
  await expect(dialog.getByRole('region', { name: 'What it would mean' })).toContainText(
    /With this change 2 of 2 contacts in Kenya would (wait until|go at once)/,
  );
  await expect(dialog.getByText('were start and end swapped?')).toBeVisible();
  await dialog.getByLabel('Reason').fill('A slip');
  await expect(dialog.getByRole('button', { name: 'Save quiet hours' })).toBeDisabled();
  await lookAt(page, 'settings-danger');
  await dialog.getByRole('checkbox', { name: /inverted window/ }).check();
  await dialog.getByRole('button', { name: 'Save quiet hours' }).click();
  await expect(dialog).toBeHidden();

  await page.getByRole('button', { name: 'History of quiet hours' }).click();
  const history = page.getByRole('dialog', { name: 'Quiet hours: what it was' });
  await expect(history.getByRole('listitem').first()).toContainText('A slip');
  await expect(history.getByRole('listitem').first().getByRole('row', { name: 'Kenya, to 06:00 22:00' })).toBeVisible();
  await lookAt(page, 'settings-history');
  await history.getByRole('listitem').nth(1).getByRole('button', { name: 'Go back to revision' }).click();
  const back = page.getByRole('dialog', { name: 'go back to revision' });
  await expect(back.getByRole('row', { name: 'Kenya, from 06:00 22:00' })).toBeVisible();
  await accessible(page);
  await back.getByLabel('Reason').fill('It was a slip');
  await back.getByRole('button', { name: 'Go back', exact: true }).click();
  await expect(back).toBeHidden();
  await page.getByRole('button', { name: 'History of quiet hours' }).click();
  await expect(history.getByRole('listitem').first()).toContainText('It was a slip');
  const saved = await (await page.request.get('/api/v1/settings/quiet_hours')).json();
  expect(saved.value).toEqual(night);
  expect(saved.reason).toBe('It was a slip');

  // Who writes over what somebody else saved meanwhile sees both, and may go on.
  await page.keyboard.press('Escape');
  await put(page, 'frequency_cap', { marketing: { per_day: 0, per_week: 80 } });
  await page.reload();
  const limits = page.getByRole('region', { name: 'Marketing to one person' });
  await limits.getByLabel('In any 7 days').fill('90');
  await put(page, 'frequency_cap', { marketing: { per_day: 0, per_week: 70 } });
  await limits.getByRole('button', { name: 'Save limits…' }).click();
  await page.getByRole('dialog').getByLabel('Reason').fill('More');
  await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click();
  await expect(page.getByRole('dialog').getByRole('alert')).toContainText('Somebody changed this setting');
  complaints.splice(0); // the browser notes the 412
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
  await limits.getByRole('button', { name: 'Go on with mine, over theirs' }).click();
  await limits.getByRole('button', { name: 'Save limits…' }).click();
  await expect(page.getByRole('dialog').getByRole('row', { name: 'Marketing, per week 70 90' })).toBeVisible();
  await agree(page, 'Save', 'More all the same');
  await expect(limits.getByLabel('In any 7 days')).toHaveValue('90');
});

test('the rota says who is on call, with a week swapped', async ({ signedIn: page }) => {
  test.slow();
  const before = await (await page.request.get('/api/v1/settings/on_call')).json();
  await put(page, 'on_call', { zone: 'Africa/Kigali', starts: '2026-01-05T09:00', members: ['ops@example.test'] });
  await page.goto('/settings');
  const rota = page.getByRole('region', { name: 'On call' });
  await rota.getByLabel('In turn').fill('second@example.test');
  await page.keyboard.press('Enter');
  await rota.getByRole('button', { name: 'Swap a week' }).click();
  await expect(rota.getByRole('button', { name: 'Save rota…' })).toBeDisabled(); // which, and who?
  const swap = rota.getByRole('group', { name: 'Swap 1' });
  await swap.getByLabel('In the week of').fill('2026-12-23');
  await swap.getByLabel('Instead').fill('third@example.test');
  await rota.scrollIntoViewIfNeeded();
  await lookAt(page, 'settings-on-call');
  await rota.getByRole('button', { name: 'Save rota…' }).click();
  await expect(page.getByRole('dialog')).toContainText('third@example.test in the week of 2026-12-23');
  await agree(page, 'Save rota', 'Holidays');
  await expect(rota.getByText('“Holidays”')).toBeVisible();
  const saved = await (await page.request.get('/api/v1/settings/on_call')).json();
  expect(saved.value.members).toEqual(['ops@example.test', 'second@example.test']);
  expect(saved.value.swaps).toEqual([{ week: '2026-12-23', member: 'third@example.test' }]);
  const nobody = { zone: 'Africa/Kigali', starts: '2026-01-05T09:00', members: [] };
  await put(page, 'on_call', before.value?.members?.length ? before.value : nobody);
});

test('what the figures say about the speed is shown, reviewed and kept', async ({ signedIn: page }) => {
  test.slow();
  await page.goto('/settings');
  const advice = page.getByRole('region', { name: 'What the figures say' });
  await expect(advice.getByRole('listitem')).toHaveCount(4);
  await expect(advice).toContainText(/handed to WhatsApp; 50 are needed|refused/);
  await advice.getByRole('button', { name: 'Show the figures' }).click();
  await expect(advice.getByText('In the busiest minute')).toBeVisible();
  await advice.scrollIntoViewIfNeeded();
  await lookAt(page, 'settings-advice');
  // Others send meanwhile: what is proposed may become something else between the look and the word.
  await expect(async () => {
    await page.keyboard.press('Escape');
    await page.reload();
    await advice.getByRole('button', { name: 'Reviewed, keep…' }).click();
    const dialog = page.getByRole('dialog', { name: 'Keep the caps as they are?' });
    await expect(dialog.getByRole('button', { name: 'Keep the caps' })).toBeDisabled();
    await dialog.getByLabel('Reason').fill('Looked at');
    await dialog.getByRole('button', { name: 'Keep the caps' }).click();
    await expect(dialog).toBeHidden({ timeout: 10_000 });
  }).toPass({ timeout: 60_000 });
  await expect(advice).toContainText('Reviewed and kept by');
  const now = await (await page.request.get('/api/v1/settings/throttle/advice')).json();
  expect(now.review.reason).toBe('Looked at');
});
