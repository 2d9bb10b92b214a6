package config

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/domain/announce"
	"lastcall/domain/rollout"
	"lastcall/domain/runbook"
)

func anyCheck(string) bool { return true }

// lines are the checklists of the plan as it was agreed, word by word.
var lines = map[rollout.Phase][]string{
	rollout.Staging: {
		"Fixtures loaded per `DATA_FIXTURES_PLAN.md`.",
		"EF probes show expected status (green/amber).",
		"Admin smoke tests (items 1–20) pass.",
		"Station smoke tests (items 21–30) pass with mocked redeems.",
		"Quiet hours/throttle policies verified (see `OUTBOUND_POLICIES.md`).",
		"Audit logs capturing writes and policy blocks.",
		"Incident runbooks reviewed by Ops.",
		"Rollback toggles documented in settings.",
	},
	rollout.Pilot: {
		"Pilot participants onboarded with admin roles.",
		"Campaign dispatcher available and tested with ≤20 targets.",
		"Station PWA redeems real vouchers end-to-end.",
		"Daily review of dashboard KPIs and logs.",
		"Opt-out audit ensures no opted-out numbers targeted.",
		"Quiet hour overrides approved by project lead before enabling.",
		"Incident response drill executed (simulate EF outage).",
	},
	rollout.Production: {
		"EF availability green for 24h before launch.",
		"Throttle caps tuned based on pilot data.",
		"Revolut link and payment instructions confirmed by Finance.",
		"Campaign templates locked and approved by Compliance.",
		"Audit log retention configured (≥90 days).",
		"Rollback plan rehearsed (disable campaigns, re-enable legacy tooling).",
		"Monitoring/alerting connected to Ops channel.",
		"Go/No-Go meeting sign-off recorded.",
	},
	rollout.Live: nil,
}

// told are the lines of the communication plan as it was agreed, word by word, each before the gate that it comes before.
var told = map[rollout.Phase][]string{
	rollout.Staging: {
		"Announce staging readiness to engineering + ops mailing list.",
		"Prior to pilot, share FAQ & training video.",
	},
	rollout.Production: {"Production launch accompanied by runbook link and Ops contact rotation."},
}

// What each line of the communication plan names is in its announcement.
func TestTheCommunicationIsWhatWasAgreed(t *testing.T) {
	t.Parallel()
	plan, err := Defaults().RolloutPlan(anyCheck)
	require.NoError(t, err)
	for _, of := range plan.Phases {
		var texts []string
		for _, a := range of.Announcements {
			texts = append(texts, a.Text)
			require.Contains(t, a.Channels, announce.Mail, a.ID)
		}
		require.Equal(t, told[of.Phase], texts, "%s", of.Phase)
	}
	ready, material, launch := plan.Of(rollout.Staging).Announcements[0], plan.Of(rollout.Staging).Announcements[1], plan.Of(rollout.Production).Announcements[0]
	require.Equal(t, announce.PhaseReady, ready.Event)
	require.Equal(t, []string{"engineering", "ops"}, ready.Lists)
	require.Equal(t, []string{"faq", "training_video"}, material.Links)
	require.Equal(t, []string{"runbook"}, launch.Links)
	require.True(t, launch.OnCall)
	require.True(t, plan.Reviewed(rollout.Pilot), "the pilot's days are reviewed")
	require.False(t, plan.Reviewed(rollout.Production))
}

// Every line of the checklists has its item, in its phase, in its order, and there is no other.
func TestThePlanIsWhatWasAgreed(t *testing.T) {
	t.Parallel()
	plan, err := Defaults().RolloutPlan(anyCheck)
	require.NoError(t, err)
	for _, of := range plan.Phases {
		var texts []string
		for _, item := range of.Items {
			texts = append(texts, item.Text)
		}
		require.Equal(t, lines[of.Phase], texts, "%s", of.Phase)
	}
	require.Equal(t, rollout.Guardrails{Provider: "sandbox", Redemptions: "mocked"}, plan.Of(rollout.Staging).Guardrails)
	require.Equal(t, rollout.Guardrails{Bars: 5, Stations: 5, Support: 3, Targets: 20}, plan.Of(rollout.Pilot).Guardrails)
	require.Equal(t, rollout.Guardrails{Templates: "locked"}, plan.Of(rollout.Live).Guardrails)
	again, err := Defaults().RolloutPlan(anyCheck)
	require.NoError(t, err)
	require.Equal(t, plan.Digest(), again.Digest())
}

// signals are the plan's lines of what makes one roll back, word by word, each with the thresholds that were agreed on.
func TestTheSignalsAreWhatWasAgreed(t *testing.T) {
	t.Parallel()
	plan, err := Defaults().RolloutPlan(anyCheck)
	require.NoError(t, err)
	var texts []string
	said := map[string]string{}
	for _, s := range plan.Signals {
		texts = append(texts, s.Text)
	}
	require.Equal(t, []string{"Critical EF outages >30 minutes.", "Redemption failure rate >5% over 15 minutes.", "Policy engine misconfiguration causing mass blocks or sends.",
		"Support team unable to access Admin Panel for >10 minutes."}, texts)
	rules, err := AlertRules(0)
	require.NoError(t, err)
	books, err := Runbooks()
	require.NoError(t, err)
	for _, r := range plan.SignalRules(1) {
		said[r.Name] = r.String()
		require.True(t, slices.ContainsFunc(books, func(b runbook.Runbook) bool { return b.Name == r.Runbook }), r.Runbook)
		for _, name := range r.Inhibits {
			_, known := rules.Of(name)
			require.True(t, known || strings.HasPrefix(name, "signal-"), name)
		}
	}
	require.Equal(t, map[string]string{
		"signal-critical-outage":         "edge_function is red for 30m0s",
		"signal-redemption-failures":     "redemption_failure_rate > 5%, of at least 50",
		"signal-redemption-failures-few": "redemption_failure_rate > 5%",
		"signal-mass-blocks":             "policy_block_rate > 50%, of at least 100",
		"signal-sends-past-forecast":     "sends_past_forecast > 20%, of at least 100",
		"signal-sends-past-cap":          "sends_past_cap > 0%",
		"signal-panel-unreachable":       "edge_function is red for 10m0s",
	}, said)
	for _, r := range plan.SignalRules(1800) {
		if r.Name == "signal-critical-outage" {
			require.Equal(t, time.Second, r.For, "in a rehearsal durations pass faster")
		}
	}
}

func TestAPlanThatCannotBeFollowed(t *testing.T) {
	t.Parallel()
	whole := string(rolloutPlan)
	change := func(from, to string) string {
		t.Helper()
		require.Regexp(t, regexp.QuoteMeta(from), whole)
		return strings.Replace(whole, from, to, 1)
	}
	for name, text := range map[string]string{
		"no YAML":                "phases: [",
		"an unknown field":       change("objective: Everybody.", "objectiv: Everybody."),
		"an unknown check":       change("check: toggles", "check: nothing"),
		"an unknown role":        change("owner: compliance", "owner: lawyer"),
		"an unknown kind":        change("kind: drill", "kind: dream"),
		"a phase is missing":     change("phase: pilot", "phase: trial"),
		"two items of one name":  change("id: admin-smoke", "id: fixtures"),
		"a sign-off by nobody":   change("quorum: [ops], ", ""),
		"a seat that may not":    change("quorum: [finance]", "quorum: [viewer]"),
		"two seats of one role":  change("quorum: [project_lead, ops]", "quorum: [ops, ops]"),
		"stale before it is due": change("every: 5m, stale_after: 15m", "every: 20m, stale_after: 15m"),
		"negative limits":        change("targets: 20", "targets: -1"),
		"an unknown guardrail":   change("provider: sandbox", "provider: nobody"),
		"no duration":            change("every: 5m", "every: soon"),
		"an unknown event":       change("event: phase_begun", "event: someday"),
		"mail to nobody":         change("lists: [pilot]", "lists: []"),
		"a link that is untold":  change("Training video: {{.Links.training_video}}", "Training video: soon"),
		"nobody on call is told": change("{{.Contact.Email}}", "somebody"),
		"a text that is none":    change("{{.Links.faq}}", "{{.Links.faq"),
		"an unknown fact":        change("{{.Rollout}}", "{{.Campaign}}"),
		"two of one name":        change("id: pilot-material", "id: staging-ready"),
		"a signal of nothing":    change("when: edge_function is red", "when: edge_function is sad"),
		"a clock too short":      change("for: 30m", "for: 10s"),
		"an unknown action":      change("do: roll_back", "do: pray"),
		"of an unknown function": change("of: [panel]", "of: [door]"),
		"empty":                  "",
	} {
		_, err := parsePlan([]byte(text), func(check string) bool { return check != "nothing" })
		require.Error(t, err, name)
		require.Equal(t, domain.Invalid, domain.KindOf(err), name)
	}
	file := filepath.Join(t.TempDir(), "plan.yaml")
	require.NoError(t, os.WriteFile(file, []byte(whole), 0o600))
	c := Defaults()
	c.Rollout.PlanFile = file
	_, err := c.RolloutPlan(anyCheck)
	require.NoError(t, err)
	c.Rollout.PlanFile += ".gone"
	_, err = c.RolloutPlan(anyCheck)
	require.Equal(t, "config_file_unreadable", domain.CodeOf(err))
}
