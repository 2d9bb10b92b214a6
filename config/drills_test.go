package config_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/config"
	"lastcall/domain/alert"
	"lastcall/domain/drill"
	"lastcall/domain/runbook"
)

func TestTheScenariosAreSound(t *testing.T) {
	t.Parallel()
	all, err := config.Drills()
	require.NoError(t, err)
	rules, err := config.AlertRules(0)
	require.NoError(t, err)
	books, err := config.Runbooks()
	require.NoError(t, err)
	names := []string{}
	for _, s := range all {
		names = append(names, s.Name)
		require.NoError(t, s.Hastened().Check(), s.Name)
		require.True(t, slices.ContainsFunc(books, func(b runbook.Runbook) bool { return b.Name == s.Runbook }), "%s: there is no runbook %q", s.Name, s.Runbook)
		for name := range s.Rules() {
			rule, ok := rules.Of(name)
			require.True(t, ok, "%s: there is no rule %q", s.Name, name)
			if s.Redeems() { // its own attempts are what the rule measures
				require.Equal(t, alert.RedemptionFailureRate, rule.When.Source, "%s: %s would never fire", s.Name, name)
				continue
			}
			require.Contains(t, rule.Subjects, string(s.Fault.EdgeFunction), "%s: %s would never fire", s.Name, name)
		}
		if x, ok := s.Expects(drill.Alerted); ok {
			rule, _ := rules.Of(x.Rule)
			require.Contains(t, rule.Notify, alert.Channel(x.Channel), s.Name)
		}
		if x, ok := s.Expects(drill.Mitigated); ok {
			rule, _ := rules.Of(x.Rule)
			require.Contains(t, rule.Actions, alert.PauseCampaigns, s.Name)
		}
	}
	require.Equal(t, []string{"dispatcher-down", "messaging-outage", "ops-channel-down", "rate-limit-storm", "redemption-failures", "slow-provider", "voucher-card-outage"}, names)
	outage, err := drill.Find(all, "messaging-outage")
	require.NoError(t, err)
	require.Len(t, outage.Expect, len(drill.Events), "it proves the whole loop")
	require.Less(t, time.Duration(outage.Fast.FaultFor), 3*time.Minute, "and fast within three minutes")
}
