package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// FlowStats are figures about what flows through Lastcall, for those who watch it. They name nobody.
type FlowStats struct {
	Issued   int64 // vouchers, ever
	Redeemed int64 // vouchers, ever
	Sent     int64 // messages, ever; one that is sent again counts once
	Arrived  int64 // of them

	Redemptions []Tagged // of the last 15 minutes: redeemed, refused by the rules, failed by our fault
	Blocks      []Tagged // decisions of the policy in the last 15 minutes, by reason

	OutboxAge   time.Duration // of the oldest effect that should have been delivered and was not
	UnsealedAge time.Duration // of the oldest entry of the audit log without its seal
}

// Tagged is a count of something.
type Tagged struct {
	Tag string
	N   int64
}

// FlowStats reads the figures. All come from counts that are kept, or from the ends of indexes.
func (s *Store) FlowStats(ctx context.Context) (f FlowStats, err error) {
	var outbox, unsealed float64
	var redeemed, refused, failed int64
	err = s.pool.QueryRow(ctx, `SELECT t.*, (SELECT count(*) FROM redemptions WHERE created_at > now() - interval '15 minutes'), r.*,
			greatest(coalesce((SELECT extract(epoch FROM now() - min(available_at)) FROM (SELECT available_at FROM outbox WHERE delivered_at IS NULL AND available_at < now() LIMIT $1) o), 0), 0)::float8,
			greatest(coalesce((SELECT extract(epoch FROM now() - created_at) FROM audit_log WHERE seq IS NULL ORDER BY id + 0 LIMIT 1), 0), 0)::float8
		FROM (SELECT coalesce(sum(issued), 0)::bigint, coalesce(sum(redeemed), 0)::bigint, coalesce(sum(sent), 0)::bigint, coalesce(sum(delivered), 0)::bigint FROM tallied) t,
			(SELECT count(*) FILTER (WHERE kind = 'business'), count(*) FILTER (WHERE kind = 'system')
				FROM redemption_refusals WHERE NOT mock AND NOT is_drill AND at > now() - interval '15 minutes') r`, StatsCountTo).
		Scan(&f.Issued, &f.Redeemed, &f.Sent, &f.Arrived, &redeemed, &refused, &failed, &outbox, &unsealed)
	if err != nil {
		return f, unavailable(err)
	}
	f.Redemptions = []Tagged{{"redeemed", redeemed}, {"refused", refused}, {"failed", failed}}
	f.OutboxAge, f.UnsealedAge = time.Duration(outbox*float64(time.Second)), time.Duration(unsealed*float64(time.Second))
	f.Blocks, err = s.tagged(ctx, `SELECT diff->>'reason', count(*) FROM audit_log
		WHERE action = 'outbound_policy_check' AND created_at > now() - interval '15 minutes' AND diff->>'reason' <> '' GROUP BY 1`)
	return f, err
}

// StateStats counts all vouchers and all single sends by state. It reads an index of each from end to end: a tenth of a second
// a million.
func (s *Store) StateStats(ctx context.Context) (vouchers, sends []Tagged, err error) {
	if vouchers, err = s.tagged(ctx, `SELECT status, count(*) FROM vouchers GROUP BY status`); err == nil {
		sends, err = s.tagged(ctx, `SELECT state, count(*) FROM sends GROUP BY state`)
	}
	return vouchers, sends, err
}

func (s *Store) tagged(ctx context.Context, sql string) ([]Tagged, error) {
	rows, err := s.pool.Query(ctx, sql)
	if err != nil {
		return nil, unavailable(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Tagged])
	return all, unavailable(err)
}
