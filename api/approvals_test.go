package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/store"
)

// colleague is a browser in which somebody of this role is signed in.
func (o *office) colleague(name, role string) *browser {
	o.t.Helper()
	_, err := o.store.AddAccount(o.t.Context(), store.NewAccount{Email: name + "@example.test", Name: name, Role: role, Password: password})
	require.NoError(o.t, err)
	w := o.browser()
	status, p, _ := w.signIn(name+"@example.test", password)
	require.Equal(o.t, http.StatusOK, status, "%+v", p)
	return w
}

func TestTwoPeopleStartACampaign(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	_, err := o.store.SaveSetting(t.Context(), "campaigns", []byte(`{"approval":{"above":1},"max_late":"2h","approval_ttl":"24h"}`), "")
	require.NoError(t, err)
	ops, lead, viewer := o.colleague("ops", "ops"), o.colleague("lead", "project_lead"), o.colleague("viewer", "viewer")
	c := o.campaign()
	o.do("POST", path(c, "/imports"), csv("msisdn\n+250781234567\n+250781234568\n"), nil)

	var p api.Problem
	status, p, _ := ops.do("POST", path(c, "/start"), api.StartOrder{}, nil)
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, "approval_required", p.Code)
	require.Contains(t, p.Detail, c.CampaignID.String())

	status, _ = o.do("POST", path(c, "/approval-request"), api.NewApprovalRequest{}, &p)
	require.Equal(t, http.StatusForbidden, status, "a token asks for nothing")
	require.Equal(t, "approval_account", p.Code)
	var a api.CampaignApproval
	status, p, _ = ops.do("POST", path(c, "/approval-request"), api.NewApprovalRequest{Reason: "for Friday"}, &a)
	require.Equal(t, http.StatusOK, status, "%+v", p)
	require.Equal(t, "waiting", a.State)
	require.False(t, a.Request.MayDecide, "it is theirs")
	require.Equal(t, []string{"admin", "project_lead"}, a.Approvers)

	var waiting api.ApprovalPage
	lead.do("GET", "/api/v1/approvals", nil, &waiting)
	require.Len(t, waiting.Approvals, 1)
	r := waiting.Approvals[0]
	require.True(t, r.MayDecide)
	require.Equal(t, "ops@example.test", r.RequestedBy.Email)
	require.Equal(t, map[string]int64{"RW": 2}, r.Campaign.Countries)
	viewer.do("GET", "/api/v1/approvals", nil, &waiting)
	require.False(t, waiting.Approvals[0].MayDecide)
	require.Contains(t, waiting.Approvals[0].WhyNot, "viewer")

	decide := func(w *browser, v api.ApprovalVerdict) (int, string) {
		status, p, _ := w.do("POST", path(c, "/approvals"), v, &a)
		return status, p.Code
	}
	status, code := decide(viewer, api.ApprovalVerdict{Verdict: "approved", Digest: r.Digest})
	require.Equal(t, http.StatusForbidden, status)
	require.Equal(t, "role_may_not", code)
	status, code = decide(lead, api.ApprovalVerdict{Verdict: "approved", Digest: strings.Repeat("0", 64)})
	require.Equal(t, http.StatusPreconditionFailed, status)
	require.Equal(t, "approval_changed", code)
	status, code = decide(lead, api.ApprovalVerdict{Verdict: "approved", Digest: "x"})
	require.Equal(t, http.StatusUnprocessableEntity, status, code)

	// It is void in the API at once when the audience changes, and again what was asked about cannot be approved.
	o.do("POST", path(c, "/imports"), csv("msisdn\n+250781234569\n"), nil)
	lead.do("GET", path(c, "/approvals"), nil, &a)
	require.Equal(t, "changed", a.State)
	require.True(t, a.Request.Changed)
	status, code = decide(lead, api.ApprovalVerdict{Verdict: "approved", Digest: a.Digest})
	require.Equal(t, http.StatusPreconditionFailed, status, code)

	ops.do("POST", path(c, "/approval-request"), api.NewApprovalRequest{}, &a)
	status, code = decide(lead, api.ApprovalVerdict{Verdict: "approved", Reason: "fine", Digest: a.Digest})
	require.Equal(t, http.StatusOK, status, code)
	require.Equal(t, "approved", a.State)
	require.Equal(t, "project_lead", string(a.Decisions[0].Role))
	o.do("POST", path(c, "/imports"), csv("msisdn\n+250781234570\n"), nil)
	a = api.CampaignApproval{}
	lead.do("GET", path(c, "/approvals"), nil, &a)
	require.Equal(t, "void", a.State)
	require.Contains(t, a.Problem, "changed")

	ops.do("POST", path(c, "/approval-request"), api.NewApprovalRequest{}, &a)
	status, code = decide(lead, api.ApprovalVerdict{Verdict: "rejected", Digest: a.Digest})
	require.Equal(t, "no_reason", code)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	status, _ = decide(lead, api.ApprovalVerdict{Verdict: "rejected", Reason: "too many", Digest: a.Digest})
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "rejected", a.State)
	status, code = decide(lead, api.ApprovalVerdict{Verdict: "approved", Digest: a.Digest})
	require.Equal(t, http.StatusConflict, status, "it is decided")
	require.Equal(t, "approval_not_asked", code)

	ops.do("POST", path(c, "/approval-request"), api.NewApprovalRequest{}, &a)
	status, code = decide(lead, api.ApprovalVerdict{Verdict: "approved", Digest: a.Digest})
	require.Equal(t, http.StatusOK, status, code)
	status, p, _ = ops.do("POST", path(c, "/start"), api.StartOrder{}, nil)
	require.Contains(t, []int{http.StatusOK, http.StatusAccepted}, status, "%+v", p)
	require.Len(t, o.audited("access.refused"), 1)
	require.Len(t, o.audited("approval.refused"), 5)
}
