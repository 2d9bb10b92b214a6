package access

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/domain"
)

func TestLockOutGrowsToALimit(t *testing.T) {
	t.Parallel()
	for failures, want := range map[int]time.Duration{0: 0, 1: 0, 4: 0, 5: 30 * time.Second, 6: time.Minute, 7: 2 * time.Minute,
		9: 8 * time.Minute, 10: 15 * time.Minute, 1_000_000: 15 * time.Minute} {
		require.Equal(t, want, LockOut(failures), "%d failures", failures)
	}
	require.Greater(t, FailuresForgotten, LockOut(1_000_000), "who waits a lock-out out is not forgiven by it")
}

func TestParse(t *testing.T) {
	t.Parallel()
	email := func(s string) error { _, err := ParseEmail(s); return err }
	name := func(s string) error { _, err := ParseName(s); return err }
	role := func(s string) error { _, err := ParseRole(s); return err }
	for _, tt := range []struct {
		what  string
		parse func(string) error
		given string
		code  string
	}{
		{"address", email, " Amina@Example.test ", ""},
		{"no address", email, "amina", "bad_email"},
		{"address with a name", email, "Amina <amina@example.test>", "bad_email"},
		{"two addresses", email, "a@example.test, b@example.test", "bad_email"},
		{"address with an accent", email, "aminé@example.test", "bad_email"},
		{"long address", email, strings.Repeat("a", 250) + "@x.test", "bad_email"},
		{"name", name, "Amina", ""},
		{"no name", name, "  ", "no_name"},
		{"lines", name, "Amina\nAdmin", "bad_name"},
		{"long name", name, strings.Repeat("é", 101), "bad_name"},
		{"role", role, "station_operator", ""},
		{"no role", role, "root", "unknown_role"},
		{"password", CheckPassword, strings.Repeat("é", 12), ""},
		{"short password", CheckPassword, strings.Repeat("é", 11), "password_too_short"},
		{"long password", CheckPassword, strings.Repeat("x", 1025), "password_too_long"},
	} {
		err := tt.parse(tt.given)
		if tt.code == "" {
			require.NoError(t, err, tt.what)
			continue
		}
		require.Equal(t, tt.code, domain.CodeOf(err), tt.what)
		require.Equal(t, domain.Invalid, domain.KindOf(err), tt.what)
	}
	kept, err := ParseEmail(" Amina@Example.test ")
	require.NoError(t, err)
	require.Equal(t, "amina@example.test", kept)
	kept, err = ParseName(" Amina ")
	require.NoError(t, err)
	require.Equal(t, "Amina", kept)
}
