package delivery

import (
	"fmt"
	"slices"
	"time"

	"lastcall/domain/campaign"
)

// Tell puts what is known of a target into one story, oldest first, and answers what became of it. What concerns
// the whole campaign or cohort is in it only as far as it concerned this target: while it was in the queue.
func Tell(f Facts) Timeline {
	all := slices.Concat(f.Shared, f.events(), f.row(), f.optOut())
	slices.SortStableFunc(all, func(a, b Moment) int { return a.At.Compare(b.At) })
	t := Timeline{Moments: make([]Moment, 0, len(all))}
	queued, paused := true, false
	for _, m := range all {
		switch m.Kind {
		case Sending, TakenOut, Cancelled, Failed, Unknown, Settled, Sent:
			queued = false
		case Requeued:
			queued = true
		case OptedOut:
			queued = queued && m.Attempt == 0 // else the provider told in answer to an attempt
		case CampaignPaused:
			paused = true
		case CampaignResumed:
			if !paused { // the workflow's echo of an order that is told already
				continue
			}
			paused = false
		}
		if queued || !m.Kind.shared() {
			t.Moments = append(t.Moments, m)
		}
	}
	t.Now = f.now(t.Moments)
	return t
}

// Facts are all that is kept about one target: its row, its own events, and what it shares with others.
type Facts struct {
	State     campaign.TargetState
	Reason    string
	ErrorCode int
	Attempt   int
	NotBefore *time.Time

	SendingAt, SentAt, DeliveredAt, ReadAt, EndedAt *time.Time

	Events []Event
	Shared []Moment // of the campaign and the cohort, oldest first
	OptOut *OptOut  // nil: not in the registry

	Campaign Campaign
	Live     Live // what decides now
}

// Event is something off the target's happy path.
type Event struct {
	At        time.Time
	Kind      Kind // Requeued, Failed, OptedOut, Unknown, Settled or LateReceipt
	Attempt   int
	Reason    string
	ErrorCode int
}

// OptOut is the number's entry in the registry.
type OptOut struct {
	At     time.Time
	Source string // registry or provider
	Reason string
}

// Timeline is a target's story, and how it stands.
type Timeline struct {
	Moments []Moment `json:"timeline" doc:"What happened, oldest first"`
	Now     Now      `json:"now"`
}

// Moment is one thing that happened.
type Moment struct {
	At             time.Time  `json:"at"`
	Kind           Kind       `json:"kind" enum:"campaign_started,campaign_paused,campaign_resumed,campaign_stopped,campaign_ended,campaign_resent,held,lifted,opted_out,sending,requeued,sent,delivered,read,failed,unknown,settled,late_receipt,taken_out,cancelled"`
	What           string     `json:"what" doc:"The same for people"`
	Attempt        int        `json:"attempt,omitempty" doc:"Of which attempt at sending it is"`
	Reason         string     `json:"reason,omitempty" doc:"A stable code: of held, the policy's; of an attempt, why it ended so"`
	ErrorCode      int        `json:"error_code,omitempty" doc:"The provider's"`
	Diagnosis      *Diagnosis `json:"diagnosis,omitempty" doc:"What the error means and what to do about it"`
	Until          *time.Time `json:"until,omitempty" doc:"Of held: when the reason passes, as far as was known then"`
	PolicyRevision int64      `json:"policy_revision,omitempty" doc:"Of held: the settings that decided"`
	By             string     `json:"by,omitempty" doc:"Who did it"`
	Note           string     `json:"note,omitempty" doc:"Why, in that person's words"`
}

// Kind says what sort of moment it is.
type Kind string

// The kinds. Those of the campaign, Held and Lifted are shared with other targets.
const (
	CampaignStarted Kind = "campaign_started"
	CampaignPaused  Kind = "campaign_paused"
	CampaignResumed Kind = "campaign_resumed"
	CampaignStopped Kind = "campaign_stopped"
	CampaignEnded   Kind = "campaign_ended"
	CampaignResent  Kind = "campaign_resent" // somebody ordered to send again, to this target among others
	Held            Kind = "held"            // the policy let nothing of its cohort go
	Lifted          Kind = "lifted"          // an override let its cohort go in quiet hours

	OptedOut  Kind = "opted_out" // the number was entered in the registry, or the provider told in answer to an attempt
	Sending   Kind = "sending"   // a permit was granted and the attempt began
	Requeued  Kind = "requeued"  // the attempt ended without a message: it may be tried again
	Sent      Kind = "sent"      // the provider accepted the message
	Delivered Kind = "delivered"
	Read      Kind = "read"
	Failed    Kind = "failed"
	Unknown   Kind = "unknown"   // the attempt ended and nobody can tell whether the message left
	Settled   Kind = "settled"   // a receipt told
	TakenOut  Kind = "taken_out" // its turn came and the number had opted out
	Cancelled Kind = "cancelled"

	LateReceipt Kind = "late_receipt" // a receipt told of an attempt that no longer decides: the target is or will be tried again
)

// Resend is why a target that failed or is unknown went back to the queue: somebody ordered it.
const Resend = "resend"

func (k Kind) shared() bool {
	return slices.Contains([]Kind{CampaignStarted, CampaignPaused, CampaignResumed, CampaignStopped, CampaignEnded, CampaignResent, Held, Lifted}, k)
}

// events tells the target's own events.
func (f Facts) events() []Moment {
	all := make([]Moment, len(f.Events))
	for i, e := range f.Events {
		d := Diagnose(e.Reason, e.ErrorCode)
		m := Moment{At: e.At, Kind: e.Kind, Attempt: e.Attempt, Reason: e.Reason, ErrorCode: e.ErrorCode, Diagnosis: &d}
		switch e.Kind {
		case Requeued:
			if e.Reason == Resend {
				m.What, m.Diagnosis = "it went back to the queue, to be sent again", nil
				break
			}
			m.What = fmt.Sprintf("attempt %d sent nothing and went back to the queue%s", e.Attempt, coded(e.ErrorCode))
		case Failed:
			m.What = fmt.Sprintf("attempt %d failed%s", e.Attempt, coded(e.ErrorCode))
		case OptedOut:
			m.What = fmt.Sprintf("attempt %d was refused: the recipient opted out%s", e.Attempt, coded(e.ErrorCode))
		case Unknown:
			m.What = fmt.Sprintf("attempt %d ended, and nobody can tell whether it was sent", e.Attempt)
		case Settled:
			m.What, m.Diagnosis = fmt.Sprintf("a receipt told that attempt %d was sent after all", e.Attempt), nil
		case LateReceipt:
			m.What = fmt.Sprintf("a late receipt told that attempt %d %s%s", e.Attempt, lateWords[e.Reason], coded(e.ErrorCode))
			if e.ErrorCode == 0 {
				m.Diagnosis = nil
			}
		default:
			m.What = fmt.Sprintf("attempt %d: %s", e.Attempt, d.Meaning)
		}
		all[i] = m
	}
	return all
}

// lateWords are the states that receipts tell, as they are told of an attempt.
var lateWords = map[string]string{"sent": "was sent", "failed": "failed", "delivered": "was delivered", "read": "was read"}

// row tells what the target's own timestamps do. The provider's clock shows whole seconds and may be off: what it
// tells cannot have been before the step that it follows.
func (f Facts) row() (all []Moment) {
	var last time.Time
	add := func(at *time.Time, k Kind, what string) {
		if at == nil {
			return
		}
		if last = later(last, *at); k == TakenOut || k == Cancelled {
			all = append(all, Moment{At: last, Kind: k, What: what})
			return
		}
		all = append(all, Moment{At: last, Kind: k, What: what, Attempt: f.Attempt})
	}
	add(f.SendingAt, Sending, fmt.Sprintf("attempt %d began: a permit was granted", f.Attempt))
	add(f.SentAt, Sent, "WhatsApp accepted the message")
	add(f.DeliveredAt, Delivered, "it was delivered")
	add(f.ReadAt, Read, "it was read")
	switch f.State { // the other ends are events
	case campaign.OptedOut:
		if f.ErrorCode != 0 {
			break // an event, too: the provider told
		}
		add(f.EndedAt, TakenOut, "its turn came and it was left out: the number had opted out")
	case campaign.Cancelled:
		add(f.EndedAt, Cancelled, "it was cancelled: the campaign had been stopped before its turn came")
	}
	return all
}

func (f Facts) optOut() []Moment {
	if f.OptOut == nil {
		return nil
	}
	what := "the number opted out"
	if f.OptOut.Source == "provider" {
		what += ", as WhatsApp told"
	}
	return []Moment{{At: f.OptOut.At, Kind: OptedOut, What: what, Note: f.OptOut.Reason}}
}

func coded(code int) string {
	if code == 0 {
		return ""
	}
	return fmt.Sprintf(" (WhatsApp's code %d)", code)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
