package workflows

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/google/uuid"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/converter"

	"lastcall/domain"
	"lastcall/domain/campaign"
)

// startedBy is the memo that tells which message started a recovered run.
const startedBy = "StartedBy"

// recover starts a new run in place of one that is gone. It is never started beside an open one: Temporal sees to
// that. The run begins as a new campaign does, under the orders that stand.
func (m Messenger) recover(ctx context.Context, id int64, payload json.RawMessage) error {
	var p struct {
		startCampaign
		Paused  bool `json:"paused"`
		Stopped bool `json:"stopped"`
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		return err
	}
	run, err := m.describe(ctx, p.CampaignID, p.Resend)
	if err != nil || run.startedBy == id {
		return err // or done by this very message, before a crash
	}
	options := alone(p.options())
	options.WorkflowIDReusePolicy = enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
	options.Memo = map[string]any{startedBy: id}
	input := p.input()
	input.State = CampaignState{Status: campaign.Scheduled, Paused: p.Paused, Stopped: p.Stopped}
	_, err = m.client.ExecuteWorkflow(ctx, options, Campaign, input)
	if _, started := errors.AsType[*serviceerror.WorkflowExecutionAlreadyStarted](err); started {
		return domain.E(domain.Conflict, "workflow_open", "the campaign's workflow is at work").Because(err)
	}
	return err
}

// Open reports whether the workflow of a campaign's nth resend (0: its first) has not ended.
func (m Messenger) Open(ctx context.Context, id uuid.UUID, n int) (bool, error) {
	run, err := m.describe(ctx, id, n)
	return run.open, err
}

// lastRun is what Temporal knows about the last run of a workflow; zero if nothing.
type lastRun struct {
	open      bool
	startedBy int64 // the message that started it by way of recovery, else 0
}

func (m Messenger) describe(ctx context.Context, id uuid.UUID, n int) (run lastRun, err error) {
	d, err := m.client.DescribeWorkflowExecution(ctx, ResendID(id, n), "")
	if _, never := errors.AsType[*serviceerror.NotFound](err); never {
		return run, nil
	}
	if err != nil {
		return run, domain.E(domain.Unavailable, "temporal_unavailable", "Temporal does not answer").Because(err)
	}
	info := d.GetWorkflowExecutionInfo()
	switch info.GetStatus() {
	case enums.WORKFLOW_EXECUTION_STATUS_COMPLETED, enums.WORKFLOW_EXECUTION_STATUS_FAILED, enums.WORKFLOW_EXECUTION_STATUS_CANCELED,
		enums.WORKFLOW_EXECUTION_STATUS_TERMINATED, enums.WORKFLOW_EXECUTION_STATUS_TIMED_OUT:
	default: // running, or between two runs
		run.open = true
	}
	if memo, ok := info.GetMemo().GetFields()[startedBy]; ok {
		err = converter.GetDefaultDataConverter().FromPayload(memo, &run.startedBy)
	}
	return run, err
}
