package workflows

import (
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"lastcall/activities"
	"lastcall/domain/drill"
)

// Drill sees one drill through: it looks whether all is steady, puts the fault in the way, watches what the system makes of it,
// takes the fault away whatever has happened, and watches until all is steady again. What is so stands in Postgres, and the
// fault there ends by itself should nobody be left to take it away.
func Drill(ctx workflow.Context, in DrillInput) error {
	d := &drillRun{DrillInput: in}
	if err := d.setup(ctx); err != nil {
		return err
	}
	d.run(ctx)
	// What follows is done even if somebody cancels it.
	out, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	return d.end(out)
}

// drills names activities by method value; the worker has the real one.
var drills *activities.Drills

type drillRun struct {
	DrillInput
	state   drill.State // as it is shown
	outcome drill.State // how it will end
	why     string      // it fails, or was stopped
	seen    []drill.Event
}

// setup registers the handlers before anything else.
func (d *drillRun) setup(ctx workflow.Context) error {
	d.state, d.outcome = drill.Preflight, drill.Completed
	return workflow.SetQueryHandlerWithOptions(ctx, QueryState, func() (drill.State, error) { return d.state, nil },
		workflow.QueryHandlerOptions{Description: "Where the drill is. The rest is in Postgres."})
}

// run is the story of a drill up to the moment when its fault has to be taken away.
func (d *drillRun) run(ctx workflow.Context) {
	steady, err := run(ctx, control("is all steady?", time.Minute), drills.CheckDrill, d.DrillID)
	if d.stopped(err) {
		return
	}
	if steady.Problem != "" {
		d.outcome, d.why = drill.Failed, steady.Problem
		return
	}
	if _, err := run(ctx, control("inject the fault", 20*time.Second), drills.InjectDrill, d.DrillID); d.stopped(err) {
		return
	}
	d.become(ctx, drill.Injected)
	d.stopped(d.watch(ctx, "what becomes of the fault?"))
}

// stopped reports whether the drill cannot go on, and notes why.
func (d *drillRun) stopped(err error) bool {
	if err == nil {
		return false
	}
	d.outcome, d.why = drill.Aborted, "it could not go on"
	if app, ok := errors.AsType[*temporal.ApplicationError](err); ok {
		d.why = app.Message()
	} else if temporal.IsCanceledError(err) {
		d.why = "stopped by hand"
	}
	return true
}

// watch waits until everything was seen that this part of the drill waits for, or is not waited for any longer. It fails when the
// drill must stop.
func (d *drillRun) watch(ctx workflow.Context, what string) error {
	for {
		seen, err := run(ctx, batch(what, 5*time.Minute), drills.WatchDrill, d.DrillID)
		if err != nil {
			return err
		}
		d.seen = append(d.seen, seen.New...)
		d.show(ctx)
		if seen.Stop != "" {
			return temporal.NewNonRetryableApplicationError(seen.Stop, "drill_must_stop", nil)
		}
		if seen.Over {
			return nil
		}
	}
}

// end takes the fault away, waits until all is steady again, and has the drill scored.
func (d *drillRun) end(ctx workflow.Context) error {
	if _, err := run(ctx, control("take the fault away", 20*time.Second), drills.RevertDrill, d.DrillID); err != nil {
		return err
	}
	if d.state == drill.Injected {
		d.become(ctx, drill.Recovering)
		d.stopped(d.watch(ctx, "is all steady again?"))
	}
	if _, err := run(ctx, control("score", 20*time.Second), drills.EndDrill, activities.EndDrillInput{DrillID: d.DrillID, State: d.outcome, Why: d.why}); err != nil {
		return err
	}
	d.become(ctx, d.outcome)
	return nil
}

func (d *drillRun) become(ctx workflow.Context, state drill.State) {
	d.state = state
	d.show(ctx)
	if err := workflow.UpsertTypedSearchAttributes(ctx, AttrState.ValueSet(string(state))); err != nil {
		workflow.GetLogger(ctx).Warn("state not shown", "error", err)
	}
}

// show tells Ops in Temporal Web where it is.
func (d *drillRun) show(ctx workflow.Context) {
	details := fmt.Sprintf("**%s**", d.state)
	for _, e := range d.seen {
		details += " · " + string(e)
	}
	if d.why != "" {
		details += " · " + d.why
	}
	workflow.SetCurrentDetails(ctx, details)
}
