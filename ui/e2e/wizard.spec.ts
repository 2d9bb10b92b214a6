import { readFile } from 'node:fs/promises';
import type { Page } from '@playwright/test';
import { accessible, expect, lookAt, makeCampaign, password, signIn, test } from './support';

type File = { name: string; mimeType: string; buffer: Buffer };
const csv = (text: string | Buffer, name = 'guests.csv'): File => ({
  name,
  mimeType: 'text/csv',
  buffer: Buffer.from(text),
});
const guests = (n: number) => Array.from({ length: n }, (_, i) => `+35679${String(200_000 + i)},Guest ${i},en-MT`);
/** Some megabytes, so that there are several parts. */
const large = csv(
  `msisdn,name,locale\n${guests(9000)
    .map((g) => `${g}${' '.repeat(300)}`)
    .join('\n')}\n`,
  'large.csv',
);

const main = (page: Page) => page.getByRole('main');
const next = (page: Page) => main(page).getByRole('button', { name: 'Continue' });
const choose = (page: Page, file: File) => page.locator('input[type=file]').setInputFiles(file);
const heading = (page: Page, name: string) => page.getByRole('heading', { name, level: 2 });

async function campaign(page: Page, id: string) {
  return (await page.request.get(`/api/v1/campaigns/${id}`)).json();
}

test('[smoke 14, 15] a first campaign, from sign-in to its start, with nothing but the screen', async ({ page }) => {
  test.setTimeout(300_000); // every step is looked at
  const name = `Friday happy hour ${Date.now()}`;
  await page.goto('/');
  await signIn(page);
  await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Campaigns' }).click();
  await main(page).getByRole('link', { name: 'New campaign' }).first().click();
  await expect(page).toHaveURL('/campaigns/new');
  await next(page).click();
  await expect(page.getByText('Give it a name by which your team finds it.')).toBeVisible();
  await lookAt(page, 'wizard-name');
  await page.getByLabel('Name').fill(name);
  await page.getByLabel('Name').press('Enter');

  await expect(page).toHaveURL(/\/campaigns\/[0-9a-f-]{36}\/edit\?step=message$/);
  const id = /campaigns\/([0-9a-f-]{36})/.exec(page.url())?.[1] ?? '';
  await page.getByRole('combobox', { name: 'Template' }).click();
  await page.getByRole('option', { name: /event_invite/ }).click();
  await page.getByLabel('event', { exact: true }).fill('Jazz on the roof');
  await page.getByLabel('day', { exact: true }).fill('Friday');
  const preview = page.getByRole('region', { name: 'Preview' });
  await expect(preview).toContainText('Hello Amina, Jazz on the roof is on Friday');
  await lookAt(page, 'wizard-message');
  await next(page).click();

  await expect(page).toHaveURL(/step=audience$/);
  await expect(heading(page, 'Who gets it?')).toBeFocused();
  await lookAt(page, 'wizard-audience');
  await choose(
    page,
    csv(
      `Mobile,Guest,Lang,shoe size\n${guests(40)
        .map((g) => `${g},38`)
        .join('\n')}\n0781234567,Nobody,rw,40\nhello,Bob,en,39\n`,
    ),
  );
  await expect(page.getByText('+35679200000')).toBeVisible();
  await page.getByRole('combobox', { name: 'Name', exact: true }).click();
  await page.getByRole('option', { name: 'Guest' }).click();
  await lookAt(page, 'wizard-mapping');
  await page.getByRole('button', { name: 'Upload and import' }).click();
  await expect(page.getByText('40 recipients so far')).toBeVisible({ timeout: 30_000 });
  await expect(page.getByText('A file: 40 added')).toBeVisible();
  await lookAt(page, 'wizard-imported');

  await page.getByRole('button', { name: 'Show invalid lines' }).click();
  const lines = page.getByRole('dialog', { name: '2 invalid lines' });
  await expect(lines.getByRole('row')).toHaveCount(3);
  await lookAt(page, 'wizard-invalid-lines');
  const downloading = page.waitForEvent('download');
  await lines.getByRole('button', { name: 'Download as CSV' }).click();
  const saved = await readFile(await (await downloading).path(), 'utf8');
  expect(saved).toMatch(/^\ufeffline,field,code,reason\r\n42,msisdn,no_country_code,.*\r\n43,msisdn,.*\r\n$/);
  await page.keyboard.press('Escape');
  await next(page).click();

  await expect(heading(page, 'When does it go?')).toBeVisible();
  await page.getByLabel('On a date, at a time').check();
  await page.getByLabel('Date and time').fill('2020-01-01T10:00');
  await expect(page.getByText('This is past.')).toBeVisible();
  await lookAt(page, 'wizard-schedule');
  await page.getByLabel('As soon as it is started').check();
  await next(page).click();

  await expect(page.getByRole('heading', { name: /All gone by/ })).toBeVisible();
  await expect(page.getByRole('img', { name: /^40 messages from/ })).toBeVisible();
  await expect(page.getByText('40 of 40 targets have no recorded consent')).toBeVisible();
  await lookAt(page, 'wizard-review');
  await page.getByRole('button', { name: 'Start campaign' }).click();
  await expect(page).toHaveURL(`/campaigns/${id}`);
  await expect.poll(async () => (await campaign(page, id)).status, { timeout: 60_000 }).toBe('done');
  expect((await campaign(page, id)).variables).toEqual({ event: 'Jazz on the roof', day: 'Friday' });

  await page.goto(`/campaigns/${id}/edit`);
  await expect(heading(page, 'This campaign has been started')).toBeVisible();
  await lookAt(page, 'wizard-started');
});

test('clicking twice makes one draft, and a lost answer too', async ({ signedIn: page, complaints }) => {
  const name = `Twice ${Date.now()}`;
  let lose = true;
  await page.route('**/api/v1/campaigns', async (route) => {
    if (route.request().method() !== 'POST') return route.continue();
    if (!lose) return route.continue();
    lose = false;
    await route.fetch(); // it arrives; its answer does not
    await route.abort();
  });
  await page.goto('/campaigns/new');
  await page.getByLabel('Name').fill(name);
  await next(page).dblclick();
  await expect(page.getByText('Lastcall cannot be reached. Check the connection.')).toBeVisible();
  await page.reload();
  await expect(page.getByLabel('Name')).toHaveValue(name);
  await next(page).dblclick();
  await expect(heading(page, 'What does it say?')).toBeVisible();
  const all = await (await page.request.get('/api/v1/campaigns?status=draft')).json();
  expect(all.campaigns.filter((c: { name: string }) => c.name === name)).toHaveLength(1);
  complaints.splice(0); // the browser notes the lost answer
});

test('[smoke 13] a draft is left and reopened where it was, and the browser goes back step by step', async ({
  signedIn: page,
}) => {
  const name = `Draft ${Date.now()}`;
  const id = await makeCampaign(page, name);
  await page.goto('/campaigns?show=draft');
  await page.getByRole('link', { name }).click();
  await expect(page).toHaveURL(`/campaigns/${id}/edit`);
  await page.getByRole('link', { name: /Name/ }).click();
  await page.getByLabel('Name').fill(`${name}, mended`);
  await page.getByRole('link', { name: /^Message( |$)/ }).click(); // leaving saves
  await expect(page.getByRole('heading', { name: `${name}, mended`, level: 1 })).toBeVisible();
  await page.getByLabel('name', { exact: true }).fill('everybody');
  await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Campaigns' }).click();
  await expect(page).toHaveURL('/campaigns');
  expect((await campaign(page, id)).variables).toEqual({ name: 'everybody' });
  await page.goto(`/campaigns/${id}/edit?step=schedule`);
  await page.getByLabel('On a date, at a time').check();
  await page.getByLabel('Date and time').fill('2031-03-30T02:30');
  await page.getByRole('combobox', { name: 'By the clocks of' }).fill('Malta');
  await page.getByRole('option', { name: 'Europe/Malta' }).click();
  await expect(page.getByText('The clocks in Malta skip this time')).toBeVisible();
  await page.getByLabel('Date and time').fill('2031-03-30T20:30');
  await expect(page.getByText('30 Mar 2031, 20:30 (Malta)')).toBeVisible();
  await page.reload();
  await expect(page.getByText('30 Mar 2031, 20:30 (Malta)')).toBeVisible();
  await next(page).click();
  await expect(page.getByText('The campaign has no targets')).toBeVisible();
  await expect(page.getByRole('button', { name: 'Schedule campaign' })).toBeDisabled();
  await lookAt(page, 'wizard-review-empty');
  await page.getByRole('link', { name: 'Mend it' }).click();
  await expect(page).toHaveURL(/step=audience/);
  await page.goBack();
  await page.goBack();
  await expect(heading(page, 'When does it go?')).toBeVisible();
});

test('a session that ends keeps what was typed', async ({ signedIn: page, context }) => {
  const id = await makeCampaign(page, `Kept ${Date.now()}`);
  await page.goto(`/campaigns/${id}/edit?step=message`);
  await page.getByLabel('name', { exact: true }).fill('all of you');
  await context.clearCookies();
  await next(page).click();
  const dialog = page.getByRole('dialog', { name: 'Sign in again' });
  await dialog.getByLabel('Password', { exact: true }).fill(password);
  await dialog.getByRole('button', { name: 'Sign in' }).click();
  await expect(dialog).toBeHidden();
  await expect(page.getByLabel('name', { exact: true })).toHaveValue('all of you');
  await next(page).click();
  await expect(heading(page, 'Who gets it?')).toBeVisible();
  expect((await campaign(page, id)).variables).toEqual({ name: 'all of you' });
});

test('a file that is none says why, before anything of it is sent', async ({ signedIn: page }) => {
  const id = await makeCampaign(page, `Bad files ${Date.now()}`);
  await page.goto(`/campaigns/${id}/edit?step=audience`);
  const utf16 = (text: string) => Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(text, 'utf16le')]);
  for (const [file, says] of [
    [csv(''), 'The file is empty.'],
    [csv('\ufeff\n\n'), 'The file is empty.'],
    [csv('+35679000001,Amina\n'), 'The first line holds a phone number.'],
    [csv(Buffer.from('msisdn\n', 'utf16le')), 'This is no UTF-8 text.'],
    [csv(Buffer.from([0x50, 0x4b, 3, 4]), 'guests.xlsx'), 'This is a spreadsheet'],
    [csv('name,name\n'), 'Two columns are called “name”.'],
  ] as const) {
    await choose(page, file);
    await expect(page.getByRole('alert')).toContainText(says);
  }
  await lookAt(page, 'wizard-bad-file');

  await choose(page, csv('city\nValletta\n')); // one column, and not the right one
  await expect(page.getByText('Say which column holds the phone numbers.')).toBeVisible();
  await expect(page.getByRole('button', { name: 'Upload and import' })).toBeDisabled();
  await accessible(page);

  await choose(page, csv(utf16('msisdn;name\r\n79000001;Żeża\r\n'), 'utf16.csv'));
  await expect(page.getByText('Żeża')).toBeVisible();
  await expect(page.getByText('The first number has no +.')).toBeVisible();
  await page.getByRole('combobox', { name: 'Numbers without +' }).click();
  await page.getByRole('option', { name: 'Malta (MT)' }).click();
  await page.getByRole('button', { name: 'Upload and import' }).dblclick();
  await expect(page.getByText('1 recipient so far')).toBeVisible({ timeout: 30_000 });
  expect(await campaign(page, id)).toMatchObject({ lines: 1, targets: 1 });

  await choose(page, csv('\ufeffmsisdn\n+35679000002\n', 'mark.csv'));
  await page.getByRole('button', { name: 'Upload and import' }).click();
  await expect(page.getByText('2 recipients so far')).toBeVisible({ timeout: 30_000 });
});

test('an upload survives a lost connection, an ended session and a reload', async ({
  signedIn: page,
  context,
  complaints,
}) => {
  const id = await makeCampaign(page, `Lost ${Date.now()}`);
  let away = false;
  await page.route('**/api/v1/uploads/*/parts/*', async (route) => {
    if (away && !route.request().url().endsWith('/1')) return route.abort();
    return route.continue();
  });
  await page.goto(`/campaigns/${id}/edit?step=audience`);
  away = true;
  await choose(page, large);
  await page.getByRole('button', { name: 'Upload and import' }).click();
  await expect(page.getByText(/^No connection: .* have arrived/)).toBeVisible();
  await lookAt(page, 'wizard-upload-waits');
  // Another step, and back: it goes on.
  await page.getByRole('link', { name: /Schedule/ }).click();
  await page.getByRole('link', { name: /Audience/ }).click();
  await expect(page.getByText(/^No connection: .* have arrived/)).toBeVisible();

  page.once('dialog', (dialog) => void dialog.accept());
  await page.reload();
  await expect(page.getByText('An upload was begun and is not complete')).toBeVisible();
  await lookAt(page, 'wizard-upload-begun');
  await choose(page, csv('msisdn\n+35679000001\n', 'another.csv'));
  await page.getByRole('button', { name: 'Go on with the upload' }).click();
  await expect(
    page.getByRole('alert').filter({ hasText: 'This is not the file whose upload was begun' }),
  ).toBeVisible();

  await context.clearCookies();
  await choose(page, large);
  await page.getByRole('button', { name: 'Go on with the upload' }).click();
  const dialog = page.getByRole('dialog', { name: 'Sign in again' });
  await dialog.getByLabel('Password', { exact: true }).fill(password);
  await dialog.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByText(/^No connection/)).toBeVisible({ timeout: 30_000 });
  away = false;
  await expect(page.getByText('9,000 recipients so far')).toBeVisible({ timeout: 60_000 });
  expect(await campaign(page, id)).toMatchObject({ lines: 9000, targets: 9000, invalid: 0, duplicates: 0 });
  complaints.splice(0); // the browser notes every lost request
});

test('contacts are counted while they are chosen, and added once', async ({ signedIn: page }) => {
  const mark = `jazz-${Date.now()}`;
  for (let i = 0; i < 3; i++) {
    const made = await page.request.post('/api/v1/contacts', {
      data: {
        msisdn: `+3567910${String(Date.now() % 1000).padStart(3, '0')}${i}`,
        name: `Guest ${i}`,
        locale: 'en-MT',
        tags: i === 0 ? [mark, `${mark}-vip`] : [mark],
      },
    });
    expect(made.ok(), await made.text()).toBe(true);
  }
  const id = await makeCampaign(page, `Contacts ${Date.now()}`);
  await page.goto(`/campaigns/${id}/edit?step=audience`);
  await page.getByText('From contacts').click();
  await expect(page.getByText('Choose at least one tag, bar, country or language.')).toBeVisible();
  const tags = page.getByRole('combobox', { name: 'Tags' });
  await tags.fill(mark);
  await page.getByRole('option', { name: `${mark} (3)` }).click();
  await expect(page.getByRole('button', { name: 'Add 3 contacts' })).toBeEnabled();
  await tags.fill(mark);
  await page.getByRole('option', { name: `${mark}-vip (1)` }).click();
  await page.keyboard.press('Escape');
  await page.getByText('With all of them').click();
  await expect(page.getByRole('button', { name: 'Add 1 contacts' })).toBeEnabled();
  await page.getByText('With any of them').click();
  await expect(page.getByRole('button', { name: 'Add 3 contacts' })).toBeEnabled();
  await lookAt(page, 'wizard-contacts');
  await page.getByRole('button', { name: 'Add 3 contacts' }).dblclick();
  await expect(page.getByText('3 recipients so far')).toBeVisible();
  expect(await campaign(page, id)).toMatchObject({ lines: 3, targets: 3, duplicates: 0 });
});

test('somebody else starts the draft meanwhile', async ({ signedIn: page, complaints }) => {
  const id = await makeCampaign(page, `Raced ${Date.now()}`);
  const imported = await page.request.post(`/api/v1/campaigns/${id}/imports`, {
    data: `msisdn,name,locale\n${guests(2).join('\n')}\n`,
    headers: { 'Content-Type': 'text/csv' },
  });
  expect(imported.ok()).toBe(true);
  await page.route('**/api/v1/events*', (route) => route.abort()); // no event tells of it
  await page.goto(`/campaigns/${id}/edit`);
  await expect(heading(page, 'Forecast and start')).toBeVisible();
  await expect(page.getByRole('button', { name: 'Start campaign' })).toBeEnabled();
  const started = await page.request.post(`/api/v1/campaigns/${id}/start`, { data: {} });
  expect(started.ok(), await started.text()).toBe(true);
  await page.getByRole('button', { name: 'Start campaign' }).click();
  await expect(heading(page, 'This campaign has been started')).toBeVisible();
  await page.goto('/campaigns/00000000-0000-7000-8000-000000000000/edit');
  await expect(page.getByRole('heading', { name: 'There is nothing here' })).toBeVisible();
  complaints.splice(0); // the browser notes the 404, the 409 and the aborted stream
});

test('the keyboard is enough', async ({ signedIn: page }) => {
  await page.goto('/campaigns/new');
  await page.getByLabel('Name').focus();
  await page.keyboard.type(`Keys ${Date.now()}`);
  await page.keyboard.press('Enter');
  await expect(heading(page, 'What does it say?')).toBeVisible();
  await page.goto(page.url().replace('step=message', 'step=audience'));
  const opened = page.waitForEvent('filechooser');
  await page.getByRole('button', { name: 'Choose a CSV file' }).focus();
  await page.keyboard.press('Enter');
  await (await opened).setFiles(csv('msisdn\n+35679000001\n'));
  await page.getByRole('button', { name: 'Upload and import' }).focus();
  await page.keyboard.press('Enter');
  await expect(page.getByText('1 recipient so far')).toBeVisible({ timeout: 30_000 });
  await next(page).press('Enter');
  await expect(heading(page, 'When does it go?')).toBeFocused();
  await page.getByLabel('As soon as it is started').focus();
  await page.keyboard.press('ArrowDown');
  await expect(page.getByLabel('Date and time')).toBeVisible();
  await page.keyboard.press('ArrowUp');
  await next(page).press('Enter');
  await expect(heading(page, 'Forecast and start')).toBeFocused();
  await page.getByRole('button', { name: 'Start campaign' }).press('Enter');
  await expect(page).toHaveURL(/\/campaigns\/[0-9a-f-]{36}$/);
});
