import { accessible, colleague, expect, lookAt, setFor, test, up } from './support';

test('a rollback is rehearsed: its signals, its steps, what was read back, and the way out', async ({
  signedIn: page,
  browser,
  complaints,
}) => {
  test.slow();
  const now = await (await page.request.get('/api/v1/rollout')).json();
  expect(now.phase, 'nobody else has begun one here').toBe('none');
  const name = `tests-${Date.now()}`;
  const lead = await colleague(browser, page, 'Lena', 'project_lead');
  const toggles = await (await page.request.get('/api/v1/settings/toggles')).json();
  const there = `${up().sandbox}/`;
  const untold = await setFor(page, 'announcements', () => ({
    lists: { engineering: ['engineering@example.com'], ops: ['ops@example.com'], pilot: ['pilot@example.com'] },
    links: { faq: there, training_video: there },
  }));
  try {
    // To the pilot, where messages would go elsewhere: what is under way ends first, and the lead waives what staging asks for
    // and tells whom the plan names.
    const { campaigns } = await (await page.request.get('/api/v1/campaigns?limit=100')).json();
    for (const c of campaigns.filter(
      (c: { status: string }) => !['draft', 'done', 'stopped', 'failed'].includes(c.status),
    ))
      await page.request.post(`/api/v1/campaigns/${c.campaign_id ?? c.id}/stop`, { data: { reason: 'browser tests' } });
    const begun = await page.request.post('/api/v1/rollout', { data: { name, reason: 'Browser tests' } });
    expect(begun.status()).toBe(201);
    await page.goto('/rollout');
    await expect(page.getByRole('region', { name: 'Signals to roll back' })).toContainText('from the pilot on');
    const plan = await begun.json();
    for (const item of plan.phases[0].items) {
      const waived = await lead.request.post(`/api/v1/rollout/items/${item.id}/waive`, { data: { reason: 'a test' } });
      expect([200, 202]).toContain(waived.status());
    }
    type Told = { id: string; phase: string; may_send: boolean; digest: string };
    await expect(async () => {
      const at = `/api/v1/rollouts/${name}/announcements`;
      const { announcements } = await (await lead.request.get(at)).json();
      for (const a of announcements.filter((a: Told) => a.phase === 'staging' && a.may_send))
        await lead.request.post(`${at}/${a.id}/send`, { data: { digest: a.digest } });
      const opened = await page.request.post('/api/v1/rollout/advance', { data: { from: 'staging' } });
      expect([200, 202]).toContain(opened.status());
    }).toPass({ timeout: 90_000 });

    // Its signals, each with what it found.
    await page.goto('/rollout');
    const signals = page.getByRole('region', { name: 'Signals to roll back' });
    await expect(signals.getByText('Well').first()).toBeVisible({ timeout: 60_000 });
    await expect(signals).toContainText('Redemption failure rate >5% over 15 minutes.');
    await accessible(page);
    await lookAt(page, 'rollout-signals');

    await signals.getByRole('button', { name: 'Roll back…' }).click();
    const dialog = page.getByRole('dialog', { name: 'Roll back?' });
    await expect(dialog.getByRole('button', { name: 'Roll back', exact: true })).toBeDisabled();
    await dialog.getByLabel('Reason').fill('To see that it works');
    await dialog.getByLabel('It is a rehearsal').check();
    await lookAt(page, 'rollback-order');
    await dialog.getByRole('button', { name: 'Rehearse' }).click();

    // Live steps until everything was read back.
    await expect(page.getByRole('heading', { name: 'Rehearsal of a rollback' })).toBeVisible({ timeout: 30_000 });
    await expect(page.getByRole('heading', { name: /Safe after/ })).toBeVisible({ timeout: 60_000 });
    await expect(page.getByRole('status').filter({ hasText: 'Rolled back' })).toBeVisible({ timeout: 60_000 });
    await expect(page.getByText('It says that it is on.')).toBeVisible();
    await accessible(page);
    await lookAt(page, 'rollback');
    const off = await (await page.request.get('/api/v1/settings/toggles')).json();
    expect(off.value.dispatch).toBe(false);
    const refused = await page.request.put('/api/v1/settings/toggles', {
      data: { value: { ...off.value, dispatch: true }, reason: 'browser tests' },
    });
    expect((await refused.json()).code).toBe('rollout_rollback_toggles');

    await page.getByRole('button', { name: 'Recover…' }).click();
    const recover = page.getByRole('dialog', { name: 'Recover?' });
    await recover.getByLabel('Reason').fill('It works');
    await recover.getByRole('button', { name: 'Ask to recover' }).click();
    await expect(page.getByRole('status').filter({ hasText: 'Recovering' })).toBeVisible({ timeout: 30_000 });

    // Another person finds it, and may not sign before smoke tests have passed.
    await lead.goto('/approvals');
    await lead.getByRole('link', { name: new RegExp(name) }).click();
    await lead.getByRole('button', { name: 'Sign…' }).click();
    const sign = lead.getByRole('dialog', { name: 'Sign that it is over?' });
    await sign.getByLabel('Reason').fill('Seen');
    await sign.getByRole('button', { name: 'Sign', exact: true }).click();
    await expect(sign).toContainText('smoke tests must pass first', { timeout: 30_000 });
    await lookAt(lead, 'rollback-refused');
    await sign.getByRole('button', { name: 'Cancel' }).click();

    await lead.goto('/rollout');
    await expect(lead.getByRole('region', { name: 'The gate to production' })).toContainText('A rollback is open');
    await lead.getByRole('button', { name: 'End rollout…' }).click();
    const end = lead.getByRole('dialog', { name: 'End the rollout?' });
    await end.getByLabel('Reason').fill('The tests are over');
    await end.getByRole('button', { name: 'End rollout' }).click();
    await expect(lead.getByText('No rollout is under way', { exact: false })).toBeVisible({ timeout: 30_000 });
    expect(complaints).toEqual([]);
  } finally {
    await lead.request.post('/api/v1/rollout/end', { data: { reason: 'browser tests' } }).catch(() => undefined);
    await page.request.put('/api/v1/settings/toggles', { data: { value: toggles.value, reason: 'browser tests' } });
    await untold();
    await lead.context().close();
  }
});
