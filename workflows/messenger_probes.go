package workflows

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"lastcall/domain"
	"lastcall/domain/probe"
)

// probe starts a probe of one edge function; one that is under way is as good.
func (m Messenger) probe(ctx context.Context, _ int64, payload json.RawMessage) error {
	var in struct {
		Name probe.Name `json:"name"`
	}
	if err := json.Unmarshal(payload, &in); err != nil || in.Name == "" {
		return domain.E(domain.Invalid, "bad_payload", "this names no edge function").Because(err)
	}
	_, err := m.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: ProbeID(in.Name), TaskQueue: ControlQueue, WorkflowExecutionTimeout: probeWithin, StaticSummary: "probes " + string(in.Name),
		WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		WorkflowIDReusePolicy:    enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
	}, "Probe", ProbeInput{Only: in.Name})
	return err
}

// probeWithin is how long a round takes at most.
const probeWithin = 50 * time.Second

// ScheduleProbes has all edge functions probed so often, from now on and at once. It may be called again, by any number of
// workers: there is one schedule, and its interval is what the last one said.
func ScheduleProbes(ctx context.Context, c client.Client, every time.Duration) error {
	spec := client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: every}}}
	action := &client.ScheduleWorkflowAction{ID: ProbesSchedule, Workflow: "Probe", Args: []any{ProbeInput{}}, TaskQueue: ControlQueue,
		WorkflowExecutionTimeout: probeWithin, StaticSummary: "probes all edge functions"}
	_, err := c.ScheduleClient().Create(ctx, client.ScheduleOptions{
		ID: ProbesSchedule, Spec: spec, Action: action, TriggerImmediately: true,
		Overlap: enums.SCHEDULE_OVERLAP_POLICY_SKIP, CatchupWindow: time.Minute,
		Note: "Asks all edge functions for a sign of life. The results are in Postgres, and on the panel's page Integrations.",
	})
	if !errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		return err
	}
	there := c.ScheduleClient().GetHandle(ctx, ProbesSchedule)
	err = there.Update(ctx, client.ScheduleUpdateOptions{DoUpdate: func(in client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
		s := in.Description.Schedule
		s.Spec, s.Action = &spec, action
		if s.Policy == nil {
			s.Policy = &client.SchedulePolicies{}
		}
		s.Policy.Overlap, s.Policy.CatchupWindow = enums.SCHEDULE_OVERLAP_POLICY_SKIP, time.Minute
		return &client.ScheduleUpdate{Schedule: &s}, nil
	}})
	if err != nil {
		return err
	}
	return there.Trigger(ctx, client.ScheduleTriggerOptions{Overlap: enums.SCHEDULE_OVERLAP_POLICY_SKIP})
}
