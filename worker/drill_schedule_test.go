package worker_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"lastcall/activities"
	"lastcall/config"
	"lastcall/domain/drill"
	"lastcall/store"
	"lastcall/worker"
	"lastcall/workflows"
)

// Temporal's schedule follows the row, and what it starts begins the drill that is due.
func TestADrillOnASchedule(t *testing.T) {
	t.Parallel()
	b := alone(t)
	scenarios, err := config.Drills()
	require.NoError(t, err)
	probers := b.probers()
	b.startWorker(t, "drills", worker.Probing{Probes: probers, Drills: &activities.Drills{Store: b.Store, Probes: probers, Scenarios: scenarios, Log: quiet}})
	id := workflows.DrillScheduleID("messaging-outage")
	handle := b.temporal.ScheduleClient().GetHandle(t.Context(), id)
	schedule := func(paused bool) {
		at := time.Now().UTC().Truncate(time.Minute)
		d, err := b.SetDrillSchedule(t.Context(), store.DrillSchedule{Reason: "each day", Fast: true, Schedule: drill.Schedule{Scenario: "messaging-outage",
			Days: []time.Weekday{0, 1, 2, 3, 4, 5, 6}, At: at.Format(drill.ClockFormat), Zone: "UTC", Paused: paused}})
		require.NoError(t, err)
		require.NoError(t, workflows.ScheduleDrills(t.Context(), b.temporal, d.Schedule))
	}
	schedule(true)
	seen, err := handle.Describe(t.Context())
	require.NoError(t, err)
	require.True(t, seen.Schedule.State.Paused)
	schedule(false)
	seen, err = handle.Describe(t.Context())
	require.NoError(t, err)
	require.False(t, seen.Schedule.State.Paused)
	next, ok := drill.Schedule{Days: []time.Weekday{0, 1, 2, 3, 4, 5, 6}, At: time.Now().UTC().Format(drill.ClockFormat), Zone: "UTC"}.Next(time.Now())
	require.True(t, ok)
	require.WithinDuration(t, next, seen.Info.NextActionTimes[0], 2*time.Minute, "both reckon alike")

	require.NoError(t, handle.Trigger(t.Context(), client.ScheduleTriggerOptions{}))
	var due *store.DrillSchedule
	require.Eventually(t, func() bool {
		due, err = b.ScheduleOfDrill(t.Context(), "messaging-outage")
		return err == nil && due != nil && due.LastDrill != nil
	}, 30*time.Second, 50*time.Millisecond)
	d, _, err := b.DrillOf(t.Context(), *due.LastDrill)
	require.NoError(t, err)
	require.Equal(t, "drill schedule", d.Actor)
	require.True(t, d.Fast)
	seen, err = handle.Describe(t.Context())
	require.NoError(t, err)
	began := seen.Info.RecentActions[0].StartWorkflowResult
	require.NoError(t, b.temporal.GetWorkflow(t.Context(), began.WorkflowID, began.FirstExecutionRunID).Get(t.Context(), nil))
	recordHistory(t, "scheduled-drill", b.historyOf(t, began.WorkflowID, began.FirstExecutionRunID))

	require.NoError(t, workflows.UnscheduleDrills(t.Context(), b.temporal, "messaging-outage"))
	require.NoError(t, workflows.UnscheduleDrills(t.Context(), b.temporal, "messaging-outage"), "it may be gone already")
	_, err = handle.Describe(t.Context())
	require.Error(t, err)
}
