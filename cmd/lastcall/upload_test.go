package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/domain/audience"
)

// A large file goes in parts without being told to, and an API that goes away with every other request, before or after it has
// done what was asked, costs no more than those parts again.
func TestUploadToAnAPIThatGoesAway(t *testing.T) {
	base, token := startAPI(t)
	target, err := url.Parse(base)
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	var parts, lost atomic.Int64
	flaky := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.URL.Path, "/uploads/") {
			proxy.ServeHTTP(w, r)
			return
		}
		switch n := parts.Add(1); n % 4 {
		case 1: // it never gets there
			lost.Add(1)
			panic(http.ErrAbortHandler)
		case 3: // its answer never comes back
			lost.Add(1)
			proxy.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(flaky.Close)
	t.Setenv("LASTCALL_API", flaky.URL)
	t.Setenv("LASTCALL_TOKEN", token)

	var file bytes.Buffer
	file.WriteString("msisdn,comment\n")
	for i := range 10_000 {
		fmt.Fprintf(&file, "+25078%07d,%s\n", i, strings.Repeat("x", 1000))
	}
	require.Greater(t, file.Len(), inOneRequest)
	path := filepath.Join(t.TempDir(), "large.csv")
	require.NoError(t, os.WriteFile(path, file.Bytes(), 0o600))

	lastcall := func(args ...string) (stdout, stderr string) {
		t.Helper()
		var out, errs bytes.Buffer
		require.Equal(t, exitDone, run(args, &out, &errs), errs.String())
		return out.String(), errs.String()
	}
	var c api.Campaign
	made, _ := lastcall("campaigns", "create", "--name", "large", "--template", "promo", "--output", "json")
	require.NoError(t, json.Unmarshal([]byte(made), &c))
	out, said := lastcall("campaigns", "import", c.CampaignID.String(), path, "--output", "json")
	var got api.Import
	require.NoError(t, json.Unmarshal([]byte(out), &got))
	require.Equal(t, audience.Done, got.Phase)
	require.EqualValues(t, file.Len(), got.Bytes, "it came in parts")
	require.EqualValues(t, []int64{10_000, 0, 0, 10_000}, []int64{got.Lines, got.Invalid, got.Duplicates, got.Targets})
	require.Contains(t, said, "trying again")
	require.GreaterOrEqual(t, lost.Load(), int64(10))
}
