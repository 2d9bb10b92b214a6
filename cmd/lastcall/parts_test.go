package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lastcall/config"
	"lastcall/store"
	"lastcall/store/storetest"
)

func TestMigrate(t *testing.T) {
	t.Chdir(t.TempDir())
	url := storetest.EmptyURL(t)
	t.Setenv("LASTCALL_DATABASE_URL", url)
	migrate := func(step string) (result struct {
		Steps, Templates int
		Migrations       []store.Migration
	}) {
		t.Helper()
		var out, errs bytes.Buffer
		require.Equal(t, exitDone, run([]string{"migrate", step, "--output", "json"}, &out, &errs), errs.String())
		require.NoError(t, json.Unmarshal(out.Bytes(), &result))
		return result
	}
	for _, m := range migrate("status").Migrations {
		require.False(t, m.Applied)
	}

	t.Setenv("LASTCALL_BOOTSTRAP_TOKEN", "a token for the first caller")
	var errs bytes.Buffer
	require.Equal(t, exitFailed, run([]string{"migrate", "up"}, &bytes.Buffer{}, &errs))
	require.Contains(t, errs.String(), "pepper: is needed", "nothing is done by halves")

	t.Setenv("LASTCALL_PEPPER", string(storetest.Pepper))
	first := migrate("up")
	require.Positive(t, first.Steps)
	require.Positive(t, first.Templates)
	again := migrate("up")
	require.Zero(t, again.Steps)
	require.Zero(t, again.Templates)
	_, _, err := storetest.Open(t, url).Authenticate(t.Context(), "a token for the first caller")
	require.NoError(t, err)

	// The first admin comes in by the link that is printed, as long as there is none.
	invite := func(address string) (code int, out string, failure string) {
		var stdout, stderr bytes.Buffer
		code = run([]string{"accounts", "first-admin", address, "--output", "json"}, &stdout, &stderr)
		return code, stdout.String(), stderr.String()
	}
	code, out, failure := invite("boss@example.test")
	require.Equal(t, exitDone, code, failure)
	var made struct{ Link string }
	require.NoError(t, json.Unmarshal([]byte(out), &made))
	page, link, _ := strings.Cut(made.Link, "#")
	require.Equal(t, "http://127.0.0.1:8700/welcome", page)
	_, _, _, err = storetest.Open(t, url).AcceptInvitation(t.Context(), store.Acceptance{Token: link, Name: "Boss",
		Password: "correct horse battery", Address: "192.0.2.1", Agent: "other"})
	require.NoError(t, err)
	code, _, failure = invite("other@example.test")
	require.Equal(t, exitFailed, code)
	require.Contains(t, failure, "there is an admin already")

	after := migrate("down").Migrations
	require.False(t, after[len(after)-1].Applied)
	require.True(t, after[0].Applied)
}

func TestNoticesAndMailGoWhereConfigured(t *testing.T) {
	t.Parallel()
	posted := make(chan string, 1)
	ops := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		_, _ = body.ReadFrom(r.Body)
		posted <- body.String()
	}))
	t.Cleanup(ops.Close)
	c := config.Defaults()
	notice, err := json.Marshal(store.OpsNotice{Title: "Campaign done: Friday", Text: "all well", Level: "info"})
	require.NoError(t, err)
	for _, kind := range []string{store.KindOpsNotice, store.KindMail} {
		require.NoError(t, outboxHandlers(c, nil, nil)[kind](t.Context(), 1, notice), "%s: nothing is configured, so it is done", kind)
		require.Error(t, outboxHandlers(c, nil, nil)[kind](t.Context(), 1, []byte("{")))
	}
	c.Ops.WebhookURL = config.Secret(ops.URL)
	require.NoError(t, outboxHandlers(c, nil, nil)[store.KindOpsNotice](t.Context(), 1, notice))
	require.Contains(t, <-posted, "Campaign done: Friday")
	for _, kind := range []string{store.KindStartCampaign, store.KindOrderCampaign, store.KindRecoverCampaign, store.KindSettingsChanged} {
		require.Contains(t, outboxHandlers(c, nil, nil), kind)
	}
}
