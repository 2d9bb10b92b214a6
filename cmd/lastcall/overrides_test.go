package main

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/config"
	"lastcall/domain/approval"
	"lastcall/domain/campaign"
	"lastcall/domain/contact"
	"lastcall/domain/override"
	"lastcall/store"
)

// TestOverridesOnTheCommandLine: whoever asks does not decide, and what is asked for is said in full.
func TestOverridesOnTheCommandLine(t *testing.T) {
	t.Parallel()
	c, _, lastcall := people(t, "support", "project_lead")
	kigali, err := time.LoadLocation("Africa/Kigali")
	require.NoError(t, err)
	now := time.Now().In(kigali)
	lastcall(exitDone, "settings", "set", "quiet_hours", `{"RW":{"start":"`+now.Add(-time.Hour).Format("15:04")+`","end":"`+now.Add(2*time.Hour).Format("15:04")+`"}}`,
		"--acknowledge", "inverted_window")
	var one api.Send
	n := api.NewSend{MSISDN: "+250788000001", Template: "promo", WhenAllowed: true}
	status, err := c.call(t.Context(), http.MethodPost, "/sends", n, &one)
	require.NoError(t, err)
	require.Equal(t, http.StatusAccepted, status)
	id, end := one.SendID.String(), now.Add(time.Hour).Format(time.RFC3339)
	ask := func(want int, args ...string) (string, string) {
		t.Helper()
		return lastcall(want, append([]string{"overrides", "request", "--reason", "their table is ready", "--as", "support@lastcall.test"}, args...)...)
	}

	_, errs := ask(exitWrongUsage, "--to", end)
	require.Contains(t, errs, "give either --campaign or --send")
	_, errs = ask(exitWrongUsage, "--to", end, "--send", id, "--campaign", uuid.NewString())
	require.Contains(t, errs, "give either --campaign or --send")
	_, errs = ask(exitWrongUsage, "--to", end, "--send", id[:8])
	require.Contains(t, errs, "as lastcall sends list shows it")
	_, errs = ask(exitWrongUsage, "--send", id)
	require.Contains(t, errs, "--to is needed")
	_, errs = ask(exitFailed, "--send", id, "--to", now.Add(5*time.Hour).Format(time.RFC3339))
	require.Contains(t, errs, "4h is the most")
	_, errs = ask(exitFailed, "--send", id, "--to", end, "--from", now.Add(-time.Hour).Format(time.RFC3339))
	require.Contains(t, errs, "it would begin in the past")
	_, errs = lastcall(exitFailed, "overrides", "request", "--send", id, "--to", end, "--reason", "x")
	require.Contains(t, errs, "sign in; a token cannot")
	out, _ := ask(exitDone, "--send", id, "--to", end, "--output", "json")
	var made api.Override
	require.NoError(t, json.Unmarshal([]byte(out), &made))

	_, errs = lastcall(exitFailed, "overrides", "approve", made.ID.String(), "--as", "support@lastcall.test")
	require.Contains(t, errs, "overrides.decide")
	lastcall(exitWrongUsage, "overrides", "reject", made.ID.String(), "--as", "project_lead@lastcall.test")
	lastcall(exitWrongUsage, "overrides", "approve", "soon", "--as", "project_lead@lastcall.test")
	out, _ = lastcall(exitDone, "overrides", "approve", made.ID.String(), "--reason", "as agreed", "--as", "project_lead@lastcall.test")
	require.Regexp(t, `approved by +project_lead@lastcall\.test as project_lead`, out)
	out, _ = lastcall(exitDone, "overrides", "list", "--send", id)
	require.Regexp(t, `quiet_hours +active +promo to \+250 78• ••• 001 .*support@lastcall\.test +project_lead@lastcall\.test`, out)
	require.NotContains(t, out, "788000001")
	out, _ = lastcall(exitDone, "overrides", "list", "--send", uuid.NewString())
	require.NotContains(t, out, made.ID.String())
	out, _ = lastcall(exitDone, "overrides", "cancel", made.ID.String(), "--reason", "they left", "--as", "support@lastcall.test")
	require.Regexp(t, `state +cancelled`, out)

	out, _ = ask(exitDone, "--send", id, "--to", end, "--output", "json")
	require.NoError(t, json.Unmarshal([]byte(out), &made))
	out, _ = lastcall(exitDone, "overrides", "reject", made.ID.String(), "--reason", "too late", "--as", "project_lead@lastcall.test")
	require.Regexp(t, `rejected by +project_lead@lastcall\.test as project_lead`, out)
	out, _ = lastcall(exitDone, "overrides", "show", made.ID.String())
	require.Regexp(t, `message +promo to \+250 78• ••• 001 \(`+id, out)
	require.Contains(t, out, "too late")
}

// What is mailed about an override tells whoever decides where to, and nobody to whom the message goes.
func TestOverrideMail(t *testing.T) {
	t.Parallel()
	number := contact.MSISDN("+250788000001")
	at := time.Date(2026, 11, 23, 20, 0, 0, 0, time.UTC)
	id := uuid.New()
	view := store.OverrideView{Override: store.Override{ID: uuid.New(), Kind: override.QuietHours, SendID: &id, StartsAt: at, EndsAt: at.Add(time.Hour),
		AskUntil: at.Add(30 * time.Minute), Reason: "their table is ready"}, Requester: store.Party{Name: "Sam"},
		Send: &store.OverriddenSend{MSISDN: number, Template: "table_ready", State: campaign.Queued}}
	c := &config.Config{}
	c.API.PublicURL = "https://lastcall.example"
	asked := overrideMail(c, store.OverrideLetter{To: store.Party{Name: "Lea", Email: "lea@example.test"}, What: "asked for", Override: view})
	require.Equal(t, []string{"lea@example.test"}, asked.To)
	require.Equal(t, "Override asked for: quiet hours for a single message (table_ready)", asked.Subject)
	require.Contains(t, asked.Text, "Decide by 23 Nov 2026 20:30 UTC")
	require.Contains(t, asked.Text, "by   Sam: their table is ready")
	require.Contains(t, asked.Text, "https://lastcall.example/overrides?override="+view.ID.String())
	view.Decision = &store.Decided{Approval: store.Approval{Verdict: approval.Approved, Reason: "as agreed"}}
	told := overrideMail(c, store.OverrideLetter{To: store.Party{Name: "Sam"}, What: "approved", Override: view})
	require.Contains(t, told.Text, "The decision: as agreed")
	require.NotContains(t, told.Text, "Decide by")
	for _, m := range []string{asked.Subject, asked.Text, told.Subject, told.Text} {
		require.NotContains(t, m, "788000001")
		require.NotContains(t, m, number.Masked())
	}
}
