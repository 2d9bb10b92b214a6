// Package campaign holds the two state machines of a campaign: its own and that of each target. It
// knows no I/O: the store writes these states, workflows and webhooks ask here what may follow what.
package campaign

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"lastcall/domain"
)

// Status is where a campaign is in its life.
type Status string

// The statuses. A draft has no workflow; every other status is written by the campaign's workflow,
// except Scheduled, which the API writes together with the order to start it.
const (
	Draft     Status = "draft"
	Scheduled Status = "scheduled" // waits for its send time
	Preflight Status = "preflight" // is being checked
	Running   Status = "running"   // dispatches, or waits for quiet hours and permits
	Paused    Status = "paused"    // nothing goes until somebody resumes it
	Settling  Status = "settling"  // everything that may go has gone; waits for receipts
	Done      Status = "done"
	Stopped   Status = "stopped" // ended by somebody; what was queued is cancelled
	Failed    Status = "failed"  // ended by a fault of ours
)

// A workflow that Ops reset in Temporal begins again at an earlier point, from wherever Postgres is by then.
var next = map[Status][]Status{
	Draft:     {Scheduled},
	Scheduled: {Preflight, Paused, Settling, Failed},
	Preflight: {Running, Paused, Settling, Failed},
	Running:   {Preflight, Paused, Settling, Failed},
	Paused:    {Scheduled, Preflight, Running, Settling, Failed},
	Settling:  {Preflight, Running, Paused, Done, Stopped, Failed},
}

// May reports whether a campaign in status s may become to. Staying where one is is always allowed,
// because workflows repeat a write whose answer was lost.
func (s Status) May(to Status) bool { return s == to || slices.Contains(next[s], to) }

// Ended reports whether nothing will happen any more in this status, unless somebody orders a resend.
func (s Status) Ended() bool { return s == Done || s == Stopped || s == Failed }

// Active reports whether a workflow looks after the campaign in this status.
func (s Status) Active() bool { return s != Draft && !s.Ended() }

// Gate is a person's standing order, checked with every permit: it works with no worker alive.
type Gate string

// The gates. Stopped is final.
const (
	GateOpen    Gate = "open"
	GatePaused  Gate = "paused"
	GateStopped Gate = "stopped"
)

// CheckOrder tells whether a person may turn the gate of a campaign in this status. It fails with a
// domain.Conflict of code wrong_state that says what the campaign is doing instead.
func CheckOrder(s Status, from, to Gate) error {
	wrong := func(why string) error {
		return domain.E(domain.Conflict, "wrong_state", "cannot %s: the campaign %s", to.verb(), why)
	}
	switch {
	case s == Draft:
		return wrong("has not been started")
	case s == Settling:
		return wrong("has sent everything and waits for receipts")
	case s.Ended():
		return wrong("is " + string(s))
	case from == GateStopped:
		return wrong("is being stopped")
	case to == GatePaused && from == GatePaused:
		return wrong("is paused already")
	case to == GateOpen && from == GateOpen && s != Paused:
		return wrong("is not paused")
	}
	return nil
}

func (g Gate) verb() string {
	return map[Gate]string{GateOpen: "resume", GatePaused: "pause", GateStopped: "stop"}[g]
}

// MaxWeight is the largest weight; the least is 1.
const MaxWeight = 100

// CheckWeight tells whether a campaign in this status may have a weight: domain.Invalid of code bad_weight if none
// may, domain.Conflict of code wrong_state once it has ended.
func CheckWeight(s Status, weight int) error {
	if weight < 1 || weight > MaxWeight {
		return domain.E(domain.Invalid, "bad_weight", "use a whole number from 1 to %d", MaxWeight).About("weight")
	}
	if s.Ended() {
		return domain.E(domain.Conflict, "wrong_state", "the campaign is %s", s)
	}
	return nil
}

// TargetState is where one recipient is. The states are exclusive, so their counts add up.
type TargetState string

// The target states.
const (
	Queued    TargetState = "queued"
	Sending   TargetState = "sending" // a permit is granted, the request may be under way
	Sent      TargetState = "sent"    // the provider accepted it
	Delivered TargetState = "delivered"
	Read      TargetState = "read"
	FailedT   TargetState = "failed"
	OptedOut  TargetState = "opted_out"
	Unknown   TargetState = "unknown" // perhaps sent: only a receipt or a person can tell
	Cancelled TargetState = "cancelled"
)

// TargetStates lists all states in the order people read them.
var TargetStates = []TargetState{Queued, Sending, Sent, Delivered, Read, FailedT, OptedOut, Unknown, Cancelled}

// ValidTargetState reports whether s names a state.
func ValidTargetState(s string) bool { return slices.Contains(TargetStates, TargetState(s)) }

// Counts says how many targets are in each state.
type Counts struct {
	Targets   int64 `json:"targets"`
	Queued    int64 `json:"queued"`
	Sending   int64 `json:"sending"`
	Sent      int64 `json:"sent"`
	Delivered int64 `json:"delivered"`
	Read      int64 `json:"read"`
	Failed    int64 `json:"failed"`
	OptedOut  int64 `json:"opted_out"`
	Unknown   int64 `json:"unknown"`
	Cancelled int64 `json:"cancelled"`
}

// Add adds other to c.
func (c *Counts) Add(other Counts) {
	c.Targets += other.Targets
	c.Queued += other.Queued
	c.Sending += other.Sending
	c.Sent += other.Sent
	c.Delivered += other.Delivered
	c.Read += other.Read
	c.Failed += other.Failed
	c.OptedOut += other.OptedOut
	c.Unknown += other.Unknown
	c.Cancelled += other.Cancelled
}

// Accepted is how many the provider took: sent, delivered or read.
func (c Counts) Accepted() int64 { return c.Sent + c.Delivered + c.Read }

// Attempt names one try at sending to one target, or of a single send. Its key travels with the message and comes back in
// the provider's receipts, which is how an unknown outcome becomes known.
type Attempt struct {
	Campaign uuid.UUID
	Target   int64
	Single   uuid.UUID // the single send that it is a try of; uuid.Nil: of a campaign's target
	N        int       // 1 for the first try
}

// Key is the attempt's key: "<campaign>/<target>/<n>", or "send/<id>/<n>" of a single send.
func (a Attempt) Key() string {
	if a.Single != uuid.Nil {
		return singleKey + "/" + a.Single.String() + "/" + strconv.Itoa(a.N)
	}
	return a.Campaign.String() + "/" + strconv.FormatInt(a.Target, 10) + "/" + strconv.Itoa(a.N)
}

// singleKey is what the key of a single send begins with; a campaign's begins with its id.
const singleKey = "send"

// ParseAttempt reads a key back; anything else than a key of ours is an error.
func ParseAttempt(key string) (Attempt, error) {
	parts := strings.Split(key, "/")
	if len(parts) == 3 && parts[0] == singleKey {
		id, err1 := uuid.Parse(parts[1])
		n, err2 := strconv.Atoi(parts[2])
		if err1 == nil && err2 == nil && id != uuid.Nil {
			return Attempt{Single: id, N: n}, nil
		}
	} else if len(parts) == 3 {
		id, err1 := uuid.Parse(parts[0])
		target, err2 := strconv.ParseInt(parts[1], 10, 64)
		n, err3 := strconv.Atoi(parts[2])
		if err1 == nil && err2 == nil && err3 == nil {
			return Attempt{Campaign: id, Target: target, N: n}, nil
		}
	}
	return Attempt{}, fmt.Errorf("not an attempt key")
}
