import { expect, lookAt, test } from './support';

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
