import { accessible, colleague, expect, lookAt, makeCampaign, numbers, setFor, test } from './support';

test('a campaign is submitted, looked at by somebody else, changed, asked about again, approved and started', async ({
  signedIn: page,
  browser,
}) => {
  test.slow();
  const restore = await setFor(page, 'campaigns', () => ({ approval: 'always', max_late: '2h', approval_ttl: '24h' }));
  try {
    const name = `Two people ${Date.now()}`;
    const id = await makeCampaign(page, name);
    const add = async (from: number) => {
      const imported = await page.request.post(`/api/v1/campaigns/${id}/imports`, {
        data: `msisdn,name\n${numbers(3, from)
          .map((n, i) => `${n},Guest ${i}`)
          .join('\n')}\n`,
        headers: { 'Content-Type': 'text/csv' },
      });
      expect(imported.ok(), await imported.text()).toBe(true);
    };
    await add(9000);

    await page.goto(`/campaigns/${id}/edit?step=review`);
    await expect(page.getByText('Somebody else must approve it')).toBeVisible();
    await lookAt(page, 'approval-submit');
    await page.getByRole('button', { name: 'Submit for approval' }).click();
    const card = page.getByRole('region', { name: 'Approval' });
    await expect(card.getByText('Waits for approval', { exact: true })).toBeVisible();
    await expect(card.getByText('nobody decides what they asked for', { exact: false })).toBeVisible();
    await expect(card.getByRole('button', { name: 'Approve…' })).toBeHidden();
    await lookAt(page, 'approval-waiting');

    const lead = await colleague(browser, page, 'Lena', 'project_lead');
    await lead.goto('/approvals');
    await expect(lead.getByRole('navigation', { name: 'Main' }).getByText('waiting for you')).toBeAttached();
    await expect(lead.getByRole('row', { name: new RegExp(name) })).toContainText('You decide');
    await lookAt(lead, 'approvals');
    await lead.getByRole('link', { name }).click();
    const hers = lead.getByRole('region', { name: 'Approval' });
    await expect(hers.getByText('3 recipients: Malta 3.', { exact: false })).toBeVisible();
    await lookAt(lead, 'approval-decide');

    // While she reads, somebody adds to the audience: what she approves would not be what she saw.
    await hers.getByRole('button', { name: 'Approve…' }).click();
    await add(9100);
    await lead.getByRole('dialog').getByRole('button', { name: 'Approve campaign' }).click();
    await expect(lead.getByRole('dialog').getByRole('alert')).toContainText('It is not what you looked at any more');
    await lead.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
    await expect(hers.getByText('Changed since', { exact: true })).toBeVisible();

    await page.reload();
    await card.getByRole('button', { name: 'Ask for approval…' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Ask for approval' }).click();
    await expect(card.getByText('Waits for approval', { exact: true })).toBeVisible();
    await lead.reload();
    await expect(hers.getByText('6 recipients', { exact: false })).toBeVisible();
    await hers.getByRole('button', { name: 'Approve…' }).click();
    await expect(lead.getByRole('dialog')).toContainText('6 recipients: Malta 6.');
    await accessible(lead);
    await lead.getByLabel('Reason').fill('As agreed');
    await lead.getByRole('dialog').getByRole('button', { name: 'Approve campaign' }).click();
    await expect(hers.getByText('It may start.')).toBeVisible();
    await expect(hers.getByText('As agreed', { exact: false })).toBeVisible();
    await lead.context().close();

    await page.reload();
    await lookAt(page, 'approval-approved');
    await card.getByRole('button', { name: 'Start campaign' }).click();
    await expect(card.getByText('It began to send with its approval.')).toBeVisible({ timeout: 60_000 });
    await expect(page.getByText('Ended: 6 sent')).toBeVisible({ timeout: 60_000 });
  } finally {
    await restore();
  }
});

test('which campaigns need approval is a setting', async ({ signedIn: page }) => {
  const restore = await setFor(page, 'campaigns', () => ({ approval: 'never', max_late: '2h', approval_ttl: '24h' }));
  try {
    await page.goto('/settings');
    const region = page.getByRole('region', { name: 'Approval of campaigns' });
    await region.getByText('Large ones').click();
    await region.getByLabel('More recipients than').fill('5000');
    await region.getByLabel('An approval lasts, hours').fill('0');
    await expect(region.getByRole('button', { name: 'Save approval…' })).toBeDisabled();
    await region.getByLabel('An approval lasts, hours').fill('12');
    await lookAt(page, 'settings-approval');
    await region.getByRole('button', { name: 'Save approval…' }).click();
    const dialog = page.getByRole('dialog');
    await expect(dialog).toContainText('Campaigns of more than 5,000 recipients; an approval lasts 12 h');
    await dialog.getByLabel('Reason').fill('Larger ones are looked at');
    await dialog.getByRole('button', { name: 'Save' }).click();
    await expect(dialog).toBeHidden();
    const saved = await (await page.request.get('/api/v1/settings/campaigns')).json();
    expect(saved.value).toEqual({ approval: { above: 5000 }, max_late: '120m', approval_ttl: '12h' });
  } finally {
    await restore();
  }
});
