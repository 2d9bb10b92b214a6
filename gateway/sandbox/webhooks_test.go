package sandbox

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/gateway/whatsapp"
)

// receiver is the other end of the webhooks. It checks every signature.
type receiver struct {
	url       string
	mu        sync.Mutex
	refuse    int // answer 500 to that many more; negative for all
	refused   int
	statuses  []whatsapp.Status
	templates []whatsapp.TemplateUpdate
	largest   int
	posts     int
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		raw, err := io.ReadAll(req.Body)
		events, parseErr := whatsapp.ParseEvents(raw)
		statuses := events.Statuses
		r.mu.Lock()
		defer r.mu.Unlock()
		switch {
		case err != nil || parseErr != nil || len(statuses)+len(events.Templates) == 0 || !whatsapp.Verify("secret", raw, req.Header.Get("X-Hub-Signature-256")):
			t.Errorf("webhook not good: %v %v, %d statuses", err, parseErr, len(statuses))
		case r.refuse != 0:
			r.refuse--
			r.refused++
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		r.statuses = append(r.statuses, statuses...)
		r.templates = append(r.templates, events.Templates...)
		r.posts++
		r.largest = max(r.largest, len(statuses))
	}))
	t.Cleanup(web.Close)
	r.url = web.URL
	return r
}

// of returns the message ids that reported a state, in order.
func (r *receiver) of(state string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := []string{}
	for _, s := range r.statuses {
		if s.State == state {
			out = append(out, s.MessageID)
		}
	}
	return out
}

func (r *receiver) wait(t *testing.T, state string, n int) []string {
	t.Helper()
	require.Eventually(t, func() bool { return len(r.of(state)) >= n }, 10*time.Second, 2*time.Millisecond, "%s: %d", state, len(r.of(state)))
	return r.of(state)
}

const atOnce = `{"sent_delay_ms":0,"delivered_delay_ms":0,"read_delay_ms":0,"read":1}`

// set changes settings.
func (w world) set(body string) {
	w.t.Helper()
	status, answer := w.do(http.MethodPut, "/settings", body)
	require.Equal(w.t, http.StatusOK, status, answer)
}

func TestWebhooks(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	w := start(t, Config{WebhookURL: r.url})
	w.set(atOnce)
	var ids []string
	for i := range 450 {
		ids = append(ids, w.send(fmt.Sprintf("+250788%06d", i), fmt.Sprintf("c/%d/1", i)))
	}
	for _, state := range []string{"sent", "delivered", "read"} {
		require.Equal(t, ids, r.wait(t, state, 450), "each once and in order")
	}
	require.LessOrEqual(t, r.largest, 200)
	one := r.statuses[slices.IndexFunc(r.statuses, func(s whatsapp.Status) bool { return s.MessageID == ids[7] && s.State == "read" })]
	require.WithinDuration(t, time.Now(), one.At, time.Minute)
	one.At = time.Time{}
	require.Equal(t, whatsapp.Status{MessageID: ids[7], State: "read", RecipientID: "250788000007", CallbackData: "c/7/1"}, one)
}

// A backlog goes out in batches of 200, and a delay is kept even when it is set while waiting.
func TestWebhooksWaitAndBatch(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	w := start(t, Config{WebhookURL: r.url})
	w.set(`{"sent_delay_ms":86400000,"delivered_delay_ms":300,"read":0}`)
	began := time.Now()
	w.send("+35699000001", "")
	r.wait(t, "delivered", 1)
	require.GreaterOrEqual(t, time.Since(began), 300*time.Millisecond)
	for i := range 449 {
		w.send(fmt.Sprintf("+250788%06d", i), "")
	}
	require.Empty(t, r.of("sent"))
	r.wait(t, "delivered", 450)
	w.set(`{"sent_delay_ms":0}`)
	r.wait(t, "sent", 450)
	require.Equal(t, 200, r.largest)
	require.Empty(t, r.of("read"))
}

func TestWebhooksRetryAndResume(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	r.refuse = 2
	w := start(t, Config{WebhookURL: r.url})
	w.set(`{"sent_delay_ms":0,"delivered":0,"read":0}`)
	first := w.send("+250788000001", "c/1/1")
	require.Equal(t, []string{first}, r.wait(t, "sent", 1))
	require.Equal(t, 2, r.refused)

	r.mu.Lock()
	r.refuse = -1
	r.mu.Unlock()
	second := w.send("+250788000002", "c/2/1")
	require.Eventually(t, func() bool { r.mu.Lock(); defer r.mu.Unlock(); return r.refused > 2 }, 10*time.Second, time.Millisecond)
	w.stop()
	r.mu.Lock()
	r.refuse = 0
	r.mu.Unlock()

	again := start(t, Config{Dir: w.config.Dir, WebhookURL: r.url})
	require.Equal(t, []string{first, second}, r.wait(t, "sent", 2), "goes on where the last answered one ended")
	third := again.send("+250788000003", "c/3/1")
	require.Equal(t, []string{first, second, third}, r.wait(t, "sent", 3))
}

// Cursors that outlived their inbox do not silence a new one.
func TestWebhooksOfANewInbox(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "sent.cursor"), []byte("0000000000000001000\n"), 0o600))
	w := start(t, Config{Dir: dir, WebhookURL: r.url})
	id := w.send("+250788000001", "c/1/1")
	require.Equal(t, []string{id}, r.wait(t, "sent", 1))
}

// DELETE forgets what was not reported, even in the middle of a retry, and what comes later is reported.
func TestWebhooksAfterDelete(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	r.refuse = -1
	w := start(t, Config{WebhookURL: r.url})
	w.set(`{"sent_delay_ms":0,"delivered_delay_ms":86400000,"read":0}`)
	w.send("+250788000001", "c/1/1")
	require.Eventually(t, func() bool { r.mu.Lock(); defer r.mu.Unlock(); return r.refused > 0 }, 10*time.Second, time.Millisecond)
	status, _ := w.do(http.MethodDelete, "/inbox", "")
	require.Equal(t, http.StatusNoContent, status)
	r.mu.Lock()
	r.refuse = 0
	r.mu.Unlock()
	w.set(`{"delivered_delay_ms":0}`)
	later := w.send("+250788000002", "c/2/1")
	require.Equal(t, []string{later}, r.wait(t, "sent", 1))
	require.Equal(t, []string{later}, r.wait(t, "delivered", 1))
}

func TestWebhooksFailed(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	w := start(t, Config{WebhookURL: r.url})
	w.set(`{"sent_delay_ms":0,"delivered_delay_ms":0,"read_delay_ms":0,"read":1,"failed":1}`)
	id := w.send("+250788000001", "c/1/1")
	require.Equal(t, []string{id}, r.wait(t, "failed", 1))
	r.wait(t, "sent", 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Len(t, r.statuses, 2, "neither delivered nor read")
	require.Equal(t, 131026, r.statuses[slices.IndexFunc(r.statuses, func(s whatsapp.Status) bool { return s.State == "failed" })].ErrorCode)
}

// The shares come out right over many messages, and no message is read without being delivered.
func TestFate(t *testing.T) {
	t.Parallel()
	const messages = 20000
	for name, c := range map[string]struct {
		settings                      settings
		sent, delivered, read, failed float64
	}{
		"default":               {defaultSettings(), 1, 1, 0.6, 0},
		"nothing":               {settings{}, 0, 0, 0, 0},
		"everything":            {settings{Sent: 1, Delivered: 1, Read: 1}, 1, 1, 1, 0},
		"some fail":             {settings{Sent: 1, Delivered: 1, Read: 0.6, Failed: 0.1}, 1, 0.9, 0.6, 0.1},
		"failing comes first":   {settings{Sent: 0.5, Delivered: 0.9, Read: 0.9, Failed: 0.2}, 0.5, 0.8, 0.8, 0.2},
		"no more read than got": {settings{Delivered: 0.3, Read: 0.6}, 0, 0.3, 0.3, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			counts := map[string]float64{}
			for i := range messages {
				id := fmt.Sprintf("wamid.%032X", i)
				delivered := c.settings.fate(id, "delivered")
				read := c.settings.fate(id, "read")
				require.True(t, read == "" || delivered == "delivered")
				for _, state := range []string{c.settings.fate(id, "sent"), delivered, read} {
					counts[state] += 1.0 / messages
				}
			}
			for state, want := range map[string]float64{"sent": c.sent, "delivered": c.delivered, "read": c.read, "failed": c.failed} {
				require.InDelta(t, want, counts[state], 0.01, state)
				require.True(t, want != 0 && want != 1 || counts[state] < 1e-9 || counts[state] > 1-1e-9)
			}
		})
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	w := start(t, Config{})
	get := func() string { return second(w.do(http.MethodGet, "/settings", "")) }
	const off = `,"webhook_twice":0,"webhook_reordered":0,"webhook_window_ms":0,"webhook_delayed":0,"webhook_delay_ms":0,"rate_per_second":0,
		"pair_interval_ms":0,"pair_burst":1,"tier_recipients":0,"tier_code":131048,"user_capped":0,"user_stopped":0}`
	require.JSONEq(t, `{"sent":1,"delivered":1,"read":0.6,"failed":0,"sent_delay_ms":100,"delivered_delay_ms":500,"read_delay_ms":1500`+off, get())
	w.set(`{"read":0.25,"sent_delay_ms":0}`)
	const changed = `{"sent":1,"delivered":1,"read":0.25,"failed":0,"sent_delay_ms":0,"delivered_delay_ms":500,"read_delay_ms":1500` + off
	require.JSONEq(t, changed, get())
	for body, field := range map[string]string{
		`{"red":1}`: "", `{"read":"1"}`: "", `{"read":0.5} {}`: "", ``: "", `[]`: "", `{"sent_delay_ms":1.5}`: "",
		`{"sent":-0.1}`: "sent", `{"delivered":1.1}`: "delivered", `{"read":2}`: "read", `{"sent":0,"failed":-1}`: "failed",
		`{"sent_delay_ms":-1}`: "sent_delay_ms", `{"delivered_delay_ms":86400001}`: "delivered_delay_ms", `{"read_delay_ms":-5}`: "read_delay_ms",
		strings.Repeat(" ", maxBody) + `{"read":1}`: "",
		`{"webhook_twice":2}`:                       "webhook_twice", `{"webhook_reordered":-1}`: "webhook_reordered", `{"webhook_window_ms":-1}`: "webhook_window_ms",
		`{"webhook_delayed":1.5}`: "webhook_delayed", `{"webhook_delay_ms":86400001}`: "webhook_delay_ms", `{"rate_per_second":-1}`: "rate_per_second",
		`{"pair_interval_ms":-1}`: "pair_interval_ms", `{"pair_burst":0}`: "pair_burst", `{"tier_recipients":-1}`: "tier_recipients",
		`{"tier_code":0}`: "tier_code", `{"user_capped":2}`: "user_capped", `{"user_stopped":-0.5}`: "user_stopped",
	} {
		status, answer := w.do(http.MethodPut, "/settings", body)
		require.Equal(t, http.StatusUnprocessableEntity, status, body)
		require.Equal(t, field, decode[map[string]string](t, answer)["field"], answer)
	}
	require.JSONEq(t, changed, get(), "a refused change changes nothing")
	require.JSONEq(t, changed, second(start(t, Config{Dir: w.config.Dir}).do(http.MethodGet, "/settings", "")), "kept across restarts")
}
