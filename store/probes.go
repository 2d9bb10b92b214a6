package store

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"lastcall/domain/audit"
	"lastcall/domain/probe"
)

// EdgeFunction is an edge function and what is known of it now.
type EdgeFunction struct {
	probe.Function
	State     probe.State // unknown when the last probe is too long ago
	Since     time.Time   // in this state; zero if nobody ever probed it
	CheckedAt *time.Time  // nil: never
	Latency   *time.Duration
	Detail    string // what was found, for people
	IsDrill   bool   // a fault was in the way on purpose
}

// Stale is how long after its last probe an edge function's state is unknown.
func (s *Store) Stale() time.Duration { return probe.Stale(s.probesEvery) }

// ProbesEvery is how often edge functions are probed.
func (s *Store) ProbesEvery() time.Duration { return s.probesEvery }

// EdgeFunctions returns all of the registry, in its order.
func (s *Store) EdgeFunctions(ctx context.Context) ([]EdgeFunction, error) {
	rows, err := s.pool.Query(ctx, `SELECT name, CASE WHEN fresh THEN state ELSE 'unknown' END,
			CASE WHEN fresh OR checked_at IS NULL THEN since ELSE checked_at + $1::interval END, checked_at, latency_ms,
			CASE WHEN fresh THEN detail ELSE '' END, is_drill AND fresh
		FROM (SELECT *, coalesce(checked_at > clock_timestamp() - $1::interval, false) AS fresh FROM edge_functions) e`, s.Stale())
	if err != nil {
		return nil, unavailable(err)
	}
	found := map[probe.Name]EdgeFunction{}
	_, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
		var e EdgeFunction
		var latency *int64
		err := row.Scan(&e.Name, &e.State, &e.Since, &e.CheckedAt, &latency, &e.Detail, &e.IsDrill)
		if latency != nil {
			d := time.Duration(*latency) * time.Millisecond
			e.Latency = &d
		}
		found[e.Name] = e
		return struct{}{}, err
	})
	if err != nil {
		return nil, unavailable(err)
	}
	all := make([]EdgeFunction, len(probe.Functions))
	for i, f := range probe.Functions {
		all[i] = EdgeFunction{State: probe.Unknown}
		if e, ok := found[f.Name]; ok {
			all[i] = e
		}
		all[i].Function = f
	}
	return all, nil
}

// EdgeFunction returns one. It fails with domain.NotFound for a name that the registry does not have.
func (s *Store) EdgeFunction(ctx context.Context, name probe.Name) (EdgeFunction, error) {
	all, err := s.EdgeFunctions(ctx)
	if err != nil {
		return EdgeFunction{}, err
	}
	i := slices.IndexFunc(all, func(e EdgeFunction) bool { return e.Name == name })
	if i < 0 {
		return EdgeFunction{}, notFound(pgx.ErrNoRows, "edge_function", name)
	}
	return all[i], nil
}

// RecordProbes keeps what a round of probes found and turns the edge functions to it. What a fault was in the way of on
// purpose is a drill's, and turns them too. If the round says that our own connection was broken, what lies beyond it is
// unknown and no result of it is kept.
func (s *Store) RecordProbes(ctx context.Context, round []probe.Finding) error {
	own := probe.OwnFault(round)
	round = slices.Clone(round)
	slices.SortFunc(round, func(a, b probe.Finding) int { return compareNames(a.Name, b.Name) }) // one order of locks
	return s.inTx(ctx, func(tx *Tx) error {
		for _, found := range round {
			f, ok := probe.Find(found.Name)
			if !ok {
				continue
			}
			if err := tx.record(f, found, own && found.Outside); err != nil {
				return err
			}
		}
		return nil
	})
}

func compareNames(a, b probe.Name) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// record keeps one finding. nobodyKnows: it says nothing about the function.
func (tx *Tx) record(f probe.Function, found probe.Finding, nobodyKnows bool) error {
	before, err := tx.lockEdgeFunction(f.Name)
	if err != nil {
		return err
	}
	var at time.Time
	var drill bool
	if err := tx.pgx.QueryRow(tx.ctx, `SELECT least($2, clock_timestamp()), EXISTS (SELECT FROM faults WHERE edge_function = $1
			AND created_at <= least($2, clock_timestamp()) AND coalesce(ended_at, expires_at) > $2 - $3::interval)`,
		f.Name, found.At, found.Latency).Scan(&at, &drill); err != nil {
		return err
	}
	if before.checkedAt != nil && before.checkedAt.After(at) {
		return nil // a later probe was quicker
	}
	if nobodyKnows {
		_, err := tx.pgx.Exec(tx.ctx, `UPDATE edge_functions SET state = 'unknown', since = CASE WHEN state = 'unknown' THEN since ELSE $2 END,
			checked_at = $2, latency_ms = NULL, detail = $3, is_drill = false WHERE name = $1`,
			f.Name, at, "Nothing beyond this worker's network can be reached: its own connection is down.")
		return err
	}
	recent, err := tx.recentOutcomes(f.Name, drill)
	if err != nil {
		return err
	}
	state, detail := probe.Classify(f, found, recent)
	var latency *int64
	if found.Outcome == probe.Answered || found.Outcome == probe.Refused {
		ms := found.Latency.Milliseconds()
		latency = &ms
	}
	if _, err := tx.pgx.Exec(tx.ctx, `INSERT INTO probe_results (edge_function, at, state, outcome, latency_ms, detail, is_drill)
		VALUES ($1, $2, $3, $4, $5, left($6, 300), $7)`, f.Name, at, state, found.Outcome, latency, detail, drill); err != nil {
		return err
	}
	since := at
	if before.state == state && before.drill == drill {
		since = before.since
	}
	if _, err := tx.pgx.Exec(tx.ctx, `UPDATE edge_functions SET state = $2, since = $3, checked_at = $4, latency_ms = $5, detail = left($6, 300),
		is_drill = $7 WHERE name = $1`, f.Name, state, since, at, latency, detail, drill); err != nil {
		return err
	}
	return tx.tellOutage(f.Name, state, since, at, drill, before.toldSince)
}

// tellOutage enters an outage into the audit log once it has lasted for long.
func (tx *Tx) tellOutage(name probe.Name, state probe.State, since, at time.Time, drill bool, told *time.Time) error {
	if state != probe.Red || drill || at.Sub(since) <= probe.OutageAfter || told != nil && told.Equal(since) {
		return nil
	}
	if _, err := tx.pgx.Exec(tx.ctx, `UPDATE edge_functions SET told_since = since WHERE name = $1`, name); err != nil {
		return err
	}
	return tx.enter(audit.Entry{Action: "integration_probe_failed", Target: "edge_function/" + string(name),
		Diff: map[string]any{"red_since": since, "minutes": int(at.Sub(since).Minutes())}})
}

type edgeFunctionRow struct {
	state     probe.State
	since     time.Time
	checkedAt *time.Time
	drill     bool
	toldSince *time.Time
}

// lockEdgeFunction locks the row of a function, which it makes if nobody has yet.
func (tx *Tx) lockEdgeFunction(name probe.Name) (r edgeFunctionRow, err error) {
	if _, err = tx.pgx.Exec(tx.ctx, `INSERT INTO edge_functions (name) VALUES ($1) ON CONFLICT DO NOTHING`, name); err != nil {
		return r, err
	}
	err = tx.pgx.QueryRow(tx.ctx, `SELECT state, since, checked_at, is_drill, told_since FROM edge_functions WHERE name = $1 FOR UPDATE`, name).
		Scan(&r.state, &r.since, &r.checkedAt, &r.drill, &r.toldSince)
	return r, err
}

// recentOutcomes are those of the latest probes of the last quarter of an hour, newest first; a drill's, or none of a drill.
func (tx *Tx) recentOutcomes(name probe.Name, drill bool) ([]probe.Outcome, error) {
	rows, err := tx.pgx.Query(tx.ctx, `SELECT outcome FROM (SELECT outcome, is_drill FROM probe_results WHERE edge_function = $1
			AND at > now() - interval '15 minutes' ORDER BY at DESC LIMIT 2 * $2) r WHERE is_drill = $3 LIMIT $2`,
		name, probe.Recent, drill)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[probe.Outcome])
}

// Availability is how an edge function was over a time, in shares of that time without drills. What nobody knows about
// counts as neither green nor reachable, but for what was before its very first probe, which is no part of the time.
type Availability struct {
	Green     float64       // the figure people know as availability
	Reachable float64       // green or amber
	Watched   time.Duration // for how long somebody knew
	Of        time.Duration // the time, without drills
	Over      time.Duration // the time, with drills: as long as was asked for, or since the first probe
}

// Seconds are for how long it was green, and of how long: whole ones, never more of the first than of the second.
func (a Availability) Seconds() (green, of int64) {
	whole := func(d time.Duration) int64 { return int64(d.Round(time.Second) / time.Second) }
	return whole(time.Duration(a.Green * float64(a.Of))), whole(a.Of)
}

// Availabilities returns how the edge functions were until now. A result holds until the next one, and no longer than
// until it is stale.
func (s *Store) Availabilities(ctx context.Context, over time.Duration) (map[probe.Name]Availability, error) {
	return s.availabilities(ctx, over, nil)
}

// availabilities are those until a moment; nil: now.
func (s *Store) availabilities(ctx context.Context, over time.Duration, until *time.Time) (map[probe.Name]Availability, error) {
	rows, err := s.pool.Query(ctx, `WITH asked AS (SELECT name, moment, greatest(moment - $1::interval, coalesce(first, moment - $1::interval)) AS began
			FROM (SELECT coalesce($3::timestamptz, now()) AS moment) m, edge_functions e
				CROSS JOIN LATERAL (SELECT min(at) AS first FROM probe_results WHERE edge_function = e.name) f)
		SELECT name, extract(epoch FROM moment - began), extract(epoch FROM coalesce(sum(held) FILTER (WHERE state = 'green' AND NOT is_drill), '0')),
			extract(epoch FROM coalesce(sum(held) FILTER (WHERE state <> 'red' AND NOT is_drill), '0')),
			extract(epoch FROM coalesce(sum(held) FILTER (WHERE NOT is_drill), '0')), extract(epoch FROM coalesce(sum(held) FILTER (WHERE is_drill), '0'))
		FROM (SELECT a.*, r.state, r.is_drill, least(r.until, r.at + $2::interval) - greatest(r.at, began) AS held
			FROM asked a LEFT JOIN LATERAL (SELECT at, state, is_drill, lead(at, 1, moment) OVER (ORDER BY at, id) AS until
				FROM probe_results WHERE edge_function = a.name AND at > began - $2::interval AND at <= moment) r ON true) all_of
		WHERE held > '0' OR held IS NULL GROUP BY name, moment, began`, over, s.Stale(), until)
	if err != nil {
		return nil, unavailable(err)
	}
	all := map[probe.Name]Availability{}
	var name probe.Name
	var asked, green, reachable, watched, drill float64
	_, err = pgx.ForEachRow(rows, []any{&name, &asked, &green, &reachable, &watched, &drill}, func() error {
		of := asked - drill
		a := Availability{Watched: span(watched), Of: span(of), Over: span(asked)}
		if of > 0 {
			a.Green, a.Reachable = green/of, reachable/of
		}
		all[name] = a
		return nil
	})
	return all, unavailable(err)
}

func span(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(time.Millisecond)
}

// Slot is a stretch of an edge function's history.
type Slot struct {
	State probe.State // the worst that was found in it; unknown: nothing was
	Drill bool        // nothing but drills'
}

// Strips returns how the edge functions were in so many stretches until now, oldest first.
func (s *Store) Strips(ctx context.Context, over time.Duration, slots int) (map[probe.Name][]Slot, error) {
	each := over / time.Duration(slots)
	rows, err := s.pool.Query(ctx, `SELECT edge_function, slot, coalesce(max(rank) FILTER (WHERE NOT is_drill), max(rank)), bool_and(is_drill)
		FROM (SELECT r.edge_function, floor(extract(epoch FROM now() - r.at) / extract(epoch FROM $2::interval))::int AS slot, r.is_drill,
				CASE r.state WHEN 'green' THEN 1 WHEN 'amber' THEN 2 ELSE 3 END AS rank
			FROM edge_functions e JOIN LATERAL (SELECT * FROM probe_results WHERE edge_function = e.name AND at > now() - $1::interval AND at <= now()) r ON true) all_of
		GROUP BY edge_function, slot`, over, each)
	if err != nil {
		return nil, unavailable(err)
	}
	all := map[probe.Name][]Slot{}
	for _, f := range probe.Functions {
		all[f.Name] = slices.Repeat([]Slot{{State: probe.Unknown}}, slots)
	}
	var name probe.Name
	var slot, rank int
	var drill bool
	_, err = pgx.ForEachRow(rows, []any{&name, &slot, &rank, &drill}, func() error {
		if strip := all[name]; strip != nil && slot >= 0 && slot < slots {
			strip[slots-1-slot] = Slot{[]probe.State{probe.Green, probe.Amber, probe.Red}[rank-1], drill}
		}
		return nil
	})
	return all, unavailable(err)
}

// ProbeResult is what one probe found.
type ProbeResult struct {
	ID        int64
	At        time.Time
	State     probe.State
	LatencyMS *int64
	Detail    string
	IsDrill   bool
}

// ProbeHistory lists results of an edge function, newest first, those before the given id (0: the newest) on.
func (s *Store) ProbeHistory(ctx context.Context, name probe.Name, before int64, limit int) ([]ProbeResult, error) {
	rows, err := s.pool.Query(ctx, `SELECT id, at, state, latency_ms, detail, is_drill FROM probe_results WHERE edge_function = $1
			AND ($2 = 0 OR (at, id) < (SELECT at, id FROM probe_results WHERE id = $2)) ORDER BY at DESC, id DESC LIMIT $3`, name, before, page(limit))
	if err != nil {
		return nil, unavailable(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ProbeResult])
	return all, unavailable(err)
}

// RequestProbe asks for a probe of one edge function now; the audit log has who did.
func (s *Store) RequestProbe(ctx context.Context, name probe.Name) error {
	return s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		if _, ok := probe.Find(name); !ok {
			return audit.Entry{}, notFound(pgx.ErrNoRows, "edge_function", name)
		}
		_, err := tx.send(KindProbe, "probe/"+string(name), ProbeNow{Name: name})
		return audit.Entry{Action: "edge_function.rechecked", Target: "edge_function/" + string(name)}, err
	})
}

// AwaitProbe waits until an edge function was probed after what was known of it, or ctx is over, and reports which.
func (s *Store) AwaitProbe(ctx context.Context, known EdgeFunction) (now EdgeFunction, done bool, err error) {
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		now, err = s.EdgeFunction(ctx, known.Name)
		switch {
		case ctx.Err() != nil:
			return known, false, nil
		case err != nil:
			return known, false, err
		case now.CheckedAt != nil && (known.CheckedAt == nil || now.CheckedAt.After(*known.CheckedAt)):
			return now, true, nil
		}
		select {
		case <-ctx.Done():
			return now, false, nil
		case <-time.After(pause):
		}
	}
}

// pruneProbes forgets results that nobody asks about any more.
func (s *Store) pruneProbes(ctx context.Context) error {
	_, err := s.pool.Exec(ctx, `DELETE FROM probe_results r USING edge_functions e WHERE r.edge_function = e.name AND r.at < now() - $1::interval`, probe.Kept)
	if err == nil {
		_, err = s.pool.Exec(ctx, `DELETE FROM drill_attempts a USING drills d WHERE a.drill_id = d.id AND a.at < now() - $1::interval`, probe.Kept)
	}
	return err
}

// NoticesWaiting counts the notices to the Ops channel that were tried in vain, three times at least.
func (s *Store) NoticesWaiting(ctx context.Context) (n int, err error) {
	err = s.pool.QueryRow(ctx, `SELECT count(*) FROM outbox WHERE delivered_at IS NULL AND kind = $1 AND attempts >= 3`, KindOpsNotice).Scan(&n)
	return n, unavailable(err)
}
