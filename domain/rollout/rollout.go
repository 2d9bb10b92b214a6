// Package rollout is how an installation goes from a trial to everybody: phases one after the other, each with a list of
// things that must be so, a gate that opens only when they are, and guardrails that hold until then.
package rollout

import (
	"crypto/sha256"
	"encoding/json"
	"slices"
	"time"

	"lastcall/domain/access"
	"lastcall/domain/announce"
)

// Phase is how far a rollout is.
type Phase string

// The phases, in the order in which they open. A phase's items are worked on in it; Live is after the last gate.
const (
	Staging    Phase = "staging"
	Pilot      Phase = "pilot"
	Production Phase = "production" // being made ready: the launch is its gate
	Live       Phase = "live"
)

// Phases are all of them.
var Phases = []Phase{Staging, Pilot, Production, Live}

// Next is the phase that opens after p; "" after Live.
func (p Phase) Next() Phase {
	if i := slices.Index(Phases, p); i >= 0 && i+1 < len(Phases) {
		return Phases[i+1]
	}
	return ""
}

// Kind is how an item comes to be passed.
type Kind string

// The kinds.
const (
	Check   Kind = "check"    // Lastcall proves it, and proves it anew
	SignOff Kind = "sign_off" // people attest it, each in their role
	Drill   Kind = "drill"    // a passed drill that is recent enough
)

// Outcome is what an item came to.
type Outcome string

// The outcomes. Where there is nothing to judge by, the outcome is Inconclusive, never Passed.
const (
	Passed       Outcome = "passed"
	Failed       Outcome = "failed"
	Inconclusive Outcome = "inconclusive"
	Waived       Outcome = "waived"
)

// Item is one line of the plan: something that must be so before its phase is over.
type Item struct {
	ID    string      `json:"id"`
	Text  string      `json:"text"` // the plan's words
	Kind  Kind        `json:"kind"`
	Owner access.Role `json:"owner"` // who sees to it

	Check      string        `json:"check,omitempty"`       // what proves it, or shows what is attested: a name of the registry
	Threshold  float64       `json:"threshold,omitempty"`   // for that, where it takes one
	Every      time.Duration `json:"every,omitempty"`       // how often it is proved anew
	StaleAfter time.Duration `json:"stale_after,omitempty"` // how old its evidence may be; of a drill, the drill itself

	Quorum   []access.Role `json:"quorum,omitempty"`     // sign_off: one of each must sign
	Lasts    time.Duration `json:"lasts,omitempty"`      // sign_off: how long a signature holds; 0: until what was attested changes
	Unwaived bool          `json:"unwaivable,omitempty"` // nobody may waive it
}

// Guardrails are what a phase forbids. What is zero does not matter.
type Guardrails struct {
	Provider    string `json:"provider,omitempty"`    // sandbox: nothing is sent but to the sandbox
	Redemptions string `json:"redemptions,omitempty"` // mocked: stations only rehearse
	Bars        int    `json:"bars,omitempty"`        // that take part, at most: others' stations redeem nothing
	Stations    int    `json:"stations,omitempty"`    // that take part, at most: others redeem nothing
	Support     int    `json:"support,omitempty"`     // accounts of that role that may sign in, at most
	Targets     int    `json:"targets,omitempty"`     // of one campaign, at most
	Templates   string `json:"templates,omitempty"`   // locked: nothing is sent with another
}

// The values of guardrails that are words.
const (
	Sandbox = "sandbox"
	Mocked  = "mocked"
	Locked  = "locked"
)

// PhasePlan is one phase of a plan.
type PhasePlan struct {
	Phase      Phase      `json:"phase"`
	Title      string     `json:"title"`
	Objective  string     `json:"objective"`
	Guardrails Guardrails `json:"guardrails"`
	Items      []Item     `json:"items"`

	Announcements []announce.Announcement `json:"announcements,omitempty"` // the next phase does not open before they went out
}

// Plan is all that is to be so. The guardrails of Live hold after the launch; it has no items.
type Plan struct {
	Phases  []PhasePlan `json:"phases"`
	Signals []Signal    `json:"signals,omitempty"` // to roll back, from the pilot on
	Factor  int         `json:"factor,omitempty"`  // of a rehearsal: so many times as fast do its durations pass; 0: it is none
}

// Of returns a phase of the plan.
func (p Plan) Of(phase Phase) PhasePlan {
	for _, of := range p.Phases {
		if of.Phase == phase {
			return of
		}
	}
	return PhasePlan{Phase: phase}
}

// Item finds an item, and the phase it is worked on in.
func (p Plan) Item(id string) (Item, Phase, bool) {
	for _, of := range p.Phases {
		for _, item := range of.Items {
			if item.ID == id {
				return item, of.Phase, true
			}
		}
	}
	return Item{}, "", false
}

// Announcement finds an announcement, and the phase in which it goes out.
func (p Plan) Announcement(id string) (announce.Announcement, Phase, bool) {
	for _, of := range p.Phases {
		for _, a := range of.Announcements {
			if a.ID == id {
				return a, of.Phase, true
			}
		}
	}
	return announce.Announcement{}, "", false
}

// Reviewed reports whether the days of a phase are reviewed: an item of it asks for that.
func (p Plan) Reviewed(phase Phase) bool {
	return slices.ContainsFunc(p.Of(phase).Items, func(i Item) bool { return i.Check == DailyReview })
}

// DailyReview is the check that asks for a signed review of every day of its phase.
const DailyReview = "daily_review"

// Digest is SHA-256 of the plan.
func (p Plan) Digest() []byte { return digest(p) }

// Evidence is what was found about an item.
type Evidence struct {
	Outcome Outcome   `json:"outcome"`
	Summary string    `json:"summary"` // one sentence: what was found, or what is missing
	Figures []Exhibit `json:"figures"`

	Values any `json:"-"` // what it is evidence of: signatures are bound to it; nil: the outcome and figures
}

// Exhibit is a number or a name of evidence, in words.
type Exhibit struct {
	Label string `json:"label"`
	Value string `json:"value"`
	Link  string `json:"link,omitempty" doc:"A page of the panel that shows the rows behind it"`
}

// Missing is evidence of nothing: why there is none.
func Missing(why string) Evidence { return Evidence{Outcome: Inconclusive, Summary: why} }

// Digest is SHA-256 of what an item of this version of the plan is evidence of: whatever of it changes, signatures do
// not hold any more.
func (e Evidence) Digest(version int, item Item) []byte {
	values := e.Values
	if values == nil {
		values = []any{e.Outcome, e.Figures}
	}
	return digest([]any{version, item, values})
}

// WaiverDigest is SHA-256 of what a waiver is of: the item in this version of the plan, whatever is found about it.
func WaiverDigest(version int, item Item) []byte { return digest([]any{version, item, "waived"}) }

func digest(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // names, numbers and texts
	}
	sum := sha256.Sum256(text)
	return sum[:]
}
