package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/gateway/sandbox"
	"lastcall/gateway/whatsapp"
	"lastcall/store"
	"lastcall/store/storetest"
)

// STOP, as somebody writes it to the sandbox, is answered once: however often its webhook comes, and however often the
// answer is delivered.
func TestStopIsAnsweredOnce(t *testing.T) {
	t.Parallel()
	st := storetest.New(t)
	log := slog.New(slog.DiscardHandler)
	provider := whatsapp.Config{PhoneNumberID: "555", AccessToken: "token", AppSecret: "secret"}
	hooks := httptest.NewServer(api.New(api.Deps{Store: st, WhatsApp: provider, Log: log}))
	defer hooks.Close()
	server, err := sandbox.New(sandbox.Config{Dir: t.TempDir(), WhatsApp: provider, WebhookURL: hooks.URL + "/webhooks/whatsapp"})
	require.NoError(t, err)
	defer server.Close()
	box := httptest.NewServer(server.Handler())
	defer box.Close()
	provider.BaseURL = box.URL
	deliver := replyHandler(st, whatsapp.New(provider))

	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	applier := store.Applier{Store: st, Parse: api.Inbound, Log: log}
	relay := store.Relay{Store: st, Log: log, Handlers: map[string]store.Handler{store.KindReply: func(ctx context.Context, id int64, payload json.RawMessage) error {
		if err := deliver(ctx, id, payload); err != nil {
			return err
		}
		return deliver(ctx, id, payload) // as after a crash before it was settled
	}}}
	running.Go(func() { applier.Run(ctx) })
	running.Go(func() { relay.Run(ctx) })

	call := func(method, path, body string) string {
		req, err := http.NewRequestWithContext(t.Context(), method, box.URL+path, strings.NewReader(body))
		require.NoError(t, err)
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer func() { _ = res.Body.Close() }()
		raw, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, res.StatusCode, string(raw))
		return string(raw)
	}
	for range 3 {
		call(http.MethodPost, "/inbound", `{"id":"wamid.ONE","from":"+250788000012","text":" Hagarika! "}`)
	}
	call(http.MethodPost, "/inbound", `{"id":"wamid.TWO","from":"+250788000012","text":"STOP"}`)
	call(http.MethodPost, "/inbound", `{"id":"wamid.END","from":"+250788000013","text":"stop"}`)
	require.Eventually(t, func() bool { // they are answered side by side
		inbox := call(http.MethodGet, "/inbox.json", "")
		return strings.Contains(inbox, "+250788000012") && strings.Contains(inbox, "+250788000013")
	}, 20*time.Second, 20*time.Millisecond)
	inbox := call(http.MethodGet, "/inbox.json", "")
	require.Equal(t, 1, strings.Count(inbox, `"to":"+250788000012"`), inbox)
	require.Contains(t, inbox, "TANGIRA")
	require.Contains(t, call(http.MethodGet, "/stats.json", ""), `"duplicates":0`)
}
