import { colleague, expect, lookAt, test } from './support';

test('a rollout begins, is proved and signed, its guardrails hold, and its gate says what is missing', async ({
  signedIn: page,
  browser,
  complaints,
}) => {
  test.slow();
  const now = await (await page.request.get('/api/v1/rollout')).json();
  expect(now.phase, 'nobody else has begun one here').toBe('none');
  const lead = await colleague(browser, page, 'Lea', 'project_lead');
  const ops = await colleague(browser, page, 'Olive', 'ops');
  try {
    await page.goto('/rollout');
    await expect(page.getByRole('region', { name: 'Staging' })).toContainText(
      'Rollback toggles documented in settings.',
    );
    await lookAt(page, 'rollout-none');
    await page.getByRole('button', { name: 'Start a rollout…' }).click();
    const dialog = page.getByRole('dialog');
    await expect(dialog.getByRole('button', { name: 'Start rollout' })).toBeDisabled();
    await dialog.getByLabel('Name').fill(`tests-${Date.now()}`);
    await dialog.getByLabel('Reason').fill('Browser tests');
    await lookAt(page, 'rollout-start');
    await dialog.getByRole('button', { name: 'Start rollout' }).click();
    const gate = page.getByRole('region', { name: 'The gate to pilot' });
    await expect(gate.getByRole('button', { name: 'Open pilot…' })).toBeDisabled();
    await expect(gate).toContainText('missing');

    // What Lastcall proves by itself; and that stations only rehearse now, whoever wants otherwise.
    const staging = page.getByRole('region', { name: 'Staging' });
    await expect(staging.getByRole('link', { name: /Rollback toggles/ })).toContainText('Switch off and on again', {
      timeout: 60_000,
    });
    await expect(staging.getByRole('link', { name: /Incident runbooks/ })).toContainText('ops has not signed', {
      ignoreCase: true,
      timeout: 60_000,
    });
    await lookAt(page, 'rollout');
    const refused = await page.request.put('/api/v1/settings/toggles', {
      data: { value: { dispatch: true, mock_redemptions: false }, reason: 'browser tests' },
    });
    expect(refused.status()).toBe(409);
    expect((await refused.json()).code).toBe('phase_guardrail');

    // Ops signs the runbooks; who began the rollout does not see the button.
    await page.goto('/rollout?item=runbooks');
    const drawer = page.getByRole('dialog', { name: 'Item' });
    await expect(drawer.getByRole('region', { name: 'Evidence' })).toContainText('Digest');
    await expect(drawer.getByRole('button', { name: 'Sign…' })).toBeHidden();
    await ops.goto('/approvals');
    await expect(ops.getByRole('region', { name: 'The rollout' })).toContainText('Incident runbooks reviewed by Ops');
    await lookAt(ops, 'rollout-inbox');
    await ops.goto('/rollout');
    await ops.getByRole('link', { name: /You sign Incident runbooks/ }).click();
    const hers = ops.getByRole('dialog', { name: 'Item' });
    await hers.getByRole('button', { name: 'Sign…' }).click();
    const sign = ops.getByRole('dialog', { name: 'Sign this item?' });
    await expect(sign.getByRole('button', { name: 'Sign', exact: true })).toBeDisabled();
    await sign.getByLabel('Reason').fill('Read and tried, all seven');
    await lookAt(ops, 'rollout-sign');
    await sign.getByRole('button', { name: 'Sign', exact: true }).click();
    await expect(hers.getByText('Passed', { exact: true })).toBeVisible({ timeout: 30_000 });
    await expect(hers.getByRole('region', { name: 'Signatures' })).toContainText('Signed by Olive as ops');
    await lookAt(ops, 'rollout-item');

    // The lead waives one, for everybody to see.
    await lead.goto('/rollout?item=station-smoke');
    const leads = lead.getByRole('dialog', { name: 'Item' });
    await leads.getByRole('button', { name: 'Waive…' }).click();
    const waive = lead.getByRole('dialog', { name: 'Waive this item?' });
    await waive.getByLabel('Reason').fill('The stations come next week');
    await waive.getByRole('button', { name: 'Waive item' }).click();
    await expect(leads.getByRole('region', { name: 'Signatures' })).toContainText('Waived by Lea', { timeout: 30_000 });
    await page.goto('/rollout');
    await expect(staging.getByRole('link', { name: /Station smoke tests/ })).toContainText('Waived');

    await lead.goto('/rollout');
    await lead.getByRole('button', { name: 'End rollout…' }).click();
    const end = lead.getByRole('dialog', { name: 'End the rollout?' });
    await end.getByLabel('Reason').fill('The tests are over');
    await end.getByRole('button', { name: 'End rollout' }).click();
    await expect(page.getByText('No rollout is under way', { exact: false })).toBeVisible({ timeout: 30_000 });
    expect(complaints).toEqual([]);
  } finally {
    await lead.request.post('/api/v1/rollout/end', { data: { reason: 'browser tests' } }).catch(() => undefined);
    await lead.context().close();
    await ops.context().close();
  }
});
