package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/domain/override"
)

func TestOverridesOverTheAPI(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	support, lead, viewer := o.colleague("support", "support"), o.colleague("lead", "project_lead"), o.colleague("viewer", "viewer")
	c := o.campaign()
	o.do("POST", path(c, "/imports"), csv("msisdn\n+250781234567\n"), nil)
	ask := api.NewOverride{CampaignID: &c.CampaignID, EndsAt: time.Now().Add(time.Hour), Reason: "the concert is late"}

	var p api.Problem
	status, _ := o.do("POST", "/api/v1/overrides", ask, &p)
	require.Equal(t, http.StatusForbidden, status)
	require.Equal(t, "approval_account", p.Code, "a token asks for nothing")
	_, p, _ = viewer.do("POST", "/api/v1/overrides", ask, nil)
	require.Equal(t, "role_may_not", p.Code)
	long := ask
	long.EndsAt = time.Now().Add(5 * time.Hour)
	status, p, _ = support.do("POST", "/api/v1/overrides", long, nil)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Equal(t, override.TooLong, p.Code)
	require.Equal(t, "ends_at", p.Field)
	blank := ask
	blank.Reason = "  "
	_, p, _ = support.do("POST", "/api/v1/overrides", blank, nil)
	require.Equal(t, "no_reason", p.Code)

	var made api.Override
	status, p, _ = support.do("POST", "/api/v1/overrides", ask, &made)
	require.Equal(t, http.StatusCreated, status, "%+v", p)
	require.Equal(t, override.Requested, made.State)
	require.False(t, made.MayDecide)
	require.True(t, made.MayCancel)
	status, p, _ = support.do("POST", "/api/v1/overrides", ask, nil)
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, override.AlreadyOne, p.Code)

	var inbox api.ApprovalPage
	lead.do("GET", "/api/v1/approvals", nil, &inbox)
	require.Len(t, inbox.Approvals, 1)
	require.Equal(t, "override", inbox.Approvals[0].Kind)
	require.Nil(t, inbox.Approvals[0].Campaign)
	require.Equal(t, c.Name, inbox.Approvals[0].Override.Campaign)
	require.EqualValues(t, 1, inbox.Approvals[0].Override.Queued)
	require.True(t, inbox.Approvals[0].MayDecide)
	require.False(t, inbox.Approvals[0].Changed)

	decide := "/api/v1/overrides/" + made.ID.String() + "/decide"
	status, p, _ = support.do("POST", decide, api.OverrideVerdict{Verdict: "approved"}, nil)
	require.Equal(t, http.StatusForbidden, status, "%+v", p)
	status, p, _ = lead.do("POST", decide, api.OverrideVerdict{Verdict: "rejected"}, nil)
	require.Equal(t, "no_reason", p.Code, "%d", status)
	var got api.Override
	status, p, _ = lead.do("POST", decide, api.OverrideVerdict{Verdict: "approved", Reason: "as agreed"}, &got)
	require.Equal(t, http.StatusAccepted, status, "no worker is there: %+v", p)
	require.Equal(t, override.Requested, got.State)
	require.Equal(t, "as agreed", got.Decision.Reason)
	require.False(t, got.MayDecide)
	status, p, _ = lead.do("POST", decide, api.OverrideVerdict{Verdict: "approved"}, nil)
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, "approval_not_asked", p.Code)

	var page api.OverridePage
	viewer.do("GET", "/api/v1/overrides?state=requested&campaign_id="+c.CampaignID.String(), nil, &page)
	require.Len(t, page.Overrides, 1)
	require.Empty(t, page.Overrides[0].History)
	page = api.OverridePage{}
	viewer.do("GET", "/api/v1/overrides?campaign_id="+uuid.NewString(), nil, &page)
	require.Empty(t, page.Overrides)
	status, p, _ = support.do("POST", "/api/v1/overrides/"+made.ID.String()+"/cancel", api.OverrideCancel{Reason: "not any more"}, &got)
	require.Equal(t, http.StatusOK, status, "%+v", p)
	require.Equal(t, override.Cancelled, got.State)
	require.Equal(t, "not any more", got.EndReason)
	var whats []string
	for _, m := range got.History {
		whats = append(whats, m.What)
	}
	require.Equal(t, []string{"override.requested", "override.refused", "approval.approved", "approval.refused", "override.cancelled"}, whats)
	status, _, _ = viewer.do("GET", "/api/v1/overrides/"+uuid.NewString(), nil, nil)
	require.Equal(t, http.StatusNotFound, status)
}

// What is blocked is told; whoever has it wait may ask for an override, and nobody reads the number on the way.
func TestOverridesOfASingleMessageOverTheAPI(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	support, lead, viewer := o.colleague("support", "support"), o.colleague("lead", "project_lead"), o.colleague("viewer", "viewer")
	kigali, err := time.LoadLocation("Africa/Kigali")
	require.NoError(t, err)
	now := time.Now().In(kigali)
	_, err = o.store.SaveSetting(t.Context(), "quiet_hours", fmt.Appendf(nil, `{"RW":{"start":"%s","end":"%s"}}`, now.Add(-time.Hour).Format("15:04"), now.Add(2*time.Hour).Format("15:04")), "test")
	require.NoError(t, err)
	var blocked, waits api.Send
	status, p, _ := support.do("POST", "/api/v1/sends", api.NewSend{MSISDN: "+250781234567", Template: "promo"}, &blocked)
	require.Equal(t, http.StatusOK, status, "%+v", p)
	status, p, _ = support.do("POST", "/api/v1/sends", api.NewSend{MSISDN: "+250781234567", Template: "promo", WhenAllowed: true}, &waits)
	require.Equal(t, http.StatusAccepted, status, "%+v", p)

	ask := api.NewOverride{SendID: &blocked.SendID, EndsAt: time.Now().Add(time.Hour), Reason: "their table is ready"}
	status, p, _ = support.do("POST", "/api/v1/overrides", ask, nil)
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, override.SendOver, p.Code, "it is over: it does not wait")
	require.Equal(t, "send_id", p.Field)
	ask.SendID = &waits.SendID
	var made api.Override
	status, p, _ = support.do("POST", "/api/v1/overrides", ask, &made)
	require.Equal(t, http.StatusCreated, status, "%+v", p)
	require.Equal(t, waits.SendID, made.Send.ID)
	require.Equal(t, "+250 78• ••• 567", made.Send.MSISDN)
	status, p, _ = support.do("POST", "/api/v1/overrides/"+made.ID.String()+"/decide", api.OverrideVerdict{Verdict: "approved"}, nil)
	require.Equal(t, http.StatusForbidden, status, "%+v", p)

	for _, at := range []string{"/api/v1/overrides?send_id=" + waits.SendID.String(), "/api/v1/overrides/" + made.ID.String(), "/api/v1/approvals"} {
		var raw json.RawMessage
		lead.do("GET", at, nil, &raw)
		require.Contains(t, string(raw), `"template":"promo"`, at)
		require.NotContains(t, string(raw), "781234567", at)
	}
	var page api.OverridePage
	viewer.do("GET", "/api/v1/overrides?send_id="+blocked.SendID.String(), nil, &page)
	require.Empty(t, page.Overrides)
}
