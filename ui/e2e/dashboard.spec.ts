import { accessible, expect, lookAt, numbers, runCampaign, test } from './support';

test('[smoke 1, 2] the dashboard tells how it goes, by what it reckons, and leads to the rows', async ({
  signedIn: page,
  complaints,
}) => {
  test.slow();
  const name = `Seen on the dashboard ${Date.now()}`;
  const id = await runCampaign(page, name, numbers(3, 900));
  await expect
    .poll(async () => (await (await page.request.get(`/api/v1/campaigns/${id}`)).json()).status, { timeout: 120_000 })
    .toBe('done');

  await page.goto('/');
  await expect(page.getByRole('heading', { name: 'Dashboard', level: 1 })).toBeVisible();
  await expect(page.getByRole('link', { name: 'Dashboard' })).toHaveAttribute('data-status', 'active');
  const tile = (title: string) => page.getByRole('region', { name: title });
  for (const title of [
    'Sent, 24 h',
    'Delivery rate, 24 h',
    'Policy blocks, 24 h',
    'Vouchers, 24 h',
    'Availability, 24 h',
  ])
    await expect(tile(title)).toBeVisible();
  await expect(tile('Sent, 24 h')).toContainText('messages');
  await expect(tile('Redemption failures, 15 min')).toContainText(/No data|%/);
  await expect(page.getByRole('img', { name: /^Vouchers by day/ })).toBeVisible();
  await lookAt(page, 'dashboard');

  // The formula is told to the pointer, the keyboard and the screen reader.
  const formula = tile('Sent, 24 h').getByRole('button', { name: /Messages that WhatsApp took/ });
  await formula.focus();
  await expect(page.getByRole('tooltip')).toContainText('Messages that WhatsApp took');
  await accessible(page);
  await page.getByText('Table', { exact: true }).click();
  await expect(page.getByRole('region', { name: 'Vouchers by day' }).getByRole('row')).toHaveCount(31);
  await accessible(page);

  // The rows behind a figure.
  await tile('Sent, 24 h')
    .getByRole('link', { name: /of campaigns/ })
    .click();
  await expect(page).toHaveURL(/\/campaigns\?since=/);
  await expect(page.getByText('Only those that sent something since')).toBeVisible();
  await expect(page.getByRole('row', { name: new RegExp(name) })).toBeVisible();
  await page.getByRole('button', { name: 'Show all' }).click();
  await expect(page).toHaveURL('/campaigns');
  await page.goto('/');
  await tile('Redemption failures, 15 min')
    .getByRole('link', { name: /failed/ })
    .click();
  await expect(page.getByRole('tab', { name: 'Refused', selected: true })).toBeVisible();
  await lookAt(page, 'refusals');

  // A figure that cannot be read says so alone; what needs a human leads there.
  await page.route('**/api/v1/dashboard*', async (route) => {
    const snap = await (await route.fetch()).json();
    snap.figures[4] = { ...snap.figures[4], value: null, parts: [], problem: 'too_slow' };
    snap.needs = [
      { kind: 'alerts', n: 1, since: snap.at, names: ['WhatsApp messaging is down'] },
      { kind: 'edge_functions', n: 1, since: snap.at, names: ['messaging'] },
      { kind: 'campaigns', n: 2, since: snap.at },
    ];
    await route.fulfill({ json: snap });
  });
  await page.goto('/');
  await expect(tile('Redemption failures, 15 min').getByText('Cannot be read now')).toBeVisible();
  await expect(tile('Sent, 24 h')).toContainText('messages');
  await expect(page.getByRole('link', { name: /edge function is red: messaging/ })).toHaveAttribute(
    'href',
    '/integrations',
  );
  await expect(page.getByRole('link', { name: /alert that nobody has seen/ })).toHaveAttribute('href', '/alerts');
  await lookAt(page, 'dashboard-degraded');
  await page.getByRole('link', { name: /campaigns wait for somebody/ }).click();
  await expect(page).toHaveURL('/campaigns?show=active');

  // Nothing can be read at all.
  await page.unroute('**/api/v1/dashboard*');
  await page.route('**/api/v1/dashboard*', (route) =>
    route.fulfill({
      status: 500,
      contentType: 'application/problem+json',
      json: { status: 500, code: 'internal', detail: 'It broke.' },
    }),
  );
  await page.goto('/');
  await expect(page.getByRole('button', { name: 'Try again' })).toBeVisible();
  await page.unroute('**/api/v1/dashboard*');
  await page.getByRole('button', { name: 'Try again' }).click();
  await expect(tile('Sent, 24 h')).toBeVisible();
  complaints.splice(0); // the browser notes the 500
});
