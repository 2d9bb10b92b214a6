package rollout

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lastcall/domain/alert"
)

// Signal is something that must not go on for long once people take part: while it does no gate opens, and when it trips Lastcall
// acts by itself.
type Signal struct {
	Name    string  `json:"name"`
	Text    string  `json:"text"` // the plan's words
	Title   string  `json:"title"`
	Runbook string  `json:"runbook"`
	Watch   []Watch `json:"watch"` // any of them trips it
}

// Watch is a rule of the alert engine that a signal consists of.
type Watch struct {
	Rule     string        `json:"rule"`
	Title    string        `json:"title,omitempty"` // for people; "": the signal's
	When     string        `json:"when"`            // a condition, as rules write it
	Of       []string      `json:"of,omitempty"`
	For      time.Duration `json:"for,omitempty"` // how long it must hold; a rollout's factor divides it
	MinN     int64         `json:"min_n,omitempty"`
	Action   SignalAction  `json:"action"`
	Few      bool          `json:"few,omitempty"`      // it stands on too little to roll back: the signal is unknown meanwhile
	Inhibits []string      `json:"inhibits,omitempty"` // rules whose alerts say the same
}

// SignalAction is what Lastcall does when a signal trips.
type SignalAction string

// The actions. Whoever is on call is paged with either, and an incident opened.
const (
	Hold     SignalAction = "hold"      // nothing new is sent; a person does the rest
	RollBack SignalAction = "roll_back" // all of it
)

// SignalState is how it stands about a signal.
type SignalState string

// The states, the mildest first.
const (
	SignalOK      SignalState = "ok"
	SignalUnknown SignalState = "unknown" // there is no data, or too little; a clock that has begun runs on
	SignalBurning SignalState = "burning" // it holds, and its clock runs
	SignalTripped SignalState = "tripped"
)

// SignalStates are all of them, the mildest first.
var SignalStates = []SignalState{SignalOK, SignalUnknown, SignalBurning, SignalTripped}

// Watched reports whether signals live in a phase: people take part.
func (p Phase) Watched() bool { return p == Pilot || p == Production || p == Live }

// signalKeep is how long a signal must be clear before it is over.
const signalKeep = time.Minute

// SignalRules are the rules of a plan's signals, where every duration passes so many times as fast. The plan was checked.
func (p Plan) SignalRules(factor int) []alert.Rule {
	var all []alert.Rule
	for _, s := range p.Signals {
		for _, w := range s.Watch {
			rule, err := s.rule(w, factor)
			if err == nil { // another Lastcall's plan may have more
				all = append(all, rule)
			}
		}
	}
	return all
}

func (s Signal) rule(w Watch, factor int) (alert.Rule, error) {
	when, err := alert.ParseCondition(w.When)
	r := alert.Rule{Name: w.Rule, Title: w.Title, Severity: alert.Critical, When: when, Subjects: w.Of, For: Faster(w.For, factor), Keep: Faster(signalKeep, factor),
		MinN: w.MinN, Group: w.Rule, Inhibits: w.Inhibits, Runbook: s.Runbook, Notify: []alert.Channel{alert.OpsChannel, alert.Mail}, Signal: s.Name,
		Actions: []alert.Action{alert.OpenIncident, alert.StopSends}}
	if w.Action == RollBack {
		r.Actions[1] = alert.RollBack
	}
	if r.Title == "" {
		r.Title = s.Title
	}
	return r, err
}

// Faster is a duration that passes so many times as fast; a second at least, where it is any.
func Faster(d time.Duration, factor int) time.Duration {
	if d <= 0 || factor <= 1 {
		return d
	}
	return max(d/time.Duration(factor), min(d, time.Second))
}

// checkSignals makes sure that signals can be watched.
func (p Plan) checkSignals(wrong func(field, message string, args ...any)) {
	seen := map[string]bool{}
	var rules alert.Rules
	for _, s := range p.Signals {
		if seen[s.Name] || !itemIDs.MatchString(s.Name) {
			wrong(s.Name, "a signal needs a name of its own, of lower-case letters, digits and -")
		}
		seen[s.Name] = true
		if err := s.check(); err != nil {
			wrong(s.Name, "%s", err)
		}
		for _, w := range s.Watch {
			if rule, err := s.rule(w, 1); err == nil {
				rules.All = append(rules.All, rule)
			}
		}
	}
	for i, r := range rules.All {
		if slices.ContainsFunc(rules.All[:i], func(o alert.Rule) bool { return o.Name == r.Name }) {
			wrong(r.Name, "two signals watch by a rule of this name")
		}
		if err := rules.CheckFor(r, r.For); err != nil {
			wrong(r.Name, "%s", err)
		}
		source, _ := alert.SourceOf(r.When.Source)
		for _, subject := range r.Subjects {
			if !slices.Contains(source.Subjects, subject) {
				wrong(r.Name, "%s knows no %q", source.Name, subject)
			}
		}
	}
}

func (s Signal) check() error {
	if strings.TrimSpace(s.Text) == "" || strings.TrimSpace(s.Title) == "" {
		return errors.New("it says nothing")
	}
	if len(s.Watch) == 0 {
		return errors.New("nothing is watched")
	}
	for _, w := range s.Watch {
		if !strings.HasPrefix(w.Rule, "signal-") || !itemIDs.MatchString(w.Rule) {
			return fmt.Errorf("the rule %q is to begin with signal-", w.Rule)
		}
		if _, err := alert.ParseCondition(w.When); err != nil {
			return err
		}
		if w.Action != Hold && w.Action != RollBack {
			return fmt.Errorf("%q is no action: hold or roll_back", w.Action)
		}
		if w.MinN < 0 || w.Few && w.Action != Hold {
			return errors.New("what stands on too little only holds")
		}
	}
	return nil
}
