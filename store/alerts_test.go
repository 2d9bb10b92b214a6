package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/alert"
	"lastcall/domain/audit"
	"lastcall/store"
)

// watched is a store whose alerts are looked at by hand: a look takes the database's clock, and back moves rows into the past.
type watched struct {
	bundle
	engine *store.AlertEngine
}

func watch(t *testing.T, rules ...alert.Rule) watched {
	t.Helper()
	for i := range rules {
		rules[i].Group = rules[i].Name
		if rules[i].Severity == "" {
			rules[i].Severity = alert.Critical
		}
		rules[i].Title = "Title of " + rules[i].Name
		if rules[i].Notify == nil {
			rules[i].Notify = []alert.Channel{alert.OpsChannel}
		}
	}
	b := setup(t)
	return watched{b, &store.AlertEngine{Store: b.Store, Log: quiet, Rules: alert.Rules{GroupInterval: time.Minute, Repeat: 4 * time.Hour, Watchdog: 24 * time.Hour, All: rules}}}
}

func condition(t *testing.T, text string) alert.Condition {
	t.Helper()
	c, err := alert.ParseCondition(text)
	require.NoError(t, err)
	return c
}

func (w watched) look(t *testing.T) {
	t.Helper()
	require.NoError(t, w.engine.Look(t.Context()))
}

func (w watched) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	_, err := w.owner.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

// probed writes what a probe found just now.
func (w watched) probed(t *testing.T, name, state string) {
	t.Helper()
	w.exec(t, `INSERT INTO edge_functions AS e (name, state, checked_at) VALUES ($1, $2, clock_timestamp()) ON CONFLICT (name) DO UPDATE
		SET state = $2, checked_at = clock_timestamp(), since = CASE WHEN e.state = $2 THEN e.since ELSE clock_timestamp() END`, name, state)
}

func (w watched) alerts(t *testing.T, states ...alert.State) []store.AlertView {
	t.Helper()
	all, err := w.Alerts(t.Context(), store.AlertFilter{States: states, Limit: 100})
	require.NoError(t, err)
	return all
}

func (w watched) notices(t *testing.T) int {
	t.Helper()
	return query[int](t, w.bundle, `SELECT count(*) FROM alert_notices`)
}

// deliver sends what is in the outbox, as the channel takes it (or not), and returns what it got.
func (w watched) deliver(t *testing.T, up bool) (got []alert.Letter) {
	t.Helper()
	rows, err := w.owner.Query(t.Context(), `SELECT id, payload->>'notice_id' FROM outbox WHERE kind = 'alert.notice' AND delivered_at IS NULL ORDER BY id`)
	require.NoError(t, err)
	var ids []int64
	var notices []uuid.UUID
	for rows.Next() {
		var id int64
		var notice uuid.UUID
		require.NoError(t, rows.Scan(&id, &notice))
		ids, notices = append(ids, id), append(notices, notice)
	}
	require.NoError(t, rows.Err())
	for i, id := range notices {
		n, err := w.NoticeGoes(t.Context(), id)
		require.NoError(t, err)
		if !up {
			require.NoError(t, w.NoticeFailed(t.Context(), id, "nobody answers"))
			continue
		}
		got = append(got, alert.Write(n.Kind, n.Number, n.IsDrill, n.Lines))
		require.NoError(t, w.NoticeGone(t.Context(), id, "delivered"))
		w.exec(t, `UPDATE outbox SET delivered_at = clock_timestamp() WHERE id = $1`, ids[i])
	}
	return got
}

func TestAlertFiresIsToldAndResolves(t *testing.T) {
	t.Parallel()
	w := watch(t, alert.Rule{Name: "red", When: condition(t, "edge_function is red"), Subjects: []string{"messaging"}, For: 30 * time.Minute, Actions: []alert.Action{alert.OpenIncident}})
	w.look(t)
	require.Empty(t, w.alerts(t), "nobody has probed: unknown is not red")
	w.probed(t, "messaging", "red")
	w.look(t)
	w.look(t)
	pending := w.alerts(t)
	require.Len(t, pending, 1)
	require.Equal(t, alert.Pending, pending[0].State)
	require.Empty(t, w.deliver(t, true))

	// Half an hour passes, in which nobody probes: the clock has run on.
	w.exec(t, `UPDATE alerts SET pending_since = pending_since - interval '31 minutes'`)
	w.exec(t, `UPDATE edge_functions SET checked_at = checked_at - interval '10 minutes'`)
	w.look(t)
	firing := w.alerts(t, alert.Firing)
	require.Len(t, firing, 1)
	require.NotNil(t, firing[0].UnknownSince)
	require.NotZero(t, firing[0].Incident)
	require.False(t, firing[0].Evidence[len(firing[0].Evidence)-1].Known)
	got := w.deliver(t, true)
	require.Len(t, got, 1)
	require.Equal(t, "Title of red", got[0].Title)
	require.Contains(t, got[0].Text, "INC-")
	require.Equal(t, 1, query[int](t, w.bundle, `SELECT count(*) FROM audit_log WHERE action = 'alert.fired' AND actor = 'alert/red'`))

	w.look(t)
	require.Len(t, w.alerts(t, alert.Firing), 1, "no data ends nothing")
	require.Empty(t, w.deliver(t, true), "and nothing is told twice")
	w.exec(t, `UPDATE alerts SET notified_at = notified_at - interval '4 hours'`)
	w.exec(t, `UPDATE alert_notices SET created_at = created_at - interval '4 hours'`)
	w.look(t)
	require.Equal(t, "Still: Title of red", w.deliver(t, true)[0].Title)

	ctx := w.acting(t, access.Ops)
	require.NoError(t, w.AcknowledgeAlert(ctx, firing[0].ID, "on it"))
	require.Contains(t, w.deliver(t, true)[0].Text, "Acknowledged: Title of red")
	require.Equal(t, "alert_acknowledged", domain.CodeOf(w.AcknowledgeAlert(ctx, firing[0].ID, "")))
	require.Equal(t, 1, query[int](t, w.bundle, `SELECT count(*) FROM audit_log WHERE action = 'alert.acknowledge_refused'`))
	w.exec(t, `UPDATE alerts SET notified_at = notified_at - interval '5 hours'`)
	w.exec(t, `UPDATE alert_notices SET created_at = created_at - interval '5 hours'`)
	w.look(t)
	require.Empty(t, w.deliver(t, true), "what somebody sees to is not repeated")

	w.probed(t, "messaging", "green")
	w.look(t)
	over := w.alerts(t)
	require.Equal(t, alert.Resolved, over[0].State)
	w.look(t)
	require.Equal(t, "Over: Title of red", w.deliver(t, true)[0].Title)
	require.Equal(t, "alert_not_firing", domain.CodeOf(w.AcknowledgeAlert(ctx, w.again(t, "messaging"), "")))
}

// again is a new, pending alert of the same.
func (w watched) again(t *testing.T, name string) uuid.UUID {
	t.Helper()
	w.probed(t, name, "red")
	w.look(t)
	all := w.alerts(t, alert.Pending)
	require.Len(t, all, 1)
	return all[0].ID
}

// acting is a context in which a new account of that role acts.
func (b bundle) acting(t *testing.T, role access.Role) context.Context {
	t.Helper()
	id := uuid.Must(uuid.NewV7())
	email := id.String()[24:] + "@example.test"
	_, err := b.owner.Exec(t.Context(), `INSERT INTO accounts (id, email, name, role, password_hash) VALUES ($1, $2, 'Someone', $3, '$argon2id$x')`, id, email, role)
	require.NoError(t, err)
	return audit.WithActor(t.Context(), audit.Actor{Kind: "account", Name: email, ID: id.String()})
}

func TestNothingIsLostWhileTheChannelIsDown(t *testing.T) {
	t.Parallel()
	red := condition(t, "edge_function is red")
	w := watch(t, alert.Rule{Name: "function-red", When: red, Keep: 0})
	w.probed(t, "messaging", "red")
	w.look(t)
	require.Empty(t, w.deliver(t, false))
	for _, name := range []string{"mail", "payments", "panel"} { // more, while it is down, over and over
		for range 3 {
			w.probed(t, name, "red")
			w.look(t)
			require.Empty(t, w.deliver(t, false))
		}
	}
	w.probed(t, "payments", "green")
	w.look(t)
	require.Empty(t, w.deliver(t, false))
	require.Len(t, w.alerts(t, alert.Firing), 3)
	require.Equal(t, 1, w.notices(t))

	got := w.deliver(t, true)
	require.Len(t, got, 1, "one message, not one a try")
	for _, said := range []string{"(messaging) [critical]", "(mail) [critical]", "(panel) [critical]", "Over: Title of function-red (payments)"} {
		require.Contains(t, got[0].Text, said)
	}
	w.look(t)
	require.Empty(t, w.deliver(t, true))
	told, err := w.AlertOf(t.Context(), w.alerts(t, alert.Firing)[0].ID)
	require.NoError(t, err)
	require.Equal(t, "delivered", told.Notices[0].Outcome)
	require.NotNil(t, told.Notices[0].DeliveredAt)
}

func TestANoticeOnItsWayIsNotJoined(t *testing.T) {
	t.Parallel()
	w := watch(t, alert.Rule{Name: "function-red", When: condition(t, "edge_function is red")})
	w.probed(t, "messaging", "red")
	w.look(t)
	id := query[uuid.UUID](t, w.bundle, `SELECT id FROM alert_notices`)
	_, err := w.NoticeGoes(t.Context(), id)
	require.NoError(t, err)
	w.probed(t, "mail", "red")
	w.look(t)
	require.Equal(t, 1, query[int](t, w.bundle, `SELECT count(*) FROM alert_notice_lines`), "what is being said holds one alert")
	require.NoError(t, w.NoticeGone(t.Context(), id, "delivered"))
	w.exec(t, `UPDATE alert_notices SET created_at = created_at - interval '1 hour'`)
	w.look(t)
	require.Equal(t, 2, w.notices(t), "the other one has a notice of its own")
}

func TestSymptomsAreSilent(t *testing.T) {
	t.Parallel()
	w := watch(t,
		alert.Rule{Name: "symptom", When: condition(t, "edge_function is red"), Subjects: []string{"mail"}, Actions: []alert.Action{alert.OpenIncident}},
		alert.Rule{Name: "cause", When: condition(t, "edge_function is red"), Subjects: []string{"dispatcher"}, Inhibits: []string{"symptom"}, Actions: []alert.Action{alert.OpenIncident}})
	w.probed(t, "mail", "red")
	w.probed(t, "dispatcher", "red")
	w.look(t)
	got := w.deliver(t, true)
	require.Len(t, got, 1)
	require.Equal(t, "Title of cause", got[0].Title)
	incidents, err := w.Incidents(t.Context(), store.IncidentFilter{Limit: 10})
	require.NoError(t, err)
	require.Len(t, incidents, 1, "a symptom opens none")
	require.Equal(t, 2, incidents[0].Alerts, "it belongs to its cause's")
	for _, a := range w.alerts(t) {
		if a.Rule == "symptom" {
			require.Equal(t, "Title of cause", a.Symptom)
		}
	}
	w.exec(t, `UPDATE alert_notices SET created_at = created_at - interval '1 hour'`)
	w.probed(t, "dispatcher", "green")
	w.look(t)
	var titles []string
	for _, l := range w.deliver(t, true) {
		titles = append(titles, l.Title)
	}
	require.ElementsMatch(t, []string{"Title of symptom", "Over: Title of cause"}, titles, "what is left is told")
}

func TestPauseCampaignsOnceAFiring(t *testing.T) {
	t.Parallel()
	w := watch(t, alert.Rule{Name: "stop", When: condition(t, "edge_function is red"), Subjects: []string{"messaging"}, Actions: []alert.Action{alert.PauseCampaigns, alert.OpenIncident}})
	id, _ := w.running(t, many(3, rw)...)
	drafted := w.draft(t, rw(9))
	w.probed(t, "messaging", "red")
	w.look(t)
	require.Equal(t, "paused", query[string](t, w.bundle, `SELECT gate FROM campaigns WHERE id = $1`, id))
	require.Equal(t, "open", query[string](t, w.bundle, `SELECT gate FROM campaigns WHERE id = $1`, drafted))
	require.Equal(t, 1, query[int](t, w.bundle, `SELECT count(*) FROM audit_log WHERE action = 'campaign.pause_ordered' AND target = $1 AND actor = 'alert/stop' AND reason = 'Title of stop'`, "campaign/"+id.String()))
	require.Equal(t, 1, query[int](t, w.bundle, `SELECT count(*) FROM outbox WHERE kind = 'campaign.order' AND payload->>'order' = 'pause' AND key = $1`, "campaign/"+id.String()))
	w.exec(t, `UPDATE campaigns SET gate = 'open' WHERE id = $1`, id) // somebody resumes it
	w.look(t)
	require.Equal(t, "open", query[string](t, w.bundle, `SELECT gate FROM campaigns WHERE id = $1`, id), "the alert does not pause it again")
}

func TestDrillsHaveTheirOwnAlerts(t *testing.T) {
	t.Parallel()
	w := watch(t, alert.Rule{Name: "stop", When: condition(t, "edge_function is red"), Subjects: []string{"messaging"}, For: 30 * time.Minute,
		Actions: []alert.Action{alert.PauseCampaigns, alert.OpenIncident}})
	real, _ := w.running(t, many(3, rw)...)
	drill := uuid.New()
	until := time.Now().Add(time.Hour)
	require.Equal(t, "below_interval", domain.CodeOf(w.SetDrillClock(t.Context(), drill, w.engine.Rules, "stop", 10*time.Second, until)))
	require.Equal(t, "unknown_rule", domain.CodeOf(w.SetDrillClock(t.Context(), drill, w.engine.Rules, "none", time.Minute, until)))
	require.NoError(t, w.SetDrillClock(t.Context(), drill, w.engine.Rules, "stop", 2*time.Minute, until))
	w.probed(t, "messaging", "red")
	w.exec(t, `INSERT INTO faults (id, edge_function, kind, drill_id, reason, actor_kind, actor_id, actor, expires_at)
		VALUES (gen_random_uuid(), 'messaging', 'timeout', $1, 'drill', 'account', 'a', 'a', clock_timestamp() + interval '10 minutes')`, drill)
	w.exec(t, `UPDATE edge_functions SET is_drill = true`)
	w.look(t)
	w.exec(t, `UPDATE alerts SET pending_since = pending_since - interval '2 minutes'`)
	w.look(t)
	firing := w.alerts(t, alert.Firing)
	require.Len(t, firing, 1, "by the drill's clock")
	require.True(t, firing[0].IsDrill)
	require.Equal(t, drill, *firing[0].DrillID)
	require.Equal(t, "DRILL – Title of stop", w.deliver(t, true)[0].Title)
	require.Equal(t, "open", query[string](t, w.bundle, `SELECT gate FROM campaigns WHERE id = $1`, real), "a drill pauses no real campaign")
	i, err := w.IncidentOf(t.Context(), *firing[0].IncidentID)
	require.NoError(t, err)
	require.True(t, i.IsDrill)

	// The fault is over and long gone, and it is still down: that is no drill any more.
	w.exec(t, `UPDATE faults SET created_at = created_at - interval '1 hour', expires_at = expires_at - interval '1 hour'`)
	w.exec(t, `UPDATE edge_functions SET is_drill = false`)
	w.look(t)
	pending := w.alerts(t, alert.Pending)
	require.Len(t, pending, 1)
	require.False(t, pending[0].IsDrill)
	require.Empty(t, w.alerts(t, alert.Firing))
}

func TestTestAlertsAreAcknowledged(t *testing.T) {
	t.Parallel()
	w := watch(t)
	ctx := w.acting(t, access.Ops)
	id, err := w.TestAlert(ctx, "before the pilot")
	require.NoError(t, err)
	w.look(t)
	got := w.deliver(t, true)
	require.Len(t, got, 1)
	require.Equal(t, id.String(), got[0].Alert)
	require.NoError(t, w.AcknowledgeAlert(ctx, id, ""))
	a, err := w.AlertOf(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, alert.Resolved, a.State)
	require.NotNil(t, a.AcknowledgedAt)
	require.Equal(t, audit.ActorFrom(ctx).Name, a.AcknowledgedBy)
	require.NotNil(t, a.Notices[0].DeliveredAt)
}

func TestSilenceIsBrokenOnceADay(t *testing.T) {
	t.Parallel()
	w := watch(t)
	w.look(t)
	require.Zero(t, w.notices(t))
	w.exec(t, `UPDATE installation SET created_at = created_at - interval '25 hours'`)
	w.look(t)
	w.look(t)
	got := w.deliver(t, true)
	require.Len(t, got, 1)
	require.Equal(t, "Lastcall is watching", got[0].Title)
}

func TestWhatIsMeasured(t *testing.T) {
	t.Parallel()
	var rules []alert.Rule
	for name, text := range map[string]string{"workers": "dispatcher_silence > 15s", "outbox": "outbox_age > 2m", "notices": "notice_age > 1m", "sends": "send_failure_rate > 20%",
		"redemptions": "redemption_failure_rate > 5%", "guesses": "wrong_codes > 3", "stuck": "campaigns_needing_a_human > 0", "blocks": "policy_block_rate > 50%"} {
		rules = append(rules, alert.Rule{Name: name, When: condition(t, text)})
	}
	w := watch(t, rules...)
	read := func() map[string]string {
		w.look(t)
		all, err := w.AlertReadings(t.Context())
		require.NoError(t, err)
		said := map[string]string{}
		for _, r := range all {
			if r.Rule != "notices" || r.Subject == "ops" {
				said[r.Rule] = string(r.Verdict)
			}
		}
		return said
	}
	require.NoError(t, w.Beat(t.Context(), "w1", true))
	require.Equal(t, map[string]string{"workers": "clear", "outbox": "clear", "notices": "clear", "sends": "unknown", "redemptions": "unknown", "guesses": "clear",
		"stuck": "clear", "blocks": "clear"}, read(), "nobody has sent or redeemed: that says nothing")

	id, lane := w.running(t, many(10, rw)...)
	w.exec(t, `UPDATE outbox SET created_at = created_at - interval '3 minutes' WHERE kind = 'campaign.start'`)
	w.exec(t, `UPDATE workers SET seen_at = seen_at - interval '16 seconds'`)
	w.exec(t, `UPDATE campaigns SET needs_human = 'mend it' WHERE id = $1`, id)
	w.exec(t, `UPDATE targets SET state = 'failed', reason = 'x' WHERE campaign_id = $1 AND id IN (SELECT id FROM targets WHERE campaign_id = $1 ORDER BY id LIMIT 4)`, id)
	w.exec(t, `UPDATE targets SET state = 'sent', sent_at = clock_timestamp() WHERE campaign_id = $1 AND state = 'queued' AND id IN (SELECT id FROM targets WHERE campaign_id = $1 ORDER BY id DESC LIMIT 4)`, id)
	w.set(t, "quiet_hours", aroundNow("RW", "Africa/Kigali"))
	w.claim(t, lane, 10)
	w.exec(t, `INSERT INTO alert_notices (id, channel, kind, group_name, attempts, created_at) VALUES (gen_random_uuid(), 'ops', 'firing', 'g', 1, clock_timestamp() - interval '2 minutes')`)
	w.refused(t, "system", "database_unavailable", 1)
	w.refused(t, "business", "already_redeemed", 5)
	w.refused(t, "business", "wrong_code", 4)
	require.Equal(t, map[string]string{"workers": "holds", "outbox": "holds", "notices": "holds", "sends": "holds", "redemptions": "holds", "guesses": "holds",
		"stuck": "holds", "blocks": "holds"}, read())

	// What drills make counts for none of them.
	w.exec(t, `UPDATE campaigns SET is_drill = true`)
	w.exec(t, `ALTER TABLE redemption_refusals DISABLE TRIGGER redemption_refusals_append_only`)
	w.exec(t, `UPDATE redemption_refusals SET is_drill = true`)
	now := read()
	for rule, want := range map[string]string{"sends": "unknown", "redemptions": "unknown", "guesses": "clear", "stuck": "clear", "blocks": "clear"} {
		require.Equal(t, want, now[rule], rule)
	}
}

// refused writes refusals of redemptions at some station.
func (w watched) refused(t *testing.T, kind, code string, n int) {
	t.Helper()
	w.exec(t, `INSERT INTO bars (id, code, name, country, zone) VALUES ('00000000-0000-7000-8000-000000000001', 'BAR-001', 'Bar', 'RW', 'Africa/Kigali') ON CONFLICT DO NOTHING`)
	w.exec(t, `INSERT INTO stations (id, bar_id, code, name) VALUES ('00000000-0000-7000-8000-000000000002', '00000000-0000-7000-8000-000000000001', 'ENG-001', 'Station') ON CONFLICT DO NOTHING`)
	w.exec(t, `INSERT INTO redemption_refusals (kind, code, station_id, device_id) SELECT $1, $2, '00000000-0000-7000-8000-000000000002', gen_random_uuid() FROM generate_series(1, $3)`, kind, code, n)
}

func TestOneEvaluatesAtATime(t *testing.T) {
	t.Parallel()
	w := watch(t, alert.Rule{Name: "red", When: condition(t, "edge_function is red")})
	w.probed(t, "messaging", "red")
	done := make(chan error, 8)
	for range cap(done) {
		go func() { done <- w.engine.Look(t.Context()) }()
	}
	for range cap(done) {
		require.NoError(t, <-done)
	}
	require.Len(t, w.alerts(t), 1)
	require.Equal(t, 1, w.notices(t))
}
