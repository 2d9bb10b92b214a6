import { colleague, expect, lookAt, sandbox, test, up } from './support';

test('a test alert is seen, an incident is opened by hand, its runbook worked through, resolved and reported', async ({
  signedIn: page,
  browser,
}) => {
  test.slow();
  await page.goto('/alerts');
  const made = page.waitForResponse((r) => r.url().endsWith('/alerts/test'));
  await page.getByRole('button', { name: 'Send test alert' }).click();
  const { alert_id } = await (await made).json();
  await expect(page.getByRole('row', { name: /Test alert/ }).first()).toContainText('Firing');
  await page.locator(`a[href*="${alert_id}"]`).click({ timeout: 30_000 });
  const drawer = page.getByRole('dialog', { name: 'Alert' });
  await expect(drawer.getByText(/ops N-\d+/)).toBeVisible({ timeout: 30_000 });
  // What the channel got says the same number.
  const number = /N-\d+/.exec((await drawer.getByText(/ops N-\d+/).textContent()) ?? '')?.[0] ?? 'none';
  await expect
    .poll(async () => (await (await page.request.get(`${up().sandbox}/ops-channel.json`)).text()).includes(number), {
      timeout: 60_000,
    })
    .toBe(true);
  await lookAt(page, 'alert');
  await drawer.getByRole('button', { name: 'Acknowledge' }).click();
  await expect(drawer.getByText('Over')).toBeVisible({ timeout: 30_000 });
  await page.goto('/alerts?show=all');
  await expect(page.getByRole('row').filter({ has: page.locator(`a[href*="${alert_id}"]`) })).toContainText('Over');
  await lookAt(page, 'alerts');

  await page.getByRole('tab', { name: 'Rules' }).click();
  const rule = page.getByRole('row', { name: /Redemptions fail by our fault/ });
  await expect(rule).toContainText('redemption_failure_rate > 5%');
  await expect(rule).toContainText('Tells Ops and mail');
  await lookAt(page, 'alert-rules');

  await page.goto('/runbooks');
  await expect(page.getByRole('link', { name: 'Messages fail or do not go' })).toBeVisible();
  await lookAt(page, 'runbooks');

  await page.goto('/incidents');
  await page.getByRole('button', { name: 'Open incident…' }).click();
  const dialog = page.getByRole('dialog', { name: 'Open an incident' });
  const title = `Messages fail ${Date.now()}`;
  await dialog.getByLabel('What is wrong').fill(title);
  await dialog.getByRole('combobox', { name: 'Runbook' }).click();
  await page.getByRole('option', { name: 'Messages fail or do not go' }).click();
  await lookAt(page, 'incident-open');
  await dialog.getByRole('button', { name: 'Open incident' }).click();
  await expect(page.getByRole('heading', { name: title })).toBeVisible();

  const todo = page.getByRole('region', { name: 'What to do' });
  await todo.getByRole('checkbox').nth(1).click();
  await expect(todo.getByText(/Ticked by/)).toBeVisible();
  await todo.getByRole('button', { name: 'Pause all campaigns…' }).click();
  await page
    .getByRole('dialog', { name: 'Pause all campaigns?' })
    .getByRole('button', { name: 'Pause all campaigns' })
    .click();
  await expect(todo.getByText(/Run by/)).toContainText(/campaign/, { timeout: 30_000 });
  await page.getByRole('button', { name: 'Take it' }).click();
  await page.getByLabel('Note').fill('The provider says that it works on it.');
  await page.getByRole('button', { name: 'Add note' }).click();
  const story = page.getByRole('region', { name: 'What happened' });
  await expect(story.getByText('The provider says that it works on it.')).toBeVisible();
  await page.getByRole('button', { name: 'Mitigated' }).click();
  await expect(story.getByText('Mitigated')).toBeVisible();
  await lookAt(page, 'incident');

  // Who may not change it sees it all.
  const viewer = await colleague(browser, page, 'Vera', 'viewer');
  await viewer.goto(page.url());
  await expect(viewer.getByRole('heading', { name: title })).toBeVisible();
  await expect(viewer.getByRole('button', { name: 'Resolve…' })).toBeHidden();
  await viewer.context().close();

  await page.getByRole('button', { name: 'Resolve…' }).click();
  const sure = page.getByRole('dialog', { name: /Resolve INC-/ });
  await sure.getByLabel('Reason').fill('The provider was down for ten minutes.');
  await sure.getByRole('button', { name: 'Resolve incident' }).click();
  await expect(sure).toBeHidden(); // its own field says so, too
  await expect(story.getByText('The provider was down for ten minutes.')).toBeVisible();
  const href = await page.getByRole('link', { name: 'Report' }).getAttribute('href');
  const report = await (await page.request.get(href ?? '')).text();
  expect(report).toContain(title);
  expect(report).toContain('The provider was down for ten minutes.');
  expect(report).toMatch(/step ticked 2/);
});

test('what could not be told is told once, when the Ops channel is back', async ({ signedIn: page }) => {
  test.slow();
  await sandbox(page, 'PUT', '/faults', { kind: 'error', code: 503, scope: 'ops-channel', for: '5m' });
  try {
    const first = await (await page.request.post('/api/v1/alerts/test', { data: {} })).json();
    await expect
      .poll(
        async () => (await (await page.request.get(`/api/v1/alerts/${first.alert_id}`)).json()).notices[0].attempts,
        { timeout: 60_000 },
      )
      .toBeGreaterThan(0);
  } finally {
    await sandbox(page, 'DELETE', '/faults');
  }
  await expect
    .poll(
      async () => {
        const { alerts } = await (await page.request.get('/api/v1/alerts?rule=test&limit=1')).json();
        return alerts[0].notices[0].outcome;
      },
      { timeout: 90_000 },
    )
    .toBe('delivered');
  const { alerts } = await (await page.request.get('/api/v1/alerts?rule=test&limit=1')).json();
  await page.request.post(`/api/v1/alerts/${alerts[0].alert_id}/acknowledge`, { data: {} });
});
