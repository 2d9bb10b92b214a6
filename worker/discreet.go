package worker

import (
	"context"
	"errors"
	"log/slog"

	"github.com/jackc/pgx/v5/pgconn"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"

	"lastcall/domain"
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
	return out, sayDiscreetly(err)
}

// sayDiscreetly keeps our own words and marks what no repetition mends.
func sayDiscreetly(err error) error {
	if app, ok := errors.AsType[*temporal.ApplicationError](err); ok {
		return app
	}
	if e, ok := errors.AsType[*domain.Error](err); ok {
		switch e.Kind {
		case domain.Conflict, domain.NotFound, domain.Invalid, domain.Forbidden:
			return temporal.NewNonRetryableApplicationError(e.Message, e.Code, nil)
		}
		return temporal.NewApplicationError(e.Message, e.Code)
	}
	code := "internal"
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		code = "postgres_" + pg.Code
	}
	return temporal.NewApplicationError("an internal error; the worker's log tells more", code)
}
