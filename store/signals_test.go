package store_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/domain/alert"
	"lastcall/domain/rollout"
	"lastcall/store"
)

// pilot is a city in the pilot whose signals are looked at by hand.
type pilot struct {
	*city
	watched
}

// signals are those of the plan, with their numbers.
func signals() []rollout.Signal {
	one := func(name string, watch ...rollout.Watch) rollout.Signal {
		return rollout.Signal{Name: name, Text: name, Title: "Title of " + name, Runbook: "messaging-failures", Watch: watch}
	}
	return []rollout.Signal{
		one("critical-outage", rollout.Watch{Rule: "signal-critical-outage", When: "edge_function is red", Of: []string{"messaging", "dispatcher", "database"}, For: 30 * time.Minute, Action: rollout.Hold}),
		one("redemption-failures", rollout.Watch{Rule: "signal-redemption-failures", When: "redemption_failure_rate > 5%", MinN: 50, Action: rollout.RollBack, Inhibits: []string{"signal-redemption-failures-few"}},
			rollout.Watch{Rule: "signal-redemption-failures-few", When: "redemption_failure_rate > 5%", Action: rollout.Hold, Few: true}),
		one("policy-misconfiguration", rollout.Watch{Rule: "signal-mass-blocks", When: "policy_block_rate > 50%", MinN: 100, Action: rollout.RollBack},
			rollout.Watch{Rule: "signal-sends-past-forecast", When: "sends_past_forecast > 20%", MinN: 100, Action: rollout.RollBack},
			rollout.Watch{Rule: "signal-sends-past-cap", When: "sends_past_cap > 0%", Action: rollout.RollBack}),
		one("panel-unreachable", rollout.Watch{Rule: "signal-panel-unreachable", When: "edge_function is red", Of: []string{"panel"}, For: 10 * time.Minute, Action: rollout.Hold}),
	}
}

func openPilot(t *testing.T) pilot {
	t.Helper()
	p := pilot{city: openCity(t)}
	p.plan.Signals = signals()
	require.NoError(t, p.plan.Check(store.KnownCheck))
	p.watched = watched{p.city.bundle, &store.AlertEngine{Store: p.city.Store, Log: quiet, Rules: alert.Rules{GroupInterval: time.Minute, Repeat: 4 * time.Hour, Watchdog: 24 * time.Hour}}}
	p.begin(t)
	return p
}

// opens puts the rollout into a phase in which redemptions are real.
func (p pilot) opens(t *testing.T, phase rollout.Phase) pilot {
	t.Helper()
	p.in(t, phase)
	p.city.exec(t, `UPDATE rollouts SET guardrails = '{}'`)
	p.city.set(t, "toggles", `{"dispatch":true,"station_redeem":true,"mock_redemptions":false}`)
	return p
}

func (p pilot) signal(t *testing.T, name string) store.SignalStanding {
	t.Helper()
	_, all, err := p.city.Signals(t.Context(), "kigali")
	require.NoError(t, err)
	for _, v := range all {
		if v.Name == name {
			return v
		}
	}
	t.Fatalf("no signal %s", name)
	return store.SignalStanding{}
}

func (p pilot) dispatches(t *testing.T) bool {
	t.Helper()
	set, err := p.city.Settings(t.Context())
	require.NoError(t, err)
	return set.Toggles.Dispatch
}

func (p pilot) rollbacks(t *testing.T) []store.Rollback {
	t.Helper()
	all, err := p.city.Rollbacks(t.Context(), "kigali")
	require.NoError(t, err)
	return all
}

// redeemed has n vouchers redeemed: by rows, of vouchers that are none.
func (p pilot) redeemed(t *testing.T, n int) {
	t.Helper()
	p.refused(t, "business", "already_redeemed", 3) // makes the station, too
	p.city.exec(t, `ALTER TABLE redemptions DROP CONSTRAINT IF EXISTS redemptions_voucher_id_fkey`)
	p.city.exec(t, `INSERT INTO redemptions (id, voucher_id, idempotency_key, request_hash, response, station_id, device_id, operator_id, operator, amount, currency)
		SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid()::text, sha256('x'), '{}', '00000000-0000-7000-8000-000000000002', gen_random_uuid(), gen_random_uuid(), 'o', 1, 'RWF'
		FROM generate_series(1, $1)`, n)
}

func TestSignalsAreWatchedFromThePilotOn(t *testing.T) {
	t.Parallel()
	p := openPilot(t)
	p.probed(t, "messaging", "red")
	p.look(t)
	require.Empty(t, p.alerts(t), "in staging nobody is hurt")
	require.Equal(t, rollout.SignalUnknown, p.signal(t, "critical-outage").State)
	p.opens(t, rollout.Pilot)
	p.probed(t, "panel", "green")
	p.look(t)
	s := p.signal(t, "critical-outage")
	require.Equal(t, rollout.SignalBurning, s.State)
	require.Equal(t, "messaging", s.Worst.Subject)
	require.WithinDuration(t, s.Worst.Since.Add(30*time.Minute), *s.Worst.TripsAt, time.Second)
	require.Equal(t, rollout.SignalOK, p.signal(t, "panel-unreachable").State)

	// No gate opens while it burns; the refusal names it and is in the audit log.
	_, _, err := p.AdvanceRollout(p.lead, rollout.Pilot, "now")
	require.Equal(t, rollout.GateShut, domain.CodeOf(err))
	require.ErrorContains(t, err, "critical-outage (the signal burns")
	require.Positive(t, query[int](t, p.city.bundle, `SELECT count(*) FROM audit_log WHERE action = 'rollout.refused' AND diff->>'code' = 'rollout_gate'`))

	// Nobody probes any more: it is unknown, and its clock runs on.
	p.city.exec(t, `UPDATE edge_functions SET checked_at = checked_at - interval '10 minutes' WHERE name = 'messaging'`)
	p.look(t)
	s = p.signal(t, "critical-outage")
	require.Equal(t, rollout.SignalUnknown, s.State)
	require.NotNil(t, s.Worst.TripsAt)
	p.city.exec(t, `UPDATE alerts SET pending_since = pending_since - interval '29 minutes 50 seconds'`)
	p.look(t)
	require.True(t, p.dispatches(t), "half an hour has not passed")
	p.city.exec(t, `UPDATE alerts SET pending_since = pending_since - interval '10 seconds'`)
	p.probed(t, "messaging", "red")
	p.look(t)
	s = p.signal(t, "critical-outage")
	require.Equal(t, rollout.SignalTripped, s.State)
	require.True(t, s.Held())
	require.NotEmpty(t, s.Worst.Evidence)
	require.False(t, p.dispatches(t), "new sends are stopped")
	require.Empty(t, p.rollbacks(t), "a person decides about the rest")
	require.NotEmpty(t, p.deliver(t, true), "somebody is paged")

	// Whoever sends again is not overruled.
	p.city.set(t, "toggles", `{"dispatch":true}`)
	p.look(t)
	require.True(t, p.dispatches(t))
	// The rollout is over, and so is its signal.
	p.city.exec(t, `UPDATE rollouts SET ended_at = clock_timestamp()`)
	p.look(t)
	require.Empty(t, p.alerts(t, alert.Firing, alert.Pending))
}

func TestRedemptionFailuresAtTheirBorders(t *testing.T) {
	t.Parallel()
	p := openPilot(t).opens(t, rollout.Live)
	p.look(t)
	require.Equal(t, rollout.SignalUnknown, p.signal(t, "redemption-failures").State, "nobody redeems: that says nothing")
	require.Empty(t, p.alerts(t))

	// 3 of 49 are 6.1 %, and too few: nothing new is sent, and somebody is to look.
	p.redeemed(t, 46)
	p.refused(t, "system", "database_unavailable", 3)
	p.look(t)
	s := p.signal(t, "redemption-failures")
	require.Equal(t, rollout.SignalUnknown, s.State)
	require.EqualValues(t, 49, s.Worst.N)
	require.True(t, s.Held())
	require.False(t, p.dispatches(t))
	require.Empty(t, p.rollbacks(t))
	require.NotEmpty(t, p.deliver(t, true))

	// 4 of 80 are 5.0 %, which is not over 5 %.
	p.redeemed(t, 30)
	p.refused(t, "system", "database_unavailable", 1)
	p.look(t)
	require.Equal(t, rollout.SignalOK, p.signal(t, "redemption-failures").State)
	// What drills make does not count, and what the rules refuse neither.
	p.city.exec(t, `INSERT INTO redemption_refusals (kind, code, station_id, device_id, is_drill) SELECT 'system', 'x', '00000000-0000-7000-8000-000000000002', gen_random_uuid(), true FROM generate_series(1, 50)`)
	p.refused(t, "business", "already_redeemed", 50)
	p.look(t)
	require.Equal(t, rollout.SignalOK, p.signal(t, "redemption-failures").State)
	require.Empty(t, p.rollbacks(t))
	// 5 of 81 are.
	p.refused(t, "system", "database_unavailable", 1)
	p.look(t)
	s = p.signal(t, "redemption-failures")
	require.Equal(t, rollout.SignalTripped, s.State)
	all := p.rollbacks(t)
	require.Len(t, all, 1)
	require.True(t, all[0].Automatic())
	require.False(t, all[0].Rehearsal)
	require.Equal(t, "redemption-failures", all[0].Signal)
	require.Contains(t, all[0].Reason, "5 of 81")
	require.Equal(t, *s.Worst.AlertID, *all[0].AlertID, "its samples are the evidence")
	require.NotNil(t, all[0].IncidentID)
	var was struct{ Dispatch bool }
	require.NoError(t, json.Unmarshal(all[0].Toggles, &was))
	require.True(t, was.Dispatch, "what a signal has switched off meanwhile was on")
	p.look(t)
	require.Len(t, p.rollbacks(t), 1, "once")
}

func TestFiftyRedemptionsAreEnough(t *testing.T) {
	t.Parallel()
	p := openPilot(t).opens(t, rollout.Pilot)
	p.redeemed(t, 47)
	p.refused(t, "system", "database_unavailable", 3)
	p.look(t)
	require.Len(t, p.rollbacks(t), 1)
}

// In a rehearsal faults on purpose are what trips signals, durations pass faster, and nothing of it is real.
func TestSignalsOfARehearsal(t *testing.T) {
	t.Parallel()
	p := openPilot(t).opens(t, rollout.Pilot)
	fault := func(drill any) {
		p.city.exec(t, `INSERT INTO faults (id, edge_function, kind, share, expires_at, drill_id, reason, actor_kind, actor_id, actor) VALUES (gen_random_uuid(), 'messaging', 'timeout', 1, clock_timestamp() + interval '1 hour', $1, 'trial', 'system', 't', 't')`, drill)
	}
	p.probed(t, "messaging", "red")
	fault(nil)
	p.city.exec(t, `UPDATE edge_functions SET since = clock_timestamp() - interval '31 minutes'`)
	p.redeemed(t, 40)
	p.city.exec(t, `INSERT INTO redemption_refusals (kind, code, station_id, device_id, is_drill) SELECT 'system', 'x', '00000000-0000-7000-8000-000000000002', gen_random_uuid(), true FROM generate_series(1, 20)`)
	p.look(t)
	require.Equal(t, rollout.SignalUnknown, p.signal(t, "critical-outage").State, "a fault on purpose says nothing of a real rollout")
	require.Equal(t, rollout.SignalOK, p.signal(t, "redemption-failures").State)
	p.city.exec(t, `UPDATE rollouts SET factor = 1800, settings_before = 0`)
	p.look(t)
	require.Equal(t, rollout.SignalTripped, p.signal(t, "critical-outage").State)
	require.Equal(t, rollout.SignalTripped, p.signal(t, "redemption-failures").State)
	for _, a := range p.alerts(t) {
		require.True(t, a.IsDrill)
	}
	all := p.rollbacks(t)
	require.Len(t, all, 1)
	require.True(t, all[0].Rehearsal)

	// A drill within the rehearsal is not the rehearsal's.
	p.city.exec(t, `UPDATE faults SET drill_id = $1`, uuid.New())
	p.city.exec(t, `UPDATE alerts SET state = 'resolved', resolved_at = clock_timestamp() WHERE rule = 'signal-critical-outage'`)
	p.look(t)
	require.Equal(t, rollout.SignalUnknown, p.signal(t, "critical-outage").State)
}

// What a changed rule blocks beyond what was accepted counts, of at least a hundred decisions; what was accepted does not.
func TestMassBlocks(t *testing.T) {
	t.Parallel()
	p := openPilot(t).opens(t, rollout.Live)
	quietHours := json.RawMessage(aroundNow("RW", "Africa/Kigali"))
	edit := func() {
		_, err := p.city.EditSetting(p.admin, store.SettingEdit{Key: "quiet_hours", Value: quietHours, Reason: "nights", Acknowledged: []string{"ends_now", "blocks_all", "blocks_most", "mass_block", "quiet_now"}})
		require.NoError(t, err)
	}
	edit() // nobody is held back when it is saved
	p.running(t, append(many(50, rw), many(49, mt)...)...)
	p.look(t)
	s := p.signal(t, "policy-misconfiguration")
	require.EqualValues(t, 99, s.Standing[0].N)
	require.InDelta(t, 50.0/99, s.Standing[0].Value, 1e-9)
	require.Equal(t, rollout.SignalUnknown, s.Standing[0].State, "99 are too few")
	require.Empty(t, p.rollbacks(t))
	more, _ := p.running(t, mt(1000))
	p.look(t)
	s = p.signal(t, "policy-misconfiguration")
	require.EqualValues(t, 100, s.Standing[0].N)
	require.Equal(t, rollout.SignalOK, s.Standing[0].State, "50 of 100 are not more than half")
	// What was sent since was decided about, too.
	p.city.exec(t, `UPDATE targets SET state = 'sent', sent_at = clock_timestamp() WHERE campaign_id = $1`, more)
	p.look(t)
	require.EqualValues(t, 100, p.signal(t, "policy-misconfiguration").Standing[0].N)
	p.running(t, rw(5000))
	p.look(t)
	s = p.signal(t, "policy-misconfiguration")
	require.Equal(t, rollout.SignalTripped, s.Standing[0].State)
	require.Len(t, p.rollbacks(t), 1)
	require.Equal(t, "policy-misconfiguration", p.rollbacks(t)[0].Signal)
	// What drills do does not count.
	p.city.exec(t, `UPDATE campaigns SET is_drill = true`)
	p.look(t)
	require.Zero(t, p.signal(t, "policy-misconfiguration").Standing[0].N)
}

func TestWhatWasAcceptedIsNoMassBlock(t *testing.T) {
	t.Parallel()
	p := openPilot(t).opens(t, rollout.Live)
	id, _ := p.running(t, many(120, rw)...)
	danger := []string{}
	imp, err := p.city.Impact(t.Context(), "quiet_hours", json.RawMessage(aroundNow("RW", "Africa/Kigali")))
	require.NoError(t, err)
	for _, f := range imp.Findings {
		danger = append(danger, f.Code)
	}
	_, err = p.city.EditSetting(p.admin, store.SettingEdit{Key: "quiet_hours", Value: json.RawMessage(aroundNow("RW", "Africa/Kigali")), Reason: "nights", Acknowledged: danger})
	require.NoError(t, err)
	p.look(t)
	s := p.signal(t, "policy-misconfiguration")
	require.Equal(t, rollout.SignalOK, s.State)
	require.Contains(t, s.Standing[0].Detail, "120 were accepted")
	require.Empty(t, p.rollbacks(t))

	// Nobody was said to go now, and more than a hundred do.
	p.city.exec(t, `UPDATE targets SET state = 'sent', sent_at = clock_timestamp() WHERE campaign_id = $1 AND id IN (SELECT id FROM targets WHERE campaign_id = $1 ORDER BY id LIMIT 99)`, id)
	p.look(t)
	require.Equal(t, rollout.SignalUnknown, p.signal(t, "policy-misconfiguration").Standing[1].State, "99 are too few")
	p.city.exec(t, `UPDATE targets SET state = 'sent', sent_at = clock_timestamp() WHERE campaign_id = $1 AND state = 'queued' AND id IN (SELECT id FROM targets WHERE campaign_id = $1 AND state = 'queued' ORDER BY id LIMIT 1)`, id)
	p.look(t)
	require.Equal(t, rollout.SignalTripped, p.signal(t, "policy-misconfiguration").Standing[1].State)
	require.Len(t, p.rollbacks(t), 1)
}

func TestSendsPastTheForecastAndTheCap(t *testing.T) {
	t.Parallel()
	p := openPilot(t).opens(t, rollout.Live)
	id, _ := p.running(t, many(200, rw)...)
	_, err := p.city.EditSetting(p.admin, store.SettingEdit{Key: "frequency_cap", Value: json.RawMessage(`{"marketing":{"per_day":2,"per_week":3}}`), Reason: "less"})
	require.NoError(t, err)
	p.city.exec(t, `UPDATE settings_impacts SET goes = 100`)
	sent := func(n int) {
		p.city.exec(t, `UPDATE targets SET state = 'sent', sent_at = clock_timestamp() WHERE campaign_id = $1 AND id IN (SELECT id FROM targets WHERE campaign_id = $1 AND state = 'queued' ORDER BY id LIMIT $2)`, id, n)
	}
	sent(120)
	p.look(t)
	s := p.signal(t, "policy-misconfiguration").Standing[1]
	require.Equal(t, rollout.SignalOK, s.State, "20 % are not more than 20 %")
	require.InDelta(t, 0.2, s.Value, 1e-9)
	sent(1)
	p.look(t)
	require.Equal(t, rollout.SignalTripped, p.signal(t, "policy-misconfiguration").Standing[1].State)

	p.city.exec(t, `UPDATE rollbacks SET state = 'abandoned'`)
	p.city.exec(t, `DELETE FROM permits`)
	p.city.set(t, "throttle", `{"whatsapp":{"per_minute":10}}`)
	p.city.exec(t, `ALTER TABLE settings_revisions DISABLE TRIGGER settings_revisions_append_only`)
	p.city.exec(t, `UPDATE settings_revisions SET created_at = created_at - interval '3 hours'`)
	p.city.exec(t, `INSERT INTO permits (channel, cumulative, granted_at, n) VALUES ('whatsapp', 1000000, clock_timestamp() - interval '2 minutes', 50), ('whatsapp', 1000010, clock_timestamp(), 10)`)
	p.look(t)
	require.Equal(t, rollout.SignalOK, p.signal(t, "policy-misconfiguration").Standing[2].State, "ten are what the cap lets")
	p.city.exec(t, `INSERT INTO permits (channel, cumulative, granted_at, n) VALUES ('whatsapp', 1000011, clock_timestamp(), 1)`)
	p.look(t)
	s = p.signal(t, "policy-misconfiguration").Standing[2]
	require.Equal(t, rollout.SignalTripped, s.State)
	require.EqualValues(t, 11, s.N)
	// A lower cap is no fault of what went before it.
	p.city.exec(t, `UPDATE alerts SET state = 'resolved', resolved_at = clock_timestamp() WHERE rule = 'signal-sends-past-cap'`)
	p.city.exec(t, `UPDATE rollbacks SET state = 'abandoned'`)
	p.city.set(t, "throttle", `{"whatsapp":{"per_minute":11}}`)
	p.city.set(t, "throttle", `{"whatsapp":{"per_minute":5}}`)
	p.look(t)
	require.Equal(t, rollout.SignalOK, p.signal(t, "policy-misconfiguration").Standing[2].State)
}
