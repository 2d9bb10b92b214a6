package sandbox

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lastcall/gateway/whatsapp"
)

func TestInbound(t *testing.T) {
	t.Parallel()
	got := make(chan whatsapp.Message, 10)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		events, err := whatsapp.ParseEvents(raw)
		if err != nil || !whatsapp.Verify("secret", raw, r.Header.Get("X-Hub-Signature-256")) {
			t.Errorf("webhook not good: %v", err)
		}
		for _, m := range events.Messages {
			got <- m
		}
	}))
	defer web.Close()
	w := start(t, Config{WebhookURL: web.URL})
	w.set(`{"sent":0,"delivered":0,"read":0}`)

	text := whatsapp.TextMessage{To: "+250788000012", Text: "Bye “you”\n", CallbackData: "reply:1"}
	_, err := w.client.SendText(t.Context(), text)
	refused := &whatsapp.APIError{}
	require.ErrorAs(t, err, &refused)
	require.Equal(t, windowClosed, refused.Code)

	status, answer := w.do(http.MethodPost, "/inbound", `{"from":"+250788000012","text":" Stop. "}`)
	require.Equal(t, http.StatusOK, status, answer)
	var told struct {
		ID string `json:"message_id"`
	}
	require.NoError(t, json.Unmarshal([]byte(answer), &told))
	m := <-got
	require.Equal(t, whatsapp.Message{ID: told.ID, WhatsAppID: "250788000012", Text: " Stop. ", At: m.At}, m)
	require.False(t, m.At.IsZero())
	_, err = w.client.SendText(t.Context(), text)
	require.NoError(t, err)
	require.Contains(t, second(w.do(http.MethodGet, "/inbox.json", "")), `"text":"Bye “you”\n"`)
	require.Contains(t, second(w.do(http.MethodGet, "/", "")), "Bye “you”")

	w.do(http.MethodPost, "/inbound", `{"id":"wamid.AGAIN","from":"250788000013","text":"`+strings.Repeat("x", 3<<20)+`"}`)
	m = <-got
	require.Equal(t, "wamid.AGAIN", m.ID)
	require.Len(t, m.Text, 3<<20)

	again := start(t, Config{Dir: w.config.Dir})
	_, err = again.client.SendText(t.Context(), text)
	require.NoError(t, err, "who wrote is known after a restart")
	for _, bad := range []string{`{`, `{"from":"Joe","text":"STOP"}`, `{"from":"+250788000012"}`} {
		status, _ := w.do(http.MethodPost, "/inbound", bad)
		require.Equal(t, http.StatusUnprocessableEntity, status, bad)
	}
	status, _ = again.do(http.MethodPost, "/inbound", `{"from":"+250788000012","text":"STOP"}`)
	require.Equal(t, http.StatusUnprocessableEntity, status, "there is nobody to tell")
}
