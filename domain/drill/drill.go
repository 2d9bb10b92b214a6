// Package drill is an incident on purpose: a fault is put in the way, and the whole loop is measured by what the system
// itself did and wrote down. Was it detected, did the right alert reach people, did somebody acknowledge it, was the damage
// held off, did it heal once the fault was gone, and is everything steady again?
package drill

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"time"

	"lastcall/domain"
	"lastcall/domain/policy"
	"lastcall/domain/probe"
)

// Event is a moment of the loop.
type Event string

// The events, in the order in which they are to come.
const (
	Detected     Event = "detected"     // a probe finds what is wrong
	Alerted      Event = "alerted"      // the right alert has been taken by its channel
	Acknowledged Event = "acknowledged" // somebody looks after it
	Mitigated    Event = "mitigated"    // the rule has paused what was to be kept from harm
	Recovered    Event = "recovered"    // the fault is gone, and a probe is green
	Steady       Event = "steady"       // all is as it was before
)

// Events are all of them, in order.
var Events = []Event{Detected, Alerted, Acknowledged, Mitigated, Recovered, Steady}

// After reports whether an event is awaited once the fault is gone; its deadline counts from then, the others' from
// the moment the fault began.
func (e Event) After() bool { return e == Recovered || e == Steady }

// Scenario is what a drill does and what it expects. It is read from config/drills.
type Scenario struct {
	Name        string            `json:"name"`         // as people type it: messaging-outage
	Title       string            `json:"title"`        // for people, one line
	Story       string            `json:"story"`        // what happens, and what is proved
	Runbook     string            `json:"runbook"`      // which runbook it exercises
	SteadyState []SteadyCondition `json:"steady_state"` // holds before, or the drill does not start, and again after
	Fault       Injection         `json:"fault"`
	Traffic     bool              `json:"traffic,omitempty"` // a campaign of the drill's own, without targets, that a rule is to pause
	Expect      []Expectation     `json:"expect"`            // in the order of Events; their weights add up to 100
	ProbeEvery  policy.Span       `json:"probe_every"`       // how often the edge function is probed meanwhile
	Fast        FastDrill         `json:"fast"`              // the same within minutes
}

// SteadyCondition holds while an edge function is in one of these states.
type SteadyCondition struct {
	EdgeFunction probe.Name    `json:"edge_function"`
	State        []probe.State `json:"state"`
}

// Holds reports whether a state meets the condition.
func (c SteadyCondition) Holds(s probe.State) bool { return slices.Contains(c.State, s) }

// String is the condition in words.
func (c SteadyCondition) String() string {
	all := make([]string, len(c.State))
	for i, s := range c.State {
		all[i] = string(s)
	}
	return string(c.EdgeFunction) + " is " + strings.Join(all, " or ")
}

// Injection is the fault that is put in the way of calls to an edge function.
type Injection struct {
	EdgeFunction probe.Name      `json:"edge_function"`
	Kind         probe.FaultKind `json:"kind"`
	Share        float64         `json:"share"`           // of the calls, above 0 and up to 1
	Delay        policy.Span     `json:"delay,omitempty"` // of the kind slow: how much longer each takes
	For          policy.Span     `json:"for"`             // it ends by itself then, whatever else has died; 2h at most
}

// Expectation is an event and by when it is to have come.
type Expectation struct {
	Event   Event         `json:"event"`
	Within  policy.Span   `json:"within"`            // from the fault's beginning; of recovered and steady, from its end
	Weight  int           `json:"weight"`            // what it is worth, of 100
	Key     bool          `json:"key,omitempty"`     // missed, it caps the score: see Cap
	State   []probe.State `json:"state,omitempty"`   // of detected: what a probe is to find
	Rule    string        `json:"rule,omitempty"`    // of alerted: whose alert; of mitigated: which rule pauses campaigns
	Hold    policy.Span   `json:"hold,omitempty"`    // of a rule: how long it must see it before its alert fires; 0: as the rule says
	Channel string        `json:"channel,omitempty"` // of alerted: where it is to arrive, ops or mail
}

// FastDrill is what a fast drill does otherwise.
type FastDrill struct {
	FaultFor   policy.Span           `json:"fault_for"`
	ProbeEvery policy.Span           `json:"probe_every"`
	Hold       policy.Span           `json:"hold,omitempty"` // of every rule
	Within     map[Event]policy.Span `json:"within"`         // of every expectation
}

// Hastened is the scenario with the thresholds of a fast drill. In one the drill acknowledges its alert by itself.
func (s Scenario) Hastened() Scenario {
	s.Fault.For, s.ProbeEvery = s.Fast.FaultFor, s.Fast.ProbeEvery
	s.Expect = slices.Clone(s.Expect)
	for i, e := range s.Expect {
		s.Expect[i].Within = s.Fast.Within[e.Event]
		if e.Rule != "" {
			s.Expect[i].Hold = s.Fast.Hold
		}
	}
	return s
}

// Rules are those whose alerts the drill expects, with the clocks that they have meanwhile; 0: their own.
func (s Scenario) Rules() map[string]time.Duration {
	all := map[string]time.Duration{}
	for _, e := range s.Expect {
		if e.Rule != "" {
			all[e.Rule] = time.Duration(e.Hold)
		}
	}
	return all
}

// Expects is the expectation of an event.
func (s Scenario) Expects(e Event) (Expectation, bool) {
	i := slices.IndexFunc(s.Expect, func(x Expectation) bool { return x.Event == e })
	if i < 0 {
		return Expectation{}, false
	}
	return s.Expect[i], true
}

// Redeems reports whether the drill tries to redeem meanwhile, so that there is something that fails.
func (s Scenario) Redeems() bool { return s.Fault.EdgeFunction == probe.Redemptions }

// StopsTraffic reports whether the fault would keep real messages from going: no such drill runs beside real campaigns.
func (s Scenario) StopsTraffic() bool {
	return s.Fault.EdgeFunction == probe.Messaging || s.Fault.EdgeFunction == probe.Dispatcher || s.Fault.EdgeFunction == probe.Database
}

// Parse reads a scenario and checks it. It fails with domain.Invalid of code scenario_unreadable, or with those of Check.
func Parse(raw []byte) (s Scenario, err error) {
	decode := json.NewDecoder(bytes.NewReader(raw))
	decode.DisallowUnknownFields()
	if err := decode.Decode(&s); err != nil {
		return s, domain.E(domain.Invalid, "scenario_unreadable", "the scenario cannot be read: %s", err)
	}
	if _, err := decode.Token(); err != io.EOF {
		return s, domain.E(domain.Invalid, "scenario_unreadable", "something follows the scenario")
	}
	if s.ProbeEvery == 0 {
		s.ProbeEvery = policy.Span(probe.Every)
	}
	return s, s.Check()
}

// Find is the scenario of this name; domain.NotFound of code unknown_scenario, which names those that there are.
func Find(all []Scenario, name string) (Scenario, error) {
	names := make([]string, len(all))
	for i, s := range all {
		if s.Name == name {
			return s, nil
		}
		names[i] = s.Name
	}
	return Scenario{}, domain.E(domain.NotFound, "unknown_scenario", "there is no scenario %q; use one of %s", name, strings.Join(names, ", ")).About("scenario")
}
