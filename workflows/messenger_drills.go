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
	return m.once(ctx, client.StartWorkflowOptions{
		ID:                    DrillID(p.DrillID),
		StaticSummary:         "drill · " + p.Scenario,
		TypedSearchAttributes: temporal.NewSearchAttributes(AttrState.ValueSet("preflight"), AttrNeedsHuman.ValueSet(false)),
	}, Drill, DrillInput{DrillID: p.DrillID})
}

func (m Messenger) stopDrill(ctx context.Context, _ int64, payload json.RawMessage) error {
	var p struct {
		DrillID uuid.UUID `json:"drill_id"`
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		return err
	}
	return m.cancel(ctx, DrillID(p.DrillID))
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
