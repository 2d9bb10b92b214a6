import { accessible, colleague, expect, lookAt, test } from './support';

test('a template is read as a phone shows it, in each of its languages', async ({ signedIn: page }) => {
  await page.goto('/templates');
  await expect(page.getByRole('row', { name: 'promo_generic' })).toContainText('Locked');
  await lookAt(page, 'templates');
  await page.getByRole('link', { name: 'promo_generic' }).click();
  await expect(page).toHaveURL('/templates/promo_generic');
  const answer = await page.request.get('/api/v1/templates/promo_generic');
  const { texts, variables } = await answer.json();
  const filled = (locale: string) =>
    variables.reduce(
      (text: string, v: { name: string; example: string }) => text.replaceAll(`{{${v.name}}}`, v.example),
      texts[locale],
    );
  const [first, second] = Object.keys(texts).sort();
  await expect(page.getByRole('figure')).toHaveText(filled(first as string));
  await lookAt(page, 'template');
  await page.getByText(second as string, { exact: true }).click();
  await expect(page).toHaveURL(`/templates/promo_generic?locale=${second}`);
  await expect(page.getByRole('figure')).toHaveText(filled(second as string));
  await page.goto('/templates/nothing');
  await expect(page.getByRole('heading', { name: 'There is no such template' })).toBeVisible();
});

test('[smoke 5, 6] a template is written, changed at the request of compliance, approved, locked and followed by a new version', async ({
  signedIn: page,
  browser,
}) => {
  test.slow();
  const name = `jazz_${Date.now()}`;
  await page.goto('/templates');
  await page.getByRole('button', { name: 'New template' }).click();
  await page.getByLabel('Name', { exact: true }).last().fill(name);
  await page.getByRole('button', { name: 'Write template' }).click();
  await expect(page.getByRole('heading', { name: `Edit ${name}` })).toBeVisible();

  // A language, a text with a variable that is not declared: the panel says what is missing, as the server would.
  await page.getByRole('combobox', { name: 'Language to add' }).fill('en_mt');
  await page.getByRole('button', { name: 'Add language' }).click();
  await page.getByLabel('Text', { exact: true }).fill('Hello {{name}}, jazz tonight {{name}}');
  const missing = page.getByRole('region', { name: 'Before it can be submitted' });
  await expect(missing).toContainText('must neither begin nor end with a variable');
  await lookAt(page, 'template-edit-problems');
  await page
    .getByLabel('Text', { exact: true })
    .fill('Hello {{name}}, jazz tonight. Reply STOP to hear no more from us.');
  await page.getByRole('button', { name: 'name', exact: true }).click();
  await page.getByLabel('Example of name').fill('Amina');
  await page.getByLabel('Header').fill('Jazz night');
  await page.getByLabel('Footer').fill('The bar round the corner');
  await expect(missing).toContainText('Nothing keeps it from being submitted.');
  await expect(page.getByRole('figure')).toHaveText(
    'Jazz nightHello Amina, jazz tonight. Reply STOP to hear no more from us.The bar round the corner',
  );
  await lookAt(page, 'template-edit');
  await page.getByRole('link', { name: 'Templates', exact: true }).click();
  await expect(page.getByRole('dialog')).toContainText('What you have typed is lost');
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
  await page.getByRole('button', { name: 'Save draft' }).click();
  const review = page.getByRole('region', { name: 'Review' });
  await expect(review.getByText('nothing keeps it from being submitted', { exact: false })).toBeVisible();
  await review.getByRole('button', { name: 'Submit for review…' }).click();
  await page.getByRole('dialog').getByLabel('Reason').fill('For Friday');
  await page.getByRole('dialog').getByRole('button', { name: 'Submit for review' }).click();
  await expect(review.getByText('Submitted by', { exact: false })).toContainText('For Friday');
  await expect(review.getByRole('button', { name: 'Approve…' })).toBeHidden();

  const clara = await colleague(browser, page, 'Clara', 'compliance');
  await clara.goto('/approvals');
  await expect(clara.getByRole('row', { name: new RegExp(name) })).toContainText('You decide');
  await lookAt(clara, 'approvals-template');
  await clara.getByRole('link', { name: new RegExp(name) }).click();
  const hers = clara.getByRole('region', { name: 'Review' });
  await hers.getByRole('button', { name: 'Request changes…' }).click();
  await expect(clara.getByRole('dialog').getByRole('button', { name: 'Request changes' })).toBeDisabled();
  await clara.getByRole('dialog').getByLabel('Reason').fill('Say which bar');
  await clara.getByRole('dialog').getByRole('button', { name: 'Request changes' }).click();
  await expect(hers.getByText('Say which bar', { exact: false })).toBeVisible();

  await page.reload();
  await expect(review.getByText('Say which bar', { exact: false })).toBeVisible();
  await lookAt(page, 'template-changes-requested');
  await review.getByRole('button', { name: 'Edit' }).click();
  await page.getByLabel('Footer').fill('The Blue Note');
  await page.getByRole('button', { name: 'Save draft' }).click();
  await review.getByRole('button', { name: 'Submit for review…' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Submit for review' }).click();
  await expect(review.getByText('Submitted by', { exact: false })).toBeVisible();

  await clara.reload();
  await lookAt(clara, 'template-review');
  await hers.getByRole('button', { name: 'Approve…' }).click();
  await expect(clara.getByRole('dialog')).toContainText('The Blue Note');
  await accessible(clara);
  await clara.getByRole('dialog').getByRole('button', { name: 'Approve template' }).click();
  await expect(hers.getByText('Campaigns may send it.', { exact: false })).toBeVisible();
  await hers.getByRole('button', { name: 'Lock…' }).click();
  await clara.getByRole('dialog').getByRole('button', { name: 'Lock template' }).click();
  await expect(hers.getByText('nobody can change it', { exact: false })).toBeVisible();

  // It goes to a phone, and its receipts come back.
  await clara.getByRole('button', { name: 'Send test…' }).click();
  await clara.getByLabel('Phone number').fill('+35679012345');
  await clara.getByRole('dialog').getByRole('button', { name: 'Send test' }).click();
  await expect(clara.getByRole('dialog').getByRole('status')).toContainText(/Delivered|Read/, { timeout: 60_000 });
  await accessible(clara);
  await clara.getByRole('dialog').getByRole('button', { name: 'Close' }).last().click();
  await clara.getByRole('button', { name: 'Compare', exact: true }).click();
  await expect(
    clara.getByRole('region', { name: 'Languages at WhatsApp' }).getByText('approved', { exact: true }),
  ).toBeVisible();
  await lookAt(clara, 'template-locked');
  await clara.context().close();

  await page.reload();
  await review.getByRole('button', { name: 'New version…' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Write new version' }).click();
  await page
    .getByLabel('Text', { exact: true })
    .fill('Hello {{name}}, soul tonight. Reply STOP to hear no more from us.');
  await page.getByRole('button', { name: 'Save draft' }).click();
  const changes = page.getByRole('region', { name: 'Changes' });
  await expect(changes.locator('del')).toHaveText('jazz');
  await expect(changes.locator('ins')).toHaveText('soul');
  await lookAt(page, 'template-compare');
  await page.goto('/templates?status=draft');
  await expect(page.getByRole('row', { name: new RegExp(name) })).toContainText('v1');
});
