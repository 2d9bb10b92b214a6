import { expect, lookAt, test } from './support';

test('numbers are opted out by the list, and taken out again, each with its reason', async ({
  signedIn: page,
  complaints,
}) => {
  const tail = String(Date.now()).slice(-5);
  await page.goto('/opt-outs');
  await page.getByRole('button', { name: 'Opt numbers out' }).click();
  const dialog = page.getByRole('dialog', { name: 'Opt numbers out' });
  await dialog.getByLabel('Numbers').fill(`+2507880${tail}\n\nnobody\n+2507881${tail}`);
  await expect(dialog.getByRole('button', { name: 'Opt out 3 numbers' })).toBeDisabled(); // it wants a reason
  await dialog.getByLabel('Reason').fill(`Asked at the bar ${tail}`);
  await dialog.getByRole('button', { name: 'Opt out 3 numbers' }).click();
  await expect(dialog.getByText('Line 3: This is not a phone number.')).toBeVisible();
  complaints.splice(0); // the browser notes the 422
  await lookAt(page, 'opt-outs-add');
  await dialog.getByLabel('Numbers').fill('');
  const file = `name;Phone\nA;+2507880${tail}\nB;+2507881${tail}\n`;
  await dialog
    .locator('input[type=file]')
    .setInputFiles({ name: 'out.csv', mimeType: 'text/csv', buffer: Buffer.from(file) });
  await expect(dialog.getByLabel('Numbers')).toHaveValue(`+2507880${tail}\n+2507881${tail}`);
  await dialog.getByRole('button', { name: 'Opt out 2 numbers' }).click();
  await expect(page.getByText('2 numbers opted out')).toBeVisible();
  await expect(dialog).toBeHidden();
  const rows = page.getByRole('row', { name: `Asked at the bar ${tail}` });
  await expect(rows).toHaveCount(2);
  await expect(rows.first()).toContainText('By hand');
  await lookAt(page, 'opt-outs');

  await page.getByLabel('Find a number').fill(`+250 788 0${tail}`);
  await page.getByLabel('Find a number').press('Enter');
  await expect(page.getByRole('status').getByText('Opted out since')).toBeVisible();
  await page.getByLabel('Find a number').fill('+250789000000');
  await page.getByLabel('Find a number').press('Enter');
  await expect(page.getByText('This number has not opted out.')).toBeVisible();
  complaints.splice(0); // the browser notes the 404

  await page.getByRole('button', { name: 'Take numbers out' }).click();
  const remove = page.getByRole('dialog', { name: 'Take numbers out of the registry' });
  await remove.getByLabel('Numbers').fill(`+2507880${tail}`);
  await remove.getByLabel('Reason').fill('Asked for messages again');
  await remove.getByRole('button', { name: 'Take out 1 number' }).click();
  await expect(rows).toHaveCount(1);
  await page.getByRole('button', { name: 'Take numbers out' }).click();
  await remove.getByLabel('Numbers').fill(`+2507880${tail}`);
  await remove.getByLabel('Reason').fill('Once more');
  await remove.getByRole('button', { name: 'Take out 1 number' }).click();
  await expect(remove.getByRole('alert')).toHaveText('None of these numbers is opted out.');
  complaints.splice(0); // the browser notes the 404
});
