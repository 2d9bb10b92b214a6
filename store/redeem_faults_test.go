package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/alert"
	"lastcall/domain/probe"
	"lastcall/store"
)

// What is tried is nothing, and leaves nothing; and what keeps vouchers from being redeemed keeps it from going well.
func TestTryingToRedeemRedeemsNothing(t *testing.T) {
	t.Parallel()
	c := openTaproom(t)
	v := c.issue(t)
	rows := `SELECT (SELECT count(*) FROM redemptions) + (SELECT count(*) FROM redemption_refusals) + (SELECT count(*) FROM voucher_events) + (SELECT count(*) FROM audit_log)`
	before := query[int](t, c.bundle, rows)
	require.NoError(t, c.TryRedemption(t.Context()))
	require.Equal(t, before, query[int](t, c.bundle, rows))
	_, err := c.owner.Exec(t.Context(), `REVOKE INSERT ON redemptions FROM lastcall_app`)
	require.NoError(t, err)
	require.Error(t, c.TryRedemption(t.Context()))
	_, err = c.owner.Exec(t.Context(), `GRANT INSERT ON redemptions TO lastcall_app`)
	require.NoError(t, err)
	_, _, err = c.Redeem(t.Context(), byCode(c.here, v, "key"))
	require.NoError(t, err)
}

// What fails of a fault is in no figure and in no real alert; the drill's own alert counts it, and is over with the fault.
func TestRedemptionsThatFailOfAFault(t *testing.T) {
	t.Parallel()
	w := watch(t, alert.Rule{Name: "failures", When: condition(t, "redemption_failure_rate > 5%"), MinN: 50, Keep: 5 * time.Minute, Runbook: "redemption-anomalies",
		Actions: []alert.Action{alert.OpenIncident}})
	c := taproom{bundle: w.bundle}
	bar, err := c.AddBar(t.Context(), "ENG", store.BarFacts{Name: "Engine", Country: "RW"})
	require.NoError(t, err)
	station, err := c.AddStation(t.Context(), bar.ID, "ENG-001", "Counter")
	require.NoError(t, err)
	_, pin, err := c.AddOperator(t.Context(), station.ID, "Jeanne Example")
	require.NoError(t, err)
	c.here = c.signIn(t, station.Code, station.ID, pin)
	ops := w.acting(t, access.Ops)

	for kind, code := range map[probe.FaultKind]string{probe.Timeout: "no_fault_there", probe.Reset: "no_fault_there", probe.StopPolling: "no_fault_there"} {
		_, err := w.InjectFault(ops, store.NewFault{Name: probe.Redemptions, Kind: kind, For: time.Minute, Reason: "trial"})
		require.Equal(t, code, domain.CodeOf(err), kind)
	}
	f, err := w.InjectFault(ops, store.NewFault{Name: probe.Redemptions, Kind: probe.ServerError, Share: 0.25, For: time.Hour, Reason: "trial"})
	require.NoError(t, err)
	active, err := w.ActiveFaults(t.Context())
	require.NoError(t, err)
	require.Len(t, active, 1)
	strike := func() {
		err := w.RedemptionStruck(t.Context(), store.Redemption{By: c.here}, active[0])
		require.Equal(t, store.RedemptionsDown, domain.CodeOf(err))
		require.Equal(t, domain.Unavailable, domain.KindOf(err))
	}
	for range 49 {
		strike()
	}
	w.look(t)
	require.Empty(t, w.alerts(t, alert.Firing), "49 are too few to say")
	strike()
	w.look(t)
	firing := w.alerts(t, alert.Firing)
	require.Len(t, firing, 1)
	require.True(t, firing[0].IsDrill, "of the fault, not in earnest")
	require.Equal(t, store.DrilledRedemptions, firing[0].Subject)

	rate, err := w.RedemptionRate(t.Context(), time.Hour)
	require.NoError(t, err)
	require.Zero(t, rate, "it is in no figure")
	refusals, err := w.RedemptionRefusals(t.Context(), "", time.Time{}, 0, 10)
	require.NoError(t, err)
	require.Empty(t, refusals)
	require.Equal(t, 50, query[int](t, w.bundle, `SELECT count(*) FROM redemption_refusals WHERE is_drill AND kind = 'system' AND fault_id = $1`, f.ID))

	// In earnest it is another alert, beside.
	for range 50 {
		w.exec(t, `INSERT INTO redemption_refusals (kind, code, station_id, device_id) VALUES ('system', 'internal', $1, $2)`, station.ID, c.here.DeviceID)
	}
	w.look(t)
	require.Len(t, w.alerts(t, alert.Firing), 2)

	_, err = w.EndFault(ops, f.ID, "enough")
	require.NoError(t, err)
	w.look(t)
	w.exec(t, `UPDATE alerts SET clear_since = clear_since - interval '5 minutes' WHERE is_drill`)
	w.look(t)
	firing = w.alerts(t, alert.Firing)
	require.Len(t, firing, 1, "the fault's alert is over with it")
	require.False(t, firing[0].IsDrill)
}
