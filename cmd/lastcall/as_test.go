package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"lastcall/api"
)

// TestActingAsAnAccount: --as signs in with up.json's password, may what the account may, and leaves no session behind.
func TestActingAsAnAccount(t *testing.T) {
	base, token := startAPI(t)
	var mu sync.Mutex
	var seen []string // what reaches the API
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen = append(seen, r.Method+" "+r.URL.Path+" "+r.Header.Get("Authorization"))
		mu.Unlock()
		req, err := http.NewRequestWithContext(r.Context(), r.Method, base+r.URL.String(), r.Body)
		if err != nil {
			return
		}
		req.Header = r.Header.Clone()
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return
		}
		defer func() { _ = res.Body.Close() }()
		for name, values := range res.Header {
			w.Header()[name] = values
		}
		w.WriteHeader(res.StatusCode)
		var body bytes.Buffer
		_, _ = body.ReadFrom(res.Body)
		_, _ = w.Write(body.Bytes())
	}))
	t.Cleanup(proxy.Close)
	const password = "correct horse battery"
	dir := t.TempDir()
	up := upFile{API: proxy.URL, Token: token, Accounts: []upAccount{{Email: "boss@lastcall.test", Password: password, Role: "admin"},
		{Email: "viewer@lastcall.test", Password: password, Role: "viewer"}, {Email: "gone@lastcall.test", Password: "not the password", Role: "ops"}}}
	content, err := json.Marshal(up)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, upFileName), content, 0o600))
	lastcall := func(args ...string) (code int, out, errs string) {
		var stdout, stderr bytes.Buffer
		code = run(append([]string{"--data-dir", dir}, args...), &stdout, &stderr)
		return code, stdout.String(), stderr.String()
	}
	c := apiClient{base: base, token: token}
	for _, a := range up.Accounts {
		_, err := c.call(t.Context(), http.MethodPost, "/accounts", api.NewAccount{Email: a.Email, Name: "N", Role: string(a.Role), Password: password},
			&api.AccountEntry{})
		require.NoError(t, err)
	}

	code, out, errs := lastcall("accounts", "disable", "gone@lastcall.test", "--as", "Boss@lastcall.test")
	require.Equal(t, exitDone, code, errs)
	require.Contains(t, out, "gone@lastcall.test")
	require.Equal(t, "POST /api/v1/session ", seen[0])
	require.Equal(t, "DELETE /api/v1/session ", seen[len(seen)-1], "and never with a token: %v", seen)
	require.Len(t, seen, 4, "one sign-in for all calls of a command")

	code, _, errs = lastcall("--as", "viewer@lastcall.test", "accounts", "list")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "role", "what it may not, it may not")

	code, out, errs = lastcall("tokens", "create", "nightly", "--scope", "campaigns.read,contacts.read", "--days", "7", "--as", "viewer@lastcall.test")
	require.Equal(t, exitDone, code, errs)
	own := regexp.MustCompile(`token +(lc_\S{43})`).FindStringSubmatch(out)
	require.NotNil(t, own, out)
	require.NoError(t, (&apiClient{base: base, token: own[1]}).get(t.Context(), "/campaigns", nil, &struct{}{}))
	code, out, errs = lastcall("tokens", "list", "--as", "viewer@lastcall.test")
	require.Equal(t, exitDone, code, errs)
	require.Contains(t, out, "campaigns.read, contacts.read")
	require.NotContains(t, out, own[1])
	code, _, errs = lastcall("tokens", "revoke", "nightly", "--as", "viewer@lastcall.test")
	require.Equal(t, exitDone, code, errs)
	require.Error(t, (&apiClient{base: base, token: own[1]}).get(t.Context(), "/campaigns", nil, &struct{}{}))
	code, _, errs = lastcall("tokens", "revoke", "nightly", "--as", "viewer@lastcall.test")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "no token named nightly")

	code, _, errs = lastcall("accounts", "list", "--as", "gone@lastcall.test")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "sign in as gone@lastcall.test: ")
	code, _, errs = lastcall("accounts", "list", "--as", "nobody@lastcall.test")
	require.Equal(t, exitWrongUsage, code)
	require.Contains(t, errs, "it has those of boss@lastcall.test, viewer@lastcall.test")
	t.Setenv("LASTCALL_API", "http://127.0.0.1:1")
	code, _, errs = lastcall("accounts", "list", "--as", "boss@lastcall.test")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "LASTCALL_API is another place", "a password goes nowhere else")
}
