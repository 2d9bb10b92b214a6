package api_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"lastcall/api"
)

var script = strings.Repeat("console.log('last call');\n", 100)

func panel(t *testing.T) *bundle {
	return setup(t, func(d *api.Deps) {
		d.Panel = fstest.MapFS{
			"index.html":               {Data: []byte(`<meta name="nonce" content="__CSP_NONCE__"><script nonce="__CSP_NONCE__">1</script>`)},
			"assets/index-B4x_9aZ-.js": {Data: []byte(script)},
			"assets/plain.css":         {Data: []byte("a{}")},
			"bell.svg":                 {Data: []byte("<svg/>")},
			".gitkeep":                 {},
		}
	})
}

// get fetches an address as it is written, without following or cleaning anything.
func (b *bundle) get(address string, header ...string) (*http.Response, string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), "GET", b.url, nil)
	require.NoError(b.t, err)
	req.URL.Opaque = "//" + req.URL.Host + address
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := (&http.Transport{DisableCompression: true, DisableKeepAlives: true}).RoundTrip(req)
	require.NoError(b.t, err)
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	require.NoError(b.t, err)
	return res, string(body)
}

func TestPanelPage(t *testing.T) {
	t.Parallel()
	b := panel(t)
	seen := map[string]bool{}
	for _, address := range []string{"/", "/", "/campaigns", "/campaigns/0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f", "/templates/promo.v2", "/apiary", "/campaigns/", "/?x=1"} {
		res, body := b.get(address)
		require.Equal(t, http.StatusOK, res.StatusCode, address)
		require.Equal(t, "text/html; charset=utf-8", res.Header.Get("Content-Type"))
		require.Equal(t, "no-store", res.Header.Get("Cache-Control"), "its nonce is for once")
		nonce := regexp.MustCompile(`content="([A-Z2-7]{26})"`).FindStringSubmatch(body)
		require.NotNil(t, nonce, body)
		require.NotContains(t, body, "__CSP_NONCE__")
		require.False(t, seen[nonce[1]], "each request has its own")
		seen[nonce[1]] = true
		csp := res.Header.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'self'", "script-src 'self' 'nonce-" + nonce[1] + "'", "style-src 'self' 'nonce-" + nonce[1] + "'",
			"img-src 'self' data:", "font-src 'self'", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'",
			"object-src 'none'", "report-uri /csp-reports", "report-to csp"} {
			require.Contains(t, strings.Split(csp, "; "), part)
		}
		require.NotContains(t, csp, "unsafe")
		require.Equal(t, `csp="/csp-reports"`, res.Header.Get("Reporting-Endpoints"))
		for name, value := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin",
			"Cross-Origin-Opener-Policy": "same-origin"} {
			require.Equal(t, value, res.Header.Get(name))
		}
	}
}

func TestPanelFiles(t *testing.T) {
	t.Parallel()
	b := panel(t)
	res, body := b.get("/assets/index-B4x_9aZ-.js")
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Equal(t, script, body)
	require.Equal(t, "text/javascript; charset=utf-8", res.Header.Get("Content-Type"))
	require.Equal(t, "public, max-age=31536000, immutable", res.Header.Get("Cache-Control"))
	require.Equal(t, "Accept-Encoding", res.Header.Get("Vary"))
	plain := res.Header.Get("ETag")

	res, body = b.get("/assets/index-B4x_9aZ-.js", "Accept-Encoding", "br, gzip;q=0.5")
	require.Equal(t, "gzip", res.Header.Get("Content-Encoding"))
	require.Less(t, len(body), len(script)/2)
	unzip, err := gzip.NewReader(strings.NewReader(body))
	require.NoError(t, err)
	all, err := io.ReadAll(unzip)
	require.NoError(t, err)
	require.Equal(t, script, string(all))
	require.NotEqual(t, plain, res.Header.Get("ETag"), "other bytes, another tag")
	res, _ = b.get("/assets/index-B4x_9aZ-.js", "Accept-Encoding", "gzip;q=0")
	require.Empty(t, res.Header.Get("Content-Encoding"))

	res, body = b.get("/assets/index-B4x_9aZ-.js", "If-None-Match", plain)
	require.Equal(t, http.StatusNotModified, res.StatusCode)
	require.Empty(t, body)
	for _, file := range []string{"/bell.svg", "/assets/plain.css"} {
		res, _ = b.get(file)
		require.Equal(t, http.StatusOK, res.StatusCode)
		require.Equal(t, "no-cache", res.Header.Get("Cache-Control"), "its name stays when its content changes")
		require.Regexp(t, `^"[0-9a-f]{24}"$`, res.Header.Get("ETag"))
		require.NotContains(t, res.Header.Get("Content-Security-Policy"), "nonce")
	}
}

// What is missing is said so: a browser must not take a page for a script, nor a program for an answer.
func TestPanelHasNoOtherFiles(t *testing.T) {
	t.Parallel()
	b := panel(t)
	for _, address := range []string{"/assets/index-old.js", "/assets/", "/assets/x", "/favicon.ico", "/.gitkeep", "/.env", "/a/../.gitkeep",
		"/../go.mod", "/%2e%2e/go.mod", "/assets/..%2f..%2fgo.mod", "/..%5cgo.mod", "/x%00", "/api", "/api/v1/nothing", "/api/v2/campaigns",
		"/webhooks/other", "/healthz/x"} {
		res, body := b.get(address)
		require.Equal(t, http.StatusNotFound, res.StatusCode, address)
		require.Equal(t, "application/problem+json", res.Header.Get("Content-Type"), address)
		require.Contains(t, body, `"not_found"`)
		require.Equal(t, "default-src 'none'; frame-ancestors 'none'", res.Header.Get("Content-Security-Policy"))
	}
	status, _ := b.do("POST", "/campaigns", "{}", nil)
	require.Equal(t, http.StatusNotFound, status)
}

func TestPanelNotBuilt(t *testing.T) {
	t.Parallel()
	b := setup(t, func(d *api.Deps) { d.Panel = fstest.MapFS{".gitkeep": {}} })
	res, body := b.get("/")
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Equal(t, "text/html; charset=utf-8", res.Header.Get("Content-Type"))
	require.Contains(t, body, "make ui")

	without := setup(t)
	res, _ = without.get("/")
	require.Equal(t, http.StatusNotFound, res.StatusCode)
}

func TestCSPReports(t *testing.T) {
	t.Parallel()
	b := panel(t)
	post := func(kind, body string) int {
		req, err := http.NewRequestWithContext(t.Context(), "POST", b.url+"/csp-reports", strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Content-Type", kind)
		status, _ := b.send(req, nil)
		return status
	}
	require.Equal(t, http.StatusNoContent, post("application/csp-report",
		`{"csp-report":{"document-uri":"http://x/campaigns/secret","violated-directive":"img-src 'self'","blocked-uri":"http://evil.test"}}`))
	require.Equal(t, http.StatusNoContent, post("application/reports+json",
		`[{"type":"csp-violation","url":"http://x/secret","body":{"effectiveDirective":"script-src-elem","sample":"secret"}},
		  {"type":"csp-violation","body":{"effectiveDirective":"secret\nlevel=ERROR"}},{"type":"deprecation","body":{}}]`))
	for range 20 {
		require.Equal(t, http.StatusNoContent, post("application/csp-report", `{"csp-report":{"effective-directive":"img-src"}}`))
	}
	log := b.log.String()
	for _, rule := range []string{"img-src", "script-src-elem", "other"} {
		require.Equal(t, 1, strings.Count(log, "rule="+rule+" times=1\n"), "%s: %s", rule, log)
	}
	require.NotContains(t, log, "secret")
	require.NotContains(t, log, "evil")
	require.Equal(t, http.StatusBadRequest, post("application/csp-report", `nonsense`))
	require.Equal(t, http.StatusRequestEntityTooLarge, post("application/csp-report", `{"csp-report":{"sample":"`+strings.Repeat("x", 33<<10)+`"}}`))
}
