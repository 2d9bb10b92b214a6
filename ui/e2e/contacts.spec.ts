import { expect, lookAt, test } from './support';

test('a contact is added, found, filtered, and their agreement recorded', async ({ signedIn: page, complaints }) => {
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

  const drawer = page.getByRole('dialog', { name: 'Contact' });
  await expect(drawer.getByText('Kinyarwanda')).toBeVisible();
  await expect(page).toHaveURL(/\/contacts\?contact=[0-9a-f-]{36}$/);
  await expect(page.getByText(`788${tail}`)).toBeHidden(); // no number is shown whole
  await expect(drawer.getByText(/^\+250 78• ••• \d{3}$/)).toBeVisible();
  await lookAt(page, 'contact');
  await drawer.getByLabel('Agreed just now, where').fill('Card at the bar');
  await drawer.getByRole('button', { name: 'Record agreement' }).click();
  await expect(drawer.getByText('source “Card at the bar”')).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(drawer).toBeHidden();

  await page.getByLabel('Tag', { exact: true }).fill(tag);
  await page.getByLabel('Tag', { exact: true }).press('Enter');
  await expect(page).toHaveURL(`/contacts?tag=${tag}`);
  await expect(page.getByRole('row')).toHaveCount(2);
  await expect(page.getByRole('row', { name: 'Amina Test' })).toContainText('Agreed');
  await lookAt(page, 'contacts');
  await page.getByRole('combobox', { name: 'Country' }).fill('Malta');
  await page.getByRole('option', { name: 'Malta (MT)' }).click();
  await expect(page.getByRole('heading', { name: 'No contact fits' })).toBeVisible();
  await page.getByRole('button', { name: 'Show all contacts' }).click();
  await expect(page).toHaveURL('/contacts');

  await page.getByLabel('Find a number').fill('+250789000000');
  await page.getByLabel('Find a number').press('Enter');
  await expect(page.getByText('No contact has this number.')).toBeVisible();
  complaints.splice(0); // the browser notes the 404
  await page.getByLabel('Find a number').fill(`+250 788 ${tail}`);
  await page.getByLabel('Find a number').press('Enter');
  await expect(drawer.getByText('Amina Test')).toBeVisible();
});
