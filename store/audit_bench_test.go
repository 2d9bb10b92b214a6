package store_test

import (
	"bytes"
	"flag"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"lastcall/domain/audit"
	"lastcall/store"
	"lastcall/store/storetest"
)

var auditRows = flag.Int("audit-rows", 1_000_000, "how many rows BenchmarkAuditLog reads")

// BenchmarkAuditLog measures a large audit log: how fast it is sealed and verified, in how much memory, and the 99th
// percentile of reading a page of the list, by filter. go test ./store -run ^$ -bench AuditLog -benchtime 1x
func BenchmarkAuditLog(b *testing.B) {
	url := storetest.URL(b)
	s := storetest.Open(b, url)
	owner := connect(b, url)
	chained(b, owner, *auditRows)
	const fresh = 20_000
	_, err := owner.Exec(b.Context(), `INSERT INTO audit_log (actor_kind, actor, actor_id, action, target, diff)
		SELECT 'system', 'bench', 'bench', 'bench.done', 'bench', '{"reason": "quiet_hours"}' FROM generate_series(1, $1)`, fresh)
	require.NoError(b, err)
	began := time.Now()
	require.NoError(b, s.SealAudit(b.Context()))
	rate := fresh / time.Since(began).Seconds()
	_, err = owner.Exec(b.Context(), `VACUUM ANALYZE audit_log`)
	require.NoError(b, err)

	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		began = time.Now()
		v, err := s.VerifyAudit(b.Context(), store.Verification{})
		require.NoError(b, err)
		require.True(b, v.OK, v.Detail)
		require.GreaterOrEqual(b, v.Sealed, int64(*auditRows))
		b.ReportMetric(time.Since(began).Seconds(), "verify-s")
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.Sys-before.Sys)/1e6, "verify-MB-more")
	}
	b.ReportMetric(rate, "sealed/s")
	for name, f := range map[string]store.AuditFilter{
		"all": {}, "prefix": {Action: "area"}, "rare": {Action: "account."}, "common": {Action: "outbound_policy_check"}, "actor": {Actor: "actor-7"},
		"common-actor": {Actor: "actor-0"}, "target": {Target: "campaign/77"}, "day": {From: time.Now().AddDate(0, 0, -20), To: time.Now().AddDate(0, 0, -19)},
		"action+actor": {Action: "area1.", Actor: "actor-7"}, "nothing": {Action: "no.such"},
	} {
		var took []time.Duration
		var after *store.AuditPlace
		for range 200 {
			began := time.Now()
			page, err := s.AuditEntries(b.Context(), f, after, 51)
			require.NoError(b, err)
			took = append(took, time.Since(began))
			if after = nil; len(page) == 51 {
				after = &store.AuditPlace{At: page[50].CreatedAt, ID: page[50].ID}
			}
		}
		slices.Sort(took)
		b.ReportMetric(float64(took[197].Microseconds())/1000, fmt.Sprintf("%s-p99-ms", name))
	}
}

// chained fills the audit log with rows that are sealed already: the owner's way past the triggers.
func chained(b *testing.B, owner *pgx.Conn, rows int) {
	_, err := owner.Exec(b.Context(), `ALTER TABLE audit_log DISABLE TRIGGER ALL; ALTER TABLE audit_head DISABLE TRIGGER ALL`)
	require.NoError(b, err)
	var prev audit.Hash
	began, n := time.Now().Add(-time.Duration(rows)*7*time.Second).Truncate(time.Microsecond), 0
	_, err = owner.CopyFrom(b.Context(), pgx.Identifier{"audit_log"}, []string{"id", "created_at", "actor_kind", "actor", "actor_id", "action", "target", "diff",
		"reason", "request_id", "seq", "prev_hash", "hash"}, pgx.CopyFromFunc(func() ([]any, error) {
		if n++; n > rows {
			return nil, nil
		}
		action, actor := fmt.Sprintf("area%d.done%d", n%20, n%3), 0
		switch {
		case n < 1000:
			action = "account.disabled"
		case n%3 == 0:
			action = "outbound_policy_check"
		}
		if n%2 == 1 {
			actor = n % 50
		}
		r := audit.Row{Seq: int64(n), ID: int64(n), CreatedAt: began.Add(time.Duration(n) * 7 * time.Second), ActorKind: "system", Actor: fmt.Sprintf("someone-%d", actor),
			ActorID: fmt.Sprintf("actor-%d", actor), Action: action, Target: fmt.Sprintf("campaign/%d", n%20000), RequestID: fmt.Sprintf("request-%d", n),
			Diff: fmt.Appendf(nil, `{"reason": "quiet_hours", "status": ["running", "paused"], "targets": %d, "until": "2026-11-23T06:00:00Z"}`, n)}
		sum, err := r.Sum(prev)
		row := []any{r.ID, r.CreatedAt, r.ActorKind, r.Actor, r.ActorID, r.Action, r.Target, r.Diff, "", r.RequestID, r.Seq, bytes.Clone(prev[:]), sum[:]}
		prev = sum
		return row, err
	}))
	require.NoError(b, err)
	_, err = owner.Exec(b.Context(), `UPDATE audit_head SET (seq, hash) = (SELECT seq, hash FROM audit_log ORDER BY seq DESC LIMIT 1)`)
	require.NoError(b, err)
	_, err = owner.Exec(b.Context(), `SELECT setval(pg_get_serial_sequence('audit_log', 'id'), $1)`, rows)
	require.NoError(b, err)
	_, err = owner.Exec(b.Context(), `ALTER TABLE audit_log ENABLE TRIGGER ALL; ALTER TABLE audit_head ENABLE TRIGGER ALL`)
	require.NoError(b, err)
}
