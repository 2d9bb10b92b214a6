package workflows

import (
	"context"
	"errors"
	"strconv"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"lastcall/domain/drill"
)

// ScheduledDrill begins the drill of a scenario that is due now. Whether one is stands in Postgres, as does what became of it.
func ScheduledDrill(ctx workflow.Context, in ScheduledDrillInput) error {
	_, err := run(ctx, control("begin the drill, if one is due", time.Minute), drills.BeginScheduledDrill, in.Scenario)
	return err
}

// scheduledWithin is how long a drill that is due may be tried to begin: less than it may be late.
const scheduledWithin = 5 * time.Minute

// ScheduleDrills has Temporal begin drills of a scenario as its schedule says, from now on. It may be called again, by any
// number of workers.
func ScheduleDrills(ctx context.Context, c client.Client, s drill.Schedule) error {
	clock, err := time.Parse(drill.ClockFormat, s.At)
	if err != nil {
		return s.Check()
	}
	days := make([]client.ScheduleRange, len(s.Days))
	for i, d := range s.Days {
		days[i] = client.ScheduleRange{Start: int(d)}
	}
	spec := client.ScheduleSpec{TimeZoneName: s.Zone, Calendars: []client.ScheduleCalendarSpec{{DayOfWeek: days,
		Hour: []client.ScheduleRange{{Start: clock.Hour()}}, Minute: []client.ScheduleRange{{Start: clock.Minute()}}}}}
	id := DrillScheduleID(s.Scenario)
	action := &client.ScheduleWorkflowAction{ID: id, Workflow: "ScheduledDrill", Args: []any{ScheduledDrillInput{Scenario: s.Scenario}}, TaskQueue: ControlQueue,
		WorkflowExecutionTimeout: scheduledWithin, StaticSummary: "begins a drill · " + s.Scenario}
	const overlap, catchUp = enums.SCHEDULE_OVERLAP_POLICY_SKIP, 5 * time.Minute
	_, err = c.ScheduleClient().Create(ctx, client.ScheduleOptions{ID: id, Spec: spec, Action: action, Overlap: overlap, CatchupWindow: catchUp, Paused: s.Paused,
		Note: "Begins a drill. What is wanted stands in Postgres, and on the panel's page Drills."})
	if !errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		return err
	}
	return c.ScheduleClient().GetHandle(ctx, id).Update(ctx, client.ScheduleUpdateOptions{DoUpdate: func(in client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
		now := in.Description.Schedule
		now.Spec, now.Action = &spec, action
		now.Policy = &client.SchedulePolicies{Overlap: overlap, CatchupWindow: catchUp}
		now.State = &client.ScheduleState{Paused: s.Paused, Note: "paused: " + strconv.FormatBool(s.Paused)}
		return &client.ScheduleUpdate{Schedule: &now}, nil
	}})
}

// UnscheduleDrills has Temporal begin no more drills of a scenario.
func UnscheduleDrills(ctx context.Context, c client.Client, scenario string) error {
	err := c.ScheduleClient().GetHandle(ctx, DrillScheduleID(scenario)).Delete(ctx)
	if _, gone := errors.AsType[*serviceerror.NotFound](err); gone {
		return nil
	}
	return err
}
