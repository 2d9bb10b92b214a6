package api_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"lastcall/api"
)

func TestStationApp(t *testing.T) {
	t.Parallel()
	const page = `<script src="/station/assets/index-B4x_9aZ-.js"></script>`
	b := setup(t, func(d *api.Deps) {
		d.Panel = fstest.MapFS{
			"index.html":                        {Data: []byte(`the panel`)},
			"station/index.html":                {Data: []byte(page)},
			"station/sw.js":                     {Data: []byte("self")},
			"station/manifest.webmanifest":      {Data: []byte("{}")},
			"station/assets/index-B4x_9aZ-.js":  {Data: []byte(script)},
			"station/assets/read-B4x_9aZ-.wasm": {Data: []byte("wasm")},
		}
	})
	res, _ := b.get("/station")
	require.Equal(t, http.StatusFound, res.StatusCode)
	require.Equal(t, "/station/", res.Header.Get("Location"), "the worker's scope")

	for _, address := range []string{"/station/", "/station/scan", "/station/history/0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f"} {
		res, body := b.get(address)
		require.Equal(t, http.StatusOK, res.StatusCode, address)
		require.Equal(t, page, body)
		require.Equal(t, "text/html; charset=utf-8", res.Header.Get("Content-Type"))
		require.Equal(t, "no-cache", res.Header.Get("Cache-Control"))
		policy := strings.Split(res.Header.Get("Content-Security-Policy"), "; ")
		require.Contains(t, policy, "script-src 'self' 'wasm-unsafe-eval'")
		require.Contains(t, policy, "style-src 'self'")
		require.Contains(t, policy, "report-uri /csp-reports")
		require.Contains(t, res.Header.Get("Permissions-Policy"), "camera=(self)")
	}
	for name, kind := range map[string]string{"sw.js": "text/javascript; charset=utf-8", "manifest.webmanifest": "application/manifest+json"} {
		res, _ = b.get("/station/" + name)
		require.Equal(t, kind, res.Header.Get("Content-Type"))
		require.Equal(t, "no-cache", res.Header.Get("Cache-Control"), "a newer one is seen at once")
	}
	res, _ = b.get("/station/assets/read-B4x_9aZ-.wasm")
	require.Equal(t, "application/wasm", res.Header.Get("Content-Type"))
	require.Equal(t, "public, max-age=31536000, immutable", res.Header.Get("Cache-Control"))
	for _, address := range []string{"/station/assets/index-old.js", "/station/assets/x", "/station/x.js", "/station/.gitkeep", "/station/../go.mod"} {
		res, _ = b.get(address)
		require.Equal(t, http.StatusNotFound, res.StatusCode, address)
	}
	res, body := b.get("/stations")
	require.Equal(t, "the panel", body, "an address of the panel's")
	require.NotContains(t, res.Header.Get("Content-Security-Policy"), "wasm")
	require.Contains(t, res.Header.Get("Permissions-Policy"), "camera=()")
}

func TestStationSessionTellsWhatOfflineMayBe(t *testing.T) {
	t.Parallel()
	c := openCounter(t)
	w := c.at()
	may := func() int {
		var s api.StationSession
		status, _, _ := w.do("GET", "/api/v1/station/session", nil, &s)
		require.Equal(t, http.StatusOK, status)
		return s.Offline
	}
	require.Zero(t, may())
	_, err := c.store.SaveSetting(t.Context(), "offline_redemptions", []byte(`{"mode":"on","max_age_minutes":90}`), "")
	require.NoError(t, err)
	require.Equal(t, 90, may())
}
