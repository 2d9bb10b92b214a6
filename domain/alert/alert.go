// Package alert decides when somebody must be told: rules over samples, each with a clock. It has no I/O; the clocks are kept
// in Postgres, so that a restart forgets none.
//
// What nobody measures is unknown: that neither resolves an alert nor counts as well, and its clock runs on.
package alert

import (
	"slices"
	"time"
)

// State is where an alert is in its life.
type State string

// The states. An alert that is pending and clears is forgotten; one that fired is resolved.
const (
	Ok       State = "ok" // nothing is wrong, or nobody knows of anything
	Pending  State = "pending"
	Firing   State = "firing"
	Resolved State = "resolved"
)

// States are those that an alert on record may have.
var States = []State{Pending, Firing, Resolved}

// Severity says how soon somebody should look.
type Severity string

// The severities.
const (
	Info     Severity = "info"
	Warning  Severity = "warning"
	Critical Severity = "critical" // now, at night too
)

// Severities are all of them, the mildest first.
var Severities = []Severity{Info, Warning, Critical}

// Sample is what one source said about one subject.
type Sample struct {
	Source  string     // of Sources
	Subject string     // what it is about: an edge function's name; "" for all of Lastcall
	Value   float64    // in the source's unit
	N       int64      // how many things a share is a share of; 0 where it is none
	At      time.Time  // when it was measured
	Since   *time.Time // since when the value is what it is, where the source knows
	Known   bool       // false: there is no data, and Value says nothing
	Detail  string     // what was found, for people
	DrillID string     // the drill that made it so, or "trial" of a fault that is no drill's; "": it is real
}

// Verdict is what a rule makes of a sample.
type Verdict string

// The verdicts.
const (
	Holds   Verdict = "holds"   // it is as bad as the rule says
	Clear   Verdict = "clear"   // it is not
	Unknown Verdict = "unknown" // there is no data, or too little
)

// Judge is what the rule makes of a sample. One that is bad but stands on fewer than MinN things is unknown.
func (r Rule) Judge(s Sample) Verdict {
	switch {
	case !s.Known:
		return Unknown
	case !r.When.holds(s.Value):
		return Clear
	case s.N < r.MinN:
		return Unknown
	}
	return Holds
}

// Status is the part of an alert that its clock moves.
type Status struct {
	State        State      // Ok or Resolved: nothing is open
	PendingSince time.Time  // of Pending and Firing: since when it holds
	FiredAt      *time.Time // of Firing and Resolved
	ResolvedAt   *time.Time // of Resolved
	ClearSince   *time.Time // of Firing: since when it no longer holds, while Keep runs
	UnknownSince *time.Time // of Pending and Firing: since when there is no data
}

// Step moves a status by what was found at now. It is total: whatever comes, in whatever order, an alert fires no sooner
// than For after it began to hold, and resolves only after it was seen clear for Keep.
func (r Rule) Step(was Status, v Verdict, since *time.Time, now time.Time) Status {
	next := was
	switch was.State {
	case Pending, Firing:
	default:
		if v != Holds {
			return Status{State: Ok}
		}
		next = Status{State: Pending, PendingSince: now}
		if since != nil && since.Before(now) {
			next.PendingSince = *since
		}
	}
	switch v {
	case Clear:
		next.UnknownSince = nil
		if next.State == Pending {
			return Status{State: Ok}
		}
		if next.ClearSince == nil {
			next.ClearSince = &now
		}
		if now.Sub(*next.ClearSince) >= r.Keep {
			next.State, next.ResolvedAt = Resolved, &now
		}
		return next
	case Unknown:
		next.ClearSince = nil // being well was not seen all the while
		if next.UnknownSince == nil {
			next.UnknownSince = &now
		}
	case Holds:
		next.ClearSince, next.UnknownSince = nil, nil
	}
	if next.State == Pending && now.Sub(next.PendingSince) >= r.For {
		next.State, next.FiredAt = Firing, &now
	}
	return next
}

// Due is when a pending alert fires if nothing changes.
func (r Rule) Due(s Status) time.Time { return s.PendingSince.Add(r.For) }

// Silences reports whether an alert of r that fires makes one of another rule a symptom.
func (r Rule) Silences(other string) bool { return slices.Contains(r.Inhibits, other) }
