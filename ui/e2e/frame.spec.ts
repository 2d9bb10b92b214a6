import { accessible, email, expect, lookAt, password, signIn, test } from './support';

test('who is not signed in sees the sign-in page, and comes back to where they were going', async ({ page }) => {
  await page.goto('/profile');
  await expect(page.getByRole('heading', { name: 'Sign in to Lastcall' })).toBeVisible();
  await lookAt(page, 'sign-in');

  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByText('Enter your password.')).toBeVisible();
  await page.getByLabel('E-mail').fill(email);
  await page.getByLabel('Password', { exact: true }).fill('not this one');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('alert')).toHaveText('The e-mail address or the password is wrong.');
  await accessible(page);

  await signIn(page);
  await expect(page).toHaveURL('/profile');
  await expect(page.getByRole('heading', { name: 'Profile' })).toBeVisible();
});

test('a session that ends asks to sign in over the page and loses nothing typed', async ({
  signedIn: page,
  context,
}) => {
  await page.goto('/profile');
  await page.getByLabel('Your name').fill('Odile K.');
  await context.clearCookies();
  await page.getByRole('button', { name: 'Save name' }).click();
  const dialog = page.getByRole('dialog', { name: 'Sign in again' });
  await expect(dialog).toBeVisible();
  await lookAt(page, 'sign-in-again');
  await expect(dialog.getByLabel('E-mail')).toHaveValue(email);
  await dialog.getByLabel('Password', { exact: true }).fill(password);
  await dialog.getByRole('button', { name: 'Sign in' }).click();
  await expect(dialog).toBeHidden();
  await expect(page.getByLabel('Your name')).toHaveValue('Odile K.');
  await page.getByRole('button', { name: 'Save name' }).click();
  await expect(page.getByText('Name saved')).toBeVisible();
  await expect(page.getByRole('button', { name: 'Account of Odile K.' })).toBeVisible();
});

test('the profile says on the field what is wrong with it', async ({ signedIn: page, complaints }) => {
  await page.goto('/profile');
  await lookAt(page, 'profile');
  await page.getByLabel('Current password').fill('wrong');
  await page.getByLabel('New password').fill('short');
  await page.getByRole('button', { name: 'Change password' }).click();
  await expect(page.getByText('Use 12 characters or more.')).toBeVisible();
  await page.getByLabel('New password').fill('a password that is long');
  await page.getByRole('button', { name: 'Change password' }).click();
  await expect(page.getByText('This is not your password.')).toBeVisible();
  await accessible(page);
  complaints.splice(0); // the browser notes the 422
});

test('who signs out is out', async ({ page }) => {
  await page.goto('/profile');
  await signIn(page); // a session of its own, since it ends
  await page.getByRole('main').getByRole('button', { name: 'Sign out', exact: true }).click();
  await expect(page.getByRole('heading', { name: 'Sign in to Lastcall' })).toBeVisible();
  expect((await page.request.get('/api/v1/session')).status()).toBe(401);
});

test('the keyboard gets everywhere', async ({ signedIn: page }) => {
  await page.goto('/profile');
  await expect(page.getByRole('heading', { name: 'Profile' })).toBeVisible();
  await page.keyboard.press('Tab');
  await expect(page.getByRole('link', { name: 'Skip to content' })).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(page.getByRole('main')).toBeFocused();

  await page.keyboard.press('?');
  await expect(page.getByRole('dialog', { name: 'Keyboard shortcuts' })).toBeVisible();
  await lookAt(page, 'shortcuts');
  await page.keyboard.press('Escape');
  await expect(page.getByRole('dialog')).toBeHidden();

  await page.keyboard.press('g');
  await page.keyboard.press('c');
  await expect(page).toHaveURL('/campaigns');
  await expect(page.getByRole('main')).toBeFocused();

  await page.keyboard.press('Control+k');
  await page.getByPlaceholder('Go to a page or run a command').fill('prof');
  await accessible(page);
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL('/profile');
});

test('an address that leads nowhere says so', async ({ signedIn: page }) => {
  await page.goto('/nowhere');
  await expect(page.getByRole('heading', { name: 'There is no such page' })).toBeVisible();
  await lookAt(page, 'nowhere');
});
