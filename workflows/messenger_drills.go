package workflows

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/google/uuid"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"lastcall/domain"
)

func (m Messenger) startDrill(ctx context.Context, _ int64, payload json.RawMessage) error {
	var p struct {
		DrillID  uuid.UUID `json:"drill_id"`
		Scenario string    `json:"scenario"`
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		return err
	}
	_, err := m.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: DrillID(p.DrillID), TaskQueue: ControlQueue,
		WorkflowIDReusePolicy:                    enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		WorkflowIDConflictPolicy:                 enums.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		StaticSummary:                            "drill · " + p.Scenario,
		TypedSearchAttributes:                    temporal.NewSearchAttributes(AttrState.ValueSet("preflight"), AttrNeedsHuman.ValueSet(false)),
	}, Drill, DrillInput{DrillID: p.DrillID})
	if _, started := errors.AsType[*serviceerror.WorkflowExecutionAlreadyStarted](err); started {
		return nil // by this very message, before a crash
	}
	return err
}

func (m Messenger) stopDrill(ctx context.Context, _ int64, payload json.RawMessage) error {
	var p struct {
		DrillID uuid.UUID `json:"drill_id"`
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		return err
	}
	err := m.client.CancelWorkflow(ctx, DrillID(p.DrillID), "")
	if _, ended := errors.AsType[*serviceerror.NotFound](err); ended {
		return nil // it found out by itself
	}
	return err
}

// DrillOpen reports whether the workflow of a drill has not ended.
func (m Messenger) DrillOpen(ctx context.Context, id uuid.UUID) (bool, error) {
	d, err := m.client.DescribeWorkflowExecution(ctx, DrillID(id), "")
	if _, never := errors.AsType[*serviceerror.NotFound](err); never {
		return false, nil
	}
	if err != nil {
		return false, domain.E(domain.Unavailable, "temporal_unavailable", "Temporal does not answer").Because(err)
	}
	return d.GetWorkflowExecutionInfo().GetStatus() == enums.WORKFLOW_EXECUTION_STATUS_RUNNING, nil
}
