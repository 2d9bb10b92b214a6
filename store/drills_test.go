package store_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/domain/alert"
	"lastcall/domain/approval"
	"lastcall/domain/campaign"
	"lastcall/domain/drill"
	"lastcall/domain/override"
	"lastcall/domain/policy"
	"lastcall/domain/probe"
	"lastcall/store"
	"lastcall/store/storetest"
)

func outage() drill.Scenario {
	span := func(d time.Duration) policy.Span { return policy.Span(d) }
	return drill.Scenario{
		Name: "outage", Title: "WhatsApp is gone", Story: "All calls are cut off.", Traffic: true, ProbeEvery: span(time.Minute),
		SteadyState: []drill.SteadyCondition{{EdgeFunction: probe.Messaging, State: []probe.State{probe.Green}}},
		Fault:       drill.Injection{EdgeFunction: probe.Messaging, Kind: probe.Reset, Share: 1, For: span(time.Hour)},
		Expect: []drill.Expectation{
			{Event: drill.Detected, Within: span(3 * time.Minute), Weight: 20, Key: true, State: []probe.State{probe.Red}},
			{Event: drill.Alerted, Within: span(6 * time.Minute), Weight: 25, Rule: "messaging-red", Hold: span(time.Minute), Channel: "ops"},
			{Event: drill.Acknowledged, Within: span(20 * time.Minute), Weight: 15},
			{Event: drill.Mitigated, Within: span(8 * time.Minute), Weight: 15, Rule: "red-long", Hold: span(time.Minute)},
			{Event: drill.Recovered, Within: span(3 * time.Minute), Weight: 15, Key: true},
			{Event: drill.Steady, Within: span(6 * time.Minute), Weight: 10},
		},
		Fast: drill.FastDrill{FaultFor: span(time.Minute), ProbeEvery: span(time.Second), Hold: span(time.Second), Within: map[drill.Event]policy.Span{
			drill.Detected: span(10 * time.Second), drill.Alerted: span(30 * time.Second), drill.Acknowledged: span(30 * time.Second),
			drill.Mitigated: span(30 * time.Second), drill.Recovered: span(30 * time.Second), drill.Steady: span(30 * time.Second)}},
	}
}

// theatre is a house where drills are played: probes and channels do as the test says.
type theatre struct {
	house
	engine store.AlertEngine
}

func setupDrills(t *testing.T) theatre {
	t.Helper()
	h := approvals(t)
	rule := func(name string, wait time.Duration, actions ...alert.Action) alert.Rule {
		return alert.Rule{Name: name, Title: name, Severity: alert.Critical, Group: "messaging", For: wait, Subjects: []string{string(probe.Messaging)},
			When: alert.Condition{Source: alert.EdgeFunction, Op: "is", Threshold: 2}, Notify: []alert.Channel{alert.OpsChannel}, Actions: actions}
	}
	th := theatre{house: h, engine: store.AlertEngine{Store: h.Store, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Rules: alert.Rules{Repeat: time.Hour, Watchdog: 24 * time.Hour,
		All: []alert.Rule{rule("messaging-red", time.Minute), rule("red-long", 30*time.Minute, alert.PauseCampaigns)}}}}
	th.probe(t, probe.Answered)
	return th
}

// probe has messaging found like this.
func (th theatre) probe(t *testing.T, o probe.Outcome) {
	t.Helper()
	require.NoError(t, th.RecordProbes(t.Context(), []probe.Finding{{Name: probe.Messaging, Outcome: o, At: time.Now(), Latency: time.Millisecond}}))
}

func (th theatre) begin(t *testing.T, fast bool) uuid.UUID {
	t.Helper()
	d, err := th.StartDrill(th.ops, store.NewDrill{Scenario: outage(), Fast: fast, Reason: "practice"})
	require.NoError(t, err)
	return d.ID
}

// injected is a drill whose fault is there.
func (th theatre) injected(t *testing.T, fast bool) uuid.UUID {
	t.Helper()
	id := th.begin(t, fast)
	problem, err := th.CheckDrill(t.Context(), id)
	require.NoError(t, err)
	require.Empty(t, problem)
	require.NoError(t, th.InjectDrill(t.Context(), id, th.engine.Rules))
	return id
}

func (th theatre) look(t *testing.T, id uuid.UUID) store.DrillLook {
	t.Helper()
	l, err := th.LookAtDrill(t.Context(), id)
	require.NoError(t, err)
	return l
}

// fired has the engine look until so many alerts of the drill fire.
func (th theatre) fired(t *testing.T, id uuid.UUID, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		require.NoError(t, th.engine.Look(t.Context()))
		return query[int](t, th.bundle, `SELECT count(*) FROM alerts WHERE drill_id = $1 AND state = 'firing'`, id) == n
	}, 20*time.Second, 50*time.Millisecond)
}

// deliver has the Ops channel take what waits for it.
func (th theatre) deliver(t *testing.T) {
	t.Helper()
	for _, id := range query[[]uuid.UUID](t, th.bundle, `SELECT coalesce(array_agg(id), '{}') FROM alert_notices WHERE delivered_at IS NULL`) {
		_, err := th.NoticeGoes(t.Context(), id)
		require.NoError(t, err)
		require.NoError(t, th.NoticeGone(t.Context(), id, "delivered"))
	}
}

// ago moves a drill's fault and its gone into the past.
func (th theatre) ago(t *testing.T, id uuid.UUID, d time.Duration) {
	t.Helper()
	for _, sql := range []string{
		`UPDATE faults SET created_at = created_at - $2::interval, expires_at = expires_at - $2::interval, ended_at = ended_at - $2::interval WHERE id = $1`,
		`UPDATE drills SET injected_at = injected_at - $2::interval, reverted_at = reverted_at - $2::interval, created_at = created_at - $2::interval WHERE id = $1`} {
		_, err := th.owner.Exec(t.Context(), sql, id, d)
		require.NoError(t, err)
	}
}

func (th theatre) journal(t *testing.T, id uuid.UUID) drill.Journal {
	t.Helper()
	_, j, err := th.DrillOf(t.Context(), id)
	require.NoError(t, err)
	return j
}

// The whole loop, as the workflow goes through it; each step may be done twice.
func TestADrillIsMeasuredByWhatTheSystemWrote(t *testing.T) {
	t.Parallel()
	th := setupDrills(t)
	figures := func() []int64 {
		return query[[]int64](t, th.bundle, `SELECT array[(SELECT count(*) FROM targets), (SELECT count(*) FROM sends), (SELECT count(*) FROM vouchers),
			(SELECT count(*) FROM permits), (SELECT count(*) FROM alerts WHERE NOT is_drill), (SELECT count(*) FROM incidents WHERE NOT is_drill),
			(SELECT count(*) FROM campaigns WHERE NOT is_drill), (SELECT count(*) FROM probe_results WHERE NOT is_drill)]`)
	}
	before := figures()
	stats, err := th.Stats(t.Context())
	require.NoError(t, err)

	id := th.injected(t, true)
	require.NoError(t, th.InjectDrill(t.Context(), id, th.engine.Rules))
	require.Equal(t, 1, query[int](t, th.bundle, `SELECT count(*) FROM faults WHERE drill_id = $1`, id), "once, however often it is asked for")
	d, _, err := th.DrillOf(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, drill.Injected, d.State)
	c, err := th.Campaign(t.Context(), *d.CampaignID)
	require.NoError(t, err)
	require.True(t, c.IsDrill)
	require.Equal(t, campaign.Scheduled, c.Status)
	require.Greater(t, time.Until(*c.SendAt), probe.FaultMost, "it never comes to send")

	l := th.look(t, id)
	require.Empty(t, l.New)
	require.False(t, l.Over)
	th.probe(t, probe.Unreachable)
	require.Equal(t, []drill.Event{drill.Detected}, th.look(t, id).New)
	require.Empty(t, th.look(t, id).New, "it is told once")

	th.fired(t, id, 2) // the rule of half an hour, too, within a second
	require.Equal(t, []drill.Event{drill.Mitigated}, th.look(t, id).New)
	c, err = th.Campaign(t.Context(), *d.CampaignID)
	require.NoError(t, err)
	require.Equal(t, campaign.GatePaused, c.Gate)
	l = th.look(t, id)
	require.Empty(t, l.New, "nobody was told yet")
	require.Equal(t, uuid.Nil, l.Acknowledge)
	th.deliver(t)
	l = th.look(t, id)
	require.Equal(t, []drill.Event{drill.Alerted}, l.New)
	require.NotEqual(t, uuid.Nil, l.Acknowledge, "a fast drill acknowledges by itself")
	require.NoError(t, th.AcknowledgeAlert(th.ops, l.Acknowledge, ""))
	l = th.look(t, id)
	require.Equal(t, []drill.Event{drill.Acknowledged}, l.New)
	require.True(t, l.Over)
	require.Empty(t, l.Stop)

	for range 2 {
		require.NoError(t, th.RevertDrill(t.Context(), id))
	}
	require.Zero(t, query[int](t, th.bundle, `SELECT count(*) FROM faults WHERE ended_at IS NULL`))
	c, err = th.Campaign(t.Context(), *d.CampaignID)
	require.NoError(t, err)
	require.Equal(t, campaign.GateOpen, c.Gate, "what the rule had paused goes on")
	require.Empty(t, th.look(t, id).New)
	th.probe(t, probe.Answered)
	require.Equal(t, []drill.Event{drill.Recovered}, th.look(t, id).New)
	require.Contains(t, th.look(t, id).Waits, drill.Steady, "its alerts are still open")
	th.fired(t, id, 0)
	l = th.look(t, id)
	require.Equal(t, []drill.Event{drill.Steady}, l.New)
	require.True(t, l.Over)
	for range 2 {
		require.NoError(t, th.EndDrill(t.Context(), id, drill.Completed, ""))
	}

	j := th.journal(t, id)
	require.Equal(t, drill.Completed, j.Status)
	require.Equal(t, 100, j.Score, "%+v", j.Parts)
	require.False(t, j.Deviated)
	require.True(t, j.SteadyStates.Before.Met)
	require.True(t, j.SteadyStates.After.Met)
	for _, after := range []*float64{j.DetectedAfter, j.AlertedAfter, j.AcknowledgedAfter, j.MitigatedAfter, j.RecoveredAfter, j.SteadyAfter} {
		require.NotNil(t, after)
	}
	require.Less(t, *j.DetectedAfter, *j.AlertedAfter)
	var told struct {
		MessageID string `json:"message_id"`
	}
	for _, e := range j.Run {
		if e.Name == string(drill.Alerted) {
			require.NoError(t, json.Unmarshal(e.Output, &told))
		}
	}
	require.Regexp(t, `^N-\d+$`, told.MessageID, "the alert is known by its message")
	require.Equal(t, []string{"take the fault away", "let the drill's campaign go on", "end the drill's campaign"},
		[]string{j.Rollbacks[0].Name, j.Rollbacks[1].Name, j.Rollbacks[2].Name})
	c, err = th.Campaign(t.Context(), *d.CampaignID)
	require.NoError(t, err)
	require.Equal(t, campaign.GateStopped, c.Gate)

	require.Equal(t, before[:4], figures()[:4], "nothing was sent")
	require.Equal(t, before[4:7], figures()[4:7], "what it made is a drill's")
	after, err := th.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, stats.Campaigns, after.Campaigns)
	require.Equal(t, stats.Targets, after.Targets)
	require.Equal(t, []string{""}, th.audited(t, "drill.completed"))

	// What is over stays so.
	_, err = th.owner.Exec(t.Context(), `UPDATE drills SET score = 1 WHERE id = $1`, id)
	require.ErrorContains(t, err, "is over")
	_, err = th.StopDrill(th.ops, id, "")
	require.Equal(t, "drill_over", domain.CodeOf(err))
}

// What the Ops channel did not take was not told to anybody, whatever fires: it scores nothing, and the journal says why.
func TestAMutedChannelCostsTheDrillItsScore(t *testing.T) {
	t.Parallel()
	th := setupDrills(t)
	id := th.injected(t, true)
	th.probe(t, probe.Unreachable)
	th.fired(t, id, 2)
	th.look(t, id)
	th.ago(t, id, 50*time.Second) // half as long again as it may take has passed; the fault has not
	l := th.look(t, id)
	require.True(t, l.Over)
	require.NoError(t, th.RevertDrill(t.Context(), id))
	th.probe(t, probe.Answered)
	th.fired(t, id, 0)
	require.True(t, th.look(t, id).Over)
	require.NoError(t, th.EndDrill(t.Context(), id, drill.Completed, ""))
	j := th.journal(t, id)
	require.Equal(t, 100-25-15, j.Score)
	require.True(t, j.Deviated)
	require.Nil(t, j.AlertedAfter)
	require.Nil(t, j.AcknowledgedAfter)
	why := ""
	for _, e := range j.Run {
		if e.Name == string(drill.Alerted) {
			require.Equal(t, drill.Failure, e.Status)
			why = string(e.Output)
		}
	}
	require.Contains(t, why, "the channel did not take the message")
}

func TestWhatIsNotSteadyIsNotDrilled(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		upset func(t *testing.T, th theatre)
		why   string
	}{
		"red":             {func(t *testing.T, th theatre) { th.probe(t, probe.Unreachable) }, "not steady: messaging is green is not so, it is red"},
		"a real alert":    {func(t *testing.T, th theatre) { th.realAlert(t) }, "not steady: no real alert fires is not so: dispatcher-red"},
		"a real campaign": {func(t *testing.T, th theatre) { th.realCampaign(t) }, "not steady: no real campaign is at work is not so: there are 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			th := setupDrills(t)
			c.upset(t, th)
			id := th.begin(t, true)
			problem, err := th.CheckDrill(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, c.why, problem)
			require.NoError(t, th.RevertDrill(t.Context(), id), "there is nothing to take away")
			require.NoError(t, th.EndDrill(t.Context(), id, drill.Failed, problem))
			j := th.journal(t, id)
			require.Equal(t, drill.Failed, j.Status)
			require.Zero(t, j.Score)
			require.False(t, j.SteadyStates.Before.Met)
			require.Empty(t, j.Run)
			require.Zero(t, query[int](t, th.bundle, `SELECT count(*) FROM faults`))
		})
	}
}

func (th theatre) realAlert(t *testing.T) {
	t.Helper()
	_, err := th.owner.Exec(t.Context(), `INSERT INTO alerts (id, rule, title, severity, group_name, state, pending_since, fired_at)
		VALUES ($1, 'dispatcher-red', 'down', 'critical', 'g', 'firing', clock_timestamp(), clock_timestamp())`, uuid.New())
	require.NoError(t, err)
}

func (th theatre) realCampaign(t *testing.T) {
	t.Helper()
	th.set(t, "campaigns", `{"approval":"never","max_late":"2h","approval_ttl":"24h"}`)
	th.running(t, rw(1))
}

// Something real ends a drill: its fault would hide it, or harm it.
func TestADrillGivesWay(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		happens func(t *testing.T, th theatre, id uuid.UUID)
		why     string
	}{
		"to a real alert":     {func(t *testing.T, th theatre, _ uuid.UUID) { th.realAlert(t) }, "a real alert fires: dispatcher-red"},
		"to a real campaign":  {func(t *testing.T, th theatre, _ uuid.UUID) { th.realCampaign(t) }, "a real campaign is at work"},
		"to who stops it":     {func(t *testing.T, th theatre, id uuid.UUID) { th.stop(t, id) }, "the concert begins"},
		"to nothing, else so": {func(*testing.T, theatre, uuid.UUID) {}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			th := setupDrills(t)
			id := th.injected(t, false)
			c.happens(t, th, id)
			require.Equal(t, c.why, th.look(t, id).Stop)
		})
	}
}

func (th theatre) stop(t *testing.T, id uuid.UUID) {
	t.Helper()
	_, err := th.StopDrill(th.ops, id, "the concert begins")
	require.NoError(t, err)
	require.Zero(t, query[int](t, th.bundle, `SELECT count(*) FROM faults WHERE ended_at IS NULL`), "with the answer its fault is gone")
	_, err = th.StopDrill(th.ops, id, "again")
	require.Equal(t, "drill_over", domain.CodeOf(err))
}

func TestAStoppedDrillEndsAsAborted(t *testing.T) {
	t.Parallel()
	th := setupDrills(t)
	id := th.injected(t, false)
	require.Equal(t, "drill_not_reverted", domain.CodeOf(th.EndDrill(t.Context(), id, drill.Completed, "")), "nothing is over before its fault is gone")
	th.stop(t, id)
	require.NoError(t, th.RevertDrill(t.Context(), id))
	require.NoError(t, th.EndDrill(t.Context(), id, drill.Completed, ""))
	j := th.journal(t, id)
	require.Equal(t, drill.Aborted, j.Status)
	require.Equal(t, "the concert begins", j.Why)
	require.Zero(t, j.Score, "nothing was measured")

	// One that is stopped before it has begun puts nothing in the way.
	id = th.begin(t, false)
	_, err := th.StopDrill(th.ops, id, "")
	require.NoError(t, err)
	require.NoError(t, th.InjectDrill(t.Context(), id, th.engine.Rules))
	require.Zero(t, query[int](t, th.bundle, `SELECT count(*) FROM faults WHERE drill_id = $1`, id))
}

func TestOneDrillAtATime(t *testing.T) {
	t.Parallel()
	th := setupDrills(t)
	key := store.NewDrill{Scenario: outage(), Reason: "practice", IdempotencyKey: "k", RequestHash: []byte("a")}
	first, err := th.StartDrill(th.ops, key)
	require.NoError(t, err)
	again, err := th.StartDrill(th.ops, key)
	require.NoError(t, err)
	require.Equal(t, first.ID, again.ID)
	key.RequestHash = []byte("b")
	_, err = th.StartDrill(th.ops, key)
	require.Equal(t, "idempotency_key_reused", domain.CodeOf(err))
	_, err = th.StartDrill(th.ops, store.NewDrill{Scenario: outage(), Reason: "practice"})
	require.Equal(t, "drill_open", domain.CodeOf(err))
	require.ErrorContains(t, err, "outage, which ops@example.test began, runs")
	require.Equal(t, []string{"drill_open"}, th.audited(t, "drill.refused"))
	wrong := outage()
	wrong.Fault.Kind = "earthquake"
	_, err = th.StartDrill(th.ops, store.NewDrill{Scenario: wrong, Reason: "practice"})
	require.Equal(t, "unknown_fault", domain.CodeOf(err))
}

// Whatever dies: the fault ends by itself, and what nobody looks after is found, reverted and ended.
func TestALostDrillLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	th := setupDrills(t)
	id := th.injected(t, false)
	th.ago(t, id, 2*time.Hour)
	open, err := th.OpenFaults(t.Context())
	require.NoError(t, err)
	require.Empty(t, open, "it has expired, with nobody there")
	_, err = th.owner.Exec(t.Context(), `UPDATE outbox SET delivered_at = clock_timestamp()`)
	require.NoError(t, err)
	gone := func(there bool) func(context.Context, uuid.UUID) (bool, error) {
		return func(context.Context, uuid.UUID) (bool, error) { return there, nil }
	}
	n, err := th.SweepDrills(t.Context(), gone(true))
	require.NoError(t, err)
	require.Zero(t, n)
	n, err = th.SweepDrills(t.Context(), gone(false))
	require.NoError(t, err)
	require.Equal(t, 1, n)
	j := th.journal(t, id)
	require.Equal(t, drill.Interrupted, j.Status)
	require.Zero(t, j.Score)
	require.JSONEq(t, `{"how":"it expired by itself"}`, string(j.Rollbacks[0].Output))
}

// Where messages go to people a drill takes an override that a project lead has approved, and it ends with it.
func TestInProductionADrillTakesAnOverride(t *testing.T) {
	t.Parallel()
	th := setupDrills(t)
	real, err := store.Open(t.Context(), store.Config{URL: th.url, Pepper: storetest.Pepper, AppName: t.Name()})
	require.NoError(t, err)
	t.Cleanup(real.Close)
	n := store.NewDrill{Scenario: outage(), Reason: "practice"}
	_, err = real.StartDrill(th.ops, n)
	require.Equal(t, "drill_needs_override", domain.CodeOf(err))
	approve := func(lasts time.Duration) store.Override {
		o, err := th.RequestOverride(th.ops, store.NewOverride{Kind: override.ProductionDrill, EndsAt: time.Now().Add(lasts), Reason: "practice"})
		require.NoError(t, err)
		_, err = real.StartDrill(th.ops, n)
		require.Equal(t, "drill_needs_override", domain.CodeOf(err), "asked for is not approved")
		require.Equal(t, override.Active, th.decide(t, o.ID, approval.Approved).State)
		return o
	}
	short := approve(30 * time.Minute)
	_, err = real.StartDrill(th.ops, n)
	require.ErrorContains(t, err, "the override ends before the fault would")
	_, err = th.CancelOverride(th.lead, short.ID, "")
	require.NoError(t, err)

	o := approve(2 * time.Hour)
	d, err := real.StartDrill(th.ops, n)
	require.NoError(t, err)
	require.Equal(t, o.ID, *d.OverrideID)
	problem, err := real.CheckDrill(t.Context(), d.ID)
	require.NoError(t, err)
	require.Empty(t, problem)
	require.NoError(t, real.InjectDrill(t.Context(), d.ID, th.engine.Rules))
	_, err = th.CancelOverride(th.lead, o.ID, "enough")
	require.NoError(t, err)
	l, err := real.LookAtDrill(t.Context(), d.ID)
	require.NoError(t, err)
	require.Equal(t, "the override by which it runs is over", l.Stop)
}
