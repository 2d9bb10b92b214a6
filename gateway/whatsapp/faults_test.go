package whatsapp_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/domain/contact"
	"lastcall/gateway/sandbox"
	"lastcall/gateway/whatsapp"
)

// TestSendUnderFaults holds Send and Classify against the real sandbox: what the client says became of a
// message must be what the sandbox knows became of it.
func TestSendUnderFaults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault  string // none for ""
		want   whatsapp.Outcome
		stored bool // each message, once
		code   int  // of the *APIError, 0 for another error
	}{
		"no fault":            {"", whatsapp.Sent, true, 0},
		"short latency":       {`{"kind":"latency","latency":"10ms","for":"1m"}`, whatsapp.Sent, true, 0},
		"long latency":        {`{"kind":"latency","latency":"1500ms","for":"1m"}`, whatsapp.Unknown, true, 0},
		"outage":              {`{"kind":"outage","for":"1m"}`, whatsapp.Unknown, false, 0}, // it had left
		"reset":               {`{"kind":"reset","for":"1m"}`, whatsapp.Unknown, false, 0},
		"accept then timeout": {`{"kind":"accept_then_timeout","for":"1m"}`, whatsapp.Unknown, true, 0},
		"slow body":           {`{"kind":"slow_body","for":"1m"}`, whatsapp.Unknown, true, 0},
		"wrong body":          {`{"kind":"wrong_body","for":"1m"}`, whatsapp.Unknown, true, 0},
		"rate limit":          {`{"kind":"rate_limit","for":"1m"}`, whatsapp.Retry, false, 130429},
		"pair":                {`{"kind":"error","code":131056,"for":"1m"}`, whatsapp.Retry, false, 131056},
		"overloaded":          {`{"kind":"error","code":131016,"for":"1m"}`, whatsapp.Retry, false, 131016},
		"provider trouble":    {`{"kind":"error","code":131000,"for":"1m"}`, whatsapp.Unknown, false, 131000},
		"user":                {`{"kind":"error","code":131026,"for":"1m"}`, whatsapp.Failed, false, 131026},
		"template":            {`{"kind":"error","code":132015,"for":"1m"}`, whatsapp.Failed, false, 132015},
		"auth, code 0":        {`{"kind":"error","code":0,"for":"1m"}`, whatsapp.Failed, false, 0},
		"spam":                {`{"kind":"error","code":131048,"for":"1m"}`, whatsapp.Failed, false, 131048},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startProvider(t)
			client := p.client(300 * time.Millisecond)
			if c.want == whatsapp.Sent || !c.stored {
				client = p.client(10 * time.Second)
			}
			if c.fault != "" {
				p.put("/faults", c.fault)
			}
			const messages = 6 // twice around the wrong bodies, and on new and on kept connections
			for i := range messages {
				_, err := client.Send(t.Context(), to(i))
				require.Equal(t, c.want, whatsapp.Classify(err), "%v", err)
				refused, isRefusal := errors.AsType[*whatsapp.APIError](err)
				require.Equal(t, strings.Contains(name, "code 0") || c.code != 0, isRefusal, "%v", err)
				if isRefusal {
					require.Equal(t, c.code, refused.Code)
				}
				if c.want == whatsapp.Unknown && !isRefusal {
					require.ErrorIs(t, err, whatsapp.ErrUnknown)
				}
			}
			want := stats{}
			if c.stored {
				want = stats{Received: messages, UniqueRecipients: messages}
			}
			require.Eventually(t, func() bool { return p.stats() == want }, 10*time.Second, 5*time.Millisecond, "%+v", p.stats())
			if c.stored {
				p.waitSent(messages) // whoever got no answer learns it by webhook
			}
			p.remove("/faults")
			_, err := client.Send(t.Context(), to(messages))
			require.NoError(t, err, "all is well when the fault is over")
		})
	}
}

// The three wrong bodies come in turn, and each is seen for what it is.
func TestWrongBodies(t *testing.T) {
	t.Parallel()
	p := startProvider(t)
	p.put("/faults", `{"kind":"wrong_body","for":"1m"}`)
	for i, want := range []string{"HTTP 200 without a readable body", "connection closed", "HTTP 200 without a readable body"} {
		_, err := p.client(10*time.Second).Send(t.Context(), to(i))
		require.ErrorIs(t, err, whatsapp.ErrUnknown)
		require.ErrorContains(t, err, want)
	}
	require.EqualValues(t, 3, p.stats().Received)
}

// An outage is NotSent only for what never left: not when it strikes a request, on a connection new or
// kept; but when nobody listens any more.
func TestOutage(t *testing.T) {
	t.Parallel()
	p := startProvider(t)
	client := p.client(10 * time.Second)
	_, err := client.Send(t.Context(), to(0))
	require.NoError(t, err)
	p.put("/faults", `{"kind":"outage","for":"1m"}`)
	for i := range 3 {
		_, err = client.Send(t.Context(), to(i))
		require.ErrorIs(t, err, whatsapp.ErrUnknown, "it was on its way")
		require.ErrorIs(t, client.Ping(t.Context()), whatsapp.ErrUnknown)
	}
	require.EqualValues(t, 1, p.stats().Received)
	p.remove("/faults")
	require.NoError(t, client.Ping(t.Context()))

	p.web.Close()
	_, err = p.client(10*time.Second).Send(t.Context(), to(4)) // a new connection; a kept one may take the bytes before it breaks
	require.ErrorIs(t, err, whatsapp.ErrNotSent)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.Equal(t, whatsapp.NotSent, whatsapp.Classify(err))
}

// With everything wrong at once, no message is ever sent that the client believes was not, nor the other way.
func TestSendUnderAllFaults(t *testing.T) {
	t.Parallel()
	p := startProvider(t)
	for _, fault := range []string{
		`{"kind":"outage","share":0.1,"for":"1m"}`, `{"kind":"reset","share":0.1,"for":"1m"}`, `{"kind":"rate_limit","share":0.1,"for":"1m"}`,
		`{"kind":"error","code":131056,"share":0.1,"for":"1m"}`, `{"kind":"error","code":131026,"share":0.1,"for":"1m"}`,
		`{"kind":"accept_then_timeout","share":0.05,"for":"1m"}`, `{"kind":"slow_body","share":0.05,"for":"1m"}`,
		`{"kind":"wrong_body","share":0.1,"for":"1m"}`, `{"kind":"latency","latency":"20ms","share":0.5,"for":"1m"}`,
	} {
		p.put("/faults", fault)
	}
	client := p.client(500 * time.Millisecond)
	var mu sync.Mutex
	outcomes := map[string]whatsapp.Outcome{}
	var wg sync.WaitGroup
	for lane := range 16 {
		wg.Go(func() {
			for i := range 25 {
				m := to(lane*100 + i)
				_, err := client.Send(context.Background(), m)
				mu.Lock()
				outcomes[string(m.To)] = whatsapp.Classify(err)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	stored := p.recipients()
	counts := map[whatsapp.Outcome]int{}
	for number, outcome := range outcomes {
		counts[outcome]++
		switch outcome {
		case whatsapp.Sent:
			require.True(t, stored[number], "sent, but nobody has it")
		case whatsapp.Failed, whatsapp.Retry, whatsapp.NotSent:
			require.False(t, stored[number], "%s, but it was stored", outcome)
		}
	}
	require.Len(t, outcomes, 400)
	require.Zero(t, p.stats().Duplicates, "no send was repeated behind our back")
	for _, outcome := range []whatsapp.Outcome{whatsapp.Sent, whatsapp.Failed, whatsapp.Retry, whatsapp.Unknown} {
		require.NotZero(t, counts[outcome], "%s", outcome)
	}
}

// provider is a sandbox, with a receiver for its webhooks.
type provider struct {
	t    *testing.T
	web  *httptest.Server
	mu   sync.Mutex
	sent map[string]bool // attempt keys that a status was told of
}

type stats struct {
	Received         int64 `json:"received"`
	UniqueRecipients int64 `json:"unique_recipients"`
	Duplicates       int64 `json:"duplicates"`
}

func startProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{t: t, sent: map[string]bool{}}
	hooks := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		statuses, parseErr := whatsapp.ParseWebhook(raw)
		if err != nil || parseErr != nil || !whatsapp.Verify("secret", raw, r.Header.Get("X-Hub-Signature-256")) {
			t.Errorf("webhook not good: %v %v", err, parseErr)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, s := range statuses {
			p.sent[s.CallbackData] = true
		}
	}))
	t.Cleanup(hooks.Close)
	box, err := sandbox.New(sandbox.Config{
		Dir: t.TempDir(), WhatsApp: whatsapp.Config{PhoneNumberID: "555", AccessToken: "token", AppSecret: "secret"}, WebhookURL: hooks.URL,
	})
	require.NoError(t, err)
	p.web = httptest.NewServer(box.Handler())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- box.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
		p.web.Close()
		box.Close()
	})
	return p
}

func (p *provider) client(timeout time.Duration) *whatsapp.Client {
	return whatsapp.New(whatsapp.Config{BaseURL: p.web.URL, PhoneNumberID: "555", AccessToken: "token", Timeout: timeout})
}

func to(i int) whatsapp.TemplateMessage {
	return whatsapp.TemplateMessage{To: contact.MSISDN(fmt.Sprintf("+250788%06d", i)), Template: "promo_generic", Language: "rw-RW", CallbackData: fmt.Sprintf("c/%d/1", i)}
}

func (p *provider) do(method, path, body string) string {
	p.t.Helper()
	req, err := http.NewRequest(method, p.web.URL+path, strings.NewReader(body))
	require.NoError(p.t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(p.t, err)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	require.NoError(p.t, err)
	require.Equal(p.t, 2, res.StatusCode/100, "%s", raw)
	return string(raw)
}

func (p *provider) put(path, body string) { p.t.Helper(); p.do(http.MethodPut, path, body) }
func (p *provider) remove(path string)    { p.t.Helper(); p.do(http.MethodDelete, path, "") }

func (p *provider) stats() (s stats) {
	require.NoError(p.t, json.Unmarshal([]byte(p.do(http.MethodGet, "/stats.json", "")), &s))
	return s
}

func (p *provider) recipients() map[string]bool {
	var messages []struct{ To string }
	require.NoError(p.t, json.Unmarshal([]byte(p.do(http.MethodGet, "/inbox.json", "")), &messages))
	out := map[string]bool{}
	for _, m := range messages {
		out[m.To] = true
	}
	return out
}

// waitSent waits until a status was told of the first n messages.
func (p *provider) waitSent(n int) {
	p.t.Helper()
	require.Eventually(p.t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		for i := range n {
			if !p.sent[to(i).CallbackData] {
				return false
			}
		}
		return true
	}, 10*time.Second, 5*time.Millisecond)
}
