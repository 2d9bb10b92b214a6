package probe

import (
	"fmt"
	"slices"
	"time"
)

// Classify says what a probe's finding means for an edge function whose latest findings before it, newest first, were
// recent. Amber: it refuses, is slow, is not set, or has failed in spells, a share of the time.
func Classify(f Function, found Finding, recent []Outcome) (state State, detail string) {
	switch found.Outcome {
	case Unreachable:
		return Red, found.Detail
	case Refused, NotSet:
		return Amber, found.Detail
	}
	if found.Latency > f.Slow {
		return Amber, fmt.Sprintf("It answers slowly: in %s.", found.Latency.Round(10*time.Millisecond))
	}
	if failed, of := spells(recent); failed > 1 {
		return Amber, fmt.Sprintf("It answers, and has failed %d times in the last %d probes.", failed, of)
	}
	return Green, found.Detail
}

// Finding is what one probe met.
type Finding struct {
	Name    Name          `json:"name"`
	Outcome Outcome       `json:"outcome"`
	Latency time.Duration `json:"latency"`          // of the answer; 0 where there was none
	Detail  string        `json:"detail,omitempty"` // for people, at most DetailMost characters; no address, secret or answer
	At      time.Time     `json:"at"`               // when it was met
	Outside bool          `json:"outside"`          // it lies beyond this machine: the way there may be what failed
}

// DetailMost is how many characters a detail may have.
const DetailMost = 300

// Outcome is what became of one probe.
type Outcome string

// The outcomes.
const (
	Answered    Outcome = "answered"    // as it should
	Refused     Outcome = "refused"     // it is there, and refuses or answers nonsense
	Unreachable Outcome = "unreachable" // not reached, late, or not deployed
	NotSet      Outcome = "not_set"     // nothing is configured to probe
)

// Recent is how many findings say whether an edge function fails a share of the time.
const Recent = 10

// spells counts the times that recent findings, newest first, went from an answer to a failure, among how many. An outage
// that has ended is one; what fails part of the time goes back and forth.
func spells(recent []Outcome) (failed, of int) {
	recent = recent[:min(len(recent), Recent)]
	for i, o := range recent {
		if o == Unreachable && (i == len(recent)-1 || recent[i+1] != Unreachable) {
			failed++
		}
	}
	return failed, len(recent)
}

// OwnFault reports whether what a round found is our own connection's doing: everything beyond this machine, and there
// are three at least, was unreachable in it. Then nobody knows about those.
func OwnFault(round []Finding) bool {
	outside := slices.DeleteFunc(slices.Clone(round), func(f Finding) bool { return !f.Outside || f.Outcome == NotSet })
	return len(outside) >= 3 && !slices.ContainsFunc(outside, func(f Finding) bool { return f.Outcome != Unreachable })
}

// Pulse is what shows that somebody probes.
type Pulse struct {
	Now    time.Time
	Beat   time.Time // when a worker last said that it is there; zero: none ever
	Probed time.Time // when something was last probed; zero: nothing ever
	Since  time.Time // when the watch began: what was before says nothing
}

// Silent is how long no worker may say anything before the dispatcher is down.
const Silent = 15 * time.Second

// Watch says what a pulse means, for who watches those that probe: nil when all is well.
func Watch(p Pulse, every time.Duration) *Finding {
	down := func(detail string, args ...any) *Finding {
		return &Finding{Name: Dispatcher, Outcome: Unreachable, Detail: fmt.Sprintf(detail, args...), At: p.Now}
	}
	last := func(t time.Time) time.Duration {
		if t.Before(p.Since) {
			t = p.Since
		}
		return p.Now.Sub(t)
	}
	if quiet := last(p.Beat); quiet > Silent {
		return down("No worker has said anything for %s.", quiet.Truncate(time.Second))
	}
	if quiet := last(p.Probed); quiet > Stale(every) {
		return down("A worker is there, and nothing was probed for %s.", quiet.Truncate(time.Second))
	}
	return nil
}
