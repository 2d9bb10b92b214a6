package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/domain/drill"
	"lastcall/store"
)

var everyDay = []time.Weekday{0, 1, 2, 3, 4, 5, 6}

// dueNow schedules the outage for the minute that has begun, as of long ago.
func (th theatre) dueNow(t *testing.T, paused bool) {
	t.Helper()
	_, err := th.SetDrillSchedule(th.ops, store.DrillSchedule{Reason: "each day", Schedule: drill.Schedule{Scenario: "outage", Days: everyDay,
		At: time.Now().UTC().Format(drill.ClockFormat), Zone: "UTC", Paused: paused}})
	require.NoError(t, err)
	_, err = th.owner.Exec(t.Context(), `UPDATE drill_schedules SET changed_at = changed_at - interval '1 day'`)
	require.NoError(t, err)
}

func TestAScheduledDrillBeginsOnceAndIsRefusedAsByHand(t *testing.T) {
	t.Parallel()
	th := setupDrills(t)
	all := []drill.Scenario{outage()}
	begin := func() store.DrillSchedule {
		require.NoError(t, th.BeginScheduledDrill(t.Context(), all, "outage"))
		d, err := th.ScheduleOfDrill(t.Context(), "outage")
		require.NoError(t, err)
		require.NotNil(t, d)
		return *d
	}
	require.NoError(t, th.BeginScheduledDrill(t.Context(), all, "outage"), "a schedule that lingers in Temporal begins nothing")
	th.dueNow(t, true)
	require.Nil(t, begin().LastDue, "paused")

	th.dueNow(t, false)
	d := begin()
	require.NotNil(t, d.LastDue)
	require.NotNil(t, d.LastDrill)
	require.Empty(t, d.LastRefused)
	made, _, err := th.DrillOf(t.Context(), *d.LastDrill)
	require.NoError(t, err)
	require.Equal(t, "each day", made.Reason)
	require.Equal(t, d, begin(), "once")
	require.Equal(t, 1, query[int](t, th.bundle, `SELECT count(*) FROM drills`))

	// A crash came between the drill and its note: the same drill is noted, not another begun.
	_, err = th.owner.Exec(t.Context(), `UPDATE drill_schedules SET last_due = NULL, last_drill = NULL`)
	require.NoError(t, err)
	require.Equal(t, d.LastDrill, begin().LastDrill)

	// Another one runs: it is refused, said in the audit log and to the Ops channel, and that is all.
	_, err = th.owner.Exec(t.Context(), `UPDATE drill_schedules SET last_due = NULL, last_drill = NULL; UPDATE drills SET idempotency_key = 'other'`)
	require.NoError(t, err)
	d = begin()
	require.Nil(t, d.LastDrill)
	require.Contains(t, d.LastRefused, "only one drill at a time")
	require.Equal(t, 1, query[int](t, th.bundle, `SELECT count(*) FROM audit_log WHERE action = 'drill.refused' AND diff->>'code' = 'drill_open'`))
	require.Equal(t, 1, query[int](t, th.bundle, `SELECT count(*) FROM outbox WHERE kind = 'ops.notice' AND payload->>'title' = 'A scheduled drill did not begin: outage'`))
	require.Equal(t, d, begin(), "and said once")

	// What the build does not have any more is refused, too.
	all = nil
	_, err = th.owner.Exec(t.Context(), `UPDATE drill_schedules SET last_due = NULL`)
	require.NoError(t, err)
	require.Contains(t, begin().LastRefused, "there is no scenario")

	// One that is long past is left out.
	_, err = th.owner.Exec(t.Context(), `UPDATE drill_schedules SET last_due = NULL, last_refused = '', at = to_char(now() AT TIME ZONE 'UTC' - interval '12 minutes', 'HH24:MI')`)
	require.NoError(t, err)
	require.Nil(t, begin().LastDue)

	require.NoError(t, th.EndDrillSchedule(th.ops, "outage", "no more"))
	require.Equal(t, domain.NotFound, domain.KindOf(th.EndDrillSchedule(th.ops, "outage", "again")))
	require.Equal(t, 3, query[int](t, th.bundle, `SELECT count(*) FROM outbox WHERE kind = 'drill.schedule'`), "Temporal follows each change")
}
