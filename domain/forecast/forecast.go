// Package forecast tells what a campaign will do under given rules: who may be written to, when the waves of the
// others go, why they wait, and when all has gone. It decides by domain/policy, as the engine does, and reckons
// with cohorts and rates, so its time does not grow with the number of targets. It is pure: settings that nobody
// has saved yet can be tried on it.
package forecast

import (
	"time"

	"lastcall/domain/policy"
)

// Forecast is what will become of a campaign's queued targets. Permitted and what Blocked holds add up to
// Targets; the waves add up to Sendable, unless Never says that some never go.
type Forecast struct {
	At            time.Time  `json:"at" doc:"From when on it is reckoned: the counts are of this instant"`
	Targets       int64      `json:"targets" doc:"Queued"`
	Sendable      int64      `json:"sendable" doc:"Of them, neither opted out nor without a consent that is required"`
	Permitted     int64      `json:"permitted" doc:"May go at once"`
	Blocked       []Block    `json:"blocked" doc:"Who may not, by reason: permitted and these add up to targets"`
	Waves         []Wave     `json:"waves" doc:"When who goes; 200 at most"`
	FinishesAt    *time.Time `json:"finishes_at" nullable:"true" doc:"When the last has gone, receipts aside; null: never, or there is nobody to send to"`
	Never         *Never     `json:"never,omitempty" doc:"Why some never go, as things stand"`
	PeakPerMinute int64      `json:"peak_per_minute" doc:"Most in any 60 seconds"`
	Steps         []Step     `json:"steps" doc:"For drawing: straight lines between 200 points at most"`
	AssumedRate   float64    `json:"assumed_rate" doc:"Messages a second where no rule limits them"`
	RateMeasured  bool       `json:"rate_measured" doc:"Whether that was measured now, or is an assumption"`
	Revision      int64      `json:"policy_revision" doc:"Of the settings it was reckoned with"`
}

// Block is how many targets one reason keeps from going.
type Block struct {
	Reason  policy.Reason `json:"reason"`
	Targets int64         `json:"targets" doc:"Of which it is the reason: the first that blocks"`
	Also    int64         `json:"also,omitempty" doc:"Which it would block as well, behind another reason"`
	Until   *time.Time    `json:"until,omitempty" doc:"When the first of them may go; absent: not by time alone"`
	Why     string        `json:"why"`
}

// Wave is sending without a long break, by those that began to wait no longer at the same time.
type Wave struct {
	From    time.Time     `json:"from"`
	To      time.Time     `json:"to"`
	Targets int64         `json:"targets"`
	Waited  policy.Reason `json:"waited,omitempty" doc:"Why they did not go earlier; absent for the first"`
	Cohorts []Part        `json:"cohorts"`
	Merged  int           `json:"merged,omitempty" doc:"How many waves these are, with waits in between; absent: one"`
}

// Part is what of a wave goes to recipients of one country, zone and locale.
type Part struct {
	Country string    `json:"country" doc:"ISO 3166-1 alpha-2"`
	Zone    string    `json:"zone,omitempty" doc:"IANA; absent: unknown"`
	Locale  string    `json:"locale,omitempty" doc:"BCP 47"`
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	Targets int64     `json:"targets"`
}

// Step is how many have gone by an instant.
type Step struct {
	At        time.Time `json:"at"`
	SentTotal int64     `json:"sent_total" doc:"Since the forecast's beginning"`
}

// Never is why a campaign does not finish.
type Never struct {
	Reason  policy.Reason `json:"reason" doc:"A policy's reason, or too_long"`
	Targets int64         `json:"targets"`
	Why     string        `json:"why"`
}

// The reasons that are no policy's.
const (
	ProviderRetry policy.Reason = "provider_retry" // the provider asked to try again later
	TooLong       policy.Reason = "too_long"       // it would take longer than Horizon
)

// Horizon is how far ahead is reckoned.
const Horizon = 366 * 24 * time.Hour

// Make reckons.
func Make(in Input) Forecast {
	f := Forecast{At: in.start(), Blocked: []Block{}, Waves: []Wave{}, Steps: []Step{},
		AssumedRate: in.Rate, RateMeasured: in.RateMeasured, Revision: in.Settings.Revision}
	s := simulate(in, func(s *simulation) bool { return s.left(own) < crumb })
	f.count(in, s.budget)
	f.Waves = s.waves()
	f.PeakPerMinute = min(s.sent.peak(time.Minute.Seconds()), int64(in.Limits.PerMinute)) // of many windows the curve has the mean only
	f.Steps = s.steps()
	f.end(in, s)
	return f
}

// Finish is Make for all campaigns at once and without details: when each finishes, the own first, then the
// others in their order; zero for one that never does.
func Finish(in Input) []time.Time {
	s := simulate(in, func(s *simulation) bool { return s.left(all) < crumb })
	ends := make([]time.Time, 1+len(in.Others))
	for i := range ends {
		if s.left(i) < crumb && s.total(i) > 0 {
			ends[i] = s.time(s.last[i])
		}
	}
	return ends
}

// end says when it is over, or why never.
func (f *Forecast) end(in Input, s *simulation) {
	left := int64(s.left(own) + 0.5)
	switch {
	case left == 0 && f.Sendable > 0:
		end := s.time(s.last[own])
		f.FinishesAt = &end
	case left > 0:
		f.Never = &Never{TooLong, left, "it would take longer than a year"}
		for _, st := range s.streams {
			if st.load != own || st.left() < crumb {
				continue
			}
			at := in.start()
			d := in.Settings.Clock(st.subject, at)
			if !d.Permitted && d.RetryAfter != nil { // what holds when the night is over
				at = *d.RetryAfter
				d = in.Settings.Clock(st.subject, at)
			}
			if d.Permitted && in.Limits.PerMinute <= 0 {
				d = in.Settings.Evaluate(st.subject, policy.Budget{}, at)
			}
			if !d.Permitted && d.RetryAfter == nil {
				f.Never.Reason, f.Never.Why = d.Reason, d.Why
				return
			}
		}
	}
}
