import type { Page } from '@playwright/test';
import { colleague, expect, lookAt, setFor, test } from './support';

/** A new contact whose number begins so, while it is night in Rwanda until back is called. */
async function guestAtNight(page: Page, msisdn: string, given: string) {
  const tail = String(Date.now()).slice(-5);
  const name = `${given} ${tail}`;
  const added = await page.request.post('/api/v1/contacts', {
    data: { msisdn: `${msisdn}${tail}`, name, locale: 'en' },
  });
  expect(added.status(), await added.text()).toBe(201);
  const { id }: { id: string } = await added.json();
  const wall = (hours: number) =>
    new Date(Date.now() + hours * 3_600_000).toLocaleTimeString('en-GB', {
      timeZone: 'Africa/Kigali',
      hour: '2-digit',
      minute: '2-digit',
    });
  const back = await setFor(page, 'quiet_hours', (was) => ({ ...was, RW: { start: wall(-1), end: wall(2) } }));
  return { id, name, back };
}

test('[smoke 12] a message to one contact: blocked by quiet hours, it waits, is cancelled, goes, and tells its story', async ({
  signedIn: page,
}) => {
  test.slow();
  const { id, name, back } = await guestAtNight(page, '+2507885', 'Keza');
  try {
    await page.goto(`/contacts?contact=${id}`);
    const drawer = page.getByRole('dialog', { name: 'Contact' });
    await drawer.getByRole('button', { name: 'Send a message' }).click();
    await expect(drawer.getByText(`Send a message to ${name}`)).toBeVisible();
    await drawer.getByLabel('event').fill('Jazz on the roof');
    await drawer.getByLabel('day').fill('Friday');
    await expect(drawer.getByRole('status')).toContainText(/Send blocked – quiet hours until .*\(Kigali\)/);
    await expect(drawer.getByRole('button', { name: 'Send now' })).toBeHidden();
    await lookAt(page, 'send-blocked');
    await drawer.getByRole('button', { name: 'Send when allowed' }).click();
    const held = drawer.getByRole('region', { name: 'The message waits' });
    await expect(held).toContainText('a project lead can let it go in quiet hours', { timeout: 20_000 });
    await lookAt(page, 'send-held');
    await held.getByRole('button', { name: 'Done' }).click();
    await expect(drawer.getByRole('list', { name: 'Single messages' })).toContainText('Waits');

    await page.goto('/sends?state=queued');
    await page.getByRole('link', { name }).click();
    const story = page.getByRole('dialog', { name: 'One message' });
    await expect(story.getByText(/Waits – quiet hours until/)).toBeVisible();
    await lookAt(page, 'send-waits');
    await story.getByRole('button', { name: 'Cancel' }).click();
    const asked = page.getByRole('dialog', { name: 'Cancel this message?' });
    await asked.getByLabel('Reason').fill('Told on the phone');
    await asked.getByRole('button', { name: 'Cancel message' }).click();
    await expect(page.getByText('Message cancelled')).toBeVisible();
  } finally {
    await back();
  }

  await page.goto('/sends?state=cancelled');
  await page.getByRole('link', { name }).click();
  await expect(page.getByText('Cancelled: Told on the phone')).toBeVisible();

  await page.goto(`/contacts?contact=${id}`);
  const drawer = page.getByRole('dialog', { name: 'Contact' });
  await drawer.getByRole('button', { name: 'Send a message' }).click();
  await expect(drawer.getByRole('button', { name: 'Send now' })).toBeDisabled(); // it lacks values
  await drawer.getByLabel('event').fill('Jazz on the roof');
  await drawer.getByLabel('day').fill('Friday');
  await expect(drawer.getByText('It may go now.')).toBeVisible();
  await drawer.getByRole('button', { name: 'Send now' }).click();
  await expect(page.getByText('Message sent')).toBeVisible({ timeout: 20_000 });
  const messages = drawer.getByRole('list', { name: 'Single messages' });
  await expect(messages.getByRole('listitem')).toHaveCount(2);
  await expect(messages.getByText('Cancelled', { exact: true })).toBeVisible();

  await page.goto('/sends');
  const row = page.getByRole('row', { name });
  await expect(row.first()).toContainText(/Delivered|Read/, { timeout: 30_000 });
  await lookAt(page, 'sends');
  await row.first().getByRole('link').click();
  const story = page.getByRole('dialog', { name: 'One message' });
  await expect(story.getByText('Taken by WhatsApp')).toBeVisible();
  await expect(story.getByRole('link', { name: 'Open in Temporal Web' })).toBeVisible();
  await lookAt(page, 'send-story');
});

test('a message that quiet hours hold goes when a project lead lets it', async ({ signedIn: page, browser }) => {
  test.slow();
  const { id, name, back } = await guestAtNight(page, '+2507886', 'Rugwe');
  try {
    await page.goto(`/contacts?contact=${id}`);
    const drawer = page.getByRole('dialog', { name: 'Contact' });
    await drawer.getByRole('button', { name: 'Send a message' }).click();
    await drawer.getByLabel('event').fill('Jazz on the roof');
    await drawer.getByLabel('day').fill('Friday');
    await drawer.getByRole('button', { name: 'Send when allowed' }).click();
    await drawer.getByRole('button', { name: 'Ask for an override…' }).click({ timeout: 20_000 });
    const asking = page.getByRole('dialog', { name: /Let this message of .* go in quiet hours/ });
    await asking.getByLabel('Reason').fill('Their table is ready');
    await lookAt(page, 'send-override-request');
    await asking.getByRole('button', { name: 'Request override' }).click();
    await expect(drawer.getByRole('list', { name: 'Single messages' })).toContainText('Waits', { timeout: 20_000 });

    await page.goto('/sends?state=queued');
    await page.getByRole('link', { name }).click();
    const story = page.getByRole('dialog', { name: 'One message' });
    await expect(story.getByRole('region', { name: 'Override of quiet hours' })).toContainText('Waits for a lead');
    await lookAt(page, 'send-override-waiting');

    const hers = await colleague(browser, page, 'Lea', 'project_lead');
    await hers.goto('/approvals');
    await lookAt(hers, 'send-override-inbox');
    await hers
      .getByRole('row', { name: /one message/ })
      .getByRole('link')
      .first()
      .click();
    const override = hers.getByRole('dialog', { name: 'Override' });
    await expect(override).toContainText(/to \+250 78• ••• \d{3}/);
    await override.getByRole('button', { name: 'Approve…' }).click();
    const sure = hers.getByRole('dialog', { name: /go in quiet hours/ });
    await expect(sure).toContainText('for this message meanwhile');
    await sure.getByRole('button', { name: 'Approve override' }).click();
    await expect(override.getByText('It ends in', { exact: false })).toBeVisible({ timeout: 30_000 });
    await lookAt(hers, 'send-override-active');
    await hers.context().close();

    await expect(story.getByText('Quiet hours are lifted by an override')).toBeVisible({ timeout: 30_000 });
    await expect(story.getByText('Taken by WhatsApp')).toBeVisible({ timeout: 30_000 });
    await lookAt(page, 'send-override-gone');
  } finally {
    await back();
  }
});
