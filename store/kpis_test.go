package store_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"lastcall/domain/kpi"
	"lastcall/domain/probe"
	"lastcall/store"
)

func (b bundle) kpis(t *testing.T, now time.Time, zone string) kpi.Snapshot {
	t.Helper()
	in, err := time.LoadLocation(zone)
	require.NoError(t, err)
	snap, err := b.KPIs(t.Context(), now, in)
	require.NoError(t, err)
	require.Empty(t, snap.DaysProblem+snap.NeedsProblem)
	for i, f := range snap.Figures {
		require.Equal(t, kpi.Names[i], f.Name)
		require.Empty(t, f.Problem, f.Name)
	}
	return snap
}

// figure is what the figure is in the snapshot.
func figure(t *testing.T, snap kpi.Snapshot, name kpi.Name) kpi.Figure {
	t.Helper()
	for _, f := range snap.Figures {
		if f.Name == name {
			return f
		}
	}
	t.Fatalf("no figure %s", name)
	return kpi.Figure{}
}

func part(f kpi.Figure, name string) (n int64) {
	for _, p := range f.Parts {
		if p.Name == name {
			n += p.N
		}
	}
	return n
}

// Random rows, changed at random, folded in between and at odd times looked at: the figures are what one gets by counting rows.
func TestFiguresAreTheRowsCounted(t *testing.T) {
	t.Parallel()
	c := openTaproom(t)
	owner := c.owner
	rnd := rand.New(rand.NewPCG(8, 6))
	exec := func(sql string, args ...any) {
		t.Helper()
		_, err := owner.Exec(t.Context(), sql, args...)
		require.NoError(t, err, sql)
	}
	real, drill := c.draft(t, rw(1)), c.draft(t, rw(1))
	exec(`UPDATE campaigns SET is_drill = true WHERE id = $1`, drill)
	template := query[uuid.UUID](t, c.bundle, `SELECT template_id FROM campaigns WHERE id = $1`, real)
	now := query[time.Time](t, c.bundle, `SELECT clock_timestamp()`).Truncate(time.Microsecond)
	campaigns := []*uuid.UUID{&real, &drill, nil}
	states := []string{"sent", "delivered", "read", "failed", "unknown"}
	ago := func() time.Time { // of all ages, most of the last two days
		at := now.Add(-time.Duration(rnd.Int64N(int64(48 * time.Hour))))
		if rnd.IntN(4) == 0 {
			at = at.AddDate(0, 0, -rnd.IntN(40))
		}
		return at.Truncate(time.Microsecond)
	}
	pick := func(table string) any { // one of its rows
		t.Helper()
		var id any
		err := owner.QueryRow(t.Context(), `SELECT id FROM `+table+` ORDER BY random() LIMIT 1`).Scan(&id)
		if err == pgx.ErrNoRows {
			return nil
		}
		require.NoError(t, err)
		return id
	}
	for i := range 600 {
		state, at, campaign := states[rnd.IntN(len(states))], ago(), campaigns[rnd.IntN(3)]
		switch rnd.IntN(12) {
		case 0, 1:
			if campaign != nil {
				exec(`INSERT INTO targets (campaign_id, cohort, msisdn, msisdn_hash, state, sent_at, attempt)
					SELECT $1, id, $2, sha256(gen_random_uuid()::text::bytea), $3, $4, 1 FROM cohorts WHERE campaign_id = $1 LIMIT 1`, campaign, mt(i), state, at)
			}
		case 2:
			exec(`UPDATE targets SET state = $2, sent_at = $3 WHERE id = $1`, pick("targets"), state, at)
		case 3:
			exec(`UPDATE targets SET state = 'queued', sent_at = NULL WHERE id = $1`, pick("targets"))
		case 4:
			exec(`INSERT INTO sends (id, channel, msisdn, msisdn_hash, country, template_id, marketing, actor_kind, actor_id, actor, state, sent_at, attempt, is_drill)
				VALUES (gen_random_uuid(), 'whatsapp', $1, sha256(gen_random_uuid()::text::bytea), 'MT', $2, false, 'system', 'test', 'test', $3, $4, 1, $5)`, mt(i), template, state, at, rnd.IntN(3) == 0)
		case 5:
			exec(`UPDATE sends SET state = $2, is_drill = NOT is_drill WHERE id = $1`, pick("sends"), state)
		case 6:
			exec(`INSERT INTO vouchers (id, code, amount, currency, scope, campaign_id, issued_at, expires_at)
				VALUES (gen_random_uuid(), lpad($1::int::text, 8, '0'), 2000, 'RWF', 'all', $2, $3, $3::timestamptz + interval '90 days')`, i, campaign, at)
		case 7:
			id := pick("vouchers WHERE status = 'issued'")
			exec(`UPDATE vouchers SET status = 'redeemed', redeemed_at = $2, redeemed_station_id = $3 WHERE id = $1`, id, at, c.here.StationID)
			if id != nil {
				exec(`INSERT INTO redemptions (id, voucher_id, idempotency_key, request_hash, response, station_id, device_id, operator_id, operator, amount, currency, created_at)
					VALUES (gen_random_uuid(), $1, $2::int::text, sha256('x'), '{}', $3, gen_random_uuid(), gen_random_uuid(), 'O.', 2000, 'RWF', $4)`,
					id, i, c.here.StationID, now.Add(-time.Duration(rnd.IntN(30))*time.Minute))
			}
		case 8:
			exec(`INSERT INTO redemption_refusals (at, kind, code, station_id, device_id, mock, is_drill) VALUES ($1, $2, 'x', $3, gen_random_uuid(), $4, $5)`,
				now.Add(-time.Duration(rnd.IntN(30))*time.Minute), []string{"business", "system"}[rnd.IntN(2)], c.here.StationID, rnd.IntN(4) == 0, rnd.IntN(4) == 0)
		case 9, 10:
			target := "send/" + fmt.Sprint(pick("sends"))
			if campaign != nil {
				target = "campaign/" + campaign.String()
			}
			exec(`INSERT INTO audit_log (actor_kind, actor, actor_id, action, target, diff, created_at) VALUES ('system', 'test', 'test', $1, $2, $3, $4)`,
				[]string{"outbound_policy_check", "campaign.started"}[rnd.IntN(2)], target,
				[]string{`{"reason": "quiet_hours"}`, `{"reason": "throttled"}`, `{"lifts": "quiet_hours"}`}[rnd.IntN(3)], at)
		case 11:
			if rnd.IntN(2) == 0 {
				_, err := c.FoldTallies(t.Context())
				require.NoError(t, err)
			} else {
				exec(`DELETE FROM targets WHERE id = $1`, pick("targets"))
			}
		}
		if i%60 == 0 {
			c.sameAsRows(t, now.Add(-time.Duration(rnd.IntN(3000))*time.Minute), []string{"UTC", "Africa/Kigali", "Asia/Kathmandu", "America/New_York"}[i/60%4])
		}
	}
	snap := c.sameAsRows(t, now.Add(time.Hour), "Africa/Kigali")
	for _, name := range []kpi.Name{kpi.Sent, kpi.Delivery, kpi.Blocks, kpi.Vouchers} {
		require.Positive(t, figure(t, snap, name).Of, "a test of nothing: %s", name)
	}
	require.Positive(t, figure(t, c.sameAsRows(t, now, "UTC"), kpi.Redemptions).Of)
	for range 2 { // all is folded, and nothing twice
		_, err := c.FoldTallies(t.Context())
		require.NoError(t, err)
		require.Zero(t, query[int](t, c.bundle, `SELECT count(*) FROM tally_changes`))
		c.sameAsRows(t, now.Add(time.Hour), "Africa/Kigali")
	}
}

// sameAsRows compares the figures with the rows, each counted as its formula says.
func (c taproom) sameAsRows(t *testing.T, now time.Time, zone string) kpi.Snapshot {
	t.Helper()
	snap := c.kpis(t, now, zone)
	w := kpi.LastDay(now)
	until := now.Truncate(kpi.Quarter).Add(kpi.Quarter) // tallies know quarters only
	if now.Equal(now.Truncate(kpi.Quarter)) {
		until = now
	}
	n := func(sql string, args ...any) int64 { t.Helper(); return query[int64](t, c.bundle, sql, args...) }
	const real = ` AND campaign_id NOT IN (SELECT id FROM campaigns WHERE is_drill)`
	bulk := n(`SELECT count(*) FROM targets WHERE sent_at >= $1 AND sent_at < $2`+real, w.From, until)
	singles := n(`SELECT count(*) FROM sends WHERE NOT is_drill AND sent_at >= $1 AND sent_at < $2`, w.From, until)
	sent := figure(t, snap, kpi.Sent)
	require.Equal(t, []int64{bulk + singles, bulk, singles}, []int64{sent.Of, part(sent, "campaigns"), part(sent, "singles")}, "sent")

	delivery := figure(t, snap, kpi.Delivery)
	arrived := n(`SELECT (SELECT count(*) FROM targets WHERE state IN ('delivered', 'read') AND sent_at >= $1 AND sent_at < $2`+real+`)
		+ (SELECT count(*) FROM sends WHERE NOT is_drill AND state IN ('delivered', 'read') AND sent_at >= $1 AND sent_at < $2)`, w.From, until)
	require.Equal(t, []int64{arrived, bulk + singles}, []int64{delivery.Of, delivery.Among}, "delivered")

	blocks := figure(t, snap, kpi.Blocks)
	for _, reason := range []string{"quiet_hours", "throttled"} {
		require.Equal(t, n(`SELECT count(*) FROM audit_log l WHERE action = 'outbound_policy_check' AND created_at >= $1 AND created_at < $2 AND diff->>'reason' = $3
			AND NOT EXISTS (SELECT FROM campaigns c WHERE c.is_drill AND l.target = 'campaign/' || c.id) AND NOT EXISTS (SELECT FROM sends s WHERE s.is_drill AND l.target = 'send/' || s.id)`,
			w.From, now, reason), part(blocks, reason), reason)
	}
	require.Equal(t, part(blocks, "quiet_hours")+part(blocks, "throttled"), blocks.Of)

	const ours = ` AND (campaign_id IS NULL OR campaign_id NOT IN (SELECT id FROM campaigns WHERE is_drill))`
	vouchers := figure(t, snap, kpi.Vouchers)
	require.Equal(t, []int64{n(`SELECT count(*) FROM vouchers WHERE issued_at >= $1 AND issued_at < $2`+ours, w.From, until),
		n(`SELECT count(*) FROM vouchers WHERE redeemed_at >= $1 AND redeemed_at < $2`+ours, w.From, until)}, []int64{part(vouchers, "issued"), part(vouchers, "redeemed")})

	for _, d := range snap.Days {
		require.Equal(t, []int64{n(`SELECT count(*) FROM vouchers WHERE (issued_at AT TIME ZONE $1)::date = $2::text::date AND issued_at < $3`+ours, zone, d.Day, until),
			n(`SELECT count(*) FROM vouchers WHERE (redeemed_at AT TIME ZONE $1)::date = $2::text::date AND redeemed_at < $3`+ours, zone, d.Day, until)},
			[]int64{d.Issued, d.Redeemed}, "%s %s", zone, d.Day)
	}

	last := kpi.LastTime(now, kpi.Quarter)
	failed := n(`SELECT count(*) FROM redemption_refusals WHERE kind = 'system' AND NOT mock AND NOT is_drill AND at >= $1 AND at < $2`, last.From, last.To)
	redeemed := n(`SELECT count(*) FROM redemptions r JOIN vouchers v ON v.id = r.voucher_id WHERE r.created_at >= $1 AND r.created_at < $2`+ours, last.From, last.To)
	redemptions := figure(t, snap, kpi.Redemptions)
	require.Equal(t, []int64{failed, failed + redeemed}, []int64{redemptions.Of, redemptions.Among})
	require.Equal(t, failed+redeemed == 0, redemptions.Value == nil)
	return snap
}

// Of nothing there is no rate, and availability is unknown before the first probe.
func TestNoDataIsNotZero(t *testing.T) {
	t.Parallel()
	b := setup(t)
	snap := b.kpis(t, time.Now(), "UTC")
	for _, name := range []kpi.Name{kpi.Delivery, kpi.Redemptions, kpi.Availability} {
		require.Nil(t, figure(t, snap, name).Value, name)
	}
	require.Len(t, figure(t, snap, kpi.Availability).Parts, len(probe.Functions))
	require.Zero(t, *figure(t, snap, kpi.Sent).Value)
	require.Empty(t, snap.Needs)
	require.Len(t, snap.Days, kpi.Days)
}

// A probe speaks until the next, for two minutes and a quarter at most: gaps count against the function, drills do not count.
func TestAvailabilityFigure(t *testing.T) {
	t.Parallel()
	b := setup(t)
	now := time.Now().Truncate(time.Second)
	probed := func(name probe.Name, from, to time.Duration, state string, drill bool) { // from so long ago to so long ago, each minute
		t.Helper()
		_, err := b.owner.Exec(t.Context(), `INSERT INTO edge_functions (name, state, checked_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE SET state = $2, checked_at = $3`,
			name, state, now.Add(-to-time.Minute))
		require.NoError(t, err)
		_, err = b.owner.Exec(t.Context(), `INSERT INTO probe_results (edge_function, at, state, is_drill) SELECT $1, at, $4, $5 FROM generate_series($2::timestamptz, $3, interval '1 minute') at`,
			name, now.Add(-from), now.Add(-to-time.Minute), state, drill)
		require.NoError(t, err)
	}
	for _, f := range probe.Functions {
		if f.Name != probe.Mail {
			probed(f.Name, 30*time.Hour, 0, "green", false)
		}
	}
	share := func(name probe.Name) (string, kpi.Figure) {
		t.Helper()
		f := figure(t, b.kpis(t, now, "UTC"), kpi.Availability)
		for _, p := range f.Parts {
			if p.Name == string(name) {
				return fmt.Sprintf("%d/%d %s", p.N, p.Among, p.State), f
			}
		}
		return "", f
	}
	got, f := share(probe.Messaging)
	require.Equal(t, "86400/86400 green", got)
	require.InDelta(t, 1, *f.Value, 1e-9)
	got, _ = share(probe.Mail)
	require.Equal(t, "0/0 unknown", got, "nobody ever asked; it is not critical, so the rest stands")

	forget := func(name probe.Name, from, to time.Duration) {
		t.Helper()
		_, err := b.owner.Exec(t.Context(), `DELETE FROM probe_results WHERE edge_function = $1 AND at >= $2 AND at < $3`, name, now.Add(-from), now.Add(-to))
		require.NoError(t, err)
	}
	forget(probe.Messaging, 10*time.Hour, 9*time.Hour) // an hour without a probe, of which the last one before speaks for 75 s more
	got, f = share(probe.Messaging)
	require.Equal(t, "82875/86400 green", got)
	require.InDelta(t, 82875.0/86400, *f.Value, 1e-9, "the worst")

	forget(probe.Database, 5*time.Hour, 4*time.Hour)
	probed(probe.Database, 5*time.Hour, 4*time.Hour, "red", true)
	got, _ = share(probe.Database)
	require.Equal(t, "82800/82800 unknown", got, "a drill is neither good nor bad")

	forget(probe.Dispatcher, 30*time.Hour, 0)
	probed(probe.Dispatcher, 2*time.Hour, time.Hour, "amber", false)
	probed(probe.Dispatcher, time.Hour, 0, "green", false)
	got, f = share(probe.Dispatcher)
	require.Equal(t, "3600/7200 green", got, "before its first probe there was nothing to know; amber is not green")
	require.InDelta(t, 0.5, *f.Value, 1e-9)
}

// What waits for a human is counted by kind; what has been seen to is not.
func TestWhatNeedsAHuman(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, _ := b.running(t, rw(1), rw(2))
	needs := func() map[kpi.NeedKind]int64 {
		all := map[kpi.NeedKind]int64{}
		for _, n := range b.kpis(t, time.Now(), "UTC").Needs {
			require.NotNil(t, n.Since)
			all[n.Kind] = n.N
		}
		return all
	}
	require.Empty(t, needs())
	_, err := b.owner.Exec(t.Context(), `UPDATE campaigns SET needs_human = 'mend it' WHERE id = $1`, id)
	require.NoError(t, err)
	_, err = b.owner.Exec(t.Context(), `INSERT INTO edge_functions (name, state, checked_at) VALUES ('messaging', 'red', now()), ('mail', 'red', now() - interval '1 hour'), ('panel', 'green', now())`)
	require.NoError(t, err)
	require.Equal(t, map[kpi.NeedKind]int64{kpi.StuckCampaigns: 1, kpi.RedFunctions: 1}, needs(), "what nobody probed lately is unknown, not red")
	_, err = b.owner.Exec(t.Context(), `UPDATE campaigns SET is_drill = true WHERE id = $1`, id)
	require.NoError(t, err)
	require.Equal(t, map[kpi.NeedKind]int64{kpi.RedFunctions: 1}, needs())
	_, err = b.owner.Exec(t.Context(), `INSERT INTO alerts (id, rule, subject, title, severity, group_name, state, pending_since, fired_at) VALUES
		(gen_random_uuid(), 'a', '', 'A', 'critical', 'a', 'firing', now(), now()), (gen_random_uuid(), 'test', '', 'Test alert', 'info', 'test', 'firing', now(), now())`)
	require.NoError(t, err)
	require.Equal(t, map[kpi.NeedKind]int64{kpi.RedFunctions: 1, kpi.FiringAlerts: 1}, needs())
	_, err = b.owner.Exec(t.Context(), `UPDATE alerts SET acknowledged_at = now(), acknowledged_by = 'ops'`)
	require.NoError(t, err)
	require.Equal(t, map[kpi.NeedKind]int64{kpi.RedFunctions: 1}, needs(), "somebody sees to it")
}

// A figure that cannot be read says so, and the others stay.
func TestAFigureFailsAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.owner.Exec(t.Context(), `REVOKE SELECT ON redemption_refusals FROM lastcall_app`)
	require.NoError(t, err)
	snap, err := b.KPIs(t.Context(), time.Now(), time.UTC)
	require.NoError(t, err)
	for _, f := range snap.Figures {
		require.Equal(t, f.Name == kpi.Redemptions, f.Problem != "", f.Name)
		require.NotEmpty(t, f.Title)
		require.False(t, f.From.IsZero())
	}
	b.Close()
	_, err = b.KPIs(t.Context(), time.Now(), time.UTC)
	require.Error(t, err, "nothing can be read")
}

// The campaigns and messages behind a figure can be listed.
func TestRowsBehindFigures(t *testing.T) {
	t.Parallel()
	b := setup(t)
	sent, quietOne := b.draft(t, rw(1)), b.draft(t, rw(2))
	_, err := b.owner.Exec(t.Context(), `UPDATE targets SET state = 'sent', sent_at = now(), attempt = 1 WHERE campaign_id = $1`, sent)
	require.NoError(t, err)
	ids := func(since time.Time) (all []uuid.UUID) {
		found, err := b.Campaigns(t.Context(), store.CampaignFilter{SentSince: since}, uuid.Nil, 10)
		require.NoError(t, err)
		for _, p := range found {
			all = append(all, p.ID)
		}
		return all
	}
	require.Equal(t, []uuid.UUID{sent}, ids(time.Now().Add(-time.Hour)))
	require.Empty(t, ids(time.Now().Add(time.Hour)))
	require.Equal(t, []uuid.UUID{quietOne, sent}, ids(time.Time{}))
}
