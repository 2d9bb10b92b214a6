package alert

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"lastcall/domain"
)

// Action is what Lastcall does by itself when an alert fires.
type Action string

// The actions.
const (
	OpenIncident   Action = "open_incident"
	PauseCampaigns Action = "pause_campaigns" // all that run; of a drill's alert only those of drills
	StopSends      Action = "stop_sends"      // dispatch off; of a rollout's signal
	RollBack       Action = "roll_back"       // the rollout; of its signal
)

// Actions are those that a rule may name; the others are those of a rollout's signals.
var Actions = []Action{OpenIncident, PauseCampaigns}

// Channel is a way by which people are told.
type Channel string

// The channels.
const (
	OpsChannel Channel = "ops"
	Mail       Channel = "mail"
)

// Channels are all of them.
var Channels = []Channel{OpsChannel, Mail}

// Rule says what somebody must be told of.
type Rule struct {
	Name     string
	Title    string // for people: "WhatsApp messaging is down"
	Severity Severity
	When     Condition
	Subjects []string      // only these of the source's subjects; none: each
	For      time.Duration // how long it must hold; 0: at once
	Keep     time.Duration // how long it must be clear before it resolves, so that flapping is one alert
	MinN     int64         // how many things a share must be a share of before it counts
	Group    string        // alerts of one group are told together; by default the rule's name
	Inhibits []string      // rules whose alerts are symptoms while this one fires
	Runbook  string        // "": none
	Notify   []Channel
	Actions  []Action
	Signal   string // of a rollout, whose rule it is; "": none's
}

// About reports whether the rule looks at a sample.
func (r Rule) About(s Sample) bool {
	return r.When.Source == s.Source && (len(r.Subjects) == 0 || slices.Contains(r.Subjects, s.Subject))
}

// TestRule is the rule of an alert that somebody makes to see that it arrives.
var TestRule = Rule{Name: "test", Title: "Test alert", Severity: Info, Group: "test", Notify: []Channel{OpsChannel}}

// Rules are all rules with the times of what is told. They are made by config and are checked.
type Rules struct {
	GroupWait     time.Duration // how long the first alert of a group waits for others
	GroupInterval time.Duration // the least time between two notices of a group
	Repeat        time.Duration // after which what nobody has acknowledged is told again
	Watchdog      time.Duration // after so long without a word the Ops channel gets a sign of life
	Probes        time.Duration // how often edge functions are probed; 0: probe.Every
	All           []Rule
}

// Of is the rule of a name.
func (rs Rules) Of(name string) (Rule, bool) {
	if name == TestRule.Name {
		return TestRule, true
	}
	i := slices.IndexFunc(rs.All, func(r Rule) bool { return r.Name == name })
	if i < 0 {
		return Rule{}, false
	}
	return rs.All[i], true
}

var nameRule = regexp.MustCompile(`^[a-z][a-z0-9-]{0,59}$`)

// Check says everything that is wrong with rules, as domain.Invalid errors joined, each about rule.field; their codes are
// bad_name, duplicate_rule, missing_field, bad_severity, unknown_source, unknown_subject, below_interval, bad_duration,
// unknown_rule, mutual, unknown_runbook, unknown_channel and unknown_action. runbooks are the names that exist.
func (rs Rules) Check(runbooks []string) error {
	var wrong []error
	add := func(field, code, message string, args ...any) {
		wrong = append(wrong, domain.E(domain.Invalid, code, message, args...).About(field))
	}
	for field, d := range map[string]time.Duration{"group_interval": rs.GroupInterval, "repeat": rs.Repeat, "watchdog": rs.Watchdog} {
		if d < time.Second {
			add(field, "bad_duration", "must be a second at least")
		}
	}
	if rs.GroupWait < 0 {
		add("group_wait", "bad_duration", "must not be negative")
	}
	names := map[string]bool{}
	for _, r := range rs.All {
		if names[r.Name] || r.Name == TestRule.Name {
			add(r.Name, "duplicate_rule", "there is another rule of this name")
		}
		names[r.Name] = true
	}
	for _, r := range rs.All {
		field := func(name string) string { return r.Name + "." + name }
		if !nameRule.MatchString(r.Name) {
			add(r.Name, "bad_name", "use small letters, digits and hyphens")
		}
		if r.Title == "" {
			add(field("title"), "missing_field", "is missing")
		}
		if !slices.Contains(Severities, r.Severity) {
			add(field("severity"), "bad_severity", "use one of %v", Severities)
		}
		source, ok := SourceOf(r.When.Source)
		if !ok {
			add(field("when"), "unknown_source", "there is no source %q", r.When.Source)
			continue
		}
		for _, subject := range r.Subjects {
			if !slices.Contains(source.Subjects, subject) {
				add(field("of"), "unknown_subject", "%s knows no %q", source.Name, subject)
			}
		}
		if err := rs.CheckFor(r, r.For); err != nil {
			wrong = append(wrong, err)
		}
		if r.Keep < 0 {
			add(field("keep"), "bad_duration", "must not be negative")
		}
		for _, other := range r.Inhibits {
			if !names[other] || other == r.Name {
				add(field("inhibits"), "unknown_rule", "there is no other rule %q", other)
			}
			if cause, _ := rs.Of(other); cause.Silences(r.Name) {
				add(field("inhibits"), "mutual", "%s inhibits this one: both would be silent", other)
			}
		}
		if r.Runbook != "" && !slices.Contains(runbooks, r.Runbook) {
			add(field("runbook"), "unknown_runbook", "there is no runbook %q", r.Runbook)
		}
		if len(r.Notify) == 0 {
			add(field("notify"), "missing_field", "is missing: nobody would hear of it")
		}
		for _, c := range r.Notify {
			if !slices.Contains(Channels, c) {
				add(field("notify"), "unknown_channel", "use of %v", Channels)
			}
		}
		for _, a := range r.Actions {
			if !slices.Contains(Actions, a) {
				add(field("do"), "unknown_action", "use of %v", Actions)
			}
		}
	}
	return errors.Join(wrong...)
}

// Every is the time between two looks at a source.
func (rs Rules) Every(s Source) time.Duration {
	if s.Name == EdgeFunction && rs.Probes > 0 {
		return rs.Probes
	}
	return s.Every
}

// CheckFor says whether a rule could hold for so long before it fires: what is looked at each minute cannot be known to have
// held for ten seconds. domain.Invalid of code below_interval or bad_duration, about rule.for.
func (rs Rules) CheckFor(r Rule, d time.Duration) error {
	source, ok := SourceOf(r.When.Source)
	switch {
	case d < 0 || d > 30*24*time.Hour:
		return domain.E(domain.Invalid, "bad_duration", "use 0s to 720h").About(r.Name + ".for")
	case ok && d > 0 && d < rs.Every(source):
		return domain.E(domain.Invalid, "below_interval", "%s is less than the %s between two looks at %s: nobody could know that it held for so long",
			d, rs.Every(source), source.Name).About(r.Name + ".for")
	}
	return nil
}

// String is the rule as a sentence.
func (r Rule) String() string {
	said := r.When.String()
	if r.For > 0 {
		said += fmt.Sprintf(" for %s", r.For)
	}
	if r.MinN > 0 {
		said += fmt.Sprintf(", of at least %d", r.MinN)
	}
	return said
}
