package store_test

import (
	"flag"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

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
	_, err := owner.Exec(b.Context(), `INSERT INTO audit_log (actor_kind, actor, actor_id, action, target, diff, reason, request_id, created_at)
		SELECT CASE n % 10 WHEN 0 THEN 'account' ELSE 'system' END, 'someone' || a || '@lastcall.test', 'actor-' || a,
			CASE WHEN n < 1000 THEN 'account.disabled' WHEN n % 3 = 0 THEN 'outbound_policy_check' ELSE 'area' || n % 20 || '.done' || n % 3 END,
			'campaign/' || md5((n % 20000)::text), jsonb_build_object('reason', 'quiet_hours', 'targets', n, 'until', now(), 'status', jsonb_build_array('running', 'paused')),
			'', md5(n::text), now() - make_interval(secs => ($1 - n) * 7)
		FROM generate_series(1, $1) n, LATERAL (SELECT CASE WHEN n % 2 = 0 THEN 0 ELSE n % 50 END) x (a)`, *auditRows)
	require.NoError(b, err)
	_, err = owner.Exec(b.Context(), `ANALYZE audit_log`)
	require.NoError(b, err)
	began := time.Now()
	require.NoError(b, s.SealAudit(b.Context()))
	b.ReportMetric(float64(*auditRows)/time.Since(began).Seconds(), "sealed/s")
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
	for name, f := range map[string]store.AuditFilter{
		"all": {}, "prefix": {Action: "area"}, "rare": {Action: "account."}, "common": {Action: "outbound_policy_check"}, "actor": {Actor: "actor-7"},
		"common-actor": {Actor: "actor-0"}, "target": {Target: "campaign/c4ca4238a0b923820dcc509a6f75849b"}, "day": {From: time.Now().AddDate(0, 0, -20), To: time.Now().AddDate(0, 0, -19)},
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
