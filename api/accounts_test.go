package api_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/domain/access"
	"lastcall/store"
)

// post delivers mails' links to the test: each is what the newest mail of its kind ends in.
func (o *office) post() (invitation, reset func() string) {
	invitations, resets := make(chan string, 10), make(chan string, 10)
	o.relayOf(map[string]store.Handler{
		store.KindInvitation: func(ctx context.Context, _ int64, payload json.RawMessage) error {
			var m store.SendInvitation
			if err := json.Unmarshal(payload, &m); err != nil {
				return err
			}
			_, token, err := o.store.InvitationLink(ctx, m.InvitationID)
			if err == nil {
				invitations <- token
			}
			return err
		},
		store.KindPasswordReset: func(ctx context.Context, _ int64, payload json.RawMessage) error {
			var m store.SendPasswordReset
			if err := json.Unmarshal(payload, &m); err != nil || m.AccountID == uuid.Nil {
				return err
			}
			_, token, err := o.store.ResetLink(ctx, m.AccountID)
			if err == nil {
				resets <- token
			}
			return err
		},
	})
	next := func(from chan string) func() string {
		return func() string {
			select {
			case token := <-from:
				return token
			case <-time.After(30 * time.Second):
				o.t.Fatal("no mail was written")
				return ""
			}
		}
	}
	return next(invitations), next(resets)
}

func TestSomebodyIsInvited(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	invitation, _ := o.post()
	admin := o.in()
	var i api.Invitation
	code, p, _ := admin.do("POST", "/api/v1/invitations", api.NewInvitation{Email: "New@example.test", Name: "New", Role: "support"}, &i)
	require.Equal(t, http.StatusCreated, code, "%+v", p)
	first := invitation()
	code, p, _ = admin.do("POST", "/api/v1/invitations", api.NewInvitation{Email: "new@example.test", Name: "New", Role: "support"}, nil)
	require.Equal(t, http.StatusConflict, code)
	require.Equal(t, "already_invited", p.Code)
	code, p, _ = admin.do("POST", "/api/v1/invitations", api.NewInvitation{Email: amina, Name: "New", Role: "support"}, nil)
	require.Equal(t, http.StatusConflict, code)
	require.Equal(t, "account_exists", p.Code)
	code, _, _ = admin.do("POST", "/api/v1/invitations/"+i.ID.String()+"/resend", nil, nil)
	require.Equal(t, http.StatusOK, code)
	token := invitation()
	var page api.InvitationPage
	admin.do("GET", "/api/v1/invitations", nil, &page)
	require.Len(t, page.Invitations, 1)
	require.NotNil(t, page.Invitations[0].ExpiresAt)

	w := o.browser()
	code, p, _ = w.do("POST", "/api/v1/welcome", api.Link{Token: first}, nil)
	require.Equal(t, http.StatusNotFound, code)
	require.Equal(t, "link_unknown", p.Code)
	var offer api.Welcome
	code, _, _ = w.do("POST", "/api/v1/welcome", api.Link{Token: token}, &offer)
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, "new@example.test", offer.Email)
	require.Equal(t, access.Support, offer.Role)
	accept := api.Acceptance{Link: api.Link{Token: token}, Name: "", Password: "short"}
	code, p, _ = w.do("PUT", "/api/v1/welcome", accept, nil)
	require.Equal(t, http.StatusUnprocessableEntity, code)
	require.Len(t, p.Errors, 2)
	accept.Name, accept.Password = "Newcomer", password
	w.header.Set("Sec-Fetch-Site", "cross-site")
	code, p, _ = w.do("PUT", "/api/v1/welcome", accept, nil)
	require.Equal(t, http.StatusForbidden, code, "another site accepts nothing")
	require.Equal(t, "cross_origin", p.Code)
	w.header.Set("Sec-Fetch-Site", "same-origin")
	var s api.Session
	code, p, _ = w.do("PUT", "/api/v1/welcome", accept, &s)
	require.Equal(t, http.StatusOK, code, "%+v", p)
	require.Equal(t, "Newcomer", s.Account.Name)
	code, _, _ = w.do("GET", "/api/v1/contacts", nil, nil)
	require.Equal(t, http.StatusOK, code, "signed in, and as what the invitation says")
	code, p, _ = w.do("PUT", "/api/v1/welcome", accept, nil)
	require.Equal(t, http.StatusConflict, code)
	require.Equal(t, "link_used", p.Code)
	admin.do("GET", "/api/v1/invitations", nil, &page)
	require.Empty(t, page.Invitations)
	require.NotContains(t, o.log.String(), token)

	silent := setupOn(t, o.store, func(d *api.Deps) { d.Mail = false })
	var problem api.Problem
	code, _ = silent.do("POST", "/api/v1/invitations", api.NewInvitation{Email: "b@example.test", Name: "B", Role: "ops"}, &problem)
	require.Equal(t, http.StatusConflict, code)
	require.Equal(t, "no_mail", problem.Code)
}

func TestAPasswordIsForgotten(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	_, reset := o.post()
	open := o.in()
	ask := func(email string) (int, string, http.Header) {
		code, p, header := o.browser().do("POST", "/api/v1/password-resets", api.ResetRequest{Email: email}, nil)
		return code, p.Code, header
	}
	code, _, known := ask(amina)
	require.Equal(t, http.StatusAccepted, code)
	token := reset()
	code, _, unknown := ask("nobody@example.test")
	require.Equal(t, http.StatusAccepted, code)
	for _, header := range []http.Header{known, unknown} {
		header.Del("X-Request-Id")
		header.Del("Date")
	}
	require.Equal(t, known, unknown, "the answer tells nobody who has an account")

	use := api.Reset{Link: api.Link{Token: token}, Password: "a better password"}
	code, p, _ := o.browser().do("PUT", "/api/v1/password-resets", use, nil)
	require.Equal(t, http.StatusNoContent, code, "%+v", p)
	open.requireEnded()
	code, p, _ = o.browser().do("PUT", "/api/v1/password-resets", use, nil)
	require.Equal(t, http.StatusConflict, code)
	require.Equal(t, "link_used", p.Code)
	code, _, _ = o.browser().signIn(amina, password)
	require.Equal(t, http.StatusUnauthorized, code)
	code, _, _ = o.browser().signIn(amina, use.Password)
	require.Equal(t, http.StatusOK, code)
	require.NotContains(t, o.log.String(), token)

	// Known or not, an address is asked for three times, and then one waits.
	for _, email := range []string{amina, "nobody@example.test"} {
		for range 2 {
			code, _, _ = ask(email)
			require.Equal(t, http.StatusAccepted, code)
		}
		code, refusal, header := ask(email)
		require.Equal(t, http.StatusTooManyRequests, code)
		require.Equal(t, "too_often", refusal)
		require.Regexp(t, `^1[12]\d\d$`, header.Get("Retry-After"), "twenty minutes, in seconds")
	}
}

func TestRolesAreChangedByOthers(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	a, err := o.store.AddAccount(t.Context(), store.NewAccount{Email: "ops@example.test", Name: "O", Role: "ops", Password: password})
	require.NoError(t, err)
	w, admin := o.browser(), o.in()
	w.signIn(a.Email, password)
	at := "/api/v1/accounts/" + a.ID.String()
	var me api.Session
	admin.do("GET", "/api/v1/session", nil, &me)
	own := "/api/v1/accounts/" + me.Account.ID.String()
	for path, body := range map[string]any{"/role": api.NewRole{Role: "viewer"}, "/password": api.NewPassword{Password: "a better password"}} {
		code, p, _ := admin.do("PUT", own+path, body, nil)
		require.Equal(t, http.StatusForbidden, code, path)
		require.Equal(t, "own_account", p.Code)
	}
	code, p, _ := admin.do("POST", own+"/disable", nil, nil)
	require.Equal(t, http.StatusForbidden, code)
	require.Equal(t, "own_account", p.Code)
	var problem api.Problem
	code, _ = o.do("PUT", own+"/role", api.NewRole{Role: "viewer"}, &problem)
	require.Equal(t, http.StatusConflict, code)
	require.Equal(t, "last_admin", problem.Code, "not even the system takes away the last")

	var page api.AccountPage
	admin.do("GET", "/api/v1/accounts", nil, &page)
	require.Equal(t, 1, page.Accounts[1].Sessions)
	require.NotNil(t, page.Accounts[1].SeenAt)
	var now api.AccountEntry
	code, _, _ = admin.do("PUT", at+"/role", api.NewRole{Role: "viewer"}, &now)
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, access.Viewer, now.Role)
	w.requireEnded()
	w.signIn(a.Email, password)
	code, p, _ = w.do("PUT", own+"/role", api.NewRole{Role: "viewer"}, nil)
	require.Equal(t, http.StatusForbidden, code)
	require.Equal(t, "role_may_not", p.Code)
	var ended api.Ended
	admin.do("POST", at+"/end-sessions", nil, &ended)
	require.Equal(t, api.Ended{Ended: 1}, ended)
	w.requireEnded()

	var table api.PermissionTable
	admin.do("GET", "/api/v1/permissions", nil, &table)
	require.Equal(t, access.Roles, table.Roles)
	for _, line := range table.Permissions {
		require.NotEqual(t, access.SignedIn, line.Permission)
		for _, r := range access.Roles {
			require.Equal(t, access.May(r, line.Permission), strings.Contains(strings.Join(texts(line.Roles), " "), string(r)), "%s %s", r, line.Permission)
		}
	}
}

func texts(roles []access.Role) (all []string) {
	for _, r := range roles {
		all = append(all, string(r))
	}
	return all
}

func TestOneSignsOutElsewhere(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	here, there, third := o.in(), o.in(), o.in()
	stream := there.watch()
	var all api.OwnSessions
	here.do("GET", "/api/v1/profile/sessions", nil, &all)
	require.Len(t, all.Sessions, 3)
	current, other := 0, uuid.Nil
	for _, s := range all.Sessions {
		if s.Current {
			current++
		}
	}
	require.Equal(t, 1, current)
	var theirs api.OwnSessions
	there.do("GET", "/api/v1/profile/sessions", nil, &theirs)
	for _, s := range theirs.Sessions {
		if s.Current {
			other = s.ID
		}
	}
	b, err := o.store.AddAccount(t.Context(), store.NewAccount{Email: "b@example.test", Name: "B", Role: "viewer", Password: password})
	require.NoError(t, err)
	stranger := o.browser()
	stranger.signIn(b.Email, password)
	code, p, _ := stranger.do("DELETE", "/api/v1/profile/sessions/"+other.String(), nil, nil)
	require.Equal(t, http.StatusNotFound, code)
	require.Equal(t, "session_not_found", p.Code, "another's is not there")
	code, _, _ = here.do("DELETE", "/api/v1/profile/sessions/"+other.String(), nil, nil)
	require.Equal(t, http.StatusNoContent, code)
	there.requireEnded()
	stream.requireEnd()
	var ended api.Ended
	here.do("POST", "/api/v1/profile/sessions/end-others", nil, &ended)
	require.Equal(t, api.Ended{Ended: 1}, ended)
	third.requireEnded()
	code, _, _ = here.do("GET", "/api/v1/session", nil, nil)
	require.Equal(t, http.StatusOK, code)
}

// A token may what its scopes say, as long as its owner's role may.
func TestTokensOfOnesOwn(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	a, err := o.store.AddAccount(t.Context(), store.NewAccount{Email: "ops@example.test", Name: "O", Role: "ops", Password: password})
	require.NoError(t, err)
	w := o.browser()
	w.signIn(a.Email, password)
	code, p, _ := w.do("POST", "/api/v1/profile/tokens", api.NewToken{Name: "x", Scopes: []access.Permission{"accounts.manage"}}, nil)
	require.Equal(t, http.StatusUnprocessableEntity, code)
	require.Equal(t, "bad_scope", p.Code)
	var made api.CreatedToken
	code, p, _ = w.do("POST", "/api/v1/profile/tokens", api.NewToken{Name: "nightly", Scopes: []access.Permission{"campaigns.read", "settings.read", "settings.write"}}, &made)
	require.Equal(t, http.StatusCreated, code, "%+v", p)
	var list json.RawMessage
	w.do("GET", "/api/v1/profile/tokens", nil, &list)
	require.Contains(t, string(list), `"nightly"`)
	require.NotContains(t, string(list), made.Secret, "it is shown once")

	program := o.browser()
	program.header = http.Header{"Authorization": {"Bearer " + made.Secret}}
	code, _, _ = program.do("GET", "/api/v1/campaigns", nil, nil)
	require.Equal(t, http.StatusOK, code)
	code, _, _ = program.do("PUT", "/api/v1/settings/toggles", api.NewSetting{Value: []byte(`{"dispatch":true}`)}, nil)
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, []string{"account ops@example.test (token nightly) settings"}, o.audited("settings.changed"))
	for _, call := range [][3]string{
		{"GET", "/api/v1/contacts", "token_may_not"},     // the role may, the token not
		{"GET", "/api/v1/accounts", "role_may_not"},      // neither may
		{"GET", "/api/v1/session", "no_session"},         // it is nobody's browser
		{"POST", "/api/v1/profile/tokens", "no_session"}, // and makes no other tokens
	} {
		code, p, _ := program.do(call[0], call[1], map[string]any{"name": "more", "scopes": []string{"campaigns.read"}}, nil)
		if call[0] == "GET" {
			code, p, _ = program.do(call[0], call[1], nil, nil)
		}
		require.Equal(t, http.StatusForbidden, code, call[1])
		require.Equal(t, call[2], p.Code, call[1])
	}
	stream := program.watch()

	_, err = o.store.SetRole(t.Context(), a.ID, "viewer")
	require.NoError(t, err)
	code, p, _ = program.do("PUT", "/api/v1/settings/toggles", api.NewSetting{Value: []byte(`{"dispatch":true}`)}, nil)
	require.Equal(t, http.StatusForbidden, code, "its owner may not any more")
	require.Equal(t, "role_may_not", p.Code)
	code, _, _ = program.do("DELETE", "/api/v1/profile/tokens/"+made.ID.String(), nil, nil)
	require.Equal(t, http.StatusNoContent, code, "it may end itself")
	stream.requireEnd()
	code, p, _ = program.do("GET", "/api/v1/campaigns", nil, nil)
	require.Equal(t, http.StatusUnauthorized, code)
	require.Equal(t, "token_invalid", p.Code)

	var problem api.Problem
	code, _ = o.do("GET", "/api/v1/profile/tokens", nil, &problem)
	require.Equal(t, http.StatusForbidden, code)
	require.Equal(t, "no_account", problem.Code)
}

// Credentials that are none, and other sites' requests, are in the audit log, but nobody fills it.
func TestRefusedCallersAreWrittenDown(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	w := o.browser()
	w.header.Set("Authorization", "Bearer lc_forged")
	code, _, _ := w.do("GET", "/api/v1/campaigns", nil, nil)
	require.Equal(t, http.StatusUnauthorized, code)
	w = o.browser()
	w.header.Set("Cookie", "lastcall_session=forged")
	w.requireEnded()
	in := o.in()
	in.header.Set("Sec-Fetch-Site", "cross-site")
	code, _, _ = in.do("POST", "/api/v1/profile/sessions/end-others", nil, nil)
	require.Equal(t, http.StatusForbidden, code)
	code, _, _ = o.browser().do("GET", "/api/v1/campaigns", nil, nil)
	require.Equal(t, http.StatusUnauthorized, code, "who shows nothing has tried nothing")
	require.Len(t, o.audited("request.refused"), 3)
	for range 20 {
		w.requireEnded()
	}
	require.Len(t, o.audited("request.refused"), access.RefusalsEntered.Burst)
}

// Imports cost much: who begins too many waits.
func TestImportsAreLimited(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	for range access.ImportsPerUser.Burst {
		require.NoError(t, o.store.Spend(t.Context(), store.Use{Limit: access.ImportsPerUser, Of: "tests"}))
	}
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/v1/campaigns/"+uuid.NewString()+"/imports", strings.NewReader("msisdn\n"))
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "text/csv")
	res := httptest.NewRecorder()
	o.router.ServeHTTP(res, req)
	require.Equal(t, http.StatusTooManyRequests, res.Code)
	require.Regexp(t, `^[1-3]$`, res.Header().Get("Retry-After"))
}

// eventStream is an open one.
type eventStream struct {
	t     *testing.T
	ended chan struct{}
}

// watch opens an event stream, and returns when it has begun.
func (w *browser) watch() eventStream {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.url+"/api/v1/events", nil)
	require.NoError(w.t, err)
	req.Header = w.header.Clone()
	res, err := w.client.Do(req)
	require.NoError(w.t, err)
	require.Equal(w.t, http.StatusOK, res.StatusCode)
	s := eventStream{w.t, make(chan struct{})}
	go func() {
		defer close(s.ended)
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
	}()
	return s
}

func (s eventStream) requireEnd() {
	s.t.Helper()
	select {
	case <-s.ended:
	case <-time.After(10 * time.Second): // the server looks twice a second
		require.FailNow(s.t, "the stream goes on")
	}
}
