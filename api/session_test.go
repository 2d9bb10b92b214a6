package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/store"
	"lastcall/store/storetest"
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

func (w *browser) requireEnded() {
	w.t.Helper()
	status, p, _ := w.do("GET", "/api/v1/session", nil, nil)
	require.Equal(w.t, http.StatusUnauthorized, status)
	require.Equal(w.t, "session_ended", p.Code)
}

func TestSignInAndOut(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	w := o.browser()
	var s api.Session
	status, _, header := w.do("POST", "/api/v1/session", api.Credentials{Email: " Amina@Example.TEST ", Password: password}, &s)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, api.Account{ID: s.Account.ID, Email: amina, Name: "Amina", Role: "admin"}, s.Account)
	require.WithinDuration(t, time.Now().Add(12*time.Hour), s.ExpiresAt, time.Minute)

	cookie, err := http.ParseSetCookie(header.Get("Set-Cookie"))
	require.NoError(t, err)
	require.Equal(t, "lastcall_session", cookie.Name)
	require.Len(t, cookie.Value, 43)
	require.Equal(t, "/", cookie.Path)
	require.True(t, cookie.HttpOnly)
	require.False(t, cookie.Secure, "the panel is not on https here")
	require.Equal(t, http.SameSiteLaxMode, cookie.SameSite)
	require.Empty(t, cookie.Domain)
	require.WithinDuration(t, time.Now().Add(7*24*time.Hour), cookie.Expires, time.Minute)

	var again api.Session
	status, _, _ = w.do("GET", "/api/v1/session", nil, &again)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, s, again)
	status, _, _ = w.do("PUT", "/api/v1/settings/toggles", api.NewSetting{Value: []byte(`{"dispatch":true}`)}, nil)
	require.Equal(t, http.StatusOK, status, "an account may what a token may")
	require.Equal(t, []string{"account " + amina + " settings"}, o.audited("settings.changed"))

	status, _, header = w.do("DELETE", "/api/v1/session", nil, nil)
	require.Equal(t, http.StatusNoContent, status)
	gone, err := http.ParseSetCookie(header.Get("Set-Cookie"))
	require.NoError(t, err)
	require.Negative(t, gone.MaxAge)
	status, p, _ := w.do("GET", "/api/v1/session", nil, nil)
	require.Equal(t, http.StatusUnauthorized, status)
	require.Equal(t, "token_missing", p.Code, "the browser has no cookie any more")
	w.header.Set("Cookie", "lastcall_session="+cookie.Value)
	w.requireEnded()

	require.Equal(t, []string{"account " + amina + " session"}, o.audited("session.opened"))
	require.Equal(t, []string{"account " + amina + " session"}, o.audited("session.closed"))
	for _, secret := range []string{amina, password, cookie.Value, "Amina"} {
		require.NotContains(t, o.log.String(), secret)
	}
	require.Contains(t, o.log.String(), "account/"+s.Account.ID.String())
}

func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	for name, sql := range map[string]string{
		"idle":     `UPDATE sessions SET seen_at = now() - interval '12 hours 1 second'`,
		"absolute": `UPDATE sessions SET created_at = now() - interval '7 days', expires_at = now() - interval '1 second'`,
	} {
		w := o.in()
		o.exec(sql)
		t.Run(name, func(*testing.T) { w.requireEnded() })
	}

	// Use keeps a session alive, to the minute.
	w := o.in()
	o.exec(`UPDATE sessions SET seen_at = now() - interval '11 hours'`)
	var s api.Session
	status, _, _ := w.do("GET", "/api/v1/session", nil, &s)
	require.Equal(t, http.StatusOK, status)
	require.WithinDuration(t, time.Now().Add(12*time.Hour), s.ExpiresAt, time.Minute)
	o.exec(`UPDATE sessions SET expires_at = now() + interval '1 hour'`)
	_, _, _ = w.do("GET", "/api/v1/session", nil, &s)
	require.WithinDuration(t, time.Now().Add(time.Hour), s.ExpiresAt, time.Minute, "seven days are seven days")
}

func TestSigningInAgainEndsTheSessionBefore(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	first := o.in()
	other := o.in()
	old := first.browserCookie()
	status, _, _ := first.signIn(amina, password)
	require.Equal(t, http.StatusOK, status)
	require.NotEqual(t, old, first.browserCookie())
	stale := o.browser()
	stale.header.Set("Cookie", old)
	stale.requireEnded()
	status, _, _ = other.do("GET", "/api/v1/session", nil, nil)
	require.Equal(t, http.StatusOK, status, "another browser's goes on")
}

func (w *browser) browserCookie() string {
	req, err := http.NewRequest(http.MethodGet, w.url, nil)
	require.NoError(w.t, err)
	for _, c := range w.client.Jar.Cookies(req.URL) {
		return c.String()
	}
	return ""
}

func TestWrongCredentials(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	gone, err := o.store.AddAccount(t.Context(), store.NewAccount{Email: "gone@example.test", Name: "G", Role: "viewer", Password: password})
	require.NoError(t, err)
	_, err = o.store.SetAccountDisabled(t.Context(), gone.ID, true)
	require.NoError(t, err)
	for _, tt := range []struct{ email, password string }{
		{amina, "wrong horse battery"}, {"nobody@example.test", password}, {"gone@example.test", password}, {"no address", password},
	} {
		status, p, header := o.browser().signIn(tt.email, tt.password)
		require.Equal(t, http.StatusUnauthorized, status, tt.email)
		require.Equal(t, "wrong_credentials", p.Code)
		require.Equal(t, "this address and password do not belong together", p.Detail)
		require.Empty(t, header.Get("Set-Cookie"))
	}
	refused := o.audited("sign_in.refused")
	require.Len(t, refused, 4)
	require.Regexp(t, `^client [0-9a-f]{16} account$`, refused[0])
	var typed int
	require.NoError(t, o.owner.QueryRow(t.Context(), `SELECT count(*) FROM audit_log a WHERE a::text ~ 'nobody|battery|127\.0'`).Scan(&typed))
	require.Zero(t, typed, "what was typed, and where, is not kept")

	status, p, _ := o.browser().do("POST", "/api/v1/session", map[string]string{"email": amina}, nil)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Contains(t, p.Detail, "password")
	status, p, _ = o.browser().signIn(amina, strings.Repeat("x", 1025))
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Equal(t, "password", p.Field)
	status, p, _ = o.browser().do("POST", "/api/v1/session", api.Credentials{Email: amina, Password: strings.Repeat("x", 20<<10)}, nil)
	require.Equal(t, http.StatusRequestEntityTooLarge, status, "%+v", p)
}

// Failures are counted in the database: neither another process nor a restart gives more tries.
func TestLockOutOverTwoServers(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	second := setup(t, func(d *api.Deps) { d.Store = storetest.Open(t, o.dsn) })
	servers := []*bundle{o.bundle, second}
	for i := range 5 {
		status, _, _ := servers[i%2].browser().signIn(strings.ToUpper(amina), "wrong horse battery")
		require.Equal(t, http.StatusUnauthorized, status, "failure %d", i+1)
	}
	locked := func(least, most int) {
		t.Helper()
		for _, server := range servers {
			status, p, header := server.browser().signIn(amina, password)
			require.Equal(t, http.StatusTooManyRequests, status)
			require.Equal(t, "locked_out", p.Code)
			after, err := strconv.Atoi(header.Get("Retry-After"))
			require.NoError(t, err)
			require.GreaterOrEqual(t, after, least)
			require.LessOrEqual(t, after, most)
		}
	}
	locked(20, 30)
	require.ElementsMatch(t, []string{"account", "address"}, o.lockOuts())

	// The wait over, one more try; it fails, and the next wait is twice as long.
	over := `UPDATE sign_in_failures SET locked_until = now()`
	o.exec(over)
	status, _, _ := second.browser().signIn(amina, "wrong horse battery")
	require.Equal(t, http.StatusUnauthorized, status)
	locked(50, 60)

	// The right password ends it for the account, and takes nothing from the address's failures.
	o.exec(over)
	o.in()
	var failures int
	require.NoError(t, o.owner.QueryRow(t.Context(), `SELECT failures FROM sign_in_failures`).Scan(&failures), "the address's row alone is left")
	require.Equal(t, 6, failures)
	o.in()

	// An hour later all is forgotten.
	o.exec(`UPDATE sign_in_failures SET failed_at = now() - interval '61 minutes'`)
	status, _, _ = o.browser().signIn(amina, "wrong horse battery")
	require.Equal(t, http.StatusUnauthorized, status)
	o.in()
}

func (o *office) lockOuts() (kinds []string) {
	for _, entry := range o.audited("sign_in.locked_out") {
		kinds = append(kinds, entry[strings.LastIndex(entry, " ")+1:])
	}
	return kinds
}

func TestLockOutOfAnAddress(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	from := func(forwarded, email, password string) int {
		w := o.browser()
		w.header.Set("X-Forwarded-For", forwarded)
		status, _, _ := w.signIn(email, password)
		return status
	}
	for i := range 5 {
		n := strconv.Itoa(i)
		require.Equal(t, http.StatusUnauthorized, from("192.0.2."+n, "guess"+n+"@example.test", password))
	}
	require.Equal(t, http.StatusTooManyRequests, from("192.0.2.9", amina, password), "nobody is believed to be elsewhere")
	require.Equal(t, []string{"address"}, o.lockOuts())

	behind := setup(t, func(d *api.Deps) { d.Store, d.TrustedProxies = o.store, []string{"127.0.0.0/8", "::1"} })
	o.url = behind.url
	require.Equal(t, http.StatusOK, from("192.0.2.1", amina, password), "a proxy of ours is")
}

// However many guess at once, five get an answer.
func TestGuessesAtOnceCountAsMany(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	var mu sync.Mutex
	got := map[int]int{}
	var all sync.WaitGroup
	for range 30 {
		all.Go(func() {
			status, _, _ := o.browser().signIn(amina, "wrong horse battery")
			mu.Lock()
			defer mu.Unlock()
			got[status]++
		})
	}
	all.Wait()
	require.Equal(t, map[int]int{http.StatusUnauthorized: 5, http.StatusTooManyRequests: 25}, got)
}

func TestOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	o := openOffice(t, func(d *api.Deps) { d.PublicURL = "http://panel.test" })
	w := o.in()
	change := func(header ...string) (int, string) {
		w.header = http.Header{}
		for i := 0; i < len(header); i += 2 {
			w.header.Set(header[i], header[i+1])
		}
		status, p, _ := w.do("PUT", "/api/v1/settings/toggles", api.NewSetting{Value: []byte(`{"dispatch":true}`)}, nil)
		return status, p.Code
	}
	for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.test"}, {"Origin", "null"}} {
		status, code := change(header...)
		require.Equal(t, http.StatusForbidden, status, "%v", header)
		require.Equal(t, "cross_origin", code)
		status, p, _ := w.signIn(amina, password)
		require.Equal(t, http.StatusForbidden, status, "signing somebody in from elsewhere")
		require.Equal(t, "cross_origin", p.Code)
		status, _, _ = w.do("GET", "/api/v1/session", nil, nil)
		require.Equal(t, http.StatusOK, status, "what changes nothing may come from a link")
	}
	for _, header := range [][]string{nil, {"Sec-Fetch-Site", "same-origin"}, {"Origin", o.url}, {"Origin", "http://panel.test"},
		{"Sec-Fetch-Site", "cross-site", "Authorization", "Bearer " + token}} {
		status, code := change(header...)
		require.Equal(t, http.StatusOK, status, "%v %s", header, code)
	}
	status, code := change("Authorization", "Bearer wrong")
	require.Equal(t, http.StatusUnauthorized, status, "a bad token is not made good by a cookie")
	require.Equal(t, "token_invalid", code)
}

func TestOnHTTPSCookiesAreForHTTPSOnly(t *testing.T) {
	t.Parallel()
	o := openOffice(t, func(d *api.Deps) { d.PublicURL = "https://lastcall.test" })
	status, _, header := o.browser().signIn(amina, password)
	require.Equal(t, http.StatusOK, status)
	cookie, err := http.ParseSetCookie(header.Get("Set-Cookie"))
	require.NoError(t, err)
	require.Equal(t, "__Host-lastcall_session", cookie.Name)
	require.True(t, cookie.Secure && cookie.HttpOnly && cookie.Path == "/" && cookie.Domain == "")
	require.NotEmpty(t, header.Get("Strict-Transport-Security"))
	w := o.browser()
	w.header.Set("Cookie", "__Host-lastcall_session="+cookie.Value)
	status, _, _ = w.do("GET", "/api/v1/session", nil, nil)
	require.Equal(t, http.StatusOK, status)
	w.header.Set("Cookie", "lastcall_session="+cookie.Value)
	status, _, _ = w.do("GET", "/api/v1/session", nil, nil)
	require.Equal(t, http.StatusUnauthorized, status, "a name that others may set is not read")
}

func TestProfile(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	w, other := o.in(), o.in()
	var a api.Account
	status, _, _ := w.do("PUT", "/api/v1/profile", api.Profile{Name: " Amina U. "}, &a)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "Amina U.", a.Name)
	status, p, _ := w.do("PUT", "/api/v1/profile", api.Profile{Name: " "}, nil)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Equal(t, "no_name", p.Code)

	const next = "a better password"
	for _, tt := range []struct{ current, next, code, field string }{
		{password, "short", "password_too_short", "new"},
		{password, password, "password_unchanged", "new"},
		{"wrong horse battery", next, "wrong_password", "current"},
	} {
		status, p, _ := w.do("PUT", "/api/v1/profile/password", api.PasswordChange{Current: tt.current, New: tt.next}, nil)
		require.Equal(t, http.StatusUnprocessableEntity, status, tt.code)
		require.Equal(t, tt.code, p.Code)
		require.Equal(t, tt.field, p.Field)
	}
	status, _, _ = w.do("PUT", "/api/v1/profile/password", api.PasswordChange{Current: password, New: next}, nil)
	require.Equal(t, http.StatusNoContent, status)
	other.requireEnded()
	status, _, _ = w.do("GET", "/api/v1/session", nil, nil)
	require.Equal(t, http.StatusOK, status, "one's own session goes on")
	status, _, _ = o.browser().signIn(amina, password)
	require.Equal(t, http.StatusUnauthorized, status)
	status, _, _ = o.browser().signIn(amina, next)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, []string{"account " + amina + " account"}, o.audited("account.password_changed"))

	// Who found an open browser cannot guess the password there either.
	for range 5 {
		status, _, _ = w.do("PUT", "/api/v1/profile/password", api.PasswordChange{Current: password, New: "yet another one"}, nil)
		require.Equal(t, http.StatusUnprocessableEntity, status)
	}
	status, p, _ = w.do("PUT", "/api/v1/profile/password", api.PasswordChange{Current: next, New: "yet another one"}, nil)
	require.Equal(t, http.StatusTooManyRequests, status)
	require.Equal(t, "locked_out", p.Code)

	for _, call := range [][2]string{{"GET", "session"}, {"DELETE", "session"}, {"PUT", "profile"}} {
		var body any
		if call[0] == "PUT" {
			body = api.Profile{Name: "x"}
		}
		status, _ := o.do(call[0], "/api/v1/"+call[1], body, &p)
		require.Equal(t, http.StatusForbidden, status)
		require.Equal(t, "no_session", p.Code, "a token is nobody")
	}
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	var a api.AccountEntry
	pawlu := api.NewAccount{Email: "Pawlu@example.test", Name: "Pawlu", Role: "ops", Password: "the first password"}
	status, _ := o.do("POST", "/api/v1/accounts", pawlu, &a)
	require.Equal(t, http.StatusCreated, status)
	require.Equal(t, "pawlu@example.test", a.Email)
	require.Nil(t, a.DisabledAt)
	var p api.Problem
	status, _ = o.do("POST", "/api/v1/accounts", pawlu, &p)
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, "account_exists", p.Code)
	status, _ = o.do("POST", "/api/v1/accounts", api.NewAccount{Email: "x", Role: "ops", Password: "x"}, &p)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Len(t, p.Errors, 3, "address, name and password: %+v", p)

	var page api.AccountPage
	status, _ = o.do("GET", "/api/v1/accounts?limit=1", nil, &page)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, amina, page.Accounts[0].Email)
	o.do("GET", "/api/v1/accounts?after="+page.Next, nil, &page)
	require.Equal(t, "pawlu@example.test", page.Accounts[0].Email)

	w := o.browser()
	status, _, _ = w.signIn(pawlu.Email, pawlu.Password)
	require.Equal(t, http.StatusOK, status)
	for _, call := range [][2]string{{"GET", ""}, {"POST", "/" + a.ID.String() + "/disable"}, {"POST", "/" + a.ID.String() + "/enable"}} {
		status, p, _ := w.do(call[0], "/api/v1/accounts"+call[1], nil, nil)
		require.Equal(t, http.StatusForbidden, status)
		require.Equal(t, "role_may_not", p.Code)
	}
	for path, body := range map[string]any{"": pawlu, "/" + a.ID.String() + "/password": api.NewPassword{Password: password}} {
		method := map[bool]string{true: "POST", false: "PUT"}[path == ""]
		status, _, _ := w.do(method, "/api/v1/accounts"+path, body, nil)
		require.Equal(t, http.StatusForbidden, status, "nobody makes an admin of themselves")
	}
	status, _, _ = o.in().do("GET", "/api/v1/accounts", nil, nil)
	require.Equal(t, http.StatusOK, status, "an admin may")

	status, _ = o.do("PUT", "/api/v1/accounts/"+a.ID.String()+"/password", api.NewPassword{Password: "short"}, &p)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Equal(t, "password", p.Field)
	status, _ = o.do("PUT", "/api/v1/accounts/"+a.ID.String()+"/password", api.NewPassword{Password: password}, &a)
	require.Equal(t, http.StatusOK, status)
	w.requireEnded()
	status, _, _ = w.signIn(pawlu.Email, password)
	require.Equal(t, http.StatusOK, status)

	status, _ = o.do("POST", "/api/v1/accounts/"+a.ID.String()+"/disable", nil, &a)
	require.Equal(t, http.StatusOK, status)
	require.NotNil(t, a.DisabledAt)
	w.requireEnded()
	status, _, _ = w.signIn(pawlu.Email, password)
	require.Equal(t, http.StatusUnauthorized, status)
	var enabled api.AccountEntry
	o.do("POST", "/api/v1/accounts/"+a.ID.String()+"/enable", nil, &enabled)
	require.Nil(t, enabled.DisabledAt)
	status, _, _ = w.signIn(pawlu.Email, password)
	require.Equal(t, http.StatusOK, status)
	status, _ = o.do("POST", "/api/v1/accounts/01920000-0000-7000-8000-000000000000/disable", nil, &p)
	require.Equal(t, http.StatusNotFound, status)
	require.Equal(t, "account_not_found", p.Code)
	require.Equal(t, []string{"token tests account"}, o.audited("account.disabled"))
}

// A stream ends within two seconds of its session, and flushes while it lasts.
func TestStreamsEndWithTheirSession(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	stays, _ := o.listen("")
	for name, end := range map[string]func(w *browser){
		"signed out": func(w *browser) {
			status, _, _ := w.do("DELETE", "/api/v1/session", nil, nil)
			require.Equal(t, http.StatusNoContent, status)
		},
		"expired": func(*browser) { o.exec(`UPDATE sessions SET seen_at = now() - interval '13 hours'`) },
	} {
		w := o.in()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, "GET", o.url+"/api/v1/events", nil)
		require.NoError(t, err)
		res, err := w.client.Do(req)
		require.NoError(t, err)
		defer func() { _ = res.Body.Close() }()
		hello := make([]byte, 9)
		_, err = io.ReadFull(res.Body, hello)
		require.NoError(t, err)
		require.Equal(t, ": hello\n\n", string(hello), "what is written arrives")

		end(w)
		began := time.Now()
		_, err = io.Copy(io.Discard, res.Body)
		require.NoError(t, err, "%s: the stream ends by itself", name)
		require.Less(t, time.Since(began), 2*time.Second, name)
	}
	c := o.campaign()
	o.do("POST", path(c, "/imports"), csv("msisdn\n+250781234567\n"), nil)
	o.relay(func(context.Context, int64, json.RawMessage) error { return nil })
	o.do("POST", path(c, "/start"), nil, nil)
	next(t, stays, func(got api.Campaign) bool { return got.CampaignID == c.CampaignID })
}
