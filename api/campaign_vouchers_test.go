package api_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/domain/campaign"
	"lastcall/fixtures"
	"lastcall/store"
)

func TestAVoucherCampaign(t *testing.T) {
	t.Parallel()
	c := openCounter(t, signing)
	_, err := fixtures.Starter(t.Context(), c.store)
	require.NoError(t, err)
	n := api.NewCampaign{Name: "A drink on us", Template: "voucher_gift", Voucher: &api.NewCampaignOffer{Amount: "2000", Currency: "RWF", Stations: []string{"eng-001"}, ValidSeconds: 3600}}
	var made, again api.Campaign
	status, _ := c.do("POST", "/api/v1/campaigns", n, &made)
	require.Equal(t, http.StatusCreated, status)
	require.Equal(t, "voucher", made.Kind)
	require.Equal(t, &api.CampaignOffer{Amount: "2000", Currency: "RWF", Stations: []uuid.UUID{c.first.ID}, ValidSeconds: 3600}, made.Voucher)

	for field, wrong := range map[string]api.NewCampaignOffer{"amount": {Amount: "0.5", Currency: "RWF", ValidSeconds: 3600}, "currency": {Amount: "5", Currency: "USD", ValidSeconds: 3600},
		"expires_at": {Amount: "5", Currency: "RWF"}, "valid_seconds": {Amount: "5", Currency: "RWF", ValidSeconds: 1}, "stations": {Amount: "5", Currency: "RWF", ValidSeconds: 60, Stations: []string{"ENG-404"}}} {
		var p api.Problem
		status, _ = c.do("PATCH", "/api/v1/campaigns/"+made.CampaignID.String(), api.CampaignChange{Voucher: &wrong}, &p)
		require.Equal(t, http.StatusUnprocessableEntity, status, field)
		require.Equal(t, field, p.Field, field)
	}
	ends := time.Now().Add(48 * time.Hour).UTC().Truncate(time.Second)
	c.do("PATCH", "/api/v1/campaigns/"+made.CampaignID.String(), api.CampaignChange{Voucher: &api.NewCampaignOffer{Amount: "12.50", Currency: "EUR", ExpiresAt: &ends}}, &again)
	require.Equal(t, &api.CampaignOffer{Amount: "12.50", Currency: "EUR", Stations: []uuid.UUID{}, ExpiresAt: &ends}, again.Voucher)
	again = api.Campaign{}
	c.do("PATCH", "/api/v1/campaigns/"+made.CampaignID.String(), api.CampaignChange{Kind: "message"}, &again)
	require.Equal(t, "message", again.Kind)
	require.Nil(t, again.Voucher)
	var p api.Problem
	status, _ = c.do("GET", "/api/v1/campaigns/"+made.CampaignID.String()+"/vouchers", nil, &p)
	require.Equal(t, http.StatusNotFound, status)
	require.Equal(t, "no_vouchers", p.Code)
}

// Support sees which vouchers did not arrive, and why; neither their codes nor whole numbers.
func TestUnsentVouchers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := fixtures.Starter(t.Context(), b.store)
	require.NoError(t, err)
	var made api.Campaign
	b.do("POST", "/api/v1/campaigns", api.NewCampaign{Name: "A drink on us", Template: "voucher_gift", Voucher: &api.NewCampaignOffer{Amount: "2000", Currency: "RWF", ValidSeconds: 3600}}, &made)
	id := made.CampaignID
	status, _ := b.do("POST", "/api/v1/campaigns/"+id.String()+"/imports", csv("msisdn,code\n+250781234012,mine\n+250781234013,\n"), nil)
	require.Equal(t, http.StatusCreated, status, "a column called code is nobody's")
	_, err = b.store.StartCampaign(t.Context(), id, nil)
	require.NoError(t, err)
	for _, to := range []campaign.Status{campaign.Preflight, campaign.Running} {
		require.NoError(t, b.store.Advance(t.Context(), id, to, ""))
	}
	lane := store.Lane{Campaign: id, Run: "run", Batch: 1, Fence: 1}
	_, err = b.store.TakeLane(t.Context(), lane)
	require.NoError(t, err)
	var claim store.Claim
	for len(claim.Targets) == 0 {
		claim, err = b.store.Claim(t.Context(), lane, 2)
		require.NoError(t, err)
	}
	_, err = b.store.Record(t.Context(), lane, []store.Result{{Target: claim.Targets[0].ID, State: campaign.FailedT, Reason: "provider_refused", ErrorCode: 131026},
		{Target: claim.Targets[1].ID, State: campaign.Sent, ProviderID: "x", Form: "text"}})
	require.NoError(t, err)

	var page api.UnsentPage
	status, _ = b.do("GET", "/api/v1/vouchers/unsent?campaign="+id.String(), nil, &page)
	require.Equal(t, http.StatusOK, status)
	require.Len(t, page.Vouchers, 1)
	u := page.Vouchers[0]
	require.Equal(t, campaign.FailedT, u.TargetState)
	require.NotEmpty(t, u.Advice)
	require.Empty(t, u.Voucher.Code)
	require.Contains(t, u.Voucher.MSISDN, "•")
	b.do("GET", "/api/v1/vouchers/unsent?campaign="+uuid.NewString(), nil, &page)
	require.Empty(t, page.Vouchers)

	var f store.CampaignVouchers
	b.do("GET", "/api/v1/campaigns/"+id.String()+"/vouchers", nil, &f)
	require.Equal(t, store.CampaignVouchers{Amount: "2000", Currency: "RWF", Made: 2, Issued: 1, Sent: 1, Texts: 1, Unsent: 1, MadeValue: "4000", OpenValue: "4000", RedeemedValue: "0"}, f)

	status, _ = b.do("POST", "/api/v1/vouchers/"+u.Voucher.ID.String()+"/sent", nil, nil) // Support has called them
	require.Equal(t, http.StatusOK, status)
	page = api.UnsentPage{}
	b.do("GET", "/api/v1/vouchers/unsent", nil, &page)
	require.Empty(t, page.Vouchers)
}
