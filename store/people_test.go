package store_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/audit"
	"lastcall/store"
)

func (b bundle) member(t *testing.T, email, role string) store.Account {
	t.Helper()
	a, err := b.AddAccount(t.Context(), store.NewAccount{Email: email, Name: "N", Role: role, Password: password})
	require.NoError(t, err)
	return a
}

func as(t *testing.T, a store.Account) context.Context {
	return audit.WithActor(t.Context(), a.Actor())
}

// However many take away each other's role, or disable each other, at once: somebody is left to let the others in.
func TestOneAdminIsAlwaysLeft(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for round := range 5 {
		var admins []store.Account
		for range 4 {
			admins = append(admins, b.member(t, uuid.NewString()+"@example.test", "admin"))
		}
		var all sync.WaitGroup
		refusals := make(chan string, len(admins))
		for i, a := range admins {
			next := admins[(i+1)%len(admins)]
			all.Go(func() {
				var err error
				if i%2 == 0 {
					_, err = b.SetRole(as(t, a), next.ID, "viewer")
				} else {
					_, err = b.SetAccountDisabled(as(t, a), next.ID, true)
				}
				refusals <- domain.CodeOf(err)
			})
		}
		all.Wait()
		close(refusals)
		refused := 0
		for code := range refusals {
			if code == "last_admin" {
				refused++
			}
		}
		require.Equal(t, 1, refused, "round %d", round)
		require.Equal(t, int64(1), query[int64](t, b, `SELECT count(*) FROM accounts WHERE role = 'admin' AND disabled_at IS NULL`))
		require.Equal(t, int64(round+1), query[int64](t, b, `SELECT count(*) FROM audit_log WHERE action = 'account.change_refused' AND diff->>'code' = 'last_admin'`))
		_, err := b.owner.Exec(t.Context(), `UPDATE accounts SET role = 'viewer'`)
		require.NoError(t, err)
	}
}

func TestNobodyChangesTheirOwnAccount(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a, _ := b.member(t, "a@example.test", "admin"), b.member(t, "b@example.test", "admin")
	_, err := b.SetRole(as(t, a), a.ID, "viewer")
	require.Equal(t, "own_account", domain.CodeOf(err))
	_, err = b.SetAccountDisabled(as(t, a), a.ID, true)
	require.Equal(t, "own_account", domain.CodeOf(err))
	_, err = b.ResetPassword(as(t, a), a.ID, "another password")
	require.Equal(t, "own_account", domain.CodeOf(err), "that takes the one there is")
	require.Equal(t, int64(3), query[int64](t, b, `SELECT count(*) FROM audit_log WHERE action = 'account.change_refused' AND actor = 'a@example.test'`))
}

// Another role ends what the old one had begun.
func TestRoleChange(t *testing.T) {
	t.Parallel()
	b := setup(t)
	boss, a := b.member(t, "boss@example.test", "admin"), b.member(t, "a@example.test", "admin")
	token, _, _, err := b.OpenSession(t.Context(), store.SignIn{Email: a.Email, Password: password, Agent: "other"})
	require.NoError(t, err)
	_, err = b.Invite(as(t, a), store.NewInvitation{Email: "c@example.test", Name: "C", Role: "admin"})
	require.NoError(t, err)
	_, err = b.SetRole(as(t, boss), a.ID, "admin")
	require.Equal(t, "role_unchanged", domain.CodeOf(err))
	_, err = b.SetRole(as(t, boss), a.ID, "boss")
	require.Equal(t, "unknown_role", domain.CodeOf(err))
	_, err = b.SetRole(as(t, boss), uuid.New(), "ops")
	require.Equal(t, domain.NotFound, domain.KindOf(err))

	now, err := b.SetRole(as(t, boss), a.ID, "ops")
	require.NoError(t, err)
	require.Equal(t, access.Ops, now.Role)
	_, _, err = b.AuthenticateSession(t.Context(), token)
	require.Equal(t, "session_ended", domain.CodeOf(err))
	open, err := b.Invitations(t.Context(), uuid.Nil, 10)
	require.NoError(t, err)
	require.Empty(t, open, "nobody comes in as an admin at the word of who is none")
	require.Equal(t, `boss@example.test {"role": {"to": "ops", "from": "admin"}, "sessions_ended": 1}`,
		query[string](t, b, `SELECT actor || ' ' || diff::text FROM audit_log WHERE action = 'account.role_changed'`))
}

// A link is good once, however many follow it at once.
func TestAnInvitationIsAcceptedOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	boss := b.member(t, "boss@example.test", "admin")
	i, err := b.Invite(as(t, boss), store.NewInvitation{Email: " New@example.test", Name: "New", Role: "ops"})
	require.NoError(t, err)
	require.Equal(t, int64(1), query[int64](t, b, `SELECT count(*) FROM outbox WHERE kind = 'mail.invitation'`))
	_, first, err := b.InvitationLink(t.Context(), i.ID)
	require.NoError(t, err)
	_, token, err := b.InvitationLink(t.Context(), i.ID)
	require.NoError(t, err)
	_, err = b.InvitationOf(t.Context(), first, "192.0.2.1")
	require.Equal(t, "link_unknown", domain.CodeOf(err), "a newer mail has another link")
	require.Zero(t, query[int64](t, b, `SELECT count(*) FROM invitations i, outbox o, audit_log a WHERE concat(i, o, a) LIKE '%`+token+`%'`))

	codes := make(chan string, 8)
	var all sync.WaitGroup
	for n := range cap(codes) {
		all.Go(func() {
			_, _, _, err := b.AcceptInvitation(t.Context(), store.Acceptance{Token: token, Name: "Newest", Password: password,
				Address: "192.0.2." + string(rune('1'+n)), Agent: "other"})
			codes <- domain.CodeOf(err)
		})
	}
	all.Wait()
	close(codes)
	used := 0
	for code := range codes {
		if code == "link_used" {
			used++
		}
	}
	require.Equal(t, cap(codes)-1, used)
	require.Equal(t, "new@example.test Newest ops", query[string](t, b, `SELECT concat_ws(' ', email, name, role) FROM accounts WHERE email LIKE 'new%'`))
	require.Equal(t, int64(1), query[int64](t, b, `SELECT count(*) FROM audit_log WHERE action = 'account.added' AND actor = 'new@example.test'`))
	require.Equal(t, int64(cap(codes)), query[int64](t, b, `SELECT count(*) FROM audit_log WHERE action = 'link.refused' AND actor_kind = 'client'`))
}

func TestLinksEnd(t *testing.T) {
	t.Parallel()
	b := setup(t)
	boss := b.member(t, "boss@example.test", "admin")
	link := func(email string) (store.Invitation, string) {
		i, err := b.Invite(as(t, boss), store.NewInvitation{Email: email, Name: "N", Role: "ops"})
		require.NoError(t, err)
		i, token, err := b.InvitationLink(t.Context(), i.ID)
		require.NoError(t, err)
		require.WithinDuration(t, time.Now().Add(72*time.Hour), *i.ExpiresAt, time.Minute)
		return i, token
	}
	code := func(token string) string {
		_, _, _, err := b.AcceptInvitation(t.Context(), store.Acceptance{Token: token, Name: "N", Password: password, Address: "192.0.2.1", Agent: "other"})
		return domain.CodeOf(err)
	}
	i, token := link("expires@example.test")
	_, err := b.owner.Exec(t.Context(), `UPDATE invitations SET expires_at = clock_timestamp() WHERE id = $1`, i.ID)
	require.NoError(t, err)
	require.Equal(t, "link_expired", code(token))
	_, err = b.Invite(as(t, boss), store.NewInvitation{Email: i.Email, Name: "N", Role: "ops"})
	require.Equal(t, "already_invited", domain.CodeOf(err))
	_, err = b.ResendInvitation(as(t, boss), i.ID)
	require.NoError(t, err)

	i, token = link("withdrawn@example.test")
	_, err = b.WithdrawInvitation(as(t, boss), i.ID)
	require.NoError(t, err)
	require.Equal(t, "link_withdrawn", code(token))
	_, err = b.WithdrawInvitation(as(t, boss), i.ID)
	require.Equal(t, "invitation_not_found", domain.CodeOf(err))
	_, err = b.ResendInvitation(as(t, boss), i.ID)
	require.Equal(t, "invitation_not_found", domain.CodeOf(err))
	_, _, err = b.InvitationLink(t.Context(), i.ID)
	require.Equal(t, domain.NotFound, domain.KindOf(err), "a mail that is late has no link to send")

	_, token = link("taken@example.test")
	b.member(t, "taken@example.test", "viewer")
	require.Equal(t, "account_exists", code(token))
	require.Equal(t, "link_unknown", code("nothing"))
	require.Equal(t, int64(4), query[int64](t, b, `SELECT count(*) FROM audit_log WHERE action = 'link.refused'`))
}

// What follows a request is the same in rows and statements, whether or not somebody has the address; only the mail is not.
func TestAResetRequestTellsNobodyWhoHasAnAccount(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.account(t, "a@example.test")
	for n, email := range []string{"A@example.test", "nobody@example.test"} {
		require.NoError(t, b.RequestReset(t.Context(), email, "192.0.2.1"), email)
		require.Equal(t, int64(n+1), query[int64](t, b, `SELECT count(*) FROM outbox WHERE kind = 'mail.reset'`), "each is a message")
		require.Equal(t, int64(n+1), query[int64](t, b, `SELECT count(*) FROM audit_log WHERE action = 'password_reset.requested'`), "and an entry")
		require.Equal(t, int64(n+1), query[int64](t, b, `SELECT count(*) FROM rate_limits WHERE name = 'password_resets_account'`), "and is counted")
	}
	require.Equal(t, int64(1), query[int64](t, b, `SELECT count(*) FROM audit_log WHERE target = 'account/unknown'`))
	require.Zero(t, query[int64](t, b, `SELECT count(*) FROM outbox o, audit_log l WHERE concat(o, l) LIKE '%example.test%' AND l.action = 'password_reset.requested'`))
	require.Equal(t, "bad_email", domain.CodeOf(b.RequestReset(t.Context(), "nobody", "192.0.2.1")))
	_, _, err := b.ResetLink(t.Context(), uuid.Nil)
	require.Equal(t, domain.NotFound, domain.KindOf(err))
	email, _, err := b.ResetLink(t.Context(), a.ID)
	require.NoError(t, err)
	require.Equal(t, a.Email, email)
}

func TestAPasswordIsChosenByALinkOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.account(t, "a@example.test")
	in := store.SignIn{Email: a.Email, Password: password, Agent: "other"}
	session, _, _, err := b.OpenSession(t.Context(), in)
	require.NoError(t, err)
	_, first, err := b.ResetLink(t.Context(), a.ID)
	require.NoError(t, err)
	_, token, err := b.ResetLink(t.Context(), a.ID)
	require.NoError(t, err)
	use := func(token, password string) string {
		return domain.CodeOf(b.UseReset(t.Context(), token, password, "192.0.2.1"))
	}
	const next = "a better password"
	require.Equal(t, "link_unknown", use(first, next), "another was asked for since")
	require.Equal(t, "password_too_short", use(token, "short"), "which uses nothing up")
	require.NoError(t, b.UseReset(t.Context(), token, next, "192.0.2.1"))
	require.Equal(t, "link_used", use(token, "yet another one"))
	_, _, err = b.AuthenticateSession(t.Context(), session)
	require.Equal(t, "session_ended", domain.CodeOf(err))
	in.Password = next
	_, _, _, err = b.OpenSession(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, "account a@example.test", query[string](t, b, `SELECT actor_kind || ' ' || actor FROM audit_log WHERE action = 'account.password_reset_by_link'`))

	// It ends with an hour, with another change of the password, and with the account.
	_, token, err = b.ResetLink(t.Context(), a.ID)
	require.NoError(t, err)
	require.Equal(t, 1.0, query[float64](t, b, `SELECT round(extract(epoch FROM expires_at - sent_at) / 3600)::float8 FROM password_resets`))
	_, err = b.owner.Exec(t.Context(), `UPDATE password_resets SET expires_at = clock_timestamp()`)
	require.NoError(t, err)
	require.Equal(t, "link_expired", use(token, next))
	_, token, err = b.ResetLink(t.Context(), a.ID)
	require.NoError(t, err)
	_, err = b.ResetPassword(t.Context(), a.ID, password)
	require.NoError(t, err)
	require.Equal(t, "link_used", use(token, next))
	_, token, err = b.ResetLink(t.Context(), a.ID)
	require.NoError(t, err)
	_, err = b.SetAccountDisabled(t.Context(), a.ID, true)
	require.NoError(t, err)
	require.Equal(t, "link_unknown", use(token, next))
	_, _, err = b.ResetLink(t.Context(), a.ID)
	require.Equal(t, domain.NotFound, domain.KindOf(err))
	require.Equal(t, int64(5), query[int64](t, b, `SELECT count(*) FROM audit_log WHERE action = 'link.refused'`))
}

func TestTheFirstAdminComesInByALink(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, lost, err := b.FirstAdmin(t.Context(), "a@example.test", "A")
	require.NoError(t, err)
	i, token, err := b.FirstAdmin(t.Context(), "boss@example.test", "Boss")
	require.NoError(t, err)
	require.Equal(t, access.Admin, i.Role)
	accept := func(token string) error {
		_, _, _, err := b.AcceptInvitation(t.Context(), store.Acceptance{Token: token, Name: "Boss", Password: password, Address: "192.0.2.1", Agent: "other"})
		return err
	}
	require.Equal(t, "link_withdrawn", domain.CodeOf(accept(lost)), "there is one link, the newest")
	require.NoError(t, accept(token))
	_, _, err = b.FirstAdmin(t.Context(), "b@example.test", "B")
	require.Equal(t, "admin_exists", domain.CodeOf(err))
}

func TestSpendLimits(t *testing.T) {
	t.Parallel()
	b := setup(t)
	few := access.Limit{Name: "few", Burst: 3, Every: 20 * time.Minute}
	many := access.Limit{Name: "many", Burst: 100, Every: time.Second}
	for range 3 {
		require.NoError(t, b.Spend(t.Context(), store.Use{Limit: many, Of: "all"}, store.Use{Limit: few, Of: "a"}))
	}
	spent := query[time.Time](t, b, `SELECT used_up_until FROM rate_limits WHERE name = 'many'`)
	for range 3 {
		err := b.Spend(t.Context(), store.Use{Limit: many, Of: "all"}, store.Use{Limit: few, Of: "a"})
		require.Equal(t, domain.TooMany, domain.KindOf(err))
		var e *domain.Error
		require.ErrorAs(t, err, &e)
		require.InDelta(t, 20*60, e.RetryIn.Seconds(), 5)
	}
	require.Equal(t, spent, query[time.Time](t, b, `SELECT used_up_until FROM rate_limits WHERE name = 'many'`), "all or none")
	require.Equal(t, int64(1), query[int64](t, b, `SELECT count(*) FROM audit_log WHERE action = 'limit.reached'`), "nobody fills the log")
	require.NoError(t, b.Spend(t.Context(), store.Use{Limit: few, Of: "b"}), "another's is another's")

	_, err := b.owner.Exec(t.Context(), `UPDATE rate_limits SET used_up_until = used_up_until - interval '20 minutes'`)
	require.NoError(t, err)
	require.NoError(t, b.Spend(t.Context(), store.Use{Limit: few, Of: "a"}), "one more each twenty minutes")
	require.Error(t, b.Spend(t.Context(), store.Use{Limit: few, Of: "a"}))
	require.Equal(t, int64(2), query[int64](t, b, `SELECT count(*) FROM audit_log WHERE action = 'limit.reached'`))

	// Uses at once count as many.
	var mu sync.Mutex
	through := 0
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if b.Spend(t.Context(), store.Use{Limit: few, Of: "c"}) == nil {
				mu.Lock()
				defer mu.Unlock()
				through++
			}
		})
	}
	all.Wait()
	require.Equal(t, 3, through)
	_, err = b.owner.Exec(t.Context(), `UPDATE rate_limits SET used_up_until = clock_timestamp()`)
	require.NoError(t, err)
	require.NoError(t, store.Prune(b.Store, t.Context()))
	require.Zero(t, query[int64](t, b, `SELECT count(*) FROM rate_limits`))
}

func TestPersonalTokens(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.account(t, "a@example.test") // ops
	make := func(n store.NewToken) (string, store.APIToken, string) {
		token, made, err := b.CreateToken(as(t, a), a, n)
		return token, made, domain.CodeOf(err)
	}
	scopes := []access.Permission{access.CampaignsRun, access.CampaignsRead, access.CampaignsRun}
	token, made, _ := make(store.NewToken{Name: "up", Scopes: scopes})
	require.Equal(t, access.Scopes{access.CampaignsRead, access.CampaignsRun}, made.Permissions())
	require.WithinDuration(t, time.Now().Add(90*24*time.Hour), *made.ExpiresAt, time.Minute)
	for _, tt := range []struct {
		code string
		n    store.NewToken
	}{
		{"token_exists", store.NewToken{Name: "up", Scopes: scopes}},
		{"no_scopes", store.NewToken{Name: "x"}},
		{"bad_scope", store.NewToken{Name: "x", Scopes: []access.Permission{access.AccountsManage}}},
		{"bad_scope", store.NewToken{Name: "x", Scopes: []access.Permission{access.SignedIn}}},
		{"bad_lifetime", store.NewToken{Name: "x", Scopes: scopes, Lasts: 366 * 24 * time.Hour}},
		{"no_name", store.NewToken{Scopes: scopes}},
	} {
		_, _, code := make(tt.n)
		require.Equal(t, tt.code, code)
	}

	// The system's token of the same name is another one.
	require.NoError(t, b.EnsureToken(t.Context(), "up", "the system's"))
	found, of, err := b.Authenticate(t.Context(), token)
	require.NoError(t, err)
	require.Equal(t, a.ID, of.ID)
	require.Equal(t, made.ID, found.ID)
	_, of, err = b.Authenticate(t.Context(), "the system's")
	require.NoError(t, err)
	require.Zero(t, of)
	require.Zero(t, query[int64](t, b, `SELECT count(*) FROM api_tokens t, audit_log l WHERE concat(t, l) LIKE '%`+token+`%'`))

	// It ends with its account, for as long as that is disabled.
	live := func() int {
		alive, err := b.LiveTokens(t.Context(), []uuid.UUID{made.ID})
		require.NoError(t, err)
		return len(alive)
	}
	require.Equal(t, 1, live())
	_, err = b.SetAccountDisabled(t.Context(), a.ID, true)
	require.NoError(t, err)
	_, _, err = b.Authenticate(t.Context(), token)
	require.Equal(t, "token_invalid", domain.CodeOf(err))
	require.Zero(t, live())
	_, err = b.SetAccountDisabled(t.Context(), a.ID, false)
	require.NoError(t, err)

	// Others' are not there; expired ones leave their names.
	other := b.account(t, "b@example.test")
	require.Equal(t, "token_not_found", domain.CodeOf(b.RevokeToken(t.Context(), other.ID, made.ID)))
	_, err = b.owner.Exec(t.Context(), `UPDATE api_tokens SET expires_at = clock_timestamp() WHERE id = $1`, made.ID)
	require.NoError(t, err)
	_, _, err = b.Authenticate(t.Context(), token)
	require.Equal(t, "token_invalid", domain.CodeOf(err))
	token, made, code := make(store.NewToken{Name: "up", Scopes: scopes, Lasts: time.Hour})
	require.Equal(t, "internal", code, "no error")
	all, err := b.Tokens(t.Context(), a.ID)
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.NoError(t, b.RevokeToken(as(t, a), a.ID, made.ID))
	_, _, err = b.Authenticate(t.Context(), token)
	require.Equal(t, "token_invalid", domain.CodeOf(err))
	require.Equal(t, "token_not_found", domain.CodeOf(b.RevokeToken(as(t, a), a.ID, made.ID)))
}
