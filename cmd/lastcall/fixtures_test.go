package main

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"lastcall/store"
	"lastcall/store/storetest"
)

// TestFixturesOfAStagingDatabase: where no lastcall up runs the set comes with accounts, whose passwords are shown once; it
// comes only where messages go to the sandbox.
func TestFixturesOfAStagingDatabase(t *testing.T) {
	t.Chdir(t.TempDir())
	url := storetest.URL(t)
	t.Setenv("LASTCALL_DATABASE_URL", url)
	t.Setenv("LASTCALL_PEPPER", string(storetest.Pepper))
	do := func(into any, args ...string) (code int, failure string) {
		t.Helper()
		var out, errs bytes.Buffer
		code = run(append([]string{"fixtures"}, append(args, "--output", "json")...), &out, &errs)
		if into != nil {
			require.NoError(t, json.Unmarshal(out.Bytes(), into), "%s%s", out.String(), errs.String())
		}
		return code, errs.String()
	}
	code, failure := do(nil, "load")
	require.Equal(t, exitFailed, code)
	require.Contains(t, failure, "messages go to the real WhatsApp here")

	t.Setenv("LASTCALL_WHATSAPP_BASE_URL", "http://sandbox.test")
	code, failure = do(nil, "load")
	require.Equal(t, exitFailed, code)
	require.Contains(t, failure, "lastcall migrate up", "the templates are the installation's own")
	var migrated bytes.Buffer
	require.Equal(t, exitDone, run([]string{"migrate", "up"}, &migrated, &migrated), migrated.String())

	var loaded, again fixturesLoaded
	code, failure = do(&loaded, "load")
	require.Equal(t, exitDone, code, failure)
	require.Equal(t, 20, loaded.Added["vouchers"])
	require.Len(t, loaded.Accounts, 8)
	require.Regexp(t, `^\d{6}$`, loaded.Station.PIN)
	st := storetest.Open(t, url)
	for _, a := range loaded.Accounts {
		if a.Role == "finance" {
			_, _, _, err := st.OpenSession(t.Context(), store.SignIn{Email: a.Email, Password: a.Password, Address: "192.0.2.1", Agent: "other"})
			require.NoError(t, err, "the password that was shown signs in")
		}
	}
	code, failure = do(&again, "load")
	require.Equal(t, exitDone, code, failure)
	require.Equal(t, fixturesLoaded{Added: map[string]int{}, Accounts: []madeAccount{}}, again, "what is there is told nobody again")

	var v store.FixtureVerdict
	code, failure = do(&v, "verify")
	require.Equal(t, exitDone, code, failure)
	require.True(t, v.OK)
	code, failure = do(nil, "teardown", "--wait", "500ms")
	require.Equal(t, exitFailed, code)
	require.Contains(t, failure, "could not be stopped in time: does a worker run?")
	code, _ = do(&v, "verify")
	require.Equal(t, exitFailed, code)
	require.Equal(t, []store.FixtureDeviation{{Check: "relations", What: `campaign "Example: a drink on us"`, Detail: "is scheduled, not under way: its gate is stopped"}},
		v.Deviations, "nothing was taken out")
}
