package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/workflow"

	"lastcall/activities"
	"lastcall/domain/rollout"
)

// Rollout sees a rollout through, for as many months as that takes: it has the items of the phase looked at when they are
// due, lets signatures count once they were looked up, and opens a phase when somebody orders it and everything is so. What
// is so stands in Postgres: nothing that a message says is believed. It begins a new history when this one is full.
func Rollout(ctx workflow.Context, in RolloutInput) error {
	r := &rolloutRun{RolloutInput: in}
	decisions, err := r.setup(ctx)
	if err != nil {
		return err
	}
	if err := r.run(ctx); err != nil {
		return err
	}
	// What came together with its end, or with the end of this history, is looked into as well.
	for claim := (converter.RawValue{}); decisions.ReceiveAsync(&claim); {
		r.decided(ctx, claim)
	}
	if err := workflow.Await(ctx, func() bool { return r.claims == 0 && workflow.AllHandlersFinished(ctx) }); err != nil {
		return err
	}
	if r.step.Over {
		return nil
	}
	return workflow.NewContinueAsNewError(ctx, Rollout, in)
}

// rollouts names activities by method value; the worker has the real one.
var rollouts *activities.Rollouts

type rolloutRun struct {
	RolloutInput
	step    activities.RolloutStep
	changes int // bumped by every message; whoever waits compares
	claims  int // decisions that are being looked into
	shown   string
}

// setup registers the handlers before anything else, so that no message finds nobody.
func (r *rolloutRun) setup(ctx workflow.Context) (workflow.ReceiveChannel, error) {
	if err := workflow.SetQueryHandlerWithOptions(ctx, QueryState, func() (rollout.Phase, error) { return r.step.Phase, nil },
		workflow.QueryHandlerOptions{Description: "The phase. The rest is in Postgres."}); err != nil {
		return nil, err
	}
	changed := workflow.GetSignalChannelWithOptions(ctx, RolloutChanged,
		workflow.SignalChannelOptions{Description: "Something is to be done: look again. What it is stands in Postgres."})
	workflow.Go(ctx, func(ctx workflow.Context) {
		for changed.Receive(ctx, nil) {
			r.changes++
		}
	})
	decisions := workflow.GetSignalChannelWithOptions(ctx, Decide,
		workflow.SignalChannelOptions{Description: "Says that somebody has signed or waived an item, by the approval's id, which is looked up. One that does not hold changes nothing and is in the audit log."})
	workflow.Go(ctx, func(ctx workflow.Context) {
		for {
			var claim converter.RawValue
			if !decisions.Receive(ctx, &claim) {
				return
			}
			r.decided(ctx, claim)
		}
	})
	return decisions, nil
}

// decided looks into the claim that somebody has decided.
func (r *rolloutRun) decided(ctx workflow.Context, claim converter.RawValue) {
	r.claims++
	defer func() { r.claims-- }()
	in := activities.RolloutClaim{Name: r.Name}
	var said Decided
	if p := claim.Payload(); p != nil && converter.GetDefaultDataConverter().FromPayload(p, &said) == nil {
		in.Approval = said.ApprovalID // else it is nonsense, which is told like any other claim that does not hold
	}
	problem, err := run(ctx, control("was it signed?", 10*time.Second), rollouts.DecidedRollout, in)
	if err != nil {
		workflow.GetLogger(ctx).Warn("signature not looked into", "error", err)
		return
	}
	if problem != "" {
		workflow.GetLogger(ctx).Warn("no such signature", "problem", problem)
	}
	r.changes++
}

// run is the story of a rollout.
func (r *rolloutRun) run(ctx workflow.Context) error {
	for {
		seen := r.changes
		step, err := run(ctx, control("what is to be done?", 10*time.Second), rollouts.StepRollout, r.Name)
		if err != nil {
			return err
		}
		r.step = step
		if err := r.show(ctx); err != nil || step.Over || r.full(ctx) {
			return err
		}
		switch {
		case len(step.Due) > 0:
			err = r.prove(ctx)
		case step.Gate != "":
			_, err = run(ctx, control("open "+string(step.Phase.Next()), 30*time.Second), rollouts.OpenGate, activities.RolloutGate{Name: r.Name, Gate: step.Gate})
		default:
			err = r.wait(ctx, seen)
		}
		if err != nil {
			return err
		}
	}
}

// prove has every item that is due looked at, all at once.
func (r *rolloutRun) prove(ctx workflow.Context) error {
	var looking []workflow.Future
	for _, item := range r.step.Due {
		looking = append(looking, workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, control(item, 2*time.Minute)),
			rollouts.ProveItem, activities.RolloutItem{Name: r.Name, Item: item}))
	}
	for _, one := range looking {
		if err := one.Get(ctx, nil); err != nil {
			return err
		}
	}
	return nil
}

// wait waits until a message has come since `seen`, or an item is due. Its timer tells what for.
func (r *rolloutRun) wait(ctx workflow.Context, seen int) error {
	woken := func() bool { return r.changes != seen }
	if r.step.Wait <= 0 {
		return workflow.Await(ctx, woken)
	}
	ctx, cancel := workflow.WithCancel(ctx)
	defer cancel() // a bare Await would leave its timer behind
	_, err := workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{Timeout: max(r.step.Wait, time.Second), TimerOptions: workflow.TimerOptions{Summary: "the next item is due"}}, woken)
	return err
}

// show tells Ops in Temporal Web where it is.
func (r *rolloutRun) show(ctx workflow.Context) error {
	details := fmt.Sprintf("**%s** · %d open · %s", r.step.Phase, r.step.Open, r.step.Why)
	workflow.SetCurrentDetails(ctx, details)
	ready := r.step.Open == 0 && r.step.Phase.Next() != "" && !r.step.Over
	shown := fmt.Sprint(r.step.Phase, r.step.Over, ready)
	if r.shown == shown {
		return nil
	}
	r.shown = shown
	state := string(r.step.Phase)
	if r.step.Over {
		state = "ended"
	}
	return workflow.UpsertTypedSearchAttributes(ctx, AttrState.ValueSet(state), AttrNeedsHuman.ValueSet(ready))
}

// full reports whether it is time to begin a new history.
func (r *rolloutRun) full(ctx workflow.Context) bool {
	return workflow.GetInfo(ctx).GetContinueAsNewSuggested() && r.claims == 0
}
