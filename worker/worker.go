// Package worker runs workflows and activities: registration, task queues, tuning and drain.
package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"lastcall/activities"
	"lastcall/workflows"
)

// DrainFor is how long a stopping worker may finish what it has begun.
const DrainFor = 30 * time.Second

// Worker works on both task queues and says every two seconds that it does.
type Worker struct {
	name     string
	acts     *activities.Campaigns
	log      *slog.Logger
	client   client.Client
	control  worker.Worker
	dispatch dispatching
	probing  Probing

	rollbacks *activities.Rollbacks
}

// New prepares a worker that is known by name. It registers nothing with Temporal yet.
func New(c client.Client, name string, acts *activities.Campaigns, log *slog.Logger) *Worker {
	w := &Worker{name: name, acts: acts, log: log, client: c, rollbacks: &activities.Rollbacks{Store: acts.Store}}
	on := func(queue string) worker.Worker {
		options := worker.Options{
			Identity:          name,
			WorkerStopTimeout: DrainFor,
			// An order to stop arrives with a heartbeat; by default they are sent once a minute.
			MaxHeartbeatThrottleInterval: time.Second,
			DisableRegistrationAliasing:  true,
			DisableWorkflowWorker:        queue == workflows.DispatchQueue,
			Interceptors:                 interceptors(log),
			ActivityTaskPollerBehavior:   worker.NewPollerBehaviorAutoscaling(worker.PollerBehaviorAutoscalingOptions{}),
			WorkflowTaskPollerBehavior:   worker.NewPollerBehaviorAutoscaling(worker.PollerBehaviorAutoscalingOptions{}),
			// Most of them wait: for receipts, or a few seconds for a permit.
			MaxConcurrentActivityExecutionSize: 500,
		}
		each := worker.New(c, queue, options)
		Register(each, acts, queue)
		return each
	}
	w.control = on(workflows.ControlQueue)
	w.control.RegisterWorkflowWithOptions(workflows.Rollback, workflow.RegisterOptions{Name: "Rollback"})
	w.control.RegisterActivity(w.rollbacks)
	w.dispatch.make = func() worker.Worker { return on(workflows.DispatchQueue) }
	return w
}

// Legacy says how the tooling that served before Lastcall is switched; without it Ops do so by hand. It must be called before Run.
func (w *Worker) Legacy(t activities.LegacyTooling) { w.rollbacks.Legacy = t }

// Register makes known what a queue's worker runs.
func Register(r worker.Registry, acts *activities.Campaigns, queue string) {
	if queue == workflows.DispatchQueue {
		r.RegisterActivityWithOptions(acts.DispatchBatch, activity.RegisterOptions{Name: "DispatchBatch"})
		r.RegisterActivityWithOptions((&activities.Sends{Campaigns: acts}).TrySend, activity.RegisterOptions{Name: "TrySend"})
		return
	}
	r.RegisterWorkflowWithOptions(workflows.Campaign, workflow.RegisterOptions{Name: "Campaign"})
	r.RegisterActivity(acts)
	r.RegisterWorkflowWithOptions(workflows.Import, workflow.RegisterOptions{Name: "Import"})
	r.RegisterActivity(&activities.Imports{Store: acts.Store, Log: acts.Log})
	r.RegisterWorkflowWithOptions(workflows.Send, workflow.RegisterOptions{Name: "Send"})
	r.RegisterActivity(&activities.Sends{Campaigns: acts})
	r.RegisterWorkflowWithOptions(workflows.Override, workflow.RegisterOptions{Name: "Override"})
	r.RegisterActivity(&activities.Overrides{Store: acts.Store})
	r.RegisterWorkflowWithOptions(workflows.Rollout, workflow.RegisterOptions{Name: "Rollout"})
	r.RegisterActivity(&activities.Rollouts{Store: acts.Store})
	r.RegisterWorkflowWithOptions(workflows.Announce, workflow.RegisterOptions{Name: "Announce"})
	r.RegisterWorkflowWithOptions(workflows.DailyReviews, workflow.RegisterOptions{Name: "DailyReviews"})
	r.RegisterActivity(&activities.Comms{Store: acts.Store})
}

// Run works until ctx is over, then drains: what has begun is finished and recorded, what has not goes
// back to the queues.
func (w *Worker) Run(ctx context.Context) error {
	if err := w.control.Start(); err != nil {
		return fmt.Errorf("start worker: %w", err)
	}
	if err := w.dispatch.start(); err != nil {
		w.control.Stop()
		return fmt.Errorf("start worker: %w", err)
	}
	w.log.Info("worker ready", "name", w.name)
	scheduled := make(chan struct{})
	go func() { defer close(scheduled); w.schedule(ctx) }()
	defer func() { <-scheduled }()
	w.beat(ctx)
	w.log.Info("worker drains")
	leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	err := w.acts.Store.Leave(leave, w.name)
	cancel()
	w.dispatch.stop()
	w.control.Stop()
	w.dispatch.ending.Wait()
	w.log.Info("worker stopped")
	return err
}

// RegisterSearchAttributes makes the search attributes known to a namespace that lacks them.
func RegisterSearchAttributes(ctx context.Context, c client.Client, namespace string) error {
	there, err := c.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return fmt.Errorf("list search attributes: %w", err)
	}
	missing := map[string]enums.IndexedValueType{}
	for _, key := range workflows.SearchAttributes {
		if _, ok := there.GetCustomAttributes()[key.GetName()]; !ok {
			missing[key.GetName()] = key.GetValueType()
		}
	}
	if len(missing) == 0 {
		return nil
	}
	_, err = c.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{Namespace: namespace, SearchAttributes: missing})
	if err != nil {
		return errors.Join(errors.New("add search attributes"), err)
	}
	return nil
}
