package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"lastcall/activities"
)

// DailyReviews has a review opened each day of a phase that asks for it, and reminds of those that nobody signs. Which day it
// is, and when the next one begins, an activity tells: zones and their clocks are none of a workflow's business. It ends with the
// last such phase, and begins a new history when this one is full.
func DailyReviews(ctx workflow.Context, in DailyReviewsInput) error {
	changes := 0
	changed := workflow.GetSignalChannelWithOptions(ctx, ReviewsChanged,
		workflow.SignalChannelOptions{Description: "Something is to be done: look again. What it is stands in Postgres."})
	workflow.Go(ctx, func(ctx workflow.Context) {
		for changed.Receive(ctx, nil) {
			changes++
		}
	})
	for {
		seen := changes
		step, err := run(ctx, control("is a review due?", time.Minute), comms.StepReviews, in.Rollout)
		if err != nil {
			return err
		}
		workflow.SetCurrentDetails(ctx, fmt.Sprintf("%d open", step.Open))
		if step.Over && changes == seen {
			return nil
		}
		if workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			return workflow.NewContinueAsNewError(ctx, DailyReviews, in)
		}
		if err := awaitReview(ctx, step, func() bool { return changes != seen }); err != nil {
			return err
		}
	}
}

// awaitReview waits until the next review opens or is reminded of, or a message has come.
func awaitReview(ctx workflow.Context, step activities.ReviewsStep, woken func() bool) error {
	if step.Wait <= 0 {
		return workflow.Await(ctx, woken)
	}
	ctx, cancel := workflow.WithCancel(ctx)
	defer cancel() // a bare Await would leave its timer behind
	_, err := workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{Timeout: step.Wait, TimerOptions: workflow.TimerOptions{Summary: "the next review"}}, woken)
	return err
}
