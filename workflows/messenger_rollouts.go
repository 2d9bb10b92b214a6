package workflows

import (
	"context"
	"encoding/json"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
)

// tellRollout sends a message to the workflow of a rollout, and starts it if it does not run: what is so stands in Postgres,
// so one that was lost goes on where it was.
func (m Messenger) tellRollout(ctx context.Context, name, signal string, message any) error {
	_, err := m.client.SignalWithStartWorkflow(ctx, RolloutID(name), signal, message, client.StartWorkflowOptions{
		ID: RolloutID(name), TaskQueue: ControlQueue, WorkflowIDReusePolicy: enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		StaticSummary:         "rollout · " + name,
		TypedSearchAttributes: temporal.NewSearchAttributes(AttrState.ValueSet("staging"), AttrNeedsHuman.ValueSet(false)),
	}, Rollout, RolloutInput{Name: name})
	return err
}

func (m Messenger) rolloutChanged(ctx context.Context, _ int64, payload json.RawMessage) error {
	var p struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		return err
	}
	return m.tellRollout(ctx, p.Name, RolloutChanged, nil)
}

func (m Messenger) rolloutDecided(ctx context.Context, _ int64, payload json.RawMessage) error {
	var p struct {
		Name       string `json:"name"`
		ApprovalID string `json:"approval_id"`
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		return err
	}
	return m.tellRollout(ctx, p.Name, Decide, Decided{p.ApprovalID})
}
