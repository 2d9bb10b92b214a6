package audit_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/domain/audit"
)

// The form never changes: what was sealed once is verified for ever. store holds it against Postgres.
func TestCanonicalForm(t *testing.T) {
	t.Parallel()
	revision := int64(7)
	r := audit.Row{Seq: 2, ID: 5, CreatedAt: time.Date(2026, 11, 23, 12, 0, 0, 120_000_000, time.FixedZone("CAT", 7200)), ActorKind: "account", ActorID: "0192", Actor: "a@b.test",
		Action: "settings.changed", Target: "settings/throttle", Reason: "say \"<é>\"\n\x01", RequestID: "r1", PolicyRevision: &revision,
		Diff: json.RawMessage(`{"zz":1.50e1,"a":[true,null,-0.0,1E3,1e-2],"b":"\u00e9\/","a":{"x":{}}}`)}
	form, err := r.Canonical()
	require.NoError(t, err)
	require.Equal(t, `{"id": 5, "seq": 2, "diff": {"a": {"x": {}}, "b": "é/", "zz": 15.0}, "actor": "a@b.test", "action": "settings.changed", `+
		`"reason": "say \"<é>\"\n\u0001", "target": "settings/throttle", "actor_id": "0192", "actor_kind": "account", `+
		`"created_at": "2026-11-23T10:00:00.120000Z", "request_id": "r1", "policy_revision": 7}`, string(form))
	sum, err := r.Sum(audit.Hash{})
	require.NoError(t, err)
	require.Equal(t, "630f9b9cdc000fc17bddd99a63abf7bceec870cf7cde1e42aede0cf01834bc7b", hex.EncodeToString(sum[:]))

	r.Diff = json.RawMessage(`[-0.0, 1E3, 1e-2, 100, 0.10]`)
	form, err = r.Canonical()
	require.NoError(t, err)
	require.Contains(t, string(form), `"diff": [0.0, 1000, 0.01, 100, 0.10], `)
	for _, bad := range []string{`{`, `1 2`, `1e999999999`} {
		r.Diff = json.RawMessage(bad)
		_, err = r.Canonical()
		require.Error(t, err, bad)
	}
}

func TestCheckpointsAreSigned(t *testing.T) {
	t.Parallel()
	key, err := audit.NewKey(bytes.Repeat([]byte{1}, 32))
	require.NoError(t, err)
	head := audit.Head{Seq: 9, Hash: audit.Hash{1, 2, 3}}
	c := key.Checkpoint("http://lastcall.test", head, time.Now())
	line, err := json.Marshal(c)
	require.NoError(t, err)
	read, err := audit.ReadCheckpoints(strings.NewReader(string(line) + "\n\n" + string(line) + "\n" + string(line[:20])))
	require.NoError(t, err)
	require.Len(t, read, 2, "a line without its end was being written")
	require.True(t, read[1].Signed(nil))
	require.True(t, audit.Checkpoint(read[0]).Signed(keys(key)))
	_, err = audit.ReadCheckpoints(strings.NewReader("{}\n"))
	require.ErrorContains(t, err, "line 1 is no checkpoint")

	for name, change := range map[string]func(*audit.Checkpoint){
		"size": func(c *audit.Checkpoint) { c.Size++ }, "head": func(c *audit.Checkpoint) { c.Head[0]++ }, "origin": func(c *audit.Checkpoint) { c.Origin = "x" },
		"time": func(c *audit.Checkpoint) { c.CreatedAt = c.CreatedAt.Add(time.Microsecond) }, "signature": func(c *audit.Checkpoint) { c.Signature = nil },
	} {
		forged := read[0]
		change(&forged)
		require.False(t, forged.Signed(nil), name)
	}
	other, err := audit.NewKey(bytes.Repeat([]byte{2}, 32))
	require.NoError(t, err)
	require.False(t, c.Signed(keys(other)))
	require.False(t, audit.Anchor(c).Signed(nil), "a checkpoint is no anchor")
	require.True(t, key.Anchor("http://lastcall.test", head, time.Now()).Signed(keys(key)))
}

func keys(k audit.Key) []ed25519.PublicKey { return []ed25519.PublicKey{k.Public()} }
