package api_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/api"
)

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
