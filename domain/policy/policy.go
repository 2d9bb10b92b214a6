// Package policy decides whether a message may go out now: the dispatch toggle, opt-outs, consent, quiet hours,
// the channels' throttles and the frequency cap. It is pure: the same settings, subject, budget and instant give the same decision.
package policy

import (
	"fmt"
	"slices"
	"time"
)

// Evaluate decides whether a message to sub may go out at now, given what the permit ledger says about its
// channel. Of the rules that block, the first in the order of Precedence is the reason; the others stand
// beside it.
func (s Settings) Evaluate(sub Subject, b Budget, now time.Time) Decision {
	return s.decide(append(suspended(sub), s.dispatch(), optOut(sub), s.consent(sub), s.quietHours(sub, now), s.throttle(sub, b), s.frequency(sub, now))...).
		by(s.lifted(sub, now))
}

// Clock decides by the dispatch toggle, suspensions and quiet hours alone: what all recipients of one country,
// zone and locale share, whatever the channel's budget.
func (s Settings) Clock(sub Subject, now time.Time) Decision {
	return s.decide(append(suspended(sub), s.dispatch(), s.quietHours(sub, now))...).by(s.lifted(sub, now))
}

// Channel decides by the dispatch toggle and what the permit ledger says about a channel alone.
func (s Settings) Channel(channel string, b Budget) Decision {
	return s.decide(s.dispatch(), s.throttle(Subject{Channel: channel}, b))
}

// Capped decides by the frequency cap alone: what recipients share who have had enough until then.
func (s Settings) Capped(until, now time.Time) Decision {
	return s.decide(s.frequency(Subject{Marketing: true, CappedUntil: until}, now))
}

// Subject is what the rules look at: one recipient of one message, or all that share these.
type Subject struct {
	Channel     string // ChannelWhatsApp
	Country     string // ISO 3166-1 alpha-2
	Zone        string // IANA, "" if unknown
	Locale      string // BCP 47
	Marketing   bool   // what the message is; anything else needs no consent and has no frequency cap
	OptedOut    bool
	OptedIn     bool         // an opt-in is recorded
	CappedUntil time.Time    // when the frequency cap leaves room for one more message to the recipient; zero: it does
	Suspensions []Suspension // of the channel and of the template in the recipient's language
	Lift        Lift         // of quiet hours, for the message or its campaign
}

// Suspension is that the provider takes nothing from a channel, or nothing with a template.
type Suspension struct {
	Reason     Reason    // ChannelSuspended, TemplateSuspended or ChannelSlowed
	Why        string    // for people
	Until      time.Time // when it is tried again; zero: when somebody, or the provider, lifts it
	NeedsHuman bool      // somebody has to mend something
}

// Budget is what the permit ledger says about a channel now.
type Budget struct {
	Available  int       // permits that could be granted
	RetryAfter time.Time // when there will be one again; zero if there is one, or nobody knows
	Limit      Limit     // which keeps it from granting more; of no meaning if some are Available
}

// Limit is a limit of a channel, or who goes before.
type Limit string

// The limits.
const (
	PerMinute  Limit = "per_minute"
	PerSecond  Limit = "per_second"
	Tier       Limit = "tier"
	Pair       Limit = "pair"
	Share      Limit = "share"        // the channel's other campaigns had less for their weight
	SingleSend Limit = "single_sends" // they go first
)

// Reason says why a message may not go out.
type Reason string

// The reasons.
const (
	DispatchDisabled  Reason = "dispatch_disabled"  // nothing goes out at all
	ChannelSuspended  Reason = "channel_suspended"  // the provider takes nothing from our number or account, or is down
	TemplateSuspended Reason = "template_suspended" // the provider takes nothing with this template
	OptOut            Reason = "opt_out"            // the recipient asked for it; final
	NoConsent         Reason = "no_consent"         // marketing, and the recipient has never agreed to any
	InQuietHours      Reason = "quiet_hours"        // it is night where the recipient is, or nobody knows whether it is
	ChannelSlowed     Reason = "channel_slowed"     // the provider asked for a pause
	Throttled         Reason = "throttled"          // the channel, or to this recipient, sent as much as it may for now
	FrequencyCapped   Reason = "frequency_cap"      // marketing, and the recipient had enough of it lately
)

// Precedence is the order in which a rule that blocks is the reason. What concerns everybody goes before what
// concerns one, what is final before what passes.
var Precedence = []Reason{DispatchDisabled, ChannelSuspended, TemplateSuspended, OptOut, NoConsent, InQuietHours,
	ChannelSlowed, Throttled, FrequencyCapped}

// Decision is the answer. Its JSON is what the API, the CLI and the panel show.
type Decision struct {
	Permitted  bool       `json:"permitted"`
	Reason     Reason     `json:"reason,omitempty"`
	Also       []Reason   `json:"also,omitempty"`        // what would block as well
	RetryAfter *time.Time `json:"retry_after,omitempty"` // when Reason may have passed; nil if time alone will not do
	NextWindow *Opening   `json:"next_window,omitempty"` // with InQuietHours: when messages may go out next
	Revision   int64      `json:"policy_revision"`       // of the settings that decided
	Why        string     `json:"why,omitempty"`         // Reason for people, without personal data
	NeedsHuman bool       `json:"needs_human,omitempty"` // Reason passes only when somebody mends something
	OverrideID string     `json:"override_id,omitempty"` // of the override but for which it would be blocked by InQuietHours
}

// by names the override that decided with.
func (d Decision) by(override string) Decision { d.OverrideID = override; return d }

// Opening is the time between two quiet hours.
type Opening struct {
	Opens  time.Time `json:"opens"`  // in Zone
	Closes time.Time `json:"closes"` // in Zone
	Zone   string    `json:"zone"`   // IANA
}

// block is one rule's objection; a nil block has none.
type block struct {
	reason     Reason
	retryAfter *time.Time
	nextWindow *Opening
	why        string
	needsHuman bool
}

// decide makes the objection that precedes the others the reason.
func (s Settings) decide(blocks ...*block) Decision {
	d := Decision{Permitted: true, Revision: s.Revision}
	for _, reason := range Precedence {
		i := slices.IndexFunc(blocks, func(b *block) bool { return b != nil && b.reason == reason })
		switch {
		case i < 0:
		case d.Permitted:
			b := blocks[i]
			d.Permitted = false
			d.Reason, d.RetryAfter, d.NextWindow, d.Why, d.NeedsHuman = b.reason, b.retryAfter, b.nextWindow, b.why, b.needsHuman
		default:
			d.Also = append(d.Also, reason)
		}
	}
	return d
}

func (s Settings) dispatch() *block {
	if s.Toggles.Dispatch {
		return nil
	}
	return &block{reason: DispatchDisabled, why: "dispatch is switched off"}
}

func suspended(sub Subject) []*block {
	blocks := make([]*block, 0, len(sub.Suspensions)+6)
	for _, u := range sub.Suspensions {
		b := &block{reason: u.Reason, why: u.Why, needsHuman: u.NeedsHuman}
		if !u.Until.IsZero() {
			b.retryAfter = &u.Until
		}
		blocks = append(blocks, b)
	}
	return blocks
}

func optOut(sub Subject) *block {
	if !sub.OptedOut {
		return nil
	}
	return &block{reason: OptOut, why: "opted out"}
}

func (s Settings) consent(sub Subject) *block {
	if !sub.Marketing || sub.OptedIn || !s.Consent.Required {
		return nil
	}
	return &block{reason: NoConsent, why: "no recorded consent to marketing"}
}

func (s Settings) throttle(sub Subject, b Budget) *block {
	limit := s.Throttle[sub.Channel]
	if limit.PerMinute <= 0 {
		return &block{reason: Throttled, why: sub.Channel + " is stopped: its throttle is 0 a minute"}
	}
	if b.Available > 0 {
		return nil
	}
	blocked := &block{reason: Throttled, why: limit.why(sub.Channel, b.Limit)}
	if !b.RetryAfter.IsZero() {
		blocked.retryAfter = &b.RetryAfter
	}
	return blocked
}

func (c Cap) why(channel string, l Limit) string {
	switch l {
	case PerSecond:
		return fmt.Sprintf("%s is throttled to %d a second", channel, c.PerSecond)
	case Tier:
		return fmt.Sprintf("%s may write to %d recipients in 24 hours", channel, c.Tier)
	case Pair:
		return fmt.Sprintf("%s may write to one recipient every %d seconds", channel, c.PairSeconds)
	case Share:
		return fmt.Sprintf("%s is throttled to %s, shared with other campaigns", channel, c.rates())
	case SingleSend:
		return fmt.Sprintf("%s is throttled to %s, and single sends go first", channel, c.rates())
	}
	return fmt.Sprintf("%s is throttled to %d a minute", channel, c.PerMinute)
}

func (c Cap) rates() string {
	if c.PerSecond <= 0 {
		return fmt.Sprintf("%d a minute", c.PerMinute)
	}
	return fmt.Sprintf("%d a minute and %d a second", c.PerMinute, c.PerSecond)
}

func (s Settings) frequency(sub Subject, now time.Time) *block {
	limit := s.FrequencyCap.Marketing
	if !sub.Marketing || limit.Off() || !sub.CappedUntil.After(now) {
		return nil
	}
	return &block{reason: FrequencyCapped, retryAfter: &sub.CappedUntil, why: limit.why()}
}

func (f Frequency) why() string {
	switch {
	case f.PerWeek <= 0:
		return fmt.Sprintf("frequency cap: %d marketing a day", f.PerDay)
	case f.PerDay <= 0:
		return fmt.Sprintf("frequency cap: %d marketing a week", f.PerWeek)
	}
	return fmt.Sprintf("frequency cap: %d marketing a day, %d a week", f.PerDay, f.PerWeek)
}
