// Package override is what lets something go on that a rule holds back: for one campaign or one message, for a bounded
// time, because somebody asked and a project lead who is somebody else agreed.
package override

import (
	"crypto/sha256"
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"

	"lastcall/domain"
	"lastcall/domain/policy"
)

// Kind is what an override lets go on.
type Kind string

// The kinds.
const (
	QuietHours      Kind = "quiet_hours"      // one campaign, or one message, goes in quiet hours; every other rule holds
	ProductionDrill Kind = "production_drill" // a drill runs in production
)

// State is where an override is.
type State string

// The states. The last four are final.
const (
	Requested State = "requested"
	Approved  State = "approved" // and waits for its start
	Active    State = "active"
	Ended     State = "ended" // its time was over
	Rejected  State = "rejected"
	Expired   State = "expired" // nobody decided in time
	Cancelled State = "cancelled"
)

// States are all of them, in the order in which they come.
var States = []State{Requested, Approved, Active, Ended, Rejected, Expired, Cancelled}

// Open reports whether anything can still happen.
func (s State) Open() bool { return slices.Contains([]State{Requested, Approved, Active}, s) }

// The codes of what is wrong with a request, or keeps somebody from deciding or cancelling. The audit log tells them
// as override.refused.
const (
	BadScope   = "override_scope"     // what it is for is missing, or is too much
	Past       = "override_past"      // it would begin, or end, in the past
	Empty      = "override_empty"     // it ends before it begins
	TooLong    = "override_too_long"  // longer than the setting allows
	TooFar     = "override_too_far"   // begins later than a request may wait for
	AlreadyOne = "override_open"      // the campaign, or the message, has one already
	Over       = "campaign_ended"     // there is nothing left to let go on
	SendOver   = "send_ended"         // the message does not wait: it has gone, or will not go
	WrongState = "override_state"     // decided, or over
	TooLate    = "override_expired"   // nobody had decided in time
	NotYours   = "override_not_yours" // only who asked, or who may decide, cancels
)

// Slack is how far in the past the start may lie: clocks differ, and forms are filled in slowly.
const Slack = time.Minute

// furthest is how far ahead a start may lie.
const furthest = 30 * 24 * time.Hour

// Window is when an override holds: from Start until before End.
type Window struct{ Start, End time.Time }

// Check tells whether a window may be asked for now, under these rules. It fails with domain.Invalid of code Past, Empty,
// TooLong or TooFar, naming the field.
func (w Window) Check(rules policy.Overrides, now time.Time) error {
	switch most := time.Duration(rules.MaxWindow); {
	case !w.End.After(w.Start):
		return domain.E(domain.Invalid, Empty, "it must end after it begins").About("ends_at")
	case w.Start.Before(now.Add(-Slack)):
		return domain.E(domain.Invalid, Past, "it would begin in the past").About("starts_at")
	case !w.End.After(now):
		return domain.E(domain.Invalid, Past, "it would end in the past").About("ends_at")
	case w.Start.After(now.Add(furthest)):
		return domain.E(domain.Invalid, TooFar, "it would begin in more than 30 days").About("starts_at")
	case w.End.Sub(w.Start) > most:
		return domain.E(domain.Invalid, TooLong, "it would last %s, and %s is the most", policy.Span(w.End.Sub(w.Start).Round(time.Second)), rules.MaxWindow).About("ends_at")
	}
	return nil
}

// Override is what decides where one goes next.
type Override struct {
	State    State
	Window   Window
	AskUntil time.Time // requested: when it is too late to decide
	Decided  bool      // requested: a decision is on its way to the workflow
}

// Due is the state that o is in by now, and how long until time alone changes it again; 0: it does not.
func (o Override) Due(now time.Time) (State, time.Duration) {
	switch {
	case o.State == Requested:
		until := o.AskUntil
		if o.Decided { // the workflow may refuse the decision: whoever gave it may be nobody by now
			until = o.Window.End
		}
		if !now.Before(until) {
			return Expired, 0
		}
		return Requested, until.Sub(now)
	case o.State != Approved && o.State != Active:
		return o.State, 0
	case !now.Before(o.Window.End):
		return Ended, 0
	case now.Before(o.Window.Start):
		return o.State, o.Window.Start.Sub(now)
	}
	return Active, o.Window.End.Sub(now)
}

// Material is all of an override that whoever decides agrees to.
type Material struct {
	ID         uuid.UUID  `json:"id"`
	Kind       Kind       `json:"kind"`
	CampaignID *uuid.UUID `json:"campaign_id"`
	SendID     *uuid.UUID `json:"send_id,omitempty"`
	StartsAt   time.Time  `json:"starts_at"`
	EndsAt     time.Time  `json:"ends_at"`
	Reason     string     `json:"reason"`
	Requester  uuid.UUID  `json:"requester_id"`
}

// Digest is SHA-256 of it, whatever zone its times are told in.
func (m Material) Digest() []byte {
	m.StartsAt, m.EndsAt = m.StartsAt.UTC(), m.EndsAt.UTC()
	text, _ := json.Marshal(m) // it cannot fail
	sum := sha256.Sum256(text)
	return sum[:]
}
