package drill

import (
	"cmp"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"lastcall/domain"
	"lastcall/domain/policy"
	"lastcall/domain/probe"
)

var nameRule = regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`)

// Check tells what is wrong with a scenario, as it is and hastened. It fails with domain.Invalid naming the field, of code
// bad_name, unknown_edge_function, unknown_state, bad_interval, bad_expectation, bad_weights, those of probe.Fault.Check, or
// threshold_too_short: a deadline or a hold that is shorter than the time between two probes can be met by chance only.
func (s Scenario) Check() error {
	switch {
	case !nameRule.MatchString(s.Name):
		return domain.E(domain.Invalid, "bad_name", "use lower-case letters, digits and -, such as messaging-outage").About("name")
	case s.Title == "" || s.Story == "":
		return domain.E(domain.Invalid, "bad_name", "say in the title and the story what it does").About("title")
	case len(s.SteadyState) == 0:
		return domain.E(domain.Invalid, "bad_expectation", "say what holds before and after").About("steady_state")
	}
	for _, c := range s.SteadyState {
		if !known(c.EdgeFunction) {
			return unknownFunction(c.EdgeFunction).About("steady_state")
		}
		if err := states(c.State, probe.Green, probe.Amber); err != nil {
			return err.About("steady_state")
		}
	}
	if err := s.checkOnce(); err != nil {
		return err
	}
	for _, e := range s.Expect {
		if _, ok := s.Fast.Within[e.Event]; !ok {
			return domain.E(domain.Invalid, "bad_expectation", "a fast drill needs a deadline for %s too", e.Event).About("fast.within")
		}
	}
	if len(s.Fast.Within) != len(s.Expect) {
		return domain.E(domain.Invalid, "bad_expectation", "a fast drill has a deadline for what the drill does not expect").About("fast.within")
	}
	return s.Hastened().checkOnce()
}

// checkOnce checks what may be different in a fast drill.
func (s Scenario) checkOnce() error {
	if err := s.Fault.check(); err != nil {
		return err
	}
	every := time.Duration(s.ProbeEvery)
	if every < time.Second || every > probe.Every {
		return domain.E(domain.Invalid, "bad_interval", "probe every 1s to %s", policy.Span(probe.Every)).About("probe_every")
	}
	sum, last := 0, -1
	for _, e := range s.Expect {
		at := slices.Index(Events, e.Event)
		if at <= last {
			return domain.E(domain.Invalid, "bad_expectation", "expect each of %s at most once, in this order", eventNames(Events)).About("expect")
		}
		last, sum = at, sum+e.Weight
		if err := s.checkExpectation(e, every); err != nil {
			return err
		}
	}
	for _, needed := range []Event{Detected, Recovered, Steady} {
		if _, ok := s.Expects(needed); !ok {
			return domain.E(domain.Invalid, "bad_expectation", "every drill expects %s", needed).About("expect")
		}
	}
	_, alerted := s.Expects(Alerted)
	_, acknowledged := s.Expects(Acknowledged)
	_, mitigated := s.Expects(Mitigated)
	switch {
	case acknowledged && !alerted:
		return domain.E(domain.Invalid, "bad_expectation", "what is not alerted is not acknowledged").About("expect")
	case mitigated != s.Traffic || mitigated && !alerted:
		return domain.E(domain.Invalid, "bad_expectation", "a rule mitigates by pausing the drill's own campaign: that takes an alert, and traffic").About("traffic")
	case sum != 100:
		return domain.E(domain.Invalid, "bad_weights", "the weights add up to %d, not to 100", sum).About("expect")
	}
	return nil
}

func (s Scenario) checkExpectation(e Expectation, every time.Duration) error {
	within := time.Duration(e.Within)
	switch {
	case e.Weight < 1:
		return domain.E(domain.Invalid, "bad_weights", "%s is worth at least 1", e.Event).About("expect")
	case within < every:
		return tooShort(within, every).About("expect." + string(e.Event))
	case !e.Event.After() && within > time.Duration(s.Fault.For):
		return domain.E(domain.Invalid, "bad_expectation", "%s is awaited for %s, but the fault is over after %s", e.Event, e.Within, s.Fault.For).About("expect." + string(e.Event))
	case within > probe.FaultMost:
		return domain.E(domain.Invalid, "bad_expectation", "nothing is awaited for longer than %s", policy.Span(probe.FaultMost)).About("expect." + string(e.Event))
	case (e.Event == Alerted || e.Event == Mitigated) != (e.Rule != ""):
		return domain.E(domain.Invalid, "bad_expectation", "alerts and mitigation, and nothing else, are expected of a rule").About("expect." + string(e.Event))
	case e.Hold != 0 && (e.Rule == "" || time.Duration(e.Hold) < every):
		return tooShort(time.Duration(e.Hold), every).About("expect." + string(e.Event) + ".hold")
	case (e.Event == Alerted) != (e.Channel != ""):
		return domain.E(domain.Invalid, "bad_expectation", "an alert, and nothing else, arrives in a channel").About("expect." + string(e.Event))
	case e.Channel != "" && e.Channel != "ops" && e.Channel != "mail":
		return domain.E(domain.Invalid, "bad_expectation", "the channel is ops or mail").About("expect." + string(e.Event))
	case (e.Event == Detected) != (len(e.State) > 0):
		return domain.E(domain.Invalid, "bad_expectation", "what is detected, and nothing else, is a state").About("expect." + string(e.Event))
	}
	if e.Event == Detected {
		if err := states(e.State, probe.Amber, probe.Red); err != nil {
			return err.About("expect." + string(e.Event))
		}
	}
	return nil
}

func (f Injection) check() error {
	err := probe.Fault{Name: f.EdgeFunction, Kind: f.Kind, Share: f.Share, Delay: time.Duration(f.Delay)}.Check(time.Duration(f.For))
	if wrong, ok := errors.AsType[*domain.Error](err); ok {
		field := map[string]string{"seconds": "for", "delay_ms": "delay"}[wrong.Field] // as a scenario calls them
		return wrong.About("fault." + cmp.Or(field, wrong.Field))
	}
	return err
}

func tooShort(threshold, every time.Duration) *domain.Error {
	return domain.E(domain.Invalid, "threshold_too_short", "%s is shorter than the %s between two probes", policy.Span(threshold), policy.Span(every))
}

func known(name probe.Name) bool {
	_, ok := probe.Find(name)
	return ok
}

func unknownFunction(name probe.Name) *domain.Error {
	return domain.E(domain.Invalid, "unknown_edge_function", "there is no edge function %q", name)
}

func states(all []probe.State, may ...probe.State) *domain.Error {
	if len(all) == 0 || slices.ContainsFunc(all, func(s probe.State) bool { return !slices.Contains(may, s) }) {
		return domain.E(domain.Invalid, "unknown_state", "use %s or %s", may[0], may[1])
	}
	return nil
}

func eventNames(all []Event) string {
	names := make([]string, len(all))
	for i, e := range all {
		names[i] = string(e)
	}
	return strings.Join(names, ", ")
}
