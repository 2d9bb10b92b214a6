package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/workflow"

	"lastcall/activities"
	"lastcall/domain/override"
)

// Override sees one request through: it waits for a decision, lets the override begin and end at its times, and tells Ops
// where it is. What is so stands in Postgres: each step is looked up there, and nothing that a message says is believed.
func Override(ctx workflow.Context, in OverrideInput) error {
	o := &overrideRun{OverrideInput: in}
	decisions, err := o.setup(ctx)
	if err != nil {
		return err
	}
	if err := o.run(ctx); err != nil {
		return err
	}
	// Whatever came together with its end is looked into as well: it changes nothing, and is in the audit log.
	for claim := (converter.RawValue{}); decisions.ReceiveAsync(&claim); {
		o.decided(ctx, claim)
	}
	if err := workflow.Await(ctx, func() bool { return o.claims == 0 }); err != nil {
		return err
	}
	if o.step.State.Open() {
		return workflow.NewContinueAsNewError(ctx, Override, in)
	}
	return nil
}

// overrides names activities by method value; the worker has the real one.
var overrides *activities.Overrides

type overrideRun struct {
	OverrideInput
	step    activities.OverrideStep
	until   time.Time // when time alone changes it; zero: it does not
	changes int       // bumped by every message; whoever waits compares
	claims  int       // decisions that are being looked into
	shown   override.State
}

// setup registers the handlers before anything else, so that no message finds nobody.
func (o *overrideRun) setup(ctx workflow.Context) (workflow.ReceiveChannel, error) {
	if err := workflow.SetQueryHandlerWithOptions(ctx, QueryState, func() (override.State, error) { return o.step.State, nil },
		workflow.QueryHandlerOptions{Description: "Where the override is. The rest is in Postgres."}); err != nil {
		return nil, err
	}
	changed := workflow.GetSignalChannelWithOptions(ctx, OverrideChanged,
		workflow.SignalChannelOptions{Description: "It was cancelled: look again."})
	workflow.Go(ctx, func(ctx workflow.Context) {
		for changed.Receive(ctx, nil) {
			o.changes++
		}
	})
	decisions := workflow.GetSignalChannelWithOptions(ctx, Decide,
		workflow.SignalChannelOptions{Description: "Says that somebody has decided, by the approval's id, which is looked up. One that does not hold changes nothing and is in the audit log."})
	workflow.Go(ctx, func(ctx workflow.Context) {
		for {
			var claim converter.RawValue
			if !decisions.Receive(ctx, &claim) {
				return
			}
			o.decided(ctx, claim)
		}
	})
	return decisions, nil
}

// decided looks into the claim that somebody has decided.
func (o *overrideRun) decided(ctx workflow.Context, claim converter.RawValue) {
	o.claims++
	defer func() { o.claims-- }()
	in := activities.DecidedInput{OverrideID: o.OverrideID}
	var said Decided
	if p := claim.Payload(); p != nil && converter.GetDefaultDataConverter().FromPayload(p, &said) == nil {
		in.Approval = said.ApprovalID // else it is nonsense, which is told like any other claim that does not hold
	}
	step, err := run(ctx, control("was it decided?", 10*time.Second), overrides.DecidedOverride, in)
	if err != nil {
		workflow.GetLogger(ctx).Warn("decision not looked into", "error", err)
		return
	}
	if step.Problem != "" {
		workflow.GetLogger(ctx).Warn("no such decision", "problem", step.Problem)
	}
	o.stands(ctx, step)
	o.changes++
}

// run is the story of an override.
func (o *overrideRun) run(ctx workflow.Context) error {
	for {
		seen := o.changes
		step, err := run(ctx, control("where is it?", 10*time.Second), overrides.StepOverride, o.OverrideID)
		if err != nil {
			return err
		}
		o.stands(ctx, step)
		if err := o.show(ctx); err != nil || !step.State.Open() || o.full(ctx) {
			return err
		}
		if err := o.wait(ctx, seen); err != nil {
			return err
		}
	}
}

// stands takes over what was looked up.
func (o *overrideRun) stands(ctx workflow.Context, step activities.OverrideStep) {
	o.step, o.until = step, time.Time{}
	if step.Wait > 0 {
		o.until = workflow.Now(ctx).Add(step.Wait)
	}
}

// wait waits until a message has come since `seen`, or time changes something. Its timer tells what for.
func (o *overrideRun) wait(ctx workflow.Context, seen int) error {
	woken := func() bool { return o.changes != seen || o.full(ctx) }
	if o.until.IsZero() || woken() {
		return workflow.Await(ctx, woken)
	}
	long := max(o.until.Sub(workflow.Now(ctx)), 10*time.Millisecond)
	ctx, cancel := workflow.WithCancel(ctx)
	defer cancel() // a bare Await would leave its timer behind
	_, err := workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{Timeout: long, TimerOptions: workflow.TimerOptions{Summary: o.step.Why}}, woken)
	return err
}

// show tells Ops in Temporal Web where it is.
func (o *overrideRun) show(ctx workflow.Context) error {
	details := fmt.Sprintf("**%s**", o.step.State)
	if o.step.Why != "" {
		details += " · " + o.step.Why
	}
	workflow.SetCurrentDetails(ctx, details)
	if o.shown == o.step.State {
		return nil
	}
	o.shown = o.step.State
	return workflow.UpsertTypedSearchAttributes(ctx, AttrState.ValueSet(string(o.step.State)), AttrNeedsHuman.ValueSet(o.step.State == override.Requested))
}

// full reports whether it is time to begin a new history: somebody sends very many messages.
func (o *overrideRun) full(ctx workflow.Context) bool {
	return workflow.GetInfo(ctx).GetContinueAsNewSuggested() && o.claims == 0
}
