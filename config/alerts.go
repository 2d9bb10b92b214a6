package config

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"

	"lastcall/domain"
	"lastcall/domain/alert"
)

//go:embed alerts.yaml
var alertsYAML []byte

// AlertRules are the rules that come with Lastcall, checked, where edge functions are probed so often (0: probe.Every).
func AlertRules(probes time.Duration) (alert.Rules, error) {
	books, err := Runbooks()
	if err != nil {
		return alert.Rules{}, err
	}
	names := make([]string, len(books))
	for i, b := range books {
		names[i] = b.Name
	}
	return ParseAlertRules(alertsYAML, names, probes)
}

// ParseAlertRules reads rules as alerts.yaml has them, where runbooks are the names that exist. What does not fit comes as
// domain.Invalid errors, each about rule.field.
func ParseAlertRules(text []byte, runbooks []string, probes time.Duration) (alert.Rules, error) {
	type span string
	var file struct {
		GroupWait     span `yaml:"group_wait"`
		GroupInterval span `yaml:"group_interval"`
		Repeat        span
		Watchdog      span
		Rules         []struct {
			Name, Title, When string
			Of                []string
			For, Keep         span
			MinN              int64 `yaml:"min_n"`
			Severity          alert.Severity
			Group             string
			Inhibits          []string
			Runbook           string
			Notify            []alert.Channel
			Do                []alert.Action
		}
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&file); err != nil {
		return alert.Rules{}, domain.E(domain.Invalid, "bad_yaml", "%s", err)
	}
	var wrong []error
	duration := func(field string, s span) time.Duration {
		if s == "" {
			return 0
		}
		d, err := time.ParseDuration(string(s))
		if err != nil {
			wrong = append(wrong, domain.E(domain.Invalid, "bad_duration", "use a duration like 30s or 2m").About(field))
		}
		return d
	}
	rules := alert.Rules{Probes: probes, GroupWait: duration("group_wait", file.GroupWait), GroupInterval: duration("group_interval", file.GroupInterval),
		Repeat: duration("repeat", file.Repeat), Watchdog: duration("watchdog", file.Watchdog)}
	for i, f := range file.Rules {
		when, err := alert.ParseCondition(f.When)
		if told, ok := errors.AsType[*domain.Error](err); ok {
			wrong = append(wrong, told.About(fmt.Sprintf("%s.when", f.Name)))
			continue
		}
		r := alert.Rule{Name: f.Name, Title: f.Title, Severity: f.Severity, When: when, Subjects: f.Of, For: duration(f.Name+".for", f.For),
			Keep: duration(f.Name+".keep", f.Keep), MinN: f.MinN, Group: f.Group, Inhibits: f.Inhibits, Runbook: f.Runbook, Notify: f.Notify, Actions: f.Do}
		if r.Group == "" {
			r.Group = r.Name
		}
		if r.Name == "" {
			wrong = append(wrong, domain.E(domain.Invalid, "missing_field", "is missing").About(fmt.Sprintf("rules[%d].name", i)))
			continue
		}
		rules.All = append(rules.All, r)
	}
	if err := errors.Join(wrong...); err != nil {
		return alert.Rules{}, err
	}
	return rules, rules.Check(runbooks)
}
