package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/store"
)

const (
	amina    = "amina@example.test"
	password = "correct horse battery"
)

// office is an API with accounts, and the owner's look into its database.
type office struct {
	*bundle
	owner *pgx.Conn
}

func openOffice(t *testing.T, change ...func(*api.Deps)) *office {
	t.Helper()
	o := &office{bundle: setup(t, change...)}
	_, err := o.store.AddAccount(t.Context(), store.NewAccount{Email: amina, Name: "Amina", Role: "admin", Password: password})
	require.NoError(t, err)
	o.owner, err = pgx.Connect(t.Context(), o.dsn)
	require.NoError(t, err)
	t.Cleanup(func() { _ = o.owner.Close(context.Background()) })
	return o
}

func (o *office) exec(sql string, args ...any) {
	o.t.Helper()
	done, err := o.owner.Exec(o.t.Context(), sql, args...)
	require.NoError(o.t, err)
	require.Positive(o.t, done.RowsAffected(), "%s", sql)
}

// audited are the entries of an action: who did it to what.
func (o *office) audited(action string) (all []string) {
	o.t.Helper()
	rows, err := o.owner.Query(o.t.Context(), `SELECT actor_kind || ' ' || actor || ' ' || split_part(target, '/', 1) FROM audit_log WHERE action = $1 ORDER BY id`, action)
	require.NoError(o.t, err)
	all, err = pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(o.t, err)
	return all
}

// browser keeps cookies, and says where its requests come from.
type browser struct {
	t      *testing.T
	url    string
	client http.Client
	header http.Header
}

func (b *bundle) browser() *browser {
	jar, err := cookiejar.New(nil)
	require.NoError(b.t, err)
	return &browser{b.t, b.url, http.Client{Jar: jar}, http.Header{"Sec-Fetch-Site": {"same-origin"}}}
}

// do sends a request and decodes the answer; p is the problem, if it is one.
func (w *browser) do(method, path string, body, out any) (status int, p api.Problem, header http.Header) {
	w.t.Helper()
	var reader io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		require.NoError(w.t, err)
		reader = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, reader)
	require.NoError(w.t, err)
	req.Header = w.header.Clone()
	req.Header.Set("Content-Type", "application/json")
	res, err := w.client.Do(req)
	require.NoError(w.t, err)
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	require.NoError(w.t, err)
	if res.StatusCode/100 != 2 {
		require.NoError(w.t, json.Unmarshal(raw, &p), "%s", raw)
	} else if out != nil {
		require.NoError(w.t, json.Unmarshal(raw, out), "%s", raw)
	}
	return res.StatusCode, p, res.Header
}

func (w *browser) signIn(email, password string) (int, api.Problem, http.Header) {
	w.t.Helper()
	return w.do("POST", "/api/v1/session", api.Credentials{Email: email, Password: password}, nil)
}

// in is a browser in which Amina is signed in.
func (o *office) in() *browser {
	w := o.browser()
	status, p, _ := w.signIn(amina, password)
	require.Equal(o.t, http.StatusOK, status, "%+v", p)
	return w
}
