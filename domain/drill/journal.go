package drill

import (
	"encoding/json"
	"time"
)

// State is where a drill is, or how it ended.
type State string

// The states. The last four are final: completed says that the loop was seen to its end, not that it went well; see
// Deviated and the score.
const (
	Preflight   State = "preflight"  // looks whether all is steady
	Injected    State = "injected"   // the fault is there
	Recovering  State = "recovering" // the fault is gone
	Completed   State = "completed"
	Failed      State = "failed"      // it did not start: something was not steady
	Aborted     State = "aborted"     // somebody stopped it, or something real happened
	Interrupted State = "interrupted" // its workflow was lost
)

// Open reports whether anything can still happen.
func (s State) Open() bool { return s == Preflight || s == Injected || s == Recovering }

// Phase is the part of the journal that an entry belongs to.
type Phase string

// The phases.
const (
	Before    Phase = "before"    // the steady state before the fault
	Run       Phase = "run"       // the fault, and what came of it
	Rollbacks Phase = "rollbacks" // what took everything back
	AfterAll  Phase = "after"     // the steady state once more
)

// JournalEntry is one thing that was done, or looked at, or seen to happen.
type JournalEntry struct {
	Phase  Phase           `json:"-"`
	Name   string          `json:"name"`
	Type   string          `json:"type" enum:"action,probe,event" doc:"action: the drill did it; probe: it looked; event: the system did it"`
	Status string          `json:"status" enum:"succeeded,failed"`
	At     time.Time       `json:"at"`
	Output json.RawMessage `json:"output,omitempty" doc:"What was seen: ids, states, counts"`
}

// The types and statuses of entries.
const (
	Action  = "action"
	Looked  = "probe"
	Seen    = "event"
	Success = "succeeded"
	Failure = "failed"
)

// SteadyState is what the steady state was found to be.
type SteadyState struct {
	Met    bool           `json:"steady_state_met"`
	Probes []JournalEntry `json:"probes"`
}

// SteadyStates are the steady state before and after; nil: it was not looked at.
type SteadyStates struct {
	Before *SteadyState `json:"before,omitempty"`
	After  *SteadyState `json:"after,omitempty"`
}

// Journal is the record of a drill, in the shape of a chaos experiment's.
type Journal struct {
	Experiment Scenario   `json:"experiment" doc:"The scenario as it was run"`
	Fast       bool       `json:"fast" doc:"With the thresholds of a fast drill; the drill acknowledged its alert by its own script"`
	Status     State      `json:"status" enum:"preflight,injected,recovering,completed,failed,aborted,interrupted"`
	Why        string     `json:"why,omitempty" doc:"It failed, was aborted or interrupted"`
	Deviated   bool       `json:"deviated" doc:"Something was not as expected, or not steady afterwards"`
	Start      time.Time  `json:"start"`
	End        *time.Time `json:"end,omitempty"`
	Duration   float64    `json:"duration" doc:"Seconds, so far or in all"`

	SteadyStates SteadyStates   `json:"steady_states"`
	Run          []JournalEntry `json:"run"`
	Rollbacks    []JournalEntry `json:"rollbacks"`

	DetectedAfter     *float64 `json:"detected_after" doc:"Seconds from the fault; null: it was not measured"`
	AlertedAfter      *float64 `json:"alerted_after" doc:"Seconds from the fault"`
	AcknowledgedAfter *float64 `json:"acknowledged_after" doc:"Seconds from the fault"`
	MitigatedAfter    *float64 `json:"mitigated_after" doc:"Seconds from the fault"`
	RecoveredAfter    *float64 `json:"recovered_after" doc:"Seconds from the end of the fault"`
	SteadyAfter       *float64 `json:"steady_after" doc:"Seconds from the end of the fault"`

	Verdict
}

// Record is what is known of a drill: all that a journal is made of.
type Record struct {
	Scenario   Scenario // as it is run: hastened already
	Fast       bool
	State      State
	Why        string
	CreatedAt  time.Time
	InjectedAt *time.Time
	RevertedAt *time.Time
	EndedAt    *time.Time
	Entries    []JournalEntry // in the order in which they came
	Others     []string       // the rules whose alerts came without being expected
}

// Journal makes the journal of a drill, of one that is over or of one that runs as of now.
func (r Record) Journal(now time.Time) Journal {
	j := Journal{Experiment: r.Scenario, Fast: r.Fast, Status: r.State, Why: r.Why, Start: r.CreatedAt, End: r.EndedAt, Run: []JournalEntry{}, Rollbacks: []JournalEntry{}}
	if r.EndedAt != nil {
		now = *r.EndedAt
	}
	j.Duration = seconds(now.Sub(r.CreatedAt))
	for _, e := range r.Entries {
		switch e.Phase {
		case Before:
			j.SteadyStates.Before = j.SteadyStates.Before.with(e)
		case AfterAll:
			j.SteadyStates.After = j.SteadyStates.After.with(e)
		case Run:
			j.Run = append(j.Run, e)
		case Rollbacks:
			j.Rollbacks = append(j.Rollbacks, e)
		}
	}
	for _, e := range Events {
		*map[Event]**float64{Detected: &j.DetectedAfter, Alerted: &j.AlertedAfter, Acknowledged: &j.AcknowledgedAfter, Mitigated: &j.MitigatedAfter,
			Recovered: &j.RecoveredAfter, Steady: &j.SteadyAfter}[e] = r.after(e)
	}
	j.Verdict = r.Judge()
	j.Deviated = r.State != Failed && !r.State.Open() && j.deviates() || j.SteadyStates.After != nil && !j.SteadyStates.After.Met
	return j
}

func (s *SteadyState) with(e JournalEntry) *SteadyState {
	if s == nil {
		s = &SteadyState{Met: true}
	}
	s.Met = s.Met && e.Status == Success
	s.Probes = append(s.Probes, e)
	return s
}

// after is how long an event took, in seconds; nil: it was not measured.
func (r Record) after(e Event) *float64 {
	from := r.InjectedAt
	if e.After() {
		from = r.RevertedAt
	}
	for _, seen := range r.Entries {
		if seen.Type == Seen && seen.Name == string(e) && seen.Status == Success && from != nil {
			took := max(seconds(seen.At.Sub(*from)), 0) // clocks of two processes may differ by a hair
			return &took
		}
	}
	return nil
}

func seconds(d time.Duration) float64 { return d.Round(time.Millisecond).Seconds() }
