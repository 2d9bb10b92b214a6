package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/domain/campaign"
	"lastcall/store"
)

// ended is a campaign that is done: one of its targets failed, one is unknown.
func (b *bundle) ended() api.Campaign {
	b.t.Helper()
	c := b.campaign()
	b.do("POST", path(c, "/imports"), csv("msisdn\n+250781234567\n+250781234568\n"), nil)
	ctx, id := b.t.Context(), c.CampaignID
	_, err := b.store.StartCampaign(ctx, id, nil)
	require.NoError(b.t, err)
	for _, to := range []campaign.Status{campaign.Preflight, campaign.Running} {
		require.NoError(b.t, b.store.Advance(ctx, id, to, ""))
	}
	lane := store.Lane{Campaign: id, Run: "run", Batch: 1, Fence: 1}
	_, err = b.store.TakeLane(ctx, lane)
	require.NoError(b.t, err)
	claim, err := b.store.Claim(ctx, lane, 10)
	require.NoError(b.t, err)
	require.Len(b.t, claim.Targets, 2)
	_, err = b.store.Record(ctx, lane, []store.Result{{Target: claim.Targets[0].ID, State: campaign.FailedT, Reason: "provider_refused", ErrorCode: 131026},
		{Target: claim.Targets[1].ID, State: campaign.Unknown, Reason: "no_answer"}})
	require.NoError(b.t, err)
	require.NoError(b.t, b.store.Advance(ctx, id, campaign.Settling, ""))
	require.NoError(b.t, b.store.Finish(ctx, id, campaign.Done, ""))
	return c
}

func (b *bundle) resend(c api.Campaign, key string, order any, out any) int {
	b.t.Helper()
	body, err := json.Marshal(order)
	require.NoError(b.t, err)
	req, err := http.NewRequestWithContext(b.t.Context(), "POST", b.url+path(c, "/resend"), strings.NewReader(string(body)))
	require.NoError(b.t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", key)
	status, _ := b.send(req, out)
	return status
}

func TestResend(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.relay(func(context.Context, int64, json.RawMessage) error { return nil })
	c := b.ended()

	var p store.ResendPreview
	status, _ := b.do("GET", path(c, "/resend?states=failed,unknown"), nil, &p)
	require.Equal(t, http.StatusOK, status)
	require.EqualValues(t, 2, p.Targets)
	require.Len(t, p.Warnings, 2)
	status, _ = b.do("GET", path(c, "/resend?states=failed&codes=190,131026"), nil, &p)
	require.Equal(t, http.StatusOK, status)
	require.EqualValues(t, 1, p.Targets)
	require.True(t, p.By[0].WillFail)

	for _, tt := range []struct {
		order  map[string]any
		status int
		code   string
	}{
		{map[string]any{"states": []string{"unknown"}, "reason": "x"}, 422, "accept_duplicates"},
		{map[string]any{"states": []string{"delivered"}, "reason": "x"}, 422, "invalid"},
		{map[string]any{"states": []string{}, "reason": "x"}, 422, "invalid"},
		{map[string]any{"states": []string{"failed"}}, 422, "invalid"},
		{map[string]any{"states": []string{"failed"}, "codes": []int{190}, "reason": "x"}, 409, "nothing_to_resend"},
	} {
		var problem api.Problem
		require.Equal(t, tt.status, b.resend(c, "refused", tt.order, &problem), "%v", tt.order)
		require.Equal(t, tt.code, problem.Code, "%v", tt.order)
	}

	both := api.Resend{States: campaign.Resendable, Reason: "it matters", AcceptDuplicates: true}
	var first, again api.Campaign
	require.Equal(t, http.StatusOK, b.resend(c, "click", both, &first))
	require.Equal(t, campaign.Scheduled, first.Status)
	require.EqualValues(t, 2, first.Queued)
	require.Equal(t, 1, first.Resend)
	require.EqualValues(t, 2, first.Resent.Targets)
	require.Equal(t, "http://temporal.test/namespaces/default/workflows/campaign%2F"+c.CampaignID.String()+"%2Fresend%2F1", first.TemporalWeb)
	require.Equal(t, http.StatusOK, b.resend(c, "click", both, &again))
	require.Equal(t, first.Resent, again.Resent, "a double click")
	require.Equal(t, 1, again.Resend)
	var problem api.Problem
	require.Equal(t, http.StatusConflict, b.resend(c, "another", both, &problem))
	require.Equal(t, "wrong_state", problem.Code)
	require.Equal(t, http.StatusUnprocessableEntity, b.resend(c, "click", api.Resend{States: both.States[:1], Reason: "x"}, &problem))
	require.Equal(t, "idempotency_key_reused", problem.Code)
	require.Equal(t, http.StatusUnprocessableEntity, b.resend(c, "a b", both, &problem))
	require.Equal(t, "bad_idempotency_key", problem.Code)
}

func TestOrdersGoToTheResendsWorkflow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	told := make(chan store.OrderCampaign, 10)
	b.relay(func(_ context.Context, _ int64, payload json.RawMessage) error {
		var o store.OrderCampaign
		err := json.Unmarshal(payload, &o)
		told <- o
		return err
	})
	c := b.ended()
	require.Equal(t, store.OrderCampaign{CampaignID: c.CampaignID}, <-told, "the start of the first")
	require.Equal(t, http.StatusOK, b.resend(c, "1", api.Resend{States: []campaign.TargetState{campaign.FailedT}, Reason: "x"}, nil))
	require.Equal(t, 1, (<-told).Resend)
	status, _ := b.do("POST", path(c, "/pause"), nil, nil)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, store.OrderCampaign{CampaignID: c.CampaignID, Order: "pause", Resend: 1}, <-told)
	status, _ = b.do("PUT", "/api/v1/settings/toggles", map[string]any{"value": map[string]any{"dispatch": true}, "reason": "test"}, nil)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, store.OrderCampaign{CampaignID: c.CampaignID, Resend: 1}, <-told)
}

func TestRecover(t *testing.T) {
	t.Parallel()
	open, asked := true, 0
	b := setup(t, func(d *api.Deps) {
		d.WorkflowOpen = func(_ context.Context, _ uuid.UUID, resend int) (bool, error) { asked += resend; return open, nil }
	})
	b.relay(func(context.Context, int64, json.RawMessage) error { return nil })
	c := b.ended()
	var problem api.Problem
	status, _ := b.do("POST", path(c, "/recover"), api.Recovery{Reason: "x"}, &problem)
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, "wrong_state", problem.Code)
	require.Equal(t, http.StatusOK, b.resend(c, "1", api.Resend{States: []campaign.TargetState{campaign.FailedT}, Reason: "x"}, nil))
	status, _ = b.do("POST", path(c, "/recover"), api.Recovery{Reason: "x"}, &problem)
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, "workflow_open", problem.Code)
	require.Equal(t, 1, asked, "it is the resend's workflow that counts")
	open = false
	status, _ = b.do("POST", path(c, "/recover"), api.Recovery{}, &problem)
	require.Equal(t, http.StatusUnprocessableEntity, status, "why?")
	var got api.Campaign
	status, _ = b.do("POST", path(c, "/recover"), api.Recovery{Reason: "terminated by mistake"}, &got)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, campaign.Scheduled, got.Status)
}
