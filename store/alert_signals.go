package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"lastcall/domain"
	"lastcall/domain/alert"
	"lastcall/domain/forecast"
	"lastcall/domain/policy"
	"lastcall/domain/rollout"
)

// signals takes the rules of the rollout that is under way into the look, and what they are judged by: in real ones what drills
// and faults make is left out, in a rehearsal it is the only way to trip anything, and is a drill's.
func (l *looking) signals(samples []alert.Sample) error {
	r, err := readRollout(l.tx.ctx, l.tx.pgx, `r.ended_at IS NULL`)
	if domain.CodeOf(err) == rollout.NotBegun {
		return nil
	}
	if err != nil || !r.Phase.Watched() {
		return err
	}
	l.rules.All = append(slices.Clone(l.rules.All), r.Plan.SignalRules(r.Factor)...)
	l.signalled = make([]alert.Sample, 0, len(samples))
	for _, s := range samples {
		if s.Source != alert.RedemptionFailureRate || s.Subject != DrilledRedemptions { // what a drill tries is its own
			l.signalled = append(l.signalled, ofSignal(s, r.Factor > 1))
		}
	}
	if r.Factor == 1 {
		return nil
	}
	window := max(alert.Window/time.Duration(r.Factor), time.Minute)
	for i, s := range l.signalled {
		if s.Source != alert.RedemptionFailureRate {
			continue
		}
		one, err := redemptions(l.tx.ctx, l.tx.pgx, l.now.Add(-window), true)
		if err != nil {
			return wrap(err, "measure redemptions of a rehearsal")
		}
		one.Source, one.At, one.DrillID = s.Source, l.now, trial
		l.signalled[i] = one
	}
	return nil
}

// signal does what a signal of the rollout that trips asks for.
func (l *looking) signal(tx *Tx, rule alert.Rule, a *Alert) error {
	switch {
	case slices.Contains(rule.Actions, alert.RollBack):
		return tx.rollBackBySignal(l.store, rule.Signal, a)
	case slices.Contains(rule.Actions, alert.StopSends):
		stopped, err := tx.setToggles(l.store, a.Title, func(t *policy.Toggles) { t.Dispatch = false })
		if err == nil && stopped && a.IncidentID != nil {
			err = tx.incidentEvent(*a.IncidentID, "note", 0, "dispatch is off: nothing new is sent until somebody switches it on")
		}
		return err
	}
	return nil
}

// trial is what a sample says of a fault, or a rehearsal, that is no drill's.
const trial = "trial"

// ofSignal is a sample as signals see it.
func ofSignal(s alert.Sample, rehearsal bool) alert.Sample {
	switch {
	case rehearsal && (s.DrillID == "" || s.DrillID == trial):
		s.DrillID = trial
	case s.DrillID != "":
		s.DrillID, s.Known, s.Detail = "", false, "a drill or a fault on purpose makes it so: it does not count"
	}
	return s
}

// ruleKeys are the settings that decide who may be written to. Toggles are none: who switches something off wants that.
var ruleKeys = []string{"quiet_hours", "missing_zone", "consent", "throttle", "frequency_cap"}

// changedFor is how long what a changed rule does is laid at its door.
const changedFor = 2 * time.Hour

// keepImpact keeps what a changed rule was said to mean, and what campaigns had tried until then.
func (tx *Tx) keepImpact(revision int64, key string, imp *Impact) error {
	if !slices.Contains(ruleKeys, key) {
		return nil
	}
	var blocked, goes *int64
	if imp != nil {
		blocked, goes = &imp.accepted.blocked, &imp.accepted.goes
	}
	_, err := tx.pgx.Exec(tx.ctx, `INSERT INTO settings_impacts (revision, blocked, goes, done)
		SELECT $1, $2, $3, coalesce((SELECT jsonb_object_agg(c.id, k.done) FROM campaigns c CROSS JOIN LATERAL
			(SELECT coalesce(sum(sent + delivered + read + failed + unknown), 0) AS done FROM cohorts WHERE campaign_id = c.id) k
			WHERE c.status NOT IN ('draft', 'done', 'stopped', 'failed') AND NOT c.is_drill), '{}')`, revision, blocked, goes)
	return wrap(err, "keep impact")
}

// accepted is what whoever saves a rule is told: how many recipients it holds back, now or when it first decides otherwise, and how
// many may go within a quarter of an hour.
type accepted struct{ blocked, goes int64 }

// accept reckons what is accepted: begun are the recipients of campaigns that send now, all with those of later ones.
func accept(before, after policy.Settings, begun, all []forecast.Crowd, at time.Time) (a accepted) {
	instants := []time.Time{at}
	if first := forecast.Differs(before, after, all, at); !first.IsZero() {
		instants = append(instants, first)
	}
	for _, t := range instants {
		a.blocked = max(a.blocked, forecast.Compare(before, after, all, t).Blocked)
	}
	for _, t := range []time.Time{at, at.Add(alert.Window)} {
		a.goes = max(a.goes, forecast.Compare(before, after, begun, t).After)
	}
	return a
}

// policyBlocks is which part of all decisions since a rule was changed the change blocks, beyond what was accepted when it was
// saved: whom the rules before would let go and the rules now hold back, by the policy itself. What other rules hold back, and
// what time does that was told, is what rules are for.
func policyBlocks(ctx context.Context, s *Store, now time.Time) ([]alert.Sample, error) {
	var first *int64
	var told int64
	err := s.pool.QueryRow(ctx, `SELECT min(r.revision), coalesce(sum(i.blocked), 0)::bigint FROM settings_revisions r LEFT JOIN settings_impacts i USING (revision)
		WHERE r.created_at > $1::timestamptz - $2::interval AND r.key = ANY ($3)`, now, changedFor, ruleKeys).Scan(&first, &told)
	if err != nil || first == nil {
		return []alert.Sample{{Known: true, Detail: "no rule was changed in the last two hours"}}, err
	}
	after, err := s.Settings(ctx)
	if err != nil {
		return nil, err
	}
	old, err := s.settingsAt(ctx, s.pool, *first-1)
	if err != nil {
		return nil, err
	}
	before, key := after, ""
	for _, k := range ruleKeys {
		if after.Revisions[k] < *first {
			continue
		}
		if err := before.Apply(k, valueOf(old, k)); err != nil {
			return nil, err
		}
		if key == "" || k == "consent" || k == "frequency_cap" {
			key = k
		}
	}
	queues, err := s.queues(ctx, key, before, after, now)
	if err != nil {
		return nil, err
	}
	var crowds []forecast.Crowd
	for _, q := range queues {
		if q.sends && !q.drill && !q.from.After(now) {
			crowds = append(crowds, q.crowds...)
		}
	}
	e := forecast.Compare(before, after, crowds, now)
	var sent int64
	if err := s.pool.QueryRow(ctx, triedSince, *first).Scan(&sent); err != nil {
		return nil, err
	}
	one := share(max(e.Blocked-told, 0), e.Targets+sent, "recipients are held back by a changed rule beyond what was accepted")
	one.Known = true // nobody waits: nobody is held back
	if told > 0 {
		one.Detail += fmt.Sprintf("; %s were accepted", domain.Thousands(min(told, e.Blocked)))
	}
	return []alert.Sample{one}, nil
}

// triedSince is how many messages campaigns have tried since a revision of a rule was saved; those that began later count whole.
const triedSince = `SELECT coalesce(sum(greatest(k.done - coalesce((i.done ->> c.id::text)::bigint, 0), 0)), 0)::bigint FROM settings_revisions r
	LEFT JOIN settings_impacts i USING (revision)
	JOIN campaigns c ON NOT c.is_drill AND c.status <> 'draft' AND (c.finished_at IS NULL OR c.finished_at > r.created_at) AND (i.done ? c.id::text OR c.started_at > r.created_at)
	CROSS JOIN LATERAL (SELECT coalesce(sum(sent + delivered + read + failed + unknown), 0) AS done FROM cohorts WHERE campaign_id = c.id) k
	WHERE r.revision = $1`

// sendsPastForecast is how many more messages campaigns that were at work when a rule was changed have tried since than were said
// to go: in the quarter of an hour after it, since time changes who may go, too. Where nobody was told there is nothing to
// compare with.
func sendsPastForecast(ctx context.Context, s *Store, now time.Time) ([]alert.Sample, error) {
	var said, tried int64
	err := s.pool.QueryRow(ctx, `SELECT i.goes, coalesce((SELECT sum(greatest(k.done - d.value::bigint, 0)) FROM jsonb_each_text(i.done) d
			CROSS JOIN LATERAL (SELECT coalesce(sum(sent + delivered + read + failed + unknown), 0) AS done FROM cohorts WHERE campaign_id = d.key::uuid) k), 0)::bigint
		FROM settings_revisions r JOIN settings_impacts i USING (revision)
		WHERE r.created_at > $1::timestamptz - $2::interval AND r.key = ANY ($3) AND i.goes IS NOT NULL ORDER BY r.revision LIMIT 1`, now, alert.Window, ruleKeys).Scan(&said, &tried)
	if none := ignoreNone(err); err != nil {
		return []alert.Sample{{Known: true, Detail: "no rule was changed in the last quarter of an hour"}}, none
	}
	one := alert.Sample{Known: true, N: tried, Detail: fmt.Sprintf("%s messages since a rule was changed, and %s were said to go", domain.Thousands(tried), domain.Thousands(said))}
	if tried > said {
		one.Value = float64(tried-said) / float64(max(said, 1))
	}
	return []alert.Sample{one}, nil
}

// sendsPastCap is how many more messages were let go in the last minute than the cap lets: that of now, or a higher one that held
// within it.
func sendsPastCap(ctx context.Context, s *Store, now time.Time) ([]alert.Sample, error) {
	rows, err := s.pool.Query(ctx, `SELECT c.name, coalesce((SELECT p.cumulative FROM permits p WHERE p.channel = c.name ORDER BY p.cumulative DESC LIMIT 1)
			- (SELECT p.cumulative - p.n FROM permits p WHERE p.channel = c.name AND p.granted_at > $1::timestamptz - interval '60 seconds' ORDER BY p.granted_at, p.cumulative LIMIT 1), 0)::bigint
		FROM channels c`, now)
	if err != nil {
		return nil, err
	}
	went := map[string]int64{}
	var channel string
	var n int64
	if _, err := pgx.ForEachRow(rows, []any{&channel, &n}, func() error {
		went[channel] = n
		return nil
	}); err != nil {
		return nil, err
	}
	caps, err := s.capsSince(ctx, now.Add(-time.Minute))
	if err != nil {
		return nil, err
	}
	one := alert.Sample{Known: true, Detail: "nothing went in the last minute"}
	for channel, n := range went {
		limit := caps[channel]
		if n == 0 || n < one.N {
			continue
		}
		one.N, one.Detail = n, fmt.Sprintf("%s messages in the last minute, of %s", domain.Thousands(n), domain.Thousands(limit))
		if n > limit {
			one.Value = float64(n-limit) / float64(max(limit, 1))
		}
	}
	return []alert.Sample{one}, nil
}

// capsSince are the highest caps a minute of each channel that held at any time since then.
func (s *Store) capsSince(ctx context.Context, since time.Time) (map[string]int64, error) {
	set, err := s.Settings(ctx)
	if err != nil {
		return nil, err
	}
	caps := map[string]int64{}
	note := func(t policy.Throttle) {
		for channel, c := range t {
			caps[channel] = max(caps[channel], int64(c.PerMinute))
		}
	}
	note(set.Throttle)
	rows, err := s.pool.Query(ctx, `SELECT value, created_at > $1 FROM settings_revisions WHERE key = 'throttle' AND revision >= coalesce((SELECT revision FROM settings_revisions
		WHERE key = 'throttle' AND created_at <= $1 ORDER BY revision DESC LIMIT 1), 0) ORDER BY revision`, since)
	if err != nil {
		return nil, err
	}
	held := s.defaults // until somebody set it
	var value json.RawMessage
	var within bool
	_, err = pgx.ForEachRow(rows, []any{&value, &within}, func() error {
		if within { // saved within the time: what was before it held, too
			note(held.Throttle)
		}
		err := held.Apply("throttle", value)
		note(held.Throttle)
		return err
	})
	return caps, err
}
