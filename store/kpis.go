package store

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"lastcall/domain"
	"lastcall/domain/kpi"
	"lastcall/domain/probe"
)

// kpiWithin is how long one figure may take to read.
const kpiWithin = 3 * time.Second

// KPIs reads all figures as they are at now, with the days of zone. A figure that cannot be read says so itself, and the
// others stay; only when none can be read does it fail. Drills and rehearsals are in none of them.
func (s *Store) KPIs(ctx context.Context, now time.Time, zone *time.Location) (kpi.Snapshot, error) {
	day, quarter := kpi.LastDay(now), kpi.LastTime(now, kpi.Quarter)
	snap := kpi.Snapshot{At: now.UTC(), Zone: zone.String(), Figures: make([]kpi.Figure, len(kpi.Names)), Needs: []kpi.Need{}, Days: []kpi.Day{}}
	var mu sync.Mutex
	var reading sync.WaitGroup
	var errs []error
	read := func(fn func(ctx context.Context) error, failed func(code string)) {
		reading.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, kpiWithin)
			defer cancel()
			err := fn(ctx)
			if err == nil {
				return
			}
			code := domain.CodeOf(unavailable(err))
			if errors.Is(err, context.DeadlineExceeded) {
				code = "too_slow"
			}
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, unavailable(err))
			failed(code)
		})
	}
	figures := func(w kpi.Window, fn func(context.Context, kpi.Window) ([]kpi.Figure, error), names ...kpi.Name) {
		at := func(n kpi.Name) *kpi.Figure { return &snap.Figures[slices.Index(kpi.Names, n)] }
		read(func(ctx context.Context) error {
			all, err := fn(ctx, w)
			for _, f := range all {
				*at(f.Name) = f
			}
			return err
		}, func(code string) {
			for _, n := range names {
				*at(n) = kpi.Failed(n, w, code)
			}
		})
	}
	figures(day, s.tallies, kpi.Sent, kpi.Delivery, kpi.Vouchers)
	figures(day, s.blocks, kpi.Blocks)
	figures(quarter, s.redemptionFailures, kpi.Redemptions)
	figures(kpi.LastTime(now, 24*time.Hour), s.availability, kpi.Availability)
	read(func(ctx context.Context) (err error) {
		snap.Days, err = s.voucherDays(ctx, now, zone)
		return err
	}, func(code string) { snap.Days, snap.DaysProblem = []kpi.Day{}, code })
	read(func(ctx context.Context) (err error) {
		snap.Needs, err = s.needs(ctx)
		return err
	}, func(code string) { snap.Needs, snap.NeedsProblem = []kpi.Need{}, code })
	reading.Wait()
	if len(errs) == kpiReads {
		return kpi.Snapshot{}, errs[0]
	}
	return snap, nil
}

// kpiReads is how many readings KPIs takes.
const kpiReads = 6

// noDrill is SQL: the campaign of a row of tallied is no drill.
const noDrill = `(campaign_id IS NULL OR campaign_id NOT IN (SELECT id FROM campaigns WHERE is_drill))`

// tallies are the figures of what was sent and of vouchers. Both ends of the window are moved to quarters.
func (s *Store) tallies(ctx context.Context, w kpi.Window) ([]kpi.Figure, error) {
	var bulk, single, campaigns, delivered, issued, redeemed int64
	err := s.pool.QueryRow(ctx, `SELECT coalesce(sum(sent) FILTER (WHERE campaign_id IS NOT NULL), 0)::bigint, coalesce(sum(sent) FILTER (WHERE campaign_id IS NULL), 0)::bigint,
			count(DISTINCT campaign_id) FILTER (WHERE sent > 0), coalesce(sum(delivered), 0)::bigint, coalesce(sum(issued), 0)::bigint, coalesce(sum(redeemed), 0)::bigint
		FROM (SELECT campaign_id, sum(sent) AS sent, sum(delivered) AS delivered, sum(issued) AS issued, sum(redeemed) AS redeemed
			FROM tallied WHERE quarter >= $1 AND quarter < $2 AND `+noDrill+` GROUP BY campaign_id) k`, w.From, w.To).
		Scan(&bulk, &single, &campaigns, &delivered, &issued, &redeemed)
	if err != nil {
		return nil, err
	}
	return []kpi.Figure{
		kpi.Count(kpi.Sent, w, bulk+single, kpi.FigurePart{Name: "campaigns", Title: "Of campaigns", N: bulk}, kpi.FigurePart{Name: "singles", Title: "Single messages", N: single}),
		kpi.Rate(kpi.Delivery, w, delivered, bulk+single),
		kpi.Count(kpi.Vouchers, w, issued, kpi.FigurePart{Name: "issued", Title: "Issued", N: issued}, kpi.FigurePart{Name: "redeemed", Title: "Redeemed", N: redeemed}),
	}, nil
}

// blocks counts what the policy held back, by reason, most first.
func (s *Store) blocks(ctx context.Context, w kpi.Window) ([]kpi.Figure, error) {
	rows, err := s.pool.Query(ctx, `SELECT l.diff->>'reason', count(*) FROM audit_log l
		WHERE l.action = 'outbound_policy_check' AND l.created_at >= $1 AND l.created_at < $2 AND l.diff->>'reason' <> ''
			AND l.target NOT IN (SELECT 'campaign/' || id FROM campaigns WHERE is_drill UNION ALL SELECT 'send/' || id FROM sends WHERE is_drill)
		GROUP BY 1 ORDER BY 2 DESC, 1`, w.From, w.To)
	if err != nil {
		return nil, err
	}
	var total int64
	parts, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p kpi.FigurePart, err error) {
		err = row.Scan(&p.Name, &p.N)
		p.Title = kpi.ReasonTitle(p.Name)
		total += p.N
		return p, err
	})
	return []kpi.Figure{kpi.Count(kpi.Blocks, w, total, parts...)}, err
}

// redemptionFailures is what part of the redemptions failed by our fault.
func (s *Store) redemptionFailures(ctx context.Context, w kpi.Window) ([]kpi.Figure, error) {
	r, err := s.redemptionRate(ctx, w.From, w.To)
	return []kpi.Figure{kpi.Rate(kpi.Redemptions, w, r.Failed, r.Failed+r.Redeemed, kpi.FigurePart{Name: "failed", Title: "Failed", N: r.Failed},
		kpi.FigurePart{Name: "redeemed", Title: "Redeemed", N: r.Redeemed})}, err
}

// availability is for how long each edge function was green, as Availabilities reckons. One that was not probed at all is unknown.
func (s *Store) availability(ctx context.Context, w kpi.Window) ([]kpi.Figure, error) {
	functions, err := s.EdgeFunctions(ctx)
	if err != nil {
		return nil, err
	}
	available, err := s.availabilities(ctx, w.To.Sub(w.From), &w.To)
	if err != nil {
		return nil, err
	}
	parts := make([]kpi.FigurePart, len(probe.Functions))
	for i, f := range probe.Functions {
		parts[i] = kpi.FigurePart{Name: string(f.Name), Title: f.Title, State: functions[i].State}
		if a := available[f.Name]; a.Watched > 0 { // never probed: nothing is known
			parts[i].N, parts[i].Among = a.Seconds()
		}
	}
	return []kpi.Figure{kpi.Worst(w, parts)}, nil
}

// voucherDays are the vouchers issued and redeemed on each of the last days. A quarter's count of one campaign fits an integer, whose
// sums are reckoned a third faster than those of bigints, which are numerics.
func (s *Store) voucherDays(ctx context.Context, now time.Time, zone *time.Location) ([]kpi.Day, error) {
	days, from := kpi.DaysOf(now, zone)
	rows, err := s.pool.Query(ctx, `SELECT to_char(quarter AT TIME ZONE $3, 'YYYY-MM-DD'), sum(issued)::bigint, sum(redeemed)::bigint FROM (
			SELECT quarter, sum(issued::int) AS issued, sum(redeemed::int) AS redeemed FROM tallied WHERE quarter >= $1 AND quarter < $2 AND `+noDrill+` GROUP BY 1) q GROUP BY 1`,
		from, now, zone.String())
	if err != nil {
		return nil, err
	}
	var d kpi.Day
	_, err = pgx.ForEachRow(rows, []any{&d.Day, &d.Issued, &d.Redeemed}, func() error {
		if i := slices.IndexFunc(days, func(of kpi.Day) bool { return of.Day == d.Day }); i >= 0 {
			days[i] = d
		}
		return nil
	})
	return days, err
}

// needs is what waits for a human now. Each is counted by an index that holds little else, up to kpi.NeedsCountTo.
func (s *Store) needs(ctx context.Context) ([]kpi.Need, error) {
	rows, err := s.pool.Query(ctx, `SELECT 'alerts' AS kind, count(*), min(fired_at), (array_agg(DISTINCT title))[1:3] FROM alerts
			WHERE state = 'firing' AND acknowledged_at IS NULL AND inhibited_by IS NULL AND severity <> 'info'
		UNION ALL SELECT 'edge_functions', count(*), min(since), array_agg(name ORDER BY name) FROM edge_functions
			WHERE state = 'red' AND checked_at > now() - $1::interval
		UNION ALL SELECT 'campaigns', count(*), min(updated_at), NULL FROM campaigns
			WHERE status NOT IN ('draft', 'done', 'stopped', 'failed') AND needs_human <> '' AND NOT is_drill
		UNION ALL SELECT CASE WHEN subject_kind IN ('campaign', 'override', 'template') THEN subject_kind || '_approvals' ELSE 'approvals' END, count(*), min(created_at), NULL
			FROM approval_requests WHERE closed_at IS NULL GROUP BY 1
		UNION ALL SELECT 'daily_reviews', count(*), min(v.due_at), NULL FROM daily_reviews v JOIN rollouts r ON (r.name, r.phase_since) = (v.rollout, v.phase_since)
			WHERE v.signed_at IS NULL AND r.ended_at IS NULL
		UNION ALL SELECT 'support_tasks', count(*), min(created_at), NULL FROM (SELECT created_at FROM provisional_refusals WHERE resolved_at IS NULL ORDER BY id LIMIT $2) t
		UNION ALL SELECT 'unsent_vouchers', count(*), min(issued_at), NULL FROM ((SELECT v.issued_at FROM vouchers v JOIN targets t ON t.id = v.target_id
			WHERE `+unsent+` AND v.campaign_id NOT IN (SELECT id FROM campaigns WHERE is_drill) LIMIT $2)
			UNION ALL (SELECT v.issued_at FROM vouchers v WHERE `+unsentAlone+` LIMIT $2)) u`, s.Stale(), kpi.NeedsCountTo)
	if err != nil {
		return nil, err
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (n kpi.Need, err error) {
		err = row.Scan(&n.Kind, &n.N, &n.Since, &n.Names)
		return n, err
	})
	return slices.DeleteFunc(all, func(n kpi.Need) bool { return n.N == 0 }), err
}
