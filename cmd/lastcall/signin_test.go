package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/domain/access"
)

// TestTheAccountOfUpSignsIn opens the panel as a person does who reads the terminal.
func TestTheAccountOfUpSignsIn(t *testing.T) {
	w := &whole{dir: dataDir(t), base: portBase(t)}
	w.start(t)
	require.Len(t, w.Accounts, len(access.Roles)+4)
	for i, role := range access.Roles {
		require.Equal(t, role, w.Accounts[i].Role, "one account a role comes first")
	}
	admin := w.Accounts[0]
	require.Equal(t, access.Admin, admin.Role)

	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	browser := http.Client{Jar: jar}
	res, err := browser.Get(w.API)
	require.NoError(t, err)
	page, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Contains(t, string(page), "<title>Lastcall")

	body, err := json.Marshal(api.Credentials{Email: admin.Email, Password: admin.Password})
	require.NoError(t, err)
	res, err = browser.Post(w.API+"/api/v1/session", "application/json", bytes.NewReader(body))
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusOK, res.StatusCode)
	res, err = browser.Get(w.API + "/api/v1/campaigns")
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusOK, res.StatusCode, "the cookie is enough")

	list := w.cli(t, "accounts", "list")["accounts"].([]any)
	require.Len(t, list, len(w.Accounts))
	w.cli(t, "templates", "list", "--as", "support.two@lastcall.test")
	require.Equal(t, admin.Email, list[0].(map[string]any)["email"])

	// Chosen anew by its owner, the password stays through a restart.
	reset := w.command(t, "accounts", "reset-password", admin.Email)
	reset.Stdin = strings.NewReader("chosen by its owner\n")
	out, err := reset.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NoError(t, w.up.Process.Signal(syscall.SIGINT))
	require.NoError(t, w.up.Wait(), "%v", w.out)
	told := w.out.String()
	require.Less(t, strings.Index(told, w.API+"\n"), strings.Index(told, "/api/v1/docs"), "the panel comes first")
	for _, a := range w.Accounts {
		require.Regexp(t, regexp.QuoteMeta(a.Email)+" +"+a.Password+"\n", told)
	}
	logs, err := os.ReadFile(w.dir + "/logs/api.log")
	require.NoError(t, err)
	require.NotContains(t, string(logs), admin.Email)

	w.start(t)
	require.Equal(t, admin, w.Accounts[0])
	body, err = json.Marshal(api.Credentials{Email: admin.Email, Password: "chosen by its owner"})
	require.NoError(t, err)
	res, err = browser.Post(w.API+"/api/v1/session", "application/json", bytes.NewReader(body))
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusOK, res.StatusCode)
}
