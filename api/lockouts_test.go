package api_test

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/store"
	"lastcall/store/storetest"
)

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
