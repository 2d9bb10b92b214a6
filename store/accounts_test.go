package store_test

import (
	"runtime"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/store"
)

const password = "correct horse battery"

func (b bundle) account(t *testing.T, email string) store.Account {
	t.Helper()
	a, err := b.AddAccount(t.Context(), store.NewAccount{Email: email, Name: "Amina", Role: "ops", Password: password})
	require.NoError(t, err)
	return a
}

func TestPasswordsAreHashedSlowly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a, other := b.account(t, "a@example.test"), b.account(t, "b@example.test")
	require.Regexp(t, `^\$argon2id\$v=19\$m=19456,t=2,p=1\$`, a.PasswordHash)
	require.NotEqual(t, a.PasswordHash, other.PasswordHash, "each has a salt of its own")
	require.Len(t, store.NobodysHash, len(a.PasswordHash))
	require.Regexp(t, `^\$argon2id\$v=19\$m=19456,t=2,p=1\$`, store.NobodysHash)
}

// Whether an address has an account cannot be told from how long the refusal takes: each costs one hash, of 19 MiB. It
// runs alone, because what others allocate counts too.
func TestEachRefusalCostsAHash(t *testing.T) {
	b := setup(t)
	b.account(t, "a@example.test")
	for _, email := range []string{"a@example.test", "nobody@example.test", "no address"} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _, _, err := b.OpenSession(t.Context(), store.SignIn{Email: email, Password: "wrong", Agent: "other"})
		runtime.ReadMemStats(&after)
		require.Equal(t, "wrong_credentials", domain.CodeOf(err))
		require.Equal(t, uint64(1), (after.TotalAlloc-before.TotalAlloc)/(19<<20), email)
	}
}

func TestEnsureAccountLeavesWhatIsThere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := store.NewAccount{Email: "Admin@example.test", Name: "Admin", Role: "admin", Password: password}
	require.NoError(t, b.EnsureAccount(t.Context(), first))
	hash := query[string](t, b, "SELECT password_hash FROM accounts")
	first.Password = "another password"
	require.NoError(t, b.EnsureAccount(t.Context(), first))
	require.Equal(t, hash, query[string](t, b, "SELECT password_hash FROM accounts"))
	require.Equal(t, "bad_email", domain.CodeOf(b.EnsureAccount(t.Context(), store.NewAccount{Email: "x"})))
}

// Only keyed hashes are kept of whoever fails, and IPv6 clients are as many as their networks.
func TestFailuresByNetwork(t *testing.T) {
	t.Parallel()
	b := setup(t)
	try := func(address string) string {
		_, _, _, err := b.OpenSession(t.Context(), store.SignIn{Email: uuid.NewString() + "@example.test", Password: "wrong", Address: address, Agent: "other"})
		return domain.CodeOf(err)
	}
	for _, address := range []string{"2001:db8::1", "2001:db8::2", "2001:db8::3%eth0", "2001:db8:0:0:ffff::", "2001:db8::5"} {
		require.Equal(t, "wrong_credentials", try(address))
	}
	require.Equal(t, "locked_out", try("2001:db8::6"))
	require.Equal(t, "wrong_credentials", try("2001:db8:0:1::6"))
	require.Equal(t, "wrong_credentials", try("192.0.2.1"))
	require.Equal(t, int64(5+1+1), query[int64](t, b, "SELECT sum(failures) FROM sign_in_failures WHERE kind = 'address'"), "what is locked out is not counted")
	require.Equal(t, int64(7), query[int64](t, b, "SELECT count(*) FROM sign_in_failures WHERE kind = 'account'"))
}

// Disabling ends sessions; what nobody asks about any more goes with the next sign-in.
func TestSweepAndRevocation(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.account(t, "a@example.test")
	in := store.SignIn{Email: a.Email, Password: password, Address: "192.0.2.1", Agent: "Firefox"}
	token, s, _, err := b.OpenSession(t.Context(), in)
	require.NoError(t, err)
	alive, err := b.LiveSessions(t.Context(), []uuid.UUID{s.ID, uuid.New()})
	require.NoError(t, err)
	require.Equal(t, map[uuid.UUID]bool{s.ID: true}, alive)
	_, err = b.SetAccountDisabled(t.Context(), a.ID, true)
	require.NoError(t, err)
	alive, err = b.LiveSessions(t.Context(), []uuid.UUID{s.ID})
	require.NoError(t, err)
	require.Empty(t, alive)
	_, _, err = b.AuthenticateSession(t.Context(), token)
	require.Equal(t, "session_ended", domain.CodeOf(err))
	require.Equal(t, int64(1), query[int64](t, b, "SELECT (diff->>'sessions_ended')::bigint FROM audit_log WHERE action = 'account.disabled'"))

	_, err = b.SetAccountDisabled(t.Context(), a.ID, false)
	require.NoError(t, err)
	_, err = b.owner.Exec(t.Context(), `UPDATE sessions SET created_at = now() - interval '60 days', expires_at = now() - interval '31 days'`)
	require.NoError(t, err)
	_, err = b.owner.Exec(t.Context(), `UPDATE sign_in_failures SET failed_at = now() - interval '25 hours'`)
	require.NoError(t, err)
	in.Address = "192.0.2.2"
	_, _, _, err = b.OpenSession(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, int64(1), query[int64](t, b, "SELECT count(*) FROM sessions"), "ended a month ago")
	require.Equal(t, int64(1), query[int64](t, b, "SELECT count(*) FROM sign_in_failures"), "yesterday's failures")
}
