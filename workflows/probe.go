package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"lastcall/activities"
	"lastcall/domain/probe"
)

// Probe asks all edge functions for a sign of life, or one, side by side, and keeps what was found as one round. Nothing is
// asked twice: that there is no answer is the result.
func Probe(ctx workflow.Context, in ProbeInput) error {
	var asked []workflow.Future
	for _, f := range probe.Functions {
		if in.Only == "" || in.Only == f.Name {
			asked = append(asked, workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, once("asks "+string(f.Name), 10*time.Second)),
				probes.ProbeFunction, f.Name))
		}
	}
	var round []probe.Finding
	var lost error
	for _, answer := range asked {
		var found probe.Finding
		if err := answer.Get(ctx, &found); err != nil {
			lost = err // a worker was lost on the way: that says nothing about the function
			continue
		}
		round = append(round, found)
	}
	if len(round) == 0 {
		return lost
	}
	keep := once(fmt.Sprintf("keeps what %d probes found", len(round)), 5*time.Second)
	keep.RetryPolicy = &temporal.RetryPolicy{InitialInterval: 200 * time.Millisecond, BackoffCoefficient: 2, MaximumInterval: 5 * time.Second}
	return workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, keep), probes.RecordProbes, round).Get(ctx, nil)
}

// probes names activities by method value; the worker has the real one.
var probes *activities.Probes

// once is for steps that are not tried again, and that nobody waits long for.
func once(summary string, timeout time.Duration) workflow.ActivityOptions {
	return workflow.ActivityOptions{TaskQueue: ControlQueue, Summary: summary, StartToCloseTimeout: timeout, ScheduleToCloseTimeout: 20 * time.Second,
		RetryPolicy: &temporal.RetryPolicy{MaximumAttempts: 1}}
}
