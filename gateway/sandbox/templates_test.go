package sandbox

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/gateway/whatsapp"
)

// template sets a state and returns the answer.
func (w world) template(name, body string) string {
	w.t.Helper()
	status, answer := w.do(http.MethodPut, "/templates/"+name, body)
	require.Equal(w.t, http.StatusOK, status, answer)
	return answer
}

// codeOf sends a template and returns the provider's error code, 0 when it was taken.
func (w world) codeOf(name, language string) int {
	w.t.Helper()
	m := newMessage("+250788000001", "")
	m.Template, m.Language = name, language
	_, err := w.client.Send(w.t.Context(), m)
	if err == nil {
		return 0
	}
	var refused *whatsapp.APIError
	require.ErrorAs(w.t, err, &refused)
	require.Equal(w.t, whatsapp.Failed, whatsapp.Classify(err))
	return refused.Code
}

func TestTemplateStates(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	w := start(t, Config{WebhookURL: r.url})
	w.set(`{"sent":0,"delivered":0,"read":0}`)
	require.Equal(t, "[]\n", second(w.do(http.MethodGet, "/templates", "")))
	require.Zero(t, w.codeOf("promo", "rw-RW"))

	require.JSONEq(t, `{"name":"promo","status":"PAUSED","reason":"NONE"}`, w.template("promo", `{"status":"PAUSED"}`))
	require.Equal(t, 132015, w.codeOf("promo", "rw-RW"))
	require.Zero(t, w.codeOf("other", "rw-RW"))
	w.template("promo", `{"status":"DISABLED"}`)
	require.Equal(t, 132016, w.codeOf("promo", "rw-RW"))
	w.template("promo", `{"status":"REJECTED","language":"rw-RW","reason":"INVALID_FORMAT"}`)
	require.Equal(t, 132001, w.codeOf("promo", "rw-RW"))
	require.Equal(t, 132016, w.codeOf("promo", "en"), "the other languages are as before")
	w.template("promo", `{"status":"APPROVED","language":"en"}`)
	require.Zero(t, w.codeOf("promo", "en"))
	_, page := w.do(http.MethodGet, "/", "")
	require.Contains(t, page, "template promo DISABLED")
	require.Contains(t, page, "template promo rw_RW REJECTED")
	require.NotContains(t, page, "APPROVED")

	again := start(t, Config{Dir: w.config.Dir})
	require.Equal(t, 132001, again.codeOf("promo", "rw-RW"), "kept across restarts")
	require.JSONEq(t, `[{"name":"promo","status":"DISABLED","reason":"NONE"},{"name":"promo","language":"en","status":"APPROVED","reason":"NONE"},
		{"name":"promo","language":"rw_RW","status":"REJECTED","reason":"INVALID_FORMAT"}]`, second(again.do(http.MethodGet, "/templates", "")))

	w.template("promo", `{"status":"APPROVED"}`)
	require.Zero(t, w.codeOf("promo", "rw-RW"), "without a language it is about all")
	require.NotContains(t, second(w.do(http.MethodGet, "/", "")), "template promo")
	require.Equal(t, []string{"promo  PAUSED ", "promo  DISABLED ", "promo rw-RW REJECTED INVALID_FORMAT", "promo en APPROVED ", "promo  APPROVED "}, r.waitTemplates(t, 5))
	require.WithinDuration(t, time.Now(), r.templates[0].At, time.Minute)
}

func TestTemplateList(t *testing.T) {
	t.Parallel()
	w := start(t, Config{})
	c := w.config.WhatsApp
	c.BaseURL, c.BusinessAccountID = w.url, BusinessAccount
	client := whatsapp.New(c)
	ask := func() whatsapp.Listing {
		t.Helper()
		l, listed, err := client.Template(t.Context(), "promo", "rw-RW")
		require.NoError(t, err)
		require.True(t, listed)
		return l
	}
	require.Equal(t, whatsapp.Listing{Status: "APPROVED"}, ask(), "it takes any")
	w.template("promo", `{"status":"APPROVED","category":"UTILITY"}`)
	require.Equal(t, whatsapp.Listing{Status: "APPROVED", Category: "utility"}, ask())
	w.template("promo", `{"status":"PAUSED","language":"rw-RW"}`)
	require.Equal(t, whatsapp.Listing{Status: "PAUSED"}, ask())
	status, _ := w.do(http.MethodPut, "/templates/promo", `{"status":"APPROVED","category":"SPAM"}`)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	c.AccessToken = "another"
	_, _, err := whatsapp.New(c).Template(t.Context(), "promo", "en")
	var refused *whatsapp.APIError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, 190, refused.Code)
}

// waitTemplates returns the updates that came, once there are n.
func (r *receiver) waitTemplates(t *testing.T, n int) []string {
	t.Helper()
	var out []string
	require.Eventually(t, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		out = nil
		for _, u := range r.templates {
			out = append(out, fmt.Sprintf("%s %s %s %s", u.Name, u.Language, u.Event, u.Reason))
		}
		return len(out) >= n
	}, 10*time.Second, 2*time.Millisecond, "%v", out)
	return out
}

// A change is reported until it is taken, by the next sandbox if this one is killed, and then not again.
func TestTemplateWebhooksResume(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	r.refuse = -1
	w := start(t, Config{WebhookURL: r.url})
	w.template("a", `{"status":"PAUSED"}`)
	w.template("b", `{"status":"DISABLED"}`)
	require.Eventually(t, func() bool { r.mu.Lock(); defer r.mu.Unlock(); return r.refused > 0 }, 10*time.Second, time.Millisecond)
	w.stop()
	r.mu.Lock()
	r.refuse = 0
	r.mu.Unlock()
	again := start(t, Config{Dir: w.config.Dir, WebhookURL: r.url})
	r.waitTemplates(t, 2)
	require.Eventually(t, func() bool { // or it would rightly be told again
		raw, err := os.ReadFile(filepath.Join(w.config.Dir, "templates.cursor"))
		return err == nil && string(raw) == "0000000000000000002\n"
	}, 10*time.Second, time.Millisecond)
	again.stop()
	third := start(t, Config{Dir: w.config.Dir, WebhookURL: r.url})
	third.template("a", `{"status":"APPROVED"}`)
	require.Equal(t, []string{"a  PAUSED ", "b  DISABLED ", "a  APPROVED "}, r.waitTemplates(t, 3))
}

func TestTemplateStatesRefused(t *testing.T) {
	t.Parallel()
	w := start(t, Config{})
	for body, want := range map[string]string{
		``: "template_not_readable ", `{"state":"PAUSED"}`: "template_not_readable ", `null`: "unknown_status status",
		`{"status":"paused"}`: "unknown_status status", `{"status":"FLAGGED"}`: "unknown_status status",
		`{"status":"PAUSED","reason":"` + strings.Repeat("x", 513) + `"}`:   "too_long reason",
		`{"status":"PAUSED","language":"` + strings.Repeat("x", 513) + `"}`: "too_long language",
		strings.Repeat(" ", maxBody+1):                                      "body_not_readable ",
	} {
		status, answer := w.do(http.MethodPut, "/templates/a", body)
		require.Equal(t, http.StatusUnprocessableEntity, status, body)
		got := decode[map[string]string](t, answer)
		require.Equal(t, want, got["code"]+" "+got["field"], body)
	}
	status, _ := w.do(http.MethodPut, "/templates/"+strings.Repeat("x", 513), `{"status":"PAUSED"}`)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Equal(t, "[]\n", second(w.do(http.MethodGet, "/templates", "")))
}
