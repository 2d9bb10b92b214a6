package config

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/domain/alert"
	"lastcall/domain/runbook"
)

func TestAlertRulesThatComeWithLastcall(t *testing.T) {
	t.Parallel()
	rules, err := AlertRules(0)
	require.NoError(t, err)
	require.NotEmpty(t, rules.All)
	watched := map[string]bool{}
	for _, r := range rules.All {
		watched[r.When.Source] = true
		if r.Severity == alert.Critical {
			require.NotEmpty(t, r.Runbook, "%s wakes somebody, who will ask what to do", r.Name)
		}
	}
	for _, s := range alert.Sources {
		require.True(t, watched[s.Name], "nobody is told of %s", s.Name)
	}
	quick, err := AlertRules(10 * time.Second)
	require.NoError(t, err)
	red, _ := quick.Of("critical-red-long")
	require.NoError(t, quick.CheckFor(red, 30*time.Second), "probed every ten seconds")
	require.Equal(t, "below_interval", domain.CodeOf(rules.CheckFor(red, 30*time.Second)), "probed each minute")
	require.NoError(t, rules.CheckFor(red, 2*time.Minute))
}

func TestBadAlertRulesAreRefusedWithTheReason(t *testing.T) {
	t.Parallel()
	const head = "group_wait: 1s\ngroup_interval: 1m\nrepeat: 4h\nwatchdog: 24h\nrules:\n"
	const good = "  - {name: a, title: A, when: edge_function is red, of: [mail], for: 2m, severity: critical, notify: [ops], runbook: here}\n"
	_, err := ParseAlertRules([]byte(head+good), []string{"here"}, 0)
	require.NoError(t, err)
	for text, want := range map[string][2]string{
		"  - {name: a, title: A, when: edge_function is red, for: 30s, severity: info, notify: [ops]}":      {"below_interval", "a.for"},
		"  - {name: a, title: A, when: outbox_age > 2m, for: soon, severity: info, notify: [ops]}":          {"bad_duration", "a.for"},
		"  - {name: a, title: A, when: outbox_age > 2m, for: -1s, severity: info, notify: [ops]}":           {"bad_duration", "a.for"},
		"  - {name: a, title: A, when: edge_function is red, of: [weather], severity: info, notify: [ops]}": {"unknown_subject", "a.of"},
		"  - {name: a, title: A, when: outbox_age > 2m, severity: loud, notify: [ops]}":                     {"bad_severity", "a.severity"},
		"  - {name: a, title: A, when: outbox_age > 2m, severity: info}":                                    {"missing_field", "a.notify"},
		"  - {name: a, title: A, when: outbox_age > 2m, severity: info, notify: [pager]}":                   {"unknown_channel", "a.notify"},
		"  - {name: a, title: A, when: outbox_age > 2m, severity: info, notify: [ops], do: [pray]}":         {"unknown_action", "a.do"},
		"  - {name: a, title: A, when: outbox_age > 2m, severity: info, notify: [ops], inhibits: [b]}":      {"unknown_rule", "a.inhibits"},
		"  - {name: a, title: A, when: outbox_age > 2m, severity: info, notify: [ops], runbook: there}":     {"unknown_runbook", "a.runbook"},
		"  - {name: a, title: A, when: outbox_age > two, severity: info, notify: [ops]}":                    {"bad_threshold", "a.when"},
		"  - {name: A, title: A, when: outbox_age > 2m, severity: info, notify: [ops]}":                     {"bad_name", "A"},
		"  - {name: a, title: A, when: outbox_age > 2m, severity: info, notify: [ops], color: red}":         {"bad_yaml", ""},
		good + good: {"duplicate_rule", "a"},
		"  - {name: a, title: A, when: outbox_age > 2m, severity: info, notify: [ops], inhibits: [b]}\n  - {name: b, title: B, when: outbox_age > 2m, severity: info, notify: [ops], inhibits: [a]}": {"mutual", "a.inhibits"},
	} {
		_, err := ParseAlertRules([]byte(head+text), []string{"here"}, 0)
		require.Equal(t, want[0], domain.CodeOf(err), text)
		require.Contains(t, err.Error(), want[1], text)
	}
}

func TestRunbooks(t *testing.T) {
	t.Parallel()
	all, err := Runbooks()
	require.NoError(t, err)
	names := map[string]bool{}
	for _, b := range all {
		names[b.Name] = true
		require.NotEmpty(t, b.Lead)
	}
	for _, name := range []string{"messaging-failures", "dispatcher-stall", "redemption-anomalies", "voucher-card-failures", "mass-block-or-send", "panel-unreachable", "credential-leak"} {
		require.True(t, names[name], name)
	}
	digest := runbook.Digest(all)
	swapped := append([]runbook.Runbook{all[1], all[0]}, all[2:]...)
	require.Equal(t, digest, runbook.Digest(swapped), "their order is nothing")
	changed := append([]runbook.Runbook{}, all...)
	changed[0].Digest = "another"
	require.NotEqual(t, digest, runbook.Digest(changed))
}
