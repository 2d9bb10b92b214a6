import { colleague, expect, lookAt, setFor, test, up } from './support';

test('an announcement is previewed, stopped by a dead link, sent and recorded; and a day is reviewed', async ({
  signedIn: page,
  browser,
  complaints,
}) => {
  test.slow();
  const now = await (await page.request.get('/api/v1/rollout')).json();
  expect(now.phase, 'nobody else has begun one here').toBe('none');
  const lead = await colleague(browser, page, 'Linda', 'project_lead');
  const ops = await colleague(browser, page, 'Omar', 'ops');
  const links = (faq: string) => ({
    lists: { pilot: ['pilot@example.com', 'bars@example.com'] },
    links: { faq, training_video: `${up().sandbox}/` },
  });
  const undo = await setFor(page, 'announcements', () => links(`${up().sandbox}/no-such-page`));
  try {
    await ops.goto('/rollout/announcements');
    await expect(ops.getByText('No rollout is under way')).toBeVisible();
    const begun = await page.request.post('/api/v1/rollout', {
      data: { name: `told-${Date.now()}`, reason: 'browser tests' },
    });
    expect(begun.ok(), await begun.text()).toBe(true);

    // The gate waits for it.
    await ops.goto('/rollout');
    const gate = ops.getByRole('region', { name: 'The gate to pilot' });
    await expect(gate).toContainText('It has not been announced');
    await gate.getByRole('link', { name: 'Announcement pilot-material' }).click();
    const ready = ops.getByRole('region', { name: 'Announce staging readiness' });
    await expect(ready).toContainText('Not now: staging is not ready yet');
    await expect(ready.getByRole('button', { name: 'Send…' })).toBeDisabled();

    // Its links are looked at, and a dead one stops it.
    const material = ops.getByRole('region', { name: 'Prior to pilot' });
    await expect(material).toContainText('pilot@example.com, bars@example.com');
    await material.getByRole('button', { name: 'Look at the links' }).click();
    await expect(material).toContainText('There is nothing there (HTTP 404)', { timeout: 30_000 });
    await expect(material).toContainText('It leads somewhere');
    await lookAt(ops, 'announcements');
    await material.getByRole('button', { name: 'Send…' }).click();
    const dialog = ops.getByRole('dialog', { name: 'Send this announcement?' });
    await expect(dialog).toContainText('goes to 2 addresses and to the Ops channel');
    await lookAt(ops, 'announcement-send');
    await dialog.getByRole('button', { name: 'Send', exact: true }).click();
    await expect(dialog.getByRole('alert')).toContainText('it did not go out', { ignoreCase: true, timeout: 30_000 });
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    await expect(material.getByText('A dead link', { exact: true })).toBeVisible({ timeout: 30_000 });

    // Mended, it goes out, once; the Ops channel got it.
    const mended = await page.request.put('/api/v1/settings/announcements', {
      data: { value: links(`${up().sandbox}/`), reason: 'browser tests' },
    });
    expect(mended.ok(), await mended.text()).toBe(true);
    await expect(material).not.toContainText('/no-such-page', { timeout: 30_000 });
    await material.getByRole('button', { name: 'Send…' }).click();
    await dialog.getByRole('button', { name: 'Send', exact: true }).click();
    await expect(material.getByText('Went out', { exact: true })).toBeVisible({ timeout: 60_000 });
    await expect(material.getByRole('button', { name: 'Send…' })).toBeHidden();
    await expect(material.getByRole('region', { name: 'What went out' })).toContainText('Went out: sent by Omar');
    await expect
      .poll(async () => (await page.request.get(`${up().sandbox}/ops-channel.json`)).text(), { timeout: 60_000 })
      .toContain('Lastcall: before the pilot begins');
    await lookAt(ops, 'announcement-sent');
    await ops.goto('/rollout');
    await expect(gate.getByRole('link', { name: 'Announcement staging-ready' })).toBeVisible();
    await expect(gate.getByRole('link', { name: 'Announcement pilot-material' })).toBeHidden();

    // Days are reviewed in the pilot only, whose first morning no browser test waits for: the API's answers stand in for it.
    await ops.goto('/rollout/reviews');
    await expect(ops.getByText('No day has been reviewed yet')).toBeVisible();
    await lookAt(ops, 'reviews-none');
    const signed: unknown[] = [];
    await ops.route('**/api/v1/reviews**', async (route) => {
      const url = route.request().url();
      if (route.request().method() === 'POST') signed.push(route.request().postDataJSON());
      const one = { ...day, ...(signed.length > 0 && done) };
      await route.fulfill({
        json: /reviews\/./.test(url) ? one : { reviews: [{ ...one, snapshot: undefined }, late] },
      });
    });
    await ops.goto('/approvals');
    await ops.getByRole('region', { name: 'Daily reviews' }).getByRole('link', { name: day.day }).click();
    const drawer = ops.getByRole('dialog', { name: 'Daily review' });
    await expect(drawer.getByRole('region', { name: 'Held back on the day' })).toContainText('Quiet hours');
    await expect(drawer.getByRole('button', { name: 'Sign the day' })).toBeDisabled();
    await lookAt(ops, 'review');
    await drawer.getByLabel('Notes').fill('Seven held back by quiet hours, as they should be');
    await drawer.getByRole('button', { name: 'Sign the day' }).click();
    await expect(drawer.getByRole('region', { name: 'Signature' })).toContainText('By Omar as ops');
    expect(signed).toEqual([{ notes: 'Seven held back by quiet hours, as they should be', digest: day.digest }]);
    await ops.keyboard.press('Escape');
    await expect(ops.getByRole('row', { name: /2026-11-23/ })).toContainText('Missing');
    await lookAt(ops, 'reviews');
    expect(complaints).toEqual([]);
  } finally {
    await undo();
    await lead.request.post('/api/v1/rollout/end', { data: { reason: 'browser tests' } }).catch(() => undefined);
    await lead.context().close();
    await ops.context().close();
  }
});

const figure = {
  formula: 'sent',
  of: 1200,
  among: 0,
  from: '2026-11-23T07:00:00Z',
  to: '2026-11-24T07:00:00Z',
  parts: [],
};

const day = {
  id: '019ab000-0000-7000-8000-000000000002',
  rollout: 'lastcall',
  phase: 'pilot',
  day: '2026-11-24',
  state: 'open',
  due_at: '2026-11-24T07:00:00Z',
  opened_at: '2026-11-24T07:00:01Z',
  remind_at: '2026-11-24T10:00:00Z',
  from: '2026-11-22T22:00:00Z',
  to: '2026-11-23T22:00:00Z',
  digest: 'ab'.repeat(32),
  may_sign: true,
  snapshot: {
    kpis: {
      at: '2026-11-24T07:00:00Z',
      zone: 'Africa/Kigali',
      figures: [
        { ...figure, name: 'sent', title: 'Messages sent', unit: 'messages', value: 1200 },
        { ...figure, name: 'delivery', title: 'Delivery rate', unit: 'share', value: 0.981 },
        { ...figure, name: 'redemption_failures', title: 'Redemption failures', unit: 'share', value: null },
      ],
      days: [],
      needs: [],
    },
    blocks: [{ name: 'quiet_hours', title: 'Quiet hours', n: 7 }],
    failures: [{ reason: 'undeliverable', error_code: 131026, n: 3 }],
    audit: [
      { action: 'settings.changed', n: 2 },
      { action: 'sign_in.refused', n: 1 },
    ],
  },
};

const late = {
  ...day,
  id: '019ab000-0000-7000-8000-000000000001',
  day: '2026-11-23',
  state: 'late',
  may_sign: false,
  why_not: 'whoever opened the phase signs nothing in it',
  snapshot: undefined,
};

const done = {
  state: 'signed',
  may_sign: false,
  signed_at: '2026-11-24T07:12:00Z',
  signed_by: { id: day.id, email: 'omar@example.test', name: 'Omar' },
  role: 'ops',
  notes: 'Seven held back by quiet hours, as they should be',
};
