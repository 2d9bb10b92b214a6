package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/domain/access"
	"lastcall/domain/template"
	"lastcall/gateway/whatsapp"
	"lastcall/store"
	"lastcall/store/storetest"
)

const token = "lc_a-token-of-the-tests"

// bundle is an API on a database of its own, with one token and one template.
type bundle struct {
	t      *testing.T
	store  *store.Store
	dsn    string // the database's owner's
	url    string
	router *gin.Engine
	log    *logBuffer
}

// logBuffer is a log that can be read while others write.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func setup(t *testing.T, change ...func(*api.Deps)) *bundle {
	t.Helper()
	dsn := storetest.URL(t)
	b := setupOn(t, storetest.Open(t, dsn), change...)
	b.dsn = dsn
	return b
}

// setupOn is another API on the same database.
func setupOn(t *testing.T, st *store.Store, change ...func(*api.Deps)) *bundle {
	t.Helper()
	b := &bundle{t: t, store: st, log: &logBuffer{}}
	require.NoError(t, b.store.EnsureToken(t.Context(), "tests", token))
	_, err := b.store.EnsureTemplate(t.Context(), template.Template{Name: "promo", Version: 1, Category: template.Marketing,
		Status: template.Approved, Texts: map[string]string{"en": "Hello {{name}}"},
		Variables: []template.Variable{{Name: "name", Example: "Amina", Default: "there"}}})
	require.NoError(t, err)
	closing := make(chan struct{})
	d := api.Deps{Store: b.store, Log: slog.New(slog.NewTextHandler(b.log, nil)), Closing: closing, EffectWithin: 5 * time.Second,
		WhatsApp:       whatsapp.Config{AppSecret: "app secret", VerifyToken: "verify"},
		Temporal:       func(context.Context) error { return nil },
		Messaging:      func(context.Context) error { return nil },
		TemporalWebURL: "http://temporal.test", Mail: true}
	for _, c := range change {
		c(&d)
	}
	b.router = api.New(d).(*gin.Engine)
	server := httptest.NewServer(b.router)
	t.Cleanup(func() {
		close(closing)
		server.Close()
	})
	b.url = server.URL
	return b
}

// relay delivers orders by doing deliver, until the test ends.
func (b *bundle) relay(deliver store.Handler) {
	b.relayOf(map[string]store.Handler{
		store.KindStartCampaign: deliver, store.KindOrderCampaign: deliver, store.KindSettingsChanged: deliver, store.KindRecoverCampaign: deliver})
}

// relayOf delivers what follows commits, until the test ends.
func (b *bundle) relayOf(handlers map[string]store.Handler) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	r := store.Relay{Store: b.store, Log: discard(), Handlers: handlers}
	go func() {
		defer close(done)
		r.Run(ctx)
	}()
	b.t.Cleanup(func() { cancel(); <-done })
}

// do sends a request with the token and decodes the answer into out.
func (b *bundle) do(method, path string, body, out any) (status int, header http.Header) {
	b.t.Helper()
	return b.send(b.request(method, path, body), out)
}

func (b *bundle) request(method, path string, body any) *http.Request {
	b.t.Helper()
	var reader io.Reader
	kind := "application/json"
	switch v := body.(type) {
	case nil:
	case csv:
		reader, kind = strings.NewReader(string(v)), "text/csv"
	case string:
		reader = strings.NewReader(v)
	default:
		raw, err := json.Marshal(v)
		require.NoError(b.t, err)
		reader = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, reader)
	require.NoError(b.t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", kind)
	return req
}

func (b *bundle) send(req *http.Request, out any) (int, http.Header) {
	b.t.Helper()
	res, err := http.DefaultClient.Do(req)
	require.NoError(b.t, err)
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	require.NoError(b.t, err)
	if out != nil && res.StatusCode != http.StatusNoContent {
		require.NoError(b.t, json.Unmarshal(raw, out), "%s", raw)
	}
	return res.StatusCode, res.Header
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// csv is a body that is a file.
type csv string

func (b *bundle) campaign() api.Campaign {
	b.t.Helper()
	var c api.Campaign
	status, _ := b.do("POST", "/api/v1/campaigns", api.NewCampaign{Name: "Friday", Template: "promo"}, &c)
	require.Equal(b.t, http.StatusCreated, status)
	return c
}

// path is an address below a campaign.
func path(c api.Campaign, rest string) string {
	return "/api/v1/campaigns/" + c.CampaignID.String() + rest
}

func TestEveryOperationNeedsAToken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	open := map[string]bool{"/healthz": true, "/readyz": true, "/metrics": true, "/webhooks/whatsapp": true, "/csp-reports": true, "/api/v1/openapi.json": true,
		"/api/v1/docs": true, "/api/v1/docs/docs.js": true, "/api/v1/docs/docs.css": true}
	for _, r := range routes(t, b) {
		if r.permission == access.Everyone {
			open[r.method+api.Prefix+r.path] = true
		}
	}
	var closed int
	for _, route := range b.router.Routes() {
		if open[route.Path] || open[route.Method+route.Path] || strings.HasPrefix(route.Path, "/api/v1/station/") { // those: station_test.go
			continue
		}
		closed++
		for _, credential := range []string{"", "Bearer", "Bearer wrong", "Basic " + token, token} {
			req, err := http.NewRequestWithContext(t.Context(), route.Method, b.url+route.Path, nil)
			require.NoError(t, err)
			req.Header.Set("Authorization", credential)
			var p api.Problem
			status, header := b.send(req, &p)
			require.Equal(t, http.StatusUnauthorized, status, "%s %s", route.Method, route.Path)
			require.Equal(t, "Bearer", header.Get("WWW-Authenticate"))
			require.Contains(t, []string{"token_missing", "token_invalid"}, p.Code)
		}
	}
	require.Greater(t, closed, 20)
}

func TestProblems(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, tt := range []struct {
		name, method, path string
		body               any
		status             int
		code, field        string
		errors             int
	}{
		{"unknown address", "GET", "/api/v1/nothing", nil, 404, "not_found", "", 0},
		{"wrong method", "DELETE", "/api/v1/campaigns", nil, 405, "method_not_allowed", "", 0},
		{"bad id", "GET", "/api/v1/campaigns/7", nil, 422, "invalid", "id", 0},
		{"no such campaign", "GET", "/api/v1/campaigns/01920000-0000-7000-8000-000000000000", nil, 404, "campaign_not_found", "", 0},
		{"unknown query parameter", "GET", "/api/v1/campaigns?page=2", nil, 422, "invalid", "page", 0},
		{"bad limit", "GET", "/api/v1/campaigns?limit=0", nil, 422, "invalid", "limit", 0},
		{"bad cursor", "GET", "/api/v1/opt-outs?after=xyz", nil, 422, "bad_cursor", "after", 0},
		{"no JSON", "POST", "/api/v1/campaigns", "{", 400, "invalid", "", 0},
		{"no body", "POST", "/api/v1/campaigns", nil, 400, "invalid", "", 0},
		{"NUL", "POST", "/api/v1/campaigns", `{"name":"a\u0000","template":"promo"}`, 400, "invalid", "", 0},
		{"control character", "POST", "/api/v1/campaigns", `{"name":"a\u001b[2J","template":"promo"}`, 422, "invalid", "name", 0},
		{"name of spaces", "POST", "/api/v1/campaigns", `{"name":"  ","template":"promo"}`, 422, "no_name", "name", 0},
		{"template of bytes", "GET", "/api/v1/templates/%00%ff", nil, 404, "template_not_found", "", 0},
		{"time in another age", "POST", "/api/v1/policy/explain", `{"msisdn":"+250781234567","at":"9999-12-31T23:59:59Z"}`, 422, "implausible_time", "at", 0},
		{"two fields missing", "POST", "/api/v1/campaigns", `{}`, 422, "invalid", "", 2},
		{"unknown field", "POST", "/api/v1/campaigns", `{"name":"a","template":"promo","colour":"red"}`, 422, "invalid", "colour", 0},
		{"unknown template", "POST", "/api/v1/campaigns", `{"name":"a","template":"nope"}`, 422, "template_not_found", "template", 0},
		{"unknown variable", "POST", "/api/v1/campaigns", `{"name":"a","template":"promo","variables":{"nmae":"x"}}`, 422, "unknown_variable", "variables.nmae", 0},
		{"unknown settings key", "GET", "/api/v1/settings/colour", nil, 404, "settings_key_not_found", "", 0},
		{"one bad setting", "PUT", "/api/v1/settings/throttle", `{"value":{"whatsapp":{"per_minute":-1}}}`, 422, "bad_cap", "whatsapp.per_minute", 0},
		{"two bad settings", "PUT", "/api/v1/settings/quiet_hours", `{"value":{"RW":{"start":"25:00","end":"06:00"},"XX":{"start":"1","end":"2"}}}`, 422, "invalid", "", 2},
		{"too large", "POST", "/api/v1/contacts", `{"msisdn":"` + strings.Repeat("1", 2<<20) + `"}`, 413, "too_large", "", 0},
		{"not JSON by its type", "POST", "/api/v1/contacts", csv("a,b"), 415, "unsupported_media_type", "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p api.Problem
			status, header := b.do(tt.method, tt.path, tt.body, &p)
			require.Equal(t, tt.status, status, "%+v", p)
			require.Equal(t, "application/problem+json", header.Get("Content-Type"))
			require.Equal(t, tt.code, p.Code)
			require.Equal(t, tt.status, p.Status)
			require.NotEmpty(t, p.Detail)
			if tt.field != "" {
				require.Equal(t, tt.field, p.Field)
			}
			require.Len(t, p.Errors, tt.errors, "%+v", p)
			require.Equal(t, header.Get("X-Request-Id"), p.RequestID)
		})
	}
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for given, kept := range map[string]bool{"abc-123": true, "": false, "a b": false, strings.Repeat("x", 65): false} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", b.url+"/healthz", nil)
		require.NoError(t, err)
		req.Header.Set("X-Request-Id", given)
		_, header := b.send(req, nil)
		require.NotEmpty(t, header.Get("X-Request-Id"))
		require.Equal(t, kept, header.Get("X-Request-Id") == given)
		require.Equal(t, "nosniff", header.Get("X-Content-Type-Options"))
	}
}

func TestAPanicIsAProblemWithAReference(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.router.GET("/panic", func(*gin.Context) { panic(errors.New("secret detail")) })
	var p api.Problem
	status, _ := b.do("GET", "/panic", nil, &p)
	require.Equal(t, http.StatusInternalServerError, status)
	require.Equal(t, "internal", p.Code)
	require.Contains(t, p.Detail, p.RequestID)
	require.NotContains(t, p.Detail, "secret")
	require.Contains(t, b.log.String(), p.RequestID)
}

func TestADatabaseThatIsGoneIs503(t *testing.T) {
	t.Parallel()
	var gone func()
	b := setup(t, func(d *api.Deps) {
		var address string
		address, gone = relayTCP(t, storetest.URL(t))
		d.Store = storetest.Open(t, address)
		require.NoError(t, d.Store.EnsureToken(t.Context(), "tests", token))
	})
	status, _ := b.do("GET", "/api/v1/templates", nil, nil)
	require.Equal(t, http.StatusOK, status)
	gone()
	for range 3 {
		var p api.Problem
		status, header := b.do("GET", "/api/v1/templates", nil, &p)
		require.Equal(t, http.StatusServiceUnavailable, status, "%+v", p)
		require.Equal(t, "database_unavailable", p.Code)
		require.Equal(t, "1", header.Get("Retry-After"))
	}
}

// relayTCP returns the database's URL by way of a relay, and what cuts the relay.
func relayTCP(t *testing.T, database string) (address string, cut func()) {
	t.Helper()
	u, err := url.Parse(database)
	require.NoError(t, err)
	target := u.Host
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var mu sync.Mutex
	var open []net.Conn
	go func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", target)
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, in, out)
			mu.Unlock()
			go func() { _, _ = io.Copy(in, out) }()
			go func() { _, _ = io.Copy(out, in) }()
		}
	}()
	cut = func() {
		_ = listener.Close()
		mu.Lock()
		defer mu.Unlock()
		for _, c := range open {
			_ = c.Close()
		}
	}
	t.Cleanup(cut)
	u.Host = listener.Addr().String()
	return u.String(), cut
}

func TestDocs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var spec struct {
		OpenAPI string                    `json:"openapi"`
		Paths   map[string]map[string]any `json:"paths"`
	}
	status, header := b.do("GET", "/api/v1/openapi.json", nil, &spec)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "application/openapi+json", header.Get("Content-Type"))
	require.True(t, strings.HasPrefix(spec.OpenAPI, "3.1"))
	var described int
	for _, methods := range spec.Paths {
		described += len(methods)
	}
	for _, route := range b.router.Routes() {
		if strings.HasPrefix(route.Path, "/api/v1/") && !strings.Contains(route.Path, "/docs") && route.Path != "/api/v1/openapi.json" {
			described--
		}
	}
	require.Zero(t, described, "every operation is described and every description is an operation")

	for _, file := range []string{"/api/v1/docs", "/api/v1/docs/docs.js", "/api/v1/docs/docs.css"} {
		res, err := http.Get(b.url + file)
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusOK, res.StatusCode)
		require.NotRegexp(t, `(src|href)="https?://|<script>|style="| on[a-z]+="`, string(body))
		require.NotContains(t, res.Header.Get("Content-Security-Policy"), "unsafe")
	}
}
