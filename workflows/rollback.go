package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"lastcall/activities"
	"lastcall/domain/rollout"
)

// Rollback sees a rollback through, and the recovery from it: it takes every step that is due, and waits for the next one or for
// people. Which steps there are, and what each came to, stands in Postgres: nothing is lost with a worker, a message or this workflow.
func Rollback(ctx workflow.Context, in RollbackInput) error {
	r := &rollbackRun{RollbackInput: in}
	if err := r.setup(ctx); err != nil {
		return err
	}
	if err := r.run(ctx); err != nil || r.next.Over {
		return err
	}
	return workflow.NewContinueAsNewError(ctx, Rollback, in)
}

// rollbacks names activities by method value; the worker has the real one.
var rollbacks *activities.Rollbacks

type rollbackRun struct {
	RollbackInput
	next    activities.RollbackNext
	changes int // bumped by every message; whoever waits compares
	shown   rollout.RollbackState
}

// setup registers the handlers before anything else, so that no message finds nobody.
func (r *rollbackRun) setup(ctx workflow.Context) error {
	if err := workflow.SetQueryHandlerWithOptions(ctx, QueryState, func() (rollout.RollbackState, error) { return r.next.State, nil },
		workflow.QueryHandlerOptions{Description: "How far it is. The steps are in Postgres."}); err != nil {
		return err
	}
	changed := workflow.GetSignalChannelWithOptions(ctx, RollbackChanged,
		workflow.SignalChannelOptions{Description: "Something is to be done: look again. What it is stands in Postgres."})
	workflow.Go(ctx, func(ctx workflow.Context) {
		for changed.Receive(ctx, nil) {
			r.changes++
		}
	})
	return nil
}

// run is the story of a rollback.
func (r *rollbackRun) run(ctx workflow.Context) error {
	for {
		seen := r.changes
		next, err := run(ctx, control("what is to be done?", 10*time.Second), rollbacks.NextRollbackStep, r.RollbackID)
		if err != nil {
			return err
		}
		r.next = next
		if err := r.show(ctx); err != nil || next.Over {
			return err
		}
		if workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			return nil
		}
		if next.Step == "" {
			err = r.wait(ctx, seen)
		} else {
			_, err = run(ctx, control(string(next.Step), 30*time.Second), rollbacks.TakeRollbackStep, activities.RollbackTask{RollbackID: r.RollbackID, Step: next.Step})
		}
		if err != nil {
			return err
		}
	}
}

// wait waits until a message has come since `seen`, or the next step is due.
func (r *rollbackRun) wait(ctx workflow.Context, seen int) error {
	woken := func() bool { return r.changes != seen }
	if r.next.Wait <= 0 {
		return workflow.Await(ctx, woken)
	}
	ctx, cancel := workflow.WithCancel(ctx)
	defer cancel() // a bare Await would leave its timer behind
	_, err := workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{Timeout: max(r.next.Wait, 50*time.Millisecond),
		TimerOptions: workflow.TimerOptions{Summary: "a step is tried again"}}, woken)
	return err
}

// show tells Ops in Temporal Web where it is.
func (r *rollbackRun) show(ctx workflow.Context) error {
	workflow.SetCurrentDetails(ctx, "**"+string(r.next.State)+"** "+string(r.next.Step))
	if r.shown == r.next.State {
		return nil
	}
	r.shown = r.next.State
	return workflow.UpsertTypedSearchAttributes(ctx, AttrState.ValueSet(string(r.next.State)), AttrNeedsHuman.ValueSet(r.next.State == rollout.RollbackDone))
}
