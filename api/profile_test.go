package api_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"lastcall/api"
)

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
