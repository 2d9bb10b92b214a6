package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/config"
	"lastcall/domain/audit"
	"lastcall/store/storetest"
)

func TestAuditCommands(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	url := storetest.URL(t)
	st := storetest.Open(t, url)
	for _, reason := range []string{"plain", "two\nlines", "=sum", "last"} {
		require.NoError(t, st.Enter(t.Context(), audit.Entry{Action: "test.done", Target: "test", Reason: reason}))
	}
	require.NoError(t, st.EnsureToken(t.Context(), "cli", "a token of the command line's tests"))
	c := config.Defaults()
	c.DataDir, c.API.PublicURL = dir, "http://lastcall.test"
	keeper, err := auditKeeper(c, st, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	again, err := auditKeeper(c, st, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.Equal(t, keeper.Keys(), again.Keys(), "the key is kept")
	server := httptest.NewServer(api.New(api.Deps{Store: st, Log: slog.New(slog.DiscardHandler), Audit: keeper}))
	defer server.Close()
	for name, value := range map[string]string{"API": server.URL, "TOKEN": "a token of the command line's tests", "DATA_DIR": dir, "DATABASE_URL": url} {
		t.Setenv("LASTCALL_"+name, value)
	}
	lastcall := func(want int, args ...string) (stdout, stderr string) {
		t.Helper()
		var out, said bytes.Buffer
		require.Equal(t, want, run(append([]string{"audit"}, args...), &out, &said), "%v: %s", args, said.String())
		return out.String(), said.String()
	}
	verify := func(want int, args ...string) (v audit.Verdict, stderr string) {
		t.Helper()
		stdout, stderr := lastcall(want, append([]string{"verify", "--output", "json"}, args...)...)
		require.NoError(t, json.Unmarshal([]byte(stdout), &v))
		return v, stderr
	}

	v, _ := verify(exitDone)
	require.True(t, v.OK)
	require.EqualValues(t, 5, v.Unsealed, "said, since nothing protects them yet")
	made, _ := lastcall(exitDone, "checkpoint", "--output", "json")
	kept, err := os.ReadFile(filepath.Join(dir, "audit-checkpoints.jsonl"))
	require.NoError(t, err)
	require.JSONEq(t, made, string(kept))
	require.NoError(t, os.WriteFile("elsewhere.jsonl", []byte(made), 0o600))
	require.NoError(t, st.SealAudit(t.Context()))
	v, said := verify(exitDone, "--checkpoint", "elsewhere.jsonl")
	require.True(t, v.OK && v.KeyKnown, "%+v", v)
	require.Equal(t, 2, v.Checkpoints)
	require.Empty(t, said)
	t.Setenv("LASTCALL_DATA_DIR", t.TempDir())
	v, said = verify(exitDone)
	require.False(t, v.KeyKnown)
	require.Contains(t, said, "no key is at hand")
	t.Setenv("LASTCALL_DATA_DIR", dir)

	for _, kind := range []string{"ndjson", "csv"} {
		whole, _ := lastcall(exitDone, "export", "--format", kind, "--action", "test.")
		for cut := range len(whole) {
			if cut%7 != 0 && cut > 40 && cut < len(whole)-40 {
				continue // each takes a while
			}
			require.NoError(t, os.WriteFile("export", []byte(whole[:cut]), 0o600))
			lastcall(exitDone, "export", "--format", kind, "--action", "test.", "--out", "export", "--resume")
			got, err := os.ReadFile("export")
			require.NoError(t, err)
			require.Equal(t, whole, string(got), "broken off after %d bytes", cut)
		}
	}
	_, said = lastcall(exitFailed, "export", "--out", "export")
	require.Contains(t, said, "there already")
	lastcall(exitWrongUsage, "export", "--resume")
	lastcall(exitWrongUsage, "export", "--from", "yesterday")
	lastcall(exitWrongUsage, "verify", "--from", "5", "--to", "2")
	require.NoError(t, os.WriteFile("nothing.jsonl", nil, 0o600))
	_, said = lastcall(exitFailed, "verify", "--checkpoint", "nothing.jsonl")
	require.Contains(t, said, "holds no checkpoint")

	owner, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { _ = owner.Close(t.Context()) }()
	var size int64
	require.NoError(t, json.Unmarshal([]byte(made), &struct{ Size *int64 }{&size}))
	for _, sql := range []string{`ALTER TABLE audit_log DISABLE TRIGGER ALL`, `ALTER TABLE audit_head DISABLE TRIGGER ALL`, `ALTER TABLE audit_checkpoints DISABLE TRIGGER ALL`,
		`DELETE FROM audit_checkpoints`, fmt.Sprintf(`DELETE FROM audit_log WHERE seq >= %d`, size),
		`UPDATE audit_head SET (seq, hash) = (SELECT seq, hash FROM audit_log WHERE seq IS NOT NULL ORDER BY seq DESC LIMIT 1)`} {
		_, err := owner.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	v, _ = verify(exitDone)
	require.True(t, v.OK, "the database alone hides it")
	v, said = verify(exitFailed, "--checkpoint", "elsewhere.jsonl")
	require.Equal(t, audit.Truncated, v.Kind)
	require.Equal(t, size, *v.FirstBadSeq)
	require.Contains(t, said, fmt.Sprintf("broken at seq %d (truncated)", size))
	_, err = owner.Exec(t.Context(), `UPDATE audit_log SET actor = 'nobody' WHERE seq = 2`)
	require.NoError(t, err)
	stdout, said := lastcall(exitFailed, "verify")
	require.Contains(t, stdout, "BROKEN")
	require.Contains(t, said, "broken at seq 2 (edited)")
	v, _ = verify(exitFailed, "--output", "json")
	require.EqualValues(t, 1, v.Sealed)
	v, _ = verify(exitDone, "--from", "3")
	require.True(t, v.OK)
	t.Setenv("LASTCALL_AUDIT_RETENTION_DAYS", "89")
	_, said = lastcall(exitFailed, "verify")
	require.Contains(t, said, "must be at least 90")
}
