package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/domain/access"
	"lastcall/domain/campaign"
	"lastcall/domain/contact"
	"lastcall/domain/policy"
	"lastcall/store"
)

func TestABlockedSendIsToldAndAudited(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.store.AddOptOuts(t.Context(), []contact.MSISDN{"+250788000001"}, store.OptOutRegistry, "asked")
	require.NoError(t, err)
	var one api.Send
	status, _ := b.do(http.MethodPost, "/api/v1/sends", api.NewSend{MSISDN: "+250788000001", Template: "promo", WhenAllowed: true}, &one)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, campaign.OptedOut, one.State)
	require.Equal(t, policy.OptOut, one.Block.Reason)
	require.Equal(t, "+250 78• ••• 001", one.MSISDN)

	var page api.AuditPage
	b.do(http.MethodGet, "/api/v1/audit/entries?action=outbound_policy_check&target=send/"+one.SendID.String(), nil, &page)
	require.Len(t, page.Entries, 1)
	require.NotContains(t, string(page.Entries[0].Diff), "788000001")

	var list api.SendPage
	b.do(http.MethodGet, "/api/v1/sends?state=opted_out&template=promo", nil, &list)
	require.Len(t, list.Sends, 1)
	b.do(http.MethodGet, "/api/v1/sends?state=queued", nil, &list)
	require.Empty(t, list.Sends)
	require.NotContains(t, b.log.String(), "788000001")
}

func TestASendWaitsForItsEffect(t *testing.T) {
	t.Parallel()
	b := setup(t, func(d *api.Deps) { d.EffectWithin = 300 * time.Millisecond })
	var one api.Send
	status, _ := b.do(http.MethodPost, "/api/v1/sends", api.NewSend{MSISDN: "+250788000001", Template: "promo"}, &one)
	require.Equal(t, http.StatusAccepted, status, "nobody sends it")
	require.Equal(t, campaign.Queued, one.State)
	require.Equal(t, "requested", one.Timeline[0].Kind)

	status, _ = b.do(http.MethodPost, "/api/v1/sends/"+one.SendID.String()+"/cancel", api.SendOrder{Reason: "no"}, &one)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, campaign.Cancelled, one.State)
	require.Equal(t, "cancelled: no", one.Timeline[1].What)
	var p api.Problem
	status, _ = b.do(http.MethodPost, "/api/v1/sends/"+one.SendID.String()+"/resend", api.SendOrder{}, &p)
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, "wrong_state", p.Code)
}

func TestASendIsChecked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for want, body := range map[string]string{
		"no_recipient":       `{"template":"promo"}`,
		"not_a_number":       `{"template":"promo","msisdn":"x"}`,
		"template_not_found": `{"template":"nothing","msisdn":"+250788000001"}`,
		"bad_locale":         `{"template":"promo","msisdn":"+250788000001","locale":"!"}`,
		"unknown_variable":   `{"template":"promo","msisdn":"+250788000001","variables":{"x":"y"}}`,
		"contact_not_found":  `{"template":"promo","contact_id":"01890a5d-ac96-774b-bcce-b302099a8057"}`,
	} {
		var p api.Problem
		status, _ := b.do(http.MethodPost, "/api/v1/sends", body, &p)
		require.Equal(t, http.StatusUnprocessableEntity, status, body)
		require.Equal(t, want, p.Code)
	}
	var p api.Problem
	status, _ := b.do(http.MethodPost, "/api/v1/sends", `{"template":"promo","msisdn":"+250788000001","ignore_policy":true}`, &p)
	require.Equal(t, http.StatusUnprocessableEntity, status, "nothing lets anybody past the policy")
	var list api.SendPage
	b.do(http.MethodGet, "/api/v1/sends", nil, &list)
	require.Empty(t, list.Sends)
}

func TestPreviewSendsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var preview api.SendPreview
	status, _ := b.do(http.MethodPost, "/api/v1/sends/preview", api.NewSend{MSISDN: "+250788000001", Template: "promo", Variables: map[string]string{"name": "Keza"}}, &preview)
	require.Equal(t, http.StatusOK, status)
	require.True(t, preview.Permitted)
	require.Equal(t, "Hello Keza", preview.Text)
	var list api.SendPage
	b.do(http.MethodGet, "/api/v1/sends", nil, &list)
	require.Empty(t, list.Sends)
}

func TestTheSameKeySendsOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, func(d *api.Deps) { d.EffectWithin = 50 * time.Millisecond })
	post := func(key, number string, out any) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+"/api/v1/sends", strings.NewReader(`{"template":"promo","msisdn":"`+number+`"}`))
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", key)
		status, _ := b.send(req, out)
		return status
	}
	var first, second api.Send
	require.Equal(t, http.StatusAccepted, post("k", "+250788000001", &first))
	require.Equal(t, http.StatusAccepted, post("k", "+250788000001", &second))
	require.Equal(t, first.SendID, second.SendID)
	var p api.Problem
	require.Equal(t, http.StatusUnprocessableEntity, post("k", "+250788000002", &p))
	require.Equal(t, "idempotency_key_reused", p.Code)
}

func TestSmokeRunsAreKept(t *testing.T) {
	t.Parallel()
	b := setup(t)
	began := time.Now().Add(-time.Minute)
	run := api.NewSmokeRun{Kind: "policy", Build: "b", Environment: "e", StartedAt: began, FinishedAt: time.Now(), Items: []store.SmokeItem{
		{ID: 1, Name: "one", Outcome: "passed", Evidence: json.RawMessage(`{"state":"sent"}`)}, {ID: 2, Name: "two", Outcome: "failed", Evidence: json.RawMessage(`{}`)}}}
	var kept api.SmokeRun
	status, _ := b.do(http.MethodPost, "/api/v1/smoke-runs", run, &kept)
	require.Equal(t, http.StatusCreated, status)
	require.Equal(t, "failed", kept.Outcome)
	require.Equal(t, []int{1, 1}, []int{kept.Passed, kept.Failed})
	var page api.SmokeRunPage
	b.do(http.MethodGet, "/api/v1/smoke-runs?kind=policy", nil, &page)
	require.Len(t, page.SmokeRuns, 1)
	require.JSONEq(t, `{"state":"sent"}`, string(page.SmokeRuns[0].Items[0].Evidence))
	b.do(http.MethodGet, "/api/v1/smoke-runs?kind=panel", nil, &page)
	require.Empty(t, page.SmokeRuns)

	// What cannot be proven is neither: the run has not passed, and has not failed.
	run.Kind, run.Items[1].Outcome = "station", "inconclusive"
	b.do(http.MethodPost, "/api/v1/smoke-runs", run, &kept)
	require.Equal(t, "inconclusive", kept.Outcome)
	require.Equal(t, []int{1, 0, 1}, []int{kept.Passed, kept.Failed, kept.Inconclusive})
	run.Items[0].Outcome = "failed"
	b.do(http.MethodPost, "/api/v1/smoke-runs", run, &kept)
	require.Equal(t, "failed", kept.Outcome)
	b.do(http.MethodGet, "/api/v1/smoke-runs?kind=station", nil, &page)
	require.Equal(t, []string{"failed", "inconclusive"}, []string{page.SmokeRuns[0].Outcome, page.SmokeRuns[1].Outcome})
	run.Items[0].Outcome = "fine"
	status, _ = b.do(http.MethodPost, "/api/v1/smoke-runs", run, nil)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.True(t, access.May(access.Ops, access.SmokeWrite))
	require.False(t, access.May(access.Support, access.SmokeWrite))
}
