import type { Page } from '@playwright/test';
import { expect, lookAt as look, signIn, test, up } from './support';

// Each story has people of its own: addresses are made anew with every run.
const tag = () => String(Date.now()).slice(-7);

/** The links in the mails to an address, the newest last. */
async function linksTo(page: Page, address: string): Promise<string[]> {
  const mails: { to: string[]; text: string }[] = await (await page.request.get(`${up().sandbox}/mail.json`)).json();
  return mails.filter((m) => m.to.includes(address)).flatMap((m) => m.text.match(/http\S+#\S+/g) ?? []);
}

/** The link in the next mail to an address that has had so many. */
async function nextLink(page: Page, address: string, had: number): Promise<string> {
  await expect.poll(async () => (await linksTo(page, address)).length, { timeout: 30_000 }).toBe(had + 1);
  return (await linksTo(page, address)).at(-1) ?? '';
}

test('[smoke 18] somebody is invited, comes in by the link, gets another role and is disabled', async ({
  signedIn: page,
  browser,
  complaints,
}) => {
  test.slow();
  const number = tag();
  const address = `guest.${number}@lastcall.test`;
  const name = `Keza ${number}`;
  await page.goto('/users');
  await expect(page.getByRole('row', { name: /admin@lastcall\.test/ })).toContainText('You');
  await page.getByRole('button', { name: 'Invite' }).click();
  const dialog = page.getByRole('dialog', { name: 'Invite somebody' });
  await dialog.getByRole('button', { name: 'Send invitation' }).click();
  await expect(dialog.getByText('Enter an e-mail address.')).toBeVisible();
  await dialog.getByLabel('E-mail').fill('admin@lastcall.test');
  await dialog.getByLabel('Name').fill(name);
  await dialog.getByRole('button', { name: 'Send invitation' }).click();
  await expect(dialog.getByText('This address has an account already.')).toBeVisible();
  complaints.splice(0); // the browser notes the 409
  await look(page, 'users-invite');
  await dialog.getByLabel('E-mail').fill(address);
  await dialog.getByRole('button', { name: 'Send invitation' }).click();
  await expect(dialog).toBeHidden();
  const open = page.getByRole('region', { name: 'Open invitations' }).first();
  await expect(open.getByRole('row', { name: address })).toContainText('Viewer');
  const first = await nextLink(page, address, 0);
  await page.getByRole('button', { name: `Send the invitation of ${name} again` }).click();
  await expect(page.getByText('Invitation sent again', { exact: true })).toBeVisible();
  const link = await nextLink(page, address, 1);
  await page.reload();
  await expect(open.getByRole('row', { name: address })).toContainText('Sent');
  await look(page, 'users');

  const elsewhere = await browser.newContext();
  const guest = await elsewhere.newPage();
  await guest.goto(first);
  await expect(guest.getByRole('heading', { name: 'This invitation has ended' })).toBeVisible();
  await look(guest, 'welcome-ended');
  await guest.goto('about:blank');
  await guest.goto(link);
  await expect(guest.getByRole('heading', { name: 'Welcome to Lastcall' })).toBeVisible();
  await expect(guest).toHaveURL('/welcome'); // the secret has left the address
  await expect(guest.getByLabel('E-mail')).toHaveValue(address);
  await guest.getByLabel('Password', { exact: true }).fill('short');
  await guest.getByRole('button', { name: 'Choose password and sign in' }).click();
  await expect(guest.getByText('Use 12 characters or more.').last()).toBeVisible();
  await look(guest, 'welcome');
  await guest.getByLabel('Password', { exact: true }).fill('a password that is long');
  await guest.getByRole('button', { name: 'Choose password and sign in' }).click();
  await expect(guest.getByRole('navigation', { name: 'Main' })).toBeAttached();
  await expect(guest.getByRole('link', { name: 'Users' })).toHaveCount(0); // a viewer manages nobody

  // Another role signs them out; they come back as what they are now.
  await page.reload();
  const row = page.getByRole('row', { name: address });
  await expect(row).toContainText('1 place');
  await page
    .getByRole('button', { name: `Actions for ${name}` })
    .last()
    .click();
  await page.getByRole('menuitem', { name: 'Change role…' }).click();
  const role = page.getByRole('dialog', { name: `Role of ${name}` });
  await role.getByRole('combobox', { name: 'Role' }).click();
  await page.getByRole('option', { name: /^Support/ }).click();
  await look(page, 'users-role');
  await role.getByRole('button', { name: 'Change role' }).click();
  await expect(row).toContainText('Support');
  await expect(guest.getByRole('dialog', { name: 'Sign in again' })).toBeVisible({ timeout: 30_000 });

  await page
    .getByRole('button', { name: `Actions for ${name}` })
    .last()
    .click();
  await page.getByRole('menuitem', { name: 'Disable…' }).click();
  const ask = page.getByRole('dialog', { name: `Disable ${name}?` });
  await look(page, 'users-disable');
  await ask.getByRole('button', { name: 'Disable account' }).click();
  await expect(row).toContainText('Disabled');
  await elsewhere.close();
});

test('who forgot a password chooses another by a link', async ({ page, complaints }) => {
  test.slow();
  const support = up().accounts.find((a) => a.email === 'support.two@lastcall.test');
  if (!support) throw new Error('up.json lists no support.two@lastcall.test');
  await page.goto('/');
  await page.getByRole('link', { name: 'Forgot password?' }).click();
  await expect(page.getByRole('heading', { name: 'Choose another password' })).toBeVisible();
  await look(page, 'reset-ask');
  const had = (await linksTo(page, support.email)).length;
  await page.getByLabel('E-mail').fill(support.email);
  await page.getByRole('button', { name: 'Send the link' }).click();
  await expect(page.getByText(`If ${support.email} has an account`)).toBeVisible();
  await look(page, 'reset-asked');
  const link = await nextLink(page, support.email, had);
  await page.goto(link);
  await expect(page.getByRole('heading', { name: 'Choose another password' })).toBeVisible();
  await expect(page).toHaveURL('/reset');
  await page.getByLabel('New password').fill(support.password); // as it was: up.json stays true
  await look(page, 'reset');
  await page.getByRole('button', { name: 'Change password' }).click();
  await expect(page.getByRole('heading', { name: 'Your password is changed' })).toBeVisible();
  await look(page, 'reset-done');
  await page.goto('about:blank');
  await page.goto(link);
  await page.getByLabel('New password').fill('yet another password');
  await page.getByRole('button', { name: 'Change password' }).click();
  await expect(page.getByRole('heading', { name: 'This link has ended' })).toBeVisible();
  complaints.splice(0); // the browser notes the 409
  await look(page, 'reset-ended');
  await page.goto('/');
  await signIn(page, support);
});

test('one sees where one is signed in, and makes a token that is shown once', async ({ page, browser, baseURL }) => {
  test.slow();
  const ops = up().accounts.find((a) => a.role === 'ops');
  if (!ops) throw new Error('up.json lists no ops');
  await page.goto('/profile');
  await signIn(page, ops);
  const other = await browser.newContext({ baseURL });
  await other.request.post('/api/v1/session', { data: { email: ops.email, password: ops.password } });
  await page.reload();
  const sessions = page.getByRole('region', { name: 'Where you are signed in' });
  await expect(sessions.getByText('This one')).toBeVisible();
  await page.getByRole('button', { name: 'Sign out everywhere else' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Sign out elsewhere' }).click();
  await expect(page.getByRole('button', { name: 'Sign out everywhere else' })).toBeDisabled();
  expect((await other.request.get('/api/v1/session')).status()).toBe(401);
  await other.close();

  const name = `nightly ${tag()}`;
  await page.getByRole('button', { name: 'Make a token' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Name').fill(name);
  await dialog.getByRole('button', { name: 'Make token' }).click();
  await expect(dialog.getByText('Choose what it may do.')).toBeVisible();
  await dialog.getByLabel('Campaigns: read').check();
  await look(page, 'profile-token-form');
  await dialog.getByRole('button', { name: 'Make token' }).click();
  const token = await dialog.getByLabel('Token', { exact: true }).inputValue();
  await look(page, 'profile-token-shown');
  await dialog.getByRole('button', { name: 'I have it' }).click();
  const program = await browser.newContext({ baseURL, extraHTTPHeaders: { Authorization: `Bearer ${token}` } });
  expect((await program.request.get('/api/v1/campaigns')).status()).toBe(200);
  expect((await program.request.get('/api/v1/contacts')).status()).toBe(403);
  await page.reload();
  await expect(page.getByRole('row', { name: new RegExp(name) })).toContainText('Campaigns: read');
  await look(page, 'profile-ops');
  await page.getByRole('button', { name: `Revoke ${name}` }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Revoke token' }).click();
  await expect(page.getByRole('row', { name: new RegExp(name) })).toHaveCount(0);
  expect((await program.request.get('/api/v1/campaigns')).status()).toBe(401);
  await program.close();
});
