package worker

import (
	"context"
	"errors"
	"log/slog"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"

	"lastcall/activities"
)

// interceptors keep errors discreet: a history is for ever and for everybody, so what goes into it is a
// code and a message of ours, never the text of a database or a provider, which may repeat a number.
func interceptors(log *slog.Logger) []interceptor.WorkerInterceptor {
	return []interceptor.WorkerInterceptor{&discreet{log: log}}
}

type discreet struct {
	interceptor.WorkerInterceptorBase
	log *slog.Logger
}

func (d *discreet) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	i := &discreetActivity{log: d.log}
	i.Next = next
	return i
}

type discreetActivity struct {
	interceptor.ActivityInboundInterceptorBase
	log *slog.Logger
}

func (d *discreetActivity) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	out, err := d.Next.ExecuteActivity(ctx, in)
	if err == nil || errors.Is(err, context.Canceled) || temporal.IsCanceledError(err) {
		return out, err
	}
	info := activity.GetInfo(ctx)
	d.log.Warn("activity failed", "activity", info.ActivityType.Name, "workflow", info.WorkflowExecution.ID,
		"attempt", info.Attempt, "error", err)
	return out, activities.Discreet(err)
}
