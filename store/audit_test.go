package store_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lastcall/domain/audit"
	"lastcall/store"
)

func TestARefusalIsEnteredThoughTheCallerHungUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx, hangUp := context.WithCancel(audit.WithRequestID(audit.WithActor(t.Context(), audit.Actor{Kind: "account", Name: "ops@lastcall.test"}), "r1"))
	hangUp()
	require.NoError(t, b.Enter(ctx, audit.Entry{Action: "override.refused", Target: "campaign/1", Diff: map[string]any{"code": "wrong_role"}, Reason: "no right"}))
	require.Equal(t, "account ops@lastcall.test override.refused campaign/1 wrong_role no right r1", query[string](t, b,
		`SELECT concat_ws(' ', actor_kind, actor, action, target, diff->>'code', reason, request_id) FROM audit_log WHERE action = 'override.refused'`))
}

// chain is a store whose audit log has a few sealed rows, and a key.
type chain struct {
	bundle
	key audit.Key
}

func sealed(t *testing.T, rows int) chain {
	t.Helper()
	b := setup(t)
	for i := range rows {
		require.NoError(t, b.Enter(t.Context(), audit.Entry{Action: "test.done", Target: fmt.Sprintf("test/%d", i), Diff: map[string]any{"n": i}}))
	}
	require.NoError(t, b.SealAudit(t.Context()))
	key, err := audit.NewKey(bytes.Repeat([]byte{7}, 32))
	require.NoError(t, err)
	return chain{b, key}
}

func (c chain) notary() store.Notary {
	return store.Notary{Key: c.key, Origin: "http://lastcall.test", Append: func([]byte) error { return nil }}
}

func (c chain) keeper(days int) *store.AuditKeeper {
	return &store.AuditKeeper{Store: c.Store, Notary: c.notary(), RetentionDays: days, Log: quiet}
}

func (c chain) verify(t *testing.T, with ...audit.Checkpoint) audit.Verdict {
	t.Helper()
	v, err := store.VerifyAuditAt(t.Context(), c.url, store.Verification{Checkpoints: with, Keys: c.keeper(365).Keys()})
	require.NoError(t, err)
	return v
}

// tamper does what only the owner can, and only with the triggers switched off.
func (c chain) tamper(t *testing.T, sql ...string) {
	t.Helper()
	for _, table := range []string{"audit_log", "audit_head", "audit_anchors", "audit_checkpoints"} {
		sql = append([]string{"ALTER TABLE " + table + " DISABLE TRIGGER ALL"}, append(sql, "ALTER TABLE "+table+" ENABLE TRIGGER ALL")...)
	}
	for _, s := range sql {
		_, err := c.owner.Exec(t.Context(), s)
		require.NoError(t, err, s)
	}
}

func TestTamperingIsFoundAndTheFirstBadRowNamed(t *testing.T) {
	t.Parallel()
	const insert = `INSERT INTO audit_log (actor_kind, actor, actor_id, action, target, seq, prev_hash, hash)
		SELECT 'account', 'eve', 'eve', 'test.done', 'test/x', %s FROM audit_log WHERE seq = %d`
	const resealed = `UPDATE audit_log r SET reason = 'forged' WHERE seq = 5;
		UPDATE audit_log r SET hash = audit_hash(prev_hash, r) WHERE seq = 5`
	b := sealed(t, 0)
	for query[int](t, b.bundle, `SELECT count(*) FROM audit_log`) < 12 {
		require.NoError(t, b.Enter(t.Context(), audit.Entry{Action: "test.done", Target: "test", Diff: map[string]int{"n": 1}}))
	}
	require.NoError(t, b.SealAudit(t.Context()))
	v := b.verify(t)
	require.True(t, v.OK, v.Detail)
	require.EqualValues(t, 12, v.Sealed)
	require.EqualValues(t, 12, v.Rows)
	_, err := b.owner.Exec(t.Context(), `CREATE TABLE kept AS SELECT * FROM audit_log`)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		sql  string
		kind string
		seq  int64
	}{
		"an actor":                         {`UPDATE audit_log SET actor = 'nobody' WHERE seq = 5`, audit.Edited, 5},
		"a diff":                           {`UPDATE audit_log SET diff = '{"n":99}' WHERE seq = 5`, audit.Edited, 5},
		"a time":                           {`UPDATE audit_log SET created_at = created_at - interval '1 second' WHERE seq = 5`, audit.Edited, 5},
		"no time at all":                   {`ALTER TABLE audit_log DROP CONSTRAINT audit_log_time; UPDATE audit_log SET created_at = 'infinity' WHERE seq = 5`, audit.Edited, 5},
		"the hash":                         {`UPDATE audit_log SET hash = sha256('x') WHERE seq = 5`, audit.Edited, 5},
		"the link":                         {`UPDATE audit_log SET prev_hash = sha256('x') WHERE seq = 5`, audit.Edited, 5},
		"the last row":                     {`UPDATE audit_log SET reason = 'x' WHERE seq = (SELECT max(seq) FROM audit_log)`, audit.Edited, 12},
		"the first row":                    {`UPDATE audit_log SET reason = 'x' WHERE seq = 1`, audit.Edited, 1},
		"a row with its hash":              {resealed, audit.Edited, 5},
		"the last row with its hash":       {strings.ReplaceAll(resealed, "= 5", "= 12"), audit.Edited, 12},
		"deleted":                          {`DELETE FROM audit_log WHERE seq = 5`, audit.Deleted, 5},
		"deleted, several":                 {`DELETE FROM audit_log WHERE seq BETWEEN 4 AND 7`, audit.Deleted, 4},
		"deleted at the beginning":         {`DELETE FROM audit_log WHERE seq < 4`, audit.Deleted, 1},
		"deleted and renumbered":           {`DELETE FROM audit_log WHERE seq = 5; UPDATE audit_log SET seq = seq + 99 WHERE seq > 5; UPDATE audit_log SET seq = seq - 100 WHERE seq > 99`, audit.Deleted, 5},
		"taken out of the chain":           {`UPDATE audit_log SET seq = NULL, prev_hash = NULL, hash = NULL WHERE seq = 5`, audit.Deleted, 5},
		"inserted":                         {`UPDATE audit_log SET seq = seq + 99 WHERE seq > 4; UPDATE audit_log SET seq = seq - 98 WHERE seq > 99; ` + fmt.Sprintf(insert, `5, hash, sha256('x')`, 4), audit.Inserted, 5},
		"inserted, with a link of its own": {`UPDATE audit_log SET seq = seq + 99 WHERE seq > 4; UPDATE audit_log SET seq = seq - 98 WHERE seq > 99; ` + fmt.Sprintf(insert, `5, sha256('y'), sha256('x')`, 4), audit.Inserted, 5},
		"inserted twice":                   {`ALTER TABLE audit_log DROP CONSTRAINT audit_log_seq; ` + fmt.Sprintf(insert, `5, prev_hash, hash`, 5), audit.Inserted, 5},
		"inserted before the first":        {`ALTER TABLE audit_log DROP CONSTRAINT audit_log_sealed; ` + fmt.Sprintf(insert, `-3, prev_hash, hash`, 5), audit.Inserted, -3},
		"appended":                         {fmt.Sprintf(insert, `13, hash, sha256('x')`, 12), audit.Inserted, 13},
		"appended, with its hash":          {fmt.Sprintf(insert, `13, hash, hash`, 12) + `; UPDATE audit_log r SET hash = audit_hash(prev_hash, r) WHERE seq = 13`, audit.Inserted, 13},
		"cut":                              {`DELETE FROM audit_log WHERE seq > 9`, audit.Truncated, 10},
		"cut to nothing":                   {`DELETE FROM audit_log`, audit.Truncated, 1},
	} {
		t.Run(name, func(t *testing.T) {
			b.tamper(t, c.sql)
			check := func(when string) {
				v := b.verify(t)
				require.False(t, v.OK, when)
				require.Equal(t, c.kind, v.Kind, "%s: %s", when, v.Detail)
				require.Equal(t, c.seq, *v.FirstBadSeq, "%s: %s", when, v.Detail)
				require.Contains(t, v.Detail, fmt.Sprint("seq ", c.seq))
			}
			check("at once")
			// Life goes on, and hides nothing.
			for range 3 {
				require.NoError(t, b.Enter(t.Context(), audit.Entry{Action: "test.done", Target: "test/after"}))
			}
			require.NoError(t, b.SealAudit(t.Context()))
			if c.kind == audit.Truncated {
				c.kind = audit.Deleted // there are newer rows now
			}
			check("later")
			b.tamper(t, append(asItWas, `DELETE FROM audit_log`, `INSERT INTO audit_log OVERRIDING SYSTEM VALUE SELECT * FROM kept`,
				`UPDATE audit_head SET (seq, hash) = (SELECT seq, hash FROM kept WHERE seq = 12)`)...)
			require.True(t, b.verify(t).OK)
		})
	}
}

// asItWas brings back what the tampering took away.
var asItWas = []string{
	`DELETE FROM audit_log`,
	`ALTER TABLE audit_log DROP CONSTRAINT IF EXISTS audit_log_time, DROP CONSTRAINT IF EXISTS audit_log_sealed, DROP CONSTRAINT IF EXISTS audit_log_seq`,
	`ALTER TABLE audit_log ADD CONSTRAINT audit_log_time CHECK (created_at >= '2000-01-01 00:00Z' AND created_at < '9999-01-01 00:00Z'),
		ADD CONSTRAINT audit_log_sealed CHECK (seq IS NULL OR seq > 0), ADD CONSTRAINT audit_log_seq UNIQUE (seq)`,
}

func TestACheckpointFindsAChainThatIsWholeButAnother(t *testing.T) {
	t.Parallel()
	b := sealed(t, 10)
	first, err := b.Checkpoint(t.Context(), b.notary())
	require.NoError(t, err)
	require.NoError(t, b.Enter(t.Context(), audit.Entry{Action: "test.done", Target: "test/between"}))
	second, err := b.Checkpoint(t.Context(), b.notary())
	require.NoError(t, err)
	require.Greater(t, second.Size, first.Size)
	v := b.verify(t, first, second)
	require.True(t, v.OK, v.Detail)
	require.Equal(t, 4, v.Checkpoints, "two of the database, two given")
	require.EqualValues(t, 2, outboxed(t, b.bundle, store.KindOpsNotice))

	// Whoever owns the database rewrites the last rows with all their hashes, and cuts off the rest.
	forge := []string{fmt.Sprintf(`DELETE FROM audit_log WHERE seq > %d OR seq IS NULL`, second.Size), `DELETE FROM audit_checkpoints`}
	for seq := first.Size + 1; seq <= second.Size; seq++ {
		forge = append(forge, fmt.Sprintf(`UPDATE audit_log SET reason = 'forged', prev_hash = (SELECT hash FROM audit_log WHERE seq = %d) WHERE seq = %d`, seq-1, seq),
			fmt.Sprintf(`UPDATE audit_log r SET hash = audit_hash(prev_hash, r) WHERE seq = %d`, seq))
	}
	b.tamper(t, append(forge, `UPDATE audit_head SET (seq, hash) = (SELECT seq, hash FROM audit_log ORDER BY seq DESC LIMIT 1)`)...)
	require.True(t, b.verify(t).OK, "alone, the chain is whole")
	v = b.verify(t, first, second)
	require.Equal(t, audit.Rewritten, v.Kind)
	require.Equal(t, first.Size+1, *v.FirstBadSeq, "up to the checkpoint before it is proved")

	b.tamper(t, fmt.Sprintf(`DELETE FROM audit_log WHERE seq > %d`, first.Size),
		`UPDATE audit_head SET (seq, hash) = (SELECT seq, hash FROM audit_log ORDER BY seq DESC LIMIT 1)`)
	require.True(t, b.verify(t, first).OK)
	v = b.verify(t, first, second)
	require.Equal(t, audit.Truncated, v.Kind)
	require.Equal(t, first.Size+1, *v.FirstBadSeq)

	forged := first
	forged.Size--
	v = b.verify(t, forged)
	require.Equal(t, audit.BadSignature, v.Kind)
	require.Equal(t, forged.Size, *v.FirstBadSeq)
	other, err := audit.NewKey(bytes.Repeat([]byte{8}, 32))
	require.NoError(t, err)
	v = b.verify(t, other.Checkpoint("http://lastcall.test", audit.Head{Seq: first.Size, Hash: first.Head}, time.Now()))
	require.Equal(t, audit.BadSignature, v.Kind, "anybody can sign")
}

func TestVerifyARange(t *testing.T) {
	t.Parallel()
	b := sealed(t, 12)
	b.tamper(t, `UPDATE audit_log SET reason = 'x' WHERE seq = 5`)
	verify := func(from, to int64) audit.Verdict {
		v, err := b.VerifyAudit(t.Context(), store.Verification{From: from, To: to})
		require.NoError(t, err)
		return v
	}
	require.False(t, verify(0, 0).OK)
	require.False(t, verify(5, 5).OK)
	v := verify(6, 0)
	require.True(t, v.OK, v.Detail)
	require.EqualValues(t, 6, v.From)
	v = verify(0, 4)
	require.True(t, v.OK, v.Detail)
	require.EqualValues(t, 4, v.Sealed)
	require.EqualValues(t, 4, v.To)
	require.True(t, verify(0, 4).OK)
	require.Equal(t, audit.Truncated, func() string { b.tamper(t, `DELETE FROM audit_log WHERE seq > 8`); return verify(6, 10).Kind }())
	_, err := b.VerifyAudit(t.Context(), store.Verification{From: 100})
	require.ErrorContains(t, err, "no row with seq 99")
}

func TestAuditLogIsAppendOnly(t *testing.T) {
	t.Parallel()
	b := sealed(t, 3)
	require.NoError(t, b.Enter(t.Context(), audit.Entry{Action: "test.unsealed", Target: "test"}))
	_, err := b.Checkpoint(t.Context(), b.notary())
	require.NoError(t, err)
	require.NoError(t, b.Enter(t.Context(), audit.Entry{Action: "test.unsealed", Target: "test"}))
	statements := []string{
		`UPDATE audit_log SET actor = 'nobody'`, `UPDATE audit_log SET reason = 'x' WHERE seq IS NULL`, `DELETE FROM audit_log`,
		`DELETE FROM audit_log WHERE seq IS NULL`, `TRUNCATE audit_log`, `UPDATE audit_log SET seq = seq + 100`,
		`UPDATE audit_log SET seq = NULL, prev_hash = NULL, hash = NULL WHERE seq = 1`,
		`UPDATE audit_log SET seq = 99, prev_hash = sha256('x'), hash = sha256('y') WHERE seq IS NULL`,
		`UPDATE audit_log r SET seq = 99, prev_hash = (SELECT hash FROM audit_head), hash = sha256('y') WHERE seq IS NULL`,
		`INSERT INTO audit_log (actor_kind, actor, actor_id, action, target, seq, prev_hash, hash) VALUES ('a', 'b', 'c', 'd', 'e', 99, sha256('x'), sha256('y'))`,
		`UPDATE audit_head SET seq = 1`, `UPDATE audit_head SET seq = seq + 1`, `DELETE FROM audit_head`, `TRUNCATE audit_head`,
		`DELETE FROM audit_checkpoints`, `UPDATE audit_checkpoints SET size = 1`, `UPDATE audit_anchors SET seq = 1`, `DELETE FROM audit_anchors`,
		`SELECT audit_anchor(seq, hash, 'x', now(), sha256('x'), sha512('x')) FROM audit_log WHERE seq = 2`,
		`MERGE INTO audit_log l USING (SELECT 1) s ON l.seq = 2 WHEN MATCHED THEN DELETE`,
	}
	before := query[string](t, b.bundle, `SELECT md5(string_agg(l::text, '' ORDER BY id)) FROM audit_log l`)
	for _, sql := range statements {
		_, err := b.owner.Exec(t.Context(), sql)
		require.ErrorContains(t, err, "SQLSTATE 42501", "the owner: %s", sql)
	}
	_, err = b.owner.Exec(t.Context(), "SET ROLE "+store.AppRole)
	require.NoError(t, err)
	for _, sql := range append(statements, `INSERT INTO audit_anchors VALUES (1, sha256('x'), '', now(), sha256('x'), sha512('x'))`,
		`INSERT INTO audit_log (actor_kind, actor, actor_id, action, target, created_at) VALUES ('a', 'b', 'c', 'd', 'e', '2020-01-01')`,
		`ALTER TABLE audit_log DISABLE TRIGGER ALL`, `ALTER FUNCTION audit_seal(integer) OWNER TO lastcall_app`) {
		_, err := b.owner.Exec(t.Context(), sql)
		require.ErrorContains(t, err, "SQLSTATE 42501", "the app: %s", sql)
	}
	_, err = b.owner.Exec(t.Context(), "RESET ROLE")
	require.NoError(t, err)
	require.Equal(t, before, query[string](t, b.bundle, `SELECT md5(string_agg(l::text, '' ORDER BY id)) FROM audit_log l`))
	require.NoError(t, b.SealAudit(t.Context()))
	require.True(t, b.verify(t).OK)
}

// Writers hold their rows back, so that later ones are visible first; sealers race each other and them.
func TestSealingRacesWriters(t *testing.T) {
	t.Parallel()
	b := sealed(t, 0)
	const writers, each = 8, 40
	var writing, sealing sync.WaitGroup
	done := make(chan struct{})
	for w := range writers {
		writing.Go(func() {
			for i := range each {
				err := b.Write(t.Context(), func(tx *store.Tx) (audit.Entry, error) {
					return audit.Entry{Action: "test.raced", Target: fmt.Sprintf("test/%d/%d", w, i)}, nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	// One row with a low id is committed only when all others are sealed.
	late := connect(t, b.url)
	_, err := late.Exec(t.Context(), `BEGIN; INSERT INTO audit_log (actor_kind, actor, actor_id, action, target) VALUES ('system', 'late', 'late', 'test.late', 'test')`)
	require.NoError(t, err)
	for range 3 {
		sealing.Go(func() {
			for {
				if err := b.SealAudit(t.Context()); err != nil {
					t.Error(err)
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	writing.Wait()
	require.Eventually(t, func() bool {
		return query[int](t, b.bundle, `SELECT count(*) FROM audit_log WHERE seq IS NULL`) == 0
	}, 20*time.Second, 10*time.Millisecond)
	lateCommits := query[int64](t, b.bundle, `SELECT max(seq) FROM audit_log`)
	_, err = late.Exec(t.Context(), `COMMIT`)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return query[int](t, b.bundle, `SELECT count(*) FROM audit_log WHERE seq IS NULL`) == 0
	}, 20*time.Second, 10*time.Millisecond)
	close(done)
	sealing.Wait()
	require.Equal(t, lateCommits+1, query[int64](t, b.bundle, `SELECT seq FROM audit_log WHERE action = 'test.late'`))
	require.Less(t, query[int64](t, b.bundle, `SELECT id FROM audit_log WHERE action = 'test.late'`),
		query[int64](t, b.bundle, `SELECT id FROM audit_log WHERE seq = $1`, lateCommits))
	require.EqualValues(t, writers*each, query[int64](t, b.bundle, `SELECT count(*) FROM audit_log WHERE action = 'test.raced' AND seq > 0`))
	v := b.verify(t)
	require.True(t, v.OK, v.Detail)
	require.Equal(t, v.To, v.Sealed, "no gap, no fork")
}

func TestASealerSealsWithinTwoSeconds(t *testing.T) {
	t.Parallel()
	b := sealed(t, 0)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		(&store.Sealer{Store: b.Store, Log: quiet}).Run(ctx)
	}()
	defer func() { cancel(); <-ended }()
	require.NoError(t, b.Enter(t.Context(), audit.Entry{Action: "test.done", Target: "test"}))
	require.Eventually(t, func() bool {
		return query[int](t, b.bundle, `SELECT count(*) FROM audit_log WHERE action = 'test.done' AND seq IS NOT NULL`) == 1
	}, 2*time.Second, 20*time.Millisecond)
}

func TestRetention(t *testing.T) {
	t.Parallel()
	b := sealed(t, 0)
	old := func(rows, days int) {
		_, err := b.owner.Exec(t.Context(), `INSERT INTO audit_log (actor_kind, actor, actor_id, action, target, created_at)
			SELECT 'system', 'test', 'test', 'test.old', 'test', now() - make_interval(days => $2) FROM generate_series(1, $1)`, rows, days)
		require.NoError(t, err)
		require.NoError(t, b.SealAudit(t.Context()))
	}
	count := func() int { return query[int](t, b.bundle, `SELECT count(*) FROM audit_log WHERE action = 'test.old'`) }
	// The starter's entries come first in the chain: they must be old, or nothing may go.
	b.tamper(t, `DELETE FROM audit_log`, `UPDATE audit_head SET seq = 0, hash = decode(repeat('00', 32), 'hex')`)
	old(10, 400)
	old(10, 100)
	old(5, 80)
	_, err := b.keeper(89).Prune(t.Context())
	require.ErrorContains(t, err, "at least 90 days")
	_, err = b.owner.Exec(t.Context(), `SELECT audit_anchor(seq, hash, 'x', now(), sha256('x'), sha512('x')) FROM audit_log WHERE seq = 21`)
	require.ErrorContains(t, err, "keeps its rows for 90 days", "the function itself refuses")
	require.Equal(t, 25, count())

	gone, err := b.keeper(365).Prune(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 10, gone)
	require.NoError(t, b.SealAudit(t.Context()))
	v := b.verify(t)
	require.True(t, v.OK, v.Detail)
	require.EqualValues(t, 11, v.From, "it begins behind the anchor")
	gone, err = b.keeper(365).Prune(t.Context())
	require.NoError(t, err)
	require.Zero(t, gone)
	_, err = b.VerifyAudit(t.Context(), store.Verification{From: 3})
	require.ErrorContains(t, err, "retention")

	b.tamper(t, `UPDATE audit_log SET reason = 'x' WHERE seq = 15`)
	_, err = b.keeper(90).Prune(t.Context())
	require.ErrorContains(t, err, "broken audit log", "evidence stays")
	b.tamper(t, `UPDATE audit_log SET reason = '' WHERE seq = 15`)
	gone, err = b.keeper(90).Prune(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 10, gone)
	require.Equal(t, 5, count())
	require.True(t, b.verify(t).OK)
	require.EqualValues(t, 20, query[int](t, b.bundle, `SELECT (diff->>'up_to')::int FROM audit_log WHERE action = 'audit.pruned' ORDER BY id DESC LIMIT 1`))

	b.tamper(t, `UPDATE audit_anchors SET signature = sha512('x') WHERE seq = 20`)
	v = b.verify(t)
	require.Equal(t, audit.BadSignature, v.Kind)
	require.EqualValues(t, 20, *v.FirstBadSeq)
}

// The form that is hashed is found by Go alone and by Postgres alone.
func TestCanonicalFormIsPostgres(t *testing.T) {
	t.Parallel()
	b := sealed(t, 0)
	numbers := rapid.OneOf(rapid.StringMatching(`-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,2})?`), rapid.StringMatching(`-?0(\.0{1,5})?(e-?[0-9])?`))
	texts := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "\x7f\x1f\x01", "\"\\/\b\f\n\r\t", "é", "😀", "\u2028<>&", "日本"}))
	var value *rapid.Generator[any]
	leaf := rapid.OneOf(rapid.Just[any](nil), rapid.Map(rapid.Bool(), func(v bool) any { return v }),
		rapid.Map(numbers, func(s string) any { return json.RawMessage(s) }), rapid.Map(texts, func(s string) any { return strings.ReplaceAll(s, "\x00", "") }))
	value = rapid.Deferred(func() *rapid.Generator[any] {
		return rapid.OneOf(leaf, leaf, rapid.Map(rapid.SliceOfN(value, 0, 4), func(v []any) any { return v }),
			rapid.Map(rapid.MapOfN(rapid.Map(texts, func(s string) string { return strings.ReplaceAll(s, "\x00", "") }), value, 0, 5),
				func(v map[string]any) any { return v }))
	})
	rapid.Check(t, func(t *rapid.T) {
		raw, err := json.Marshal(value.Draw(t, "diff"))
		require.NoError(t, err)
		var at time.Time
		var want string
		revision := rapid.Ptr(rapid.Int64(), true).Draw(t, "revision")
		text := strings.ReplaceAll(texts.Draw(t, "text"), "\x00", "")
		require.NoError(t, b.owner.QueryRow(context.Background(), `SELECT r.created_at, audit_canonical(r) FROM jsonb_populate_record(NULL::audit_log,
			jsonb_build_object('id', 7, 'seq', $1::bigint, 'created_at', clock_timestamp() - make_interval(secs => $5), 'actor_kind', 'account', 'actor', $2::text, 'actor_id', 'a',
				'action', 'x', 'target', $2::text, 'diff', $3::jsonb, 'reason', $2::text, 'request_id', '', 'policy_revision', $4::bigint)) r`,
			int64(3), text, string(raw), revision, rapid.Float64Range(0, 1e8).Draw(t, "ago")).Scan(&at, &want))
		row := audit.Row{ID: 7, Seq: 3, CreatedAt: at, ActorKind: "account", Actor: text, ActorID: "a", Action: "x", Target: text,
			Diff: raw, Reason: text, PolicyRevision: revision}
		got, err := row.Canonical()
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	})
}
