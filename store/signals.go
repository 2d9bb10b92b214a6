package store

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain/alert"
	"lastcall/domain/rollout"
)

// SignalStanding is a signal of a rollout with how it stands about it now.
type SignalStanding struct {
	rollout.Signal
	State    rollout.SignalState
	Worst    WatchStanding   // what its state is of
	Standing []WatchStanding // all that it watches by
}

// WatchStanding is how it stands about one rule of a signal; of several subjects, about the worst.
type WatchStanding struct {
	rollout.Watch
	Condition alert.Condition
	For       time.Duration // how long it must hold, by the rollout's factor
	State     rollout.SignalState
	Subject   string
	Value     float64
	N         int64
	Detail    string
	At        *time.Time // when it was looked at; nil: never
	Since     *time.Time // since when it is so; while a clock runs, since when that does
	TripsAt   *time.Time // while a clock runs
	AlertID   *uuid.UUID // the open one
	Evidence  []AlertSample
}

// open reports whether something of the signal holds, or held when there was last any data.
func (v SignalStanding) open() bool {
	return slices.ContainsFunc(v.Standing, func(w WatchStanding) bool { return w.AlertID != nil })
}

// Held reports whether new sends are stopped because of it.
func (v SignalStanding) Held() bool {
	return slices.ContainsFunc(v.Standing, func(w WatchStanding) bool { return w.State == rollout.SignalTripped && w.Action == rollout.Hold })
}

// Signals are those of the rollout of that name. It fails with domain.NotFound when that is not under way.
func (s *Store) Signals(ctx context.Context, name string) (Rollout, []SignalStanding, error) {
	r, err := readRollout(ctx, s.pool, `r.ended_at IS NULL AND r.name = $1`, name)
	if err != nil {
		return r, nil, err
	}
	all, err := s.signals(ctx, s.pool, r)
	return r, all, err
}

// stillRead is how old a reading may be: then nobody evaluates.
const stillRead = time.Minute

func (s *Store) signals(ctx context.Context, db querier, r Rollout) ([]SignalStanding, error) {
	rows, err := db.Query(ctx, `SELECT rule, subject, value, n, verdict, detail, at, since FROM alert_readings WHERE rule LIKE 'signal-%' ORDER BY rule, subject`)
	if err != nil {
		return nil, unavailable(err)
	}
	readings, err := pgx.CollectRows(rows, pgx.RowToStructByPos[AlertReading])
	if err != nil {
		return nil, unavailable(err)
	}
	if rows, err = db.Query(ctx, `SELECT `+alertColumns+` FROM alerts a WHERE a.state <> 'resolved' AND a.rule LIKE 'signal-%' AND a.is_drill = $1 ORDER BY a.id`, r.Factor > 1); err != nil {
		return nil, unavailable(err)
	}
	alerts, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Alert, error) { return scanAlert(row) })
	if err != nil {
		return nil, unavailable(err)
	}
	var all []SignalStanding
	rules := alert.Rules{All: r.Plan.SignalRules(r.Factor)}
	for _, signal := range r.Plan.Signals {
		v := SignalStanding{Signal: signal}
		for _, w := range signal.Watch {
			rule, _ := rules.Of(w.Rule)
			one := standingOf(w, rule, readings, alerts, r)
			v.Standing = append(v.Standing, one)
			if !w.Few && (v.Worst.Rule == "" || worse(one.State, v.Worst.State)) { // where few are too few, the rule of many is unknown
				v.Worst = one
			}
		}
		v.State = v.Worst.State
		all = append(all, v)
	}
	return all, nil
}

func worse(a, b rollout.SignalState) bool {
	return slices.Index(rollout.SignalStates, a) > slices.Index(rollout.SignalStates, b)
}

// standingOf is how it stands about a rule: by what it makes of its newest sample, and its open alert.
func standingOf(w rollout.Watch, rule alert.Rule, readings []AlertReading, alerts []Alert, r Rollout) (worst WatchStanding) {
	worst = WatchStanding{Watch: w, Condition: rule.When, For: rule.For, State: rollout.SignalUnknown, Detail: "nobody has looked", Evidence: []AlertSample{}}
	if !r.Phase.Watched() {
		worst.Detail = "it is watched from the pilot on"
		return worst
	}
	first := true
	for _, reading := range readings {
		if reading.Rule != w.Rule {
			continue
		}
		one := worst
		one.Subject, one.Value, one.N, one.Detail, one.At, one.Since = reading.Subject, reading.Value, reading.N, reading.Detail, &reading.At, &reading.Since
		one.Evidence, one.AlertID, one.TripsAt = []AlertSample{}, nil, nil
		switch {
		case r.Now.Sub(reading.At) > stillRead:
			one.State, one.Detail = rollout.SignalUnknown, "nobody looks any more"
		case reading.Verdict == alert.Clear:
			one.State = rollout.SignalOK
		default: // what holds has an alert
			one.State = rollout.SignalUnknown
		}
		if i := slices.IndexFunc(alerts, func(a Alert) bool { return a.Rule == w.Rule && a.Subject == reading.Subject }); i >= 0 {
			a := alerts[i]
			one.AlertID, one.Evidence, one.Since = &a.ID, a.Evidence, &a.PendingSince
			if a.State == alert.Firing {
				one.State, one.Since = rollout.SignalTripped, a.FiredAt
			} else {
				one.TripsAt = new(a.PendingSince.Add(rule.For))
				if a.UnknownSince == nil && one.State != rollout.SignalUnknown || reading.Verdict == alert.Holds && r.Now.Sub(reading.At) <= stillRead {
					one.State = rollout.SignalBurning
				}
			}
		}
		if first || worse(one.State, worst.State) || one.AlertID != nil && worst.AlertID == nil && !worse(worst.State, one.State) {
			worst, first = one, false
		}
	}
	return worst
}
