package workflows

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
)

// rollbackChanged tells the workflow of a rollback to look again, and starts it if it does not run: what is so stands in Postgres, so one
// that was lost goes on where it was.
func (m Messenger) rollbackChanged(ctx context.Context, _ int64, payload json.RawMessage) error {
	var p struct {
		RollbackID uuid.UUID `json:"rollback_id"`
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		return err
	}
	id := RollbackID(p.RollbackID)
	_, err := m.client.SignalWithStartWorkflow(ctx, id, RollbackChanged, nil, client.StartWorkflowOptions{
		ID: id, TaskQueue: ControlQueue, WorkflowIDReusePolicy: enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE, StaticSummary: "rollback",
		TypedSearchAttributes: temporal.NewSearchAttributes(AttrState.ValueSet("running"), AttrNeedsHuman.ValueSet(false)),
	}, Rollback, RollbackInput{RollbackID: p.RollbackID})
	return err
}
