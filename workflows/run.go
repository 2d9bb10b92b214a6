package workflows

import (
	"context"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"lastcall/activities"
)

// acts names activities by method value; the worker has the real one.
var acts *activities.Campaigns

// run calls an activity so that the compiler checks what goes in and what comes out.
func run[I, O any](ctx workflow.Context, options workflow.ActivityOptions, activity func(context.Context, I) (O, error), in I) (out O, err error) {
	err = workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, options), activity, in).Get(ctx, &out)
	return out, err
}

// retry is for everything: without end, because a database or a provider comes back. What will never
// work is marked so by the activity.
var retry = &temporal.RetryPolicy{InitialInterval: 200 * time.Millisecond, BackoffCoefficient: 2, MaximumInterval: 15 * time.Second}

// control is for short steps that read and write our own database.
func control(summary string, timeout time.Duration) workflow.ActivityOptions {
	return workflow.ActivityOptions{TaskQueue: ControlQueue, Summary: summary, StartToCloseTimeout: timeout, RetryPolicy: retry}
}

// batch is for long steps, which heartbeat.
func batch(summary string, timeout time.Duration) workflow.ActivityOptions {
	options := control(summary, timeout)
	options.HeartbeatTimeout = heartbeat
	options.WaitForCancellation = true
	return options
}

// dispatch is for batches of sends.
func dispatch(summary string) workflow.ActivityOptions {
	options := batch(summary, 10*time.Minute)
	options.TaskQueue = DispatchQueue
	return options
}

// heartbeat is how soon a lost worker is noticed.
const heartbeat = 15 * time.Second
