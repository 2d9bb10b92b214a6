import { expect, lookAt, makeCampaign, numbers, test } from './support';

// What the numbered smoke tests want and no other story tells. The others carry their numbers where they are told:
// `lastcall smoke` tries the same thirty over HTTP.

test('[smoke 16] while nobody dispatches a campaign is started, nothing goes, and it goes on by itself', async ({
  signedIn: page,
}) => {
  test.slow();
  const slow = { timeout: 90_000 };
  const id = await makeCampaign(page, `Nobody dispatches ${Date.now()}`);
  const imported = await page.request.post(`/api/v1/campaigns/${id}/imports`, {
    data: `msisdn\n${numbers(2, 700).join('\n')}\n`,
    headers: { 'Content-Type': 'text/csv' },
  });
  expect(imported.ok(), await imported.text()).toBe(true);
  const injected = await page.request.post('/api/v1/faults', {
    data: { edge_function: 'dispatcher', kind: 'stop_polling', seconds: 300, reason: 'browser tests' },
  });
  expect(injected.ok(), await injected.text()).toBe(true);
  const fault = (await injected.json()).id;
  const campaign = async () => (await page.request.get(`/api/v1/campaigns/${id}`)).json();
  try {
    const state = async () =>
      (await (await page.request.post('/api/v1/edge-functions/dispatcher/check')).json()).state as string;
    await expect.poll(state, slow).toBe('red');
    await page.goto(`/campaigns/${id}/edit?step=review`);
    await expect(page.getByText('Campaigns cannot start or go on.').first()).toBeVisible(slow);
    await lookAt(page, 'wizard-review-no-dispatcher');
    await page.getByRole('button', { name: 'Start campaign' }).click();
    await expect(page).toHaveURL(`/campaigns/${id}`, slow);
    expect((await campaign()).queued).toBe(2);
  } finally {
    await page.request.delete(`/api/v1/faults/${fault}?reason=done`);
  }
  await expect.poll(async () => (await campaign()).status, { timeout: 120_000 }).toBe('done');
});
