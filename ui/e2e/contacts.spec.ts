import { expect, lookAt, test } from './support';

test('[smoke 3, 4] a contact is added, found, filtered, edited, and their word about marketing kept; nobody fits', async ({
  signedIn: page,
  complaints,
}) => {
  test.slow();
  const tail = String(Date.now()).slice(-6);
  const tag = `jazz-${tail}`;
  await page.goto('/contacts');
  await page.getByRole('button', { name: 'Add contact' }).first().click();
  const dialog = page.getByRole('dialog', { name: 'Add contact' });
  await dialog.getByLabel('Number').fill('soon');
  await dialog.getByRole('button', { name: 'Add contact' }).click();
  await expect(dialog.getByText('This is not a phone number.')).toBeVisible();
  complaints.splice(0); // the browser notes the 422
  await lookAt(page, 'contact-add');
  await dialog.getByLabel('Number').fill(`+250788${tail}`);
  await dialog.getByLabel('Name').fill('Amina Test');
  await dialog.getByLabel('Language').fill('rw-RW');
  await dialog.getByLabel('Tags').fill(tag);
  await dialog.getByLabel('Tags').press('Enter');
  await dialog.getByRole('button', { name: 'Add contact' }).click();

  const drawer = page.getByRole('dialog', { name: 'Contact', exact: true });
  await expect(drawer.getByText('Kinyarwanda')).toBeVisible();
  await expect(page).toHaveURL(/\/contacts\?contact=[0-9a-f-]{36}$/);
  await expect(page.getByText(`788${tail}`)).toBeHidden(); // no number is shown whole
  await expect(drawer.getByText('No campaign has had this contact as a recipient.')).toBeVisible();
  await drawer.getByLabel('What they just said or saw, and where').fill('Card at the bar');
  await drawer.getByRole('button', { name: 'Record agreement' }).click();
  await expect(drawer.getByText('“Card at the bar”')).toBeVisible();
  await drawer.getByLabel('What they just said or saw, and where').fill('Told the barman');
  await drawer.getByRole('button', { name: 'Record withdrawal' }).click();
  await expect(drawer.getByText('“Told the barman”')).toBeVisible();
  await expect(drawer.getByText('“Card at the bar”')).toBeVisible();
  await lookAt(page, 'contact');
  await drawer.getByRole('button', { name: 'Edit' }).click();
  const edit = drawer.getByRole('form', { name: 'Edit contact' });
  await edit.getByLabel('Language').fill('english');
  await edit.getByRole('button', { name: 'Save' }).click();
  await expect(edit.getByText('Use BCP 47')).toBeVisible();
  complaints.splice(0);
  await lookAt(page, 'contact-edit');
  await edit.getByLabel('Language').fill('en-MT');
  await edit.getByLabel('Name').fill('Amina Changed');
  await edit.getByRole('button', { name: 'Save' }).click();
  await expect(drawer.getByRole('heading', { name: 'Amina Changed' })).toBeVisible();
  const { searchParams } = new URL(page.url());
  const target = `contact/${searchParams.get('contact')}`;
  await drawer.getByRole('button', { name: 'Show the number' }).click();
  await expect(drawer.getByText(`+250788${tail}`)).toBeVisible();
  const entries = await page.request.get('/api/v1/audit/entries', { params: { action: 'number.revealed', target } });
  expect((await entries.json()).entries, 'the audit log notes who looked').toHaveLength(1);
  await page.keyboard.press('Escape');
  await expect(drawer).toBeHidden();

  await page.getByLabel('Tag', { exact: true }).fill(tag);
  await page.getByLabel('Tag', { exact: true }).press('Enter');
  await expect(page).toHaveURL(`/contacts?tag=${tag}`);
  await expect(page.getByRole('row')).toHaveCount(2);
  await expect(page.getByRole('row', { name: 'Amina Changed' })).toContainText('Not agreed');
  await page.getByRole('combobox', { name: 'Marketing' }).click();
  await page.getByRole('option', { name: 'Withdrawn' }).click();
  await expect(page.getByRole('row')).toHaveCount(2);
  await lookAt(page, 'contacts');
  await page.getByRole('combobox', { name: 'Country' }).fill('Malta');
  await page.getByRole('option', { name: 'Malta (MT)' }).click();
  await expect(page.getByRole('heading', { name: 'No contact fits' })).toBeVisible();
  await page.getByRole('button', { name: 'Show all contacts' }).click();
  await expect(page).toHaveURL('/contacts');

  const search = page.getByLabel('Name or number');
  await search.fill('+250789000000');
  await expect(page.getByText('No contact has this number.')).toBeVisible();
  await search.fill(`+250 788 ${tail}`);
  await expect(page.getByRole('row', { name: 'Amina Changed' })).toBeVisible();
  await expect(page).toHaveURL('/contacts'); // neither name nor number gets into the address
  await search.fill('amina ch');
  await page.getByRole('row', { name: 'Amina Changed' }).first().click();
  await drawer.getByRole('button', { name: 'Erase' }).click();
  const erase = page.getByRole('dialog', { name: 'Erase this contact?' });
  await expect(erase.getByText('They did not opt out')).toBeVisible();
  await erase.getByLabel('Reason').fill('Asked by mail');
  await lookAt(page, 'contact-erase');
  await erase.getByRole('button', { name: 'Erase contact' }).click();
  await expect(page.getByText('Contact erased')).toBeVisible();
  await expect(drawer).toBeHidden();
});

test('contacts come from a file, with what was wrong in it', async ({ signedIn: page }) => {
  test.slow();
  const tail = String(Date.now()).slice(-5);
  await page.goto('/contacts');
  await page.getByRole('button', { name: 'Import' }).click();
  const dialog = page.getByRole('dialog', { name: 'Import contacts' });
  const file = `Mobile no;name;tags\n0788${tail}0;From A File;vip|club\nnobody;Bob;\n`;
  await dialog
    .locator('input[type=file]')
    .setInputFiles({ name: 'guests.csv', mimeType: 'text/csv', buffer: Buffer.from(file) });
  await expect(dialog.getByText('Say which column holds the phone numbers.')).toBeVisible();
  await dialog.getByRole('combobox', { name: 'Phone number' }).click();
  await page.getByRole('option', { name: 'Mobile no' }).click();
  await dialog.getByRole('combobox', { name: 'Numbers without +' }).fill('Rwanda');
  await page.getByRole('option', { name: 'Rwanda (RW)' }).click();
  await dialog.getByLabel('Where everybody in the file agreed').fill('Membership form');
  await lookAt(page, 'contacts-import');
  await dialog.getByRole('button', { name: 'Import' }).click();
  await expect(dialog.getByText('Line 3: msisdn: this is not a phone number')).toBeVisible({ timeout: 30_000 });
  await lookAt(page, 'contacts-imported');
  await dialog.getByRole('button', { name: 'Done' }).click();
  await page.getByLabel('Name or number').fill('from a file');
  await expect(page.getByRole('row', { name: 'From A File' }).first()).toContainText('Agreed');
  const exported = page.waitForEvent('download');
  await page.getByRole('link', { name: 'Export' }).click();
  expect((await exported).suggestedFilename()).toMatch(/^contacts-.*\.csv$/);
});
