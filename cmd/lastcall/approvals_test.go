package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"lastcall/api"
)

// TestTwoPeopleOnTheCommandLine: who asks does not approve; who approves sees what; the start says what is missing.
func TestTwoPeopleOnTheCommandLine(t *testing.T) {
	t.Parallel()
	base, token := startAPI(t)
	const password = "correct horse battery"
	dir := t.TempDir()
	up := upFile{API: base, Token: token, Accounts: []upAccount{
		{Email: "ops@lastcall.test", Password: password, Role: "ops"},
		{Email: "lead@lastcall.test", Password: password, Role: "project_lead"},
	}}
	content, err := json.Marshal(up)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, upFileName), content, 0o600))
	c := apiClient{base: base, token: token}
	for _, a := range up.Accounts {
		_, err := c.call(t.Context(), http.MethodPost, "/accounts", api.NewAccount{Email: a.Email, Name: "N", Role: string(a.Role), Password: password}, &api.AccountEntry{})
		require.NoError(t, err)
	}
	lastcall := func(want int, args ...string) (out, errs string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		code := run(append([]string{"--data-dir", dir}, args...), &stdout, &stderr)
		require.Equal(t, want, code, "%s\n%s", stdout.String(), stderr.String())
		return stdout.String(), stderr.String()
	}
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
	lastcall(exitFailed, "campaigns", "approve", id, "--digest", "0000", "--as", "lead@lastcall.test")
	lastcall(exitWrongUsage, "campaigns", "reject", id, "--as", "lead@lastcall.test")
	out, _ = lastcall(exitDone, "campaigns", "reject", id, "--reason", "too early", "--as", "lead@lastcall.test")
	require.Contains(t, out, "too early")
	lastcall(exitDone, "campaigns", "request-approval", id, "--at", "2030-01-01T00:00:00Z", "--as", "ops@lastcall.test")
	out, _ = lastcall(exitDone, "campaigns", "approve", id, "--reason", "agreed", "--as", "lead@lastcall.test")
	require.Contains(t, out, "by lead@lastcall.test as project_lead: agreed")
	out, _ = lastcall(exitDone, "campaigns", "start", id, "--as", "ops@lastcall.test")
	require.Contains(t, out, "01 Jan 2030")
	out, _ = lastcall(exitDone, "campaigns", "approvals", id)
	require.Contains(t, out, "approved")
}
