package forecast

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"lastcall/domain"
	"lastcall/domain/policy"
)

// Crowd are recipients whom neither the settings before nor those after tell apart.
type Crowd struct {
	Subject     policy.Subject // CappedUntil is by the frequency cap before
	CappedAfter time.Time      // and this by the one after
	From        time.Time      // nothing goes to them earlier; zero: at once
	Targets     int64
}

// Effect is what other settings mean for recipients at an instant. How many the channel has permits for is left
// out: that shows in when a campaign finishes.
type Effect struct {
	At      time.Time `json:"at" doc:"Of which instant it is told; of a campaign that starts later, the start"`
	Targets int64     `json:"targets"`
	Before  int64     `json:"go_before" doc:"May go with the settings as they are"`
	After   int64     `json:"go_after" doc:"May go with the change"`
	Blocked int64     `json:"blocked" doc:"May go as it is, and would wait or end unsent"`
	Freed   int64     `json:"released" doc:"Wait as it is, or would end unsent, and might go"`
	Moves   []Move    `json:"moves" doc:"For whom it is another decision, the most first"`
}

// Move are recipients of one country for whom a change makes the same other decision.
type Move struct {
	Country  string        `json:"country" doc:"ISO 3166-1 alpha-2"`
	Targets  int64         `json:"targets"`
	Of       int64         `json:"of" doc:"All of the country"`
	Was      policy.Reason `json:"was,omitempty" doc:"Why they may not go as it is; absent: they may"`
	WasUntil *time.Time    `json:"was_until,omitempty" doc:"Until when; absent: not by time alone"`
	Reason   policy.Reason `json:"reason,omitempty" doc:"Why they would not go; absent: they would"`
	Until    *time.Time    `json:"until,omitempty"`
	Why      string        `json:"why,omitempty"`
}

// Compare tells what the settings after would decide otherwise than those before about each crowd, at an instant or
// when the crowd may first go. By the same policy as the engine's.
func Compare(before, after policy.Settings, crowds []Crowd, at time.Time) Effect {
	e := Effect{At: at, Moves: []Move{}}
	of := map[string]int64{}
	for _, c := range crowds {
		was, is := c.decide(before, after, later(at, c.From))
		e.Targets += c.Targets
		of[c.Subject.Country] += c.Targets
		switch {
		case was.Permitted && is.Permitted:
			e.Before, e.After = e.Before+c.Targets, e.After+c.Targets
		case was.Permitted:
			e.Before, e.Blocked = e.Before+c.Targets, e.Blocked+c.Targets
		case is.Permitted:
			e.After, e.Freed = e.After+c.Targets, e.Freed+c.Targets
		}
		if differ(was, is) {
			e.add(Move{Country: c.Subject.Country, Targets: c.Targets, Was: was.Reason, WasUntil: was.RetryAfter,
				Reason: is.Reason, Until: is.RetryAfter, Why: is.Why})
		}
	}
	for i := range e.Moves {
		e.Moves[i].Of = of[e.Moves[i].Country]
	}
	slices.SortStableFunc(e.Moves, func(a, b Move) int { return cmp.Compare(b.Targets, a.Targets) })
	return e
}

// decide decides about a crowd twice.
func (c Crowd) decide(before, after policy.Settings, at time.Time) (was, is policy.Decision) {
	enough := policy.Budget{Available: math.MaxInt}
	was = before.Evaluate(c.Subject, enough, at)
	c.Subject.CappedUntil = c.CappedAfter
	return was, after.Evaluate(c.Subject, enough, at)
}

func differ(was, is policy.Decision) bool {
	return was.Reason != is.Reason || !same(was.RetryAfter, is.RetryAfter)
}

func same(a, b *time.Time) bool {
	return a == nil && b == nil || a != nil && b != nil && a.Equal(*b)
}

func (e *Effect) add(m Move) {
	i := slices.IndexFunc(e.Moves, func(o Move) bool {
		return o.Country == m.Country && o.Was == m.Was && o.Reason == m.Reason && same(o.WasUntil, m.WasUntil) && same(o.Until, m.Until)
	})
	if i < 0 {
		e.Moves = append(e.Moves, m)
		return
	}
	e.Moves[i].Targets += m.Targets
}

// ahead is how far Differs looks: each window of quiet hours begins within a week.
const ahead = 8 * 24 * time.Hour

// Differs is the first instant from at on, within eight days, at which the settings after decide otherwise about
// any of the crowds; zero: there is none.
func Differs(before, after policy.Settings, crowds []Crowd, at time.Time) (first time.Time) {
	type clock struct { // all that time decides by, but for who has had enough
		country, zone, locale, channel string
		lift                           policy.Lift
	}
	asked := map[clock]bool{}
	for _, c := range crowds {
		sub := c.Subject
		key := clock{sub.Country, sub.Zone, sub.Locale, sub.Channel, sub.Lift}
		if asked[key] {
			continue
		}
		asked[key] = true
		end := at.Add(ahead)
		if !first.IsZero() {
			end = first
		}
		for t := later(at, c.From); t.Before(end); {
			was, nextWas := before.Until(sub, t)
			is, nextIs := after.Until(sub, t)
			if differ(was, is) {
				first = t
				break
			}
			next := nextWas
			if next.IsZero() || !nextIs.IsZero() && nextIs.Before(next) {
				next = nextIs
			}
			if !next.After(t) { // never again
				break
			}
			t = next
		}
	}
	return first
}

// Sentences tell an effect to people; whose names the targets' campaigns, or is "". None: it changes nothing.
func (e Effect) Sentences(what, whose string) (all []string) {
	for _, m := range e.Moves {
		who := fmt.Sprintf("%s of %s %s in %s%s", domain.Thousands(m.Targets), domain.Thousands(m.Of), what, m.Country, whose)
		all = append(all, who+" would "+m.fate())
	}
	return all
}

// fate is what becomes of a move's recipients.
func (m Move) fate() string {
	was := ""
	switch {
	case m.Was == "":
	case m.WasUntil != nil:
		was = " instead of waiting until " + instantOf(*m.WasUntil)
	case final(m.Was):
		was = " instead of not at all"
	default:
		was = " instead of waiting for somebody to change it"
	}
	switch {
	case m.Reason == "":
		return "go at once" + was
	case final(m.Reason):
		return "not be written to: " + m.Why
	case m.Until != nil && m.Was == m.Reason && m.WasUntil != nil:
		return fmt.Sprintf("wait until %s instead of %s", instantOf(*m.Until), instantOf(*m.WasUntil))
	case m.Until != nil:
		return "wait until " + instantOf(*m.Until)
	}
	return "wait until somebody changes it: " + m.Why
}

func final(r policy.Reason) bool { return r == policy.OptOut || r == policy.NoConsent }

// instantOf is an instant in its own zone, for people.
func instantOf(t time.Time) string { return t.Format("Mon 2 Jan 15:04 MST") }
