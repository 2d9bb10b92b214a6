package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"lastcall/api"
)

// TestTwoPeopleOnTheCommandLine: who asks does not approve; who approves sees what; the start says what is missing.
func TestTwoPeopleOnTheCommandLine(t *testing.T) {
	t.Parallel()
	c, dir, lastcall := people(t, "ops", "project_lead")
	lastcall(exitDone, "settings", "set", "campaigns", `{"approval":"always","max_late":"2h","approval_ttl":"24h"}`)
	guests := filepath.Join(dir, "guests.csv")
	require.NoError(t, os.WriteFile(guests, []byte("msisdn\n+250788000001\n"), 0o600))

	_, errs := lastcall(exitFailed, "campaigns", "launch", guests, "--template", "promo", "--as", "ops@lastcall.test")
	require.Contains(t, errs, "approval_required")
	require.Contains(t, errs, "somebody else (admin, project_lead)")
	var page api.CampaignPage
	require.NoError(t, c.get(t.Context(), "/campaigns", nil, &page))
	id := page.Campaigns[0].CampaignID.String()
	require.Contains(t, errs, "lastcall campaigns request-approval "+id)

	_, errs = lastcall(exitFailed, "campaigns", "request-approval", id)
	require.Contains(t, errs, "sign in; a token cannot")
	out, _ := lastcall(exitDone, "campaigns", "request-approval", id, "--at", "2030-01-01T00:00:00Z", "--reason", "New Year", "--as", "ops@lastcall.test")
	require.Contains(t, out, "waiting")
	_, errs = lastcall(exitFailed, "campaigns", "approve", id, "--as", "ops@lastcall.test")
	require.Contains(t, errs, "campaigns.approve")
	lastcall(exitFailed, "campaigns", "approve", id, "--digest", "0000", "--as", "project_lead@lastcall.test")
	lastcall(exitWrongUsage, "campaigns", "reject", id, "--as", "project_lead@lastcall.test")
	out, _ = lastcall(exitDone, "campaigns", "reject", id, "--reason", "too early", "--as", "project_lead@lastcall.test")
	require.Contains(t, out, "too early")
	lastcall(exitDone, "campaigns", "request-approval", id, "--at", "2030-01-01T00:00:00Z", "--as", "ops@lastcall.test")
	out, _ = lastcall(exitDone, "campaigns", "approve", id, "--reason", "agreed", "--as", "project_lead@lastcall.test")
	require.Contains(t, out, "by project_lead@lastcall.test as project_lead: agreed")
	out, _ = lastcall(exitDone, "campaigns", "start", id, "--as", "ops@lastcall.test")
	require.Contains(t, out, "01 Jan 2030")
	out, _ = lastcall(exitDone, "campaigns", "approvals", id)
	require.Contains(t, out, "approved")
}
