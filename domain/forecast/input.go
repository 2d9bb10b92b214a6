package forecast

import (
	"time"

	"lastcall/domain/policy"
)

// Input is all that a forecast looks at.
type Input struct {
	Settings     policy.Settings // saved or not
	Channel      string
	Now          time.Time // of the database: the ledger is of this instant
	Start        time.Time // when the own campaign begins or goes on; at once if it is past
	Limits       Limits
	Ledger       []Use   // permits granted lately, oldest first; older than policy's window do no harm
	TierUse      []Use   // recipients of the last 24 hours, oldest first; only with a tier
	Rate         float64 // messages a second that all campaigns together reach where no rule limits them; above 0
	RateMeasured bool
	Own          Load
	Others       []Load // the campaigns that want permits of the channel as well
	oneByOne     bool   // go through windows that are alike one by one, to test that this makes no difference
}

// Limits are how much the channel takes.
type Limits struct {
	PerMinute int // in any 61 seconds: the ledger's window; 0 stops the channel
	PerSecond int // in any 1.75 seconds: the ledger's window; 0: no limit
	Tier      int // recipients in any 24 hours; 0: no limit
}

// LimitsOf reads the limits of a channel from settings.
func LimitsOf(set policy.Settings, channel string) Limits {
	c := set.Throttle[channel]
	return Limits{PerMinute: c.PerMinute, PerSecond: c.PerSecond, Tier: c.Tier}
}

// Window is the ledger's: a minute, and a second for what is on its way. secondWindow is its other one: a second,
// and 750 ms.
const (
	Window       = 61 * time.Second
	secondWindow = 1750 * time.Millisecond
)

// Use is what was used of a limit at an instant.
type Use struct {
	At time.Time
	N  int64
}

// Load is one campaign's queued targets.
type Load struct {
	Marketing bool
	From      time.Time   // nothing goes earlier; of the own campaign Start says so
	Weight    float64     // its share of the permits while others want some, too; 0: 1
	Cohorts   []Cohort    // in the order in which the engine takes them
	Lift      policy.Lift // of quiet hours for the campaign; zero: none
}

// Cohort are targets that share every rule that looks at the clock.
type Cohort struct {
	Country string // ISO 3166-1 alpha-2
	Zone    string // IANA, "" if unknown
	Locale  string // BCP 47
	Groups  []Group
}

// Group are targets of a cohort that the rules for one recipient do not tell apart.
type Group struct {
	Targets     int64
	OptedOut    bool
	OptedIn     bool      // an opt-in is recorded
	CappedUntil time.Time // by the frequency cap in Settings; zero: not
	NotBefore   time.Time // the provider asked to try again then; zero: it did not
}

// start is when the own campaign begins or goes on.
func (in Input) start() time.Time {
	if in.Start.Before(in.Now) {
		return in.Now
	}
	return in.Start
}

// subject is what the policy looks at in a group of a cohort.
func (in Input) subject(l Load, k Cohort, g Group) policy.Subject {
	return policy.Subject{Channel: in.Channel, Country: k.Country, Zone: k.Zone, Locale: k.Locale, Marketing: l.Marketing,
		OptedOut: g.OptedOut, OptedIn: g.OptedIn, CappedUntil: g.CappedUntil, Lift: l.Lift}
}

// count says what the policy says about each target at the start, given what the channel has left then.
func (f *Forecast) count(in Input, budget policy.Budget) {
	at := in.start()
	blocked := map[policy.Reason]*Block{}
	block := func(d policy.Decision, n int64) {
		for i, reason := range append([]policy.Reason{d.Reason}, d.Also...) {
			b := blocked[reason]
			if b == nil {
				b = &Block{Reason: reason}
				blocked[reason] = b
			}
			if i > 0 {
				b.Also += n
				continue
			}
			b.Targets += n
			if b.Why == "" {
				b.Why = d.Why
			}
			if d.RetryAfter != nil && (b.Until == nil || d.RetryAfter.Before(*b.Until)) {
				b.Until, b.Why = d.RetryAfter, d.Why
			}
		}
	}
	for _, k := range in.Own.Cohorts {
		for _, g := range k.Groups {
			sub := in.subject(in.Own, k, g)
			d := in.Settings.Evaluate(sub, budget, at)
			f.Targets += g.Targets
			if !in.final(sub) {
				f.Sendable += g.Targets
			}
			if d.Permitted && g.NotBefore.After(at) {
				retry := g.NotBefore
				d = policy.Decision{Reason: ProviderRetry, RetryAfter: &retry, Why: "the provider asked to try again later"}
			}
			if !d.Permitted {
				block(d, g.Targets)
				continue
			}
			granted := min(g.Targets, int64(budget.Available)-f.Permitted)
			f.Permitted += granted
			if granted < g.Targets { // the channel has not enough for all of them at once
				block(in.Settings.Evaluate(sub, policy.Budget{RetryAfter: budget.RetryAfter}, at), g.Targets-granted)
			}
		}
	}
	for _, reason := range append(append([]policy.Reason{}, policy.Precedence...), ProviderRetry) {
		if b := blocked[reason]; b != nil {
			f.Blocked = append(f.Blocked, *b)
		}
	}
}

// final reports whether a target is left out for good: no time and no setting but consent's will let it go.
func (in Input) final(sub policy.Subject) bool {
	d := in.Settings.Evaluate(sub, policy.Budget{}, in.start())
	for _, reason := range append([]policy.Reason{d.Reason}, d.Also...) {
		if reason == policy.OptOut || reason == policy.NoConsent {
			return true
		}
	}
	return false
}
