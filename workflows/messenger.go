package workflows

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"lastcall/domain"
)

// Messenger carries what was decided in Postgres to the workflows: the relay of the outbox calls it. All
// of it is idempotent, by workflow id and by update id.
type Messenger struct{ client client.Client }

// NewMessenger returns a messenger that speaks through c.
func NewMessenger(c client.Client) Messenger { return Messenger{c} }

// Handlers are the messages it carries, by their kind in the outbox.
func (m Messenger) Handlers() map[string]func(ctx context.Context, id int64, payload json.RawMessage) error {
	return map[string]func(context.Context, int64, json.RawMessage) error{
		"campaign.start":   m.start,
		"campaign.order":   m.order,
		"campaign.recover": m.recover,
		"probe.now":        m.probe,
		"campaign.approve": m.approve,
		"settings.changed": m.settingsChanged,
		"import.start":     m.startImport,
		"import.cancel":    m.cancelImport,
		"send.start":       m.startSend,
		"send.wake":        m.wakeSend,
		"override.start":   m.startOverride,
		"override.decide":  m.decideOverride,
		"override.changed": m.overrideChanged,
		"rollout.changed":  m.rolloutChanged,
		"rollout.decided":  m.rolloutDecided,
		"announce.start":   m.announce,
		"reviews.changed":  m.reviewsChanged,
		"rollback.changed": m.rollbackChanged,
		"drill.start":      m.startDrill,
		"drill.stop":       m.stopDrill,
	}
}

// alone are the options of a workflow that is never started beside an open one of its id, nor after one unless they are told so.
func alone(o client.StartWorkflowOptions) client.StartWorkflowOptions {
	o.TaskQueue = ControlQueue
	o.WorkflowIDReusePolicy = enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE
	o.WorkflowIDConflictPolicy = enums.WORKFLOW_ID_CONFLICT_POLICY_FAIL
	o.WorkflowExecutionErrorWhenAlreadyStarted = true
	return o
}

// once starts a workflow whose id is used once: a message that comes again has done its work.
func (m Messenger) once(ctx context.Context, o client.StartWorkflowOptions, workflow, input any) error {
	_, err := m.client.ExecuteWorkflow(ctx, alone(o), workflow, input)
	if _, started := errors.AsType[*serviceerror.WorkflowExecutionAlreadyStarted](err); started {
		return nil // by this very message, before a crash
	}
	return err
}

// cancel ends a workflow; one that has ended found out by itself.
func (m Messenger) cancel(ctx context.Context, id string) error {
	err := m.client.CancelWorkflow(ctx, id, "")
	if _, ended := errors.AsType[*serviceerror.NotFound](err); ended {
		return nil
	}
	return err
}

// startCampaign is what starts a workflow. What was written before there were resends is of the first.
type startCampaign struct {
	CampaignID uuid.UUID  `json:"campaign_id"`
	Name       string     `json:"name"`
	SendAt     *time.Time `json:"send_at"`
	Targets    int64      `json:"targets"`
	Resend     int        `json:"resend"`
	ApprovalID string     `json:"approval_id"`
}

func (p startCampaign) input() CampaignInput {
	return CampaignInput{CampaignID: p.CampaignID, SendAt: p.SendAt, Resend: p.Resend, Approval: p.ApprovalID}
}

func (p startCampaign) options() client.StartWorkflowOptions {
	summary := fmt.Sprintf("%s · %d targets", p.Name, p.Targets)
	if p.Resend > 0 {
		summary += fmt.Sprintf(" · resend %d", p.Resend)
	}
	return client.StartWorkflowOptions{
		ID:            ResendID(p.CampaignID, p.Resend),
		StaticSummary: summary,
		TypedSearchAttributes: temporal.NewSearchAttributes(AttrCampaignID.ValueSet(p.CampaignID.String()),
			AttrChannel.ValueSet("whatsapp"), AttrState.ValueSet("scheduled"), AttrNeedsHuman.ValueSet(false)),
	}
}

func (m Messenger) start(ctx context.Context, _ int64, payload json.RawMessage) error {
	var p startCampaign
	if err := json.Unmarshal(payload, &p); err != nil {
		return err
	}
	return m.once(ctx, p.options(), Campaign, p.input())
}

func (m Messenger) order(ctx context.Context, id int64, payload json.RawMessage) error {
	var p struct {
		CampaignID uuid.UUID `json:"campaign_id"`
		Order      string    `json:"order"`
		Resend     int       `json:"resend"`
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		return err
	}
	handle, err := m.client.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		WorkflowID: ResendID(p.CampaignID, p.Resend), UpdateID: strconv.FormatInt(id, 10), UpdateName: p.Order,
		WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err == nil {
		err = handle.Get(ctx, nil)
	}
	return gone(err)
}

func (m Messenger) settingsChanged(ctx context.Context, _ int64, payload json.RawMessage) error {
	var p struct {
		CampaignID uuid.UUID `json:"campaign_id"`
		Revision   int64     `json:"revision"`
		Resend     int       `json:"resend"`
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		return err
	}
	return gone(m.client.SignalWorkflow(ctx, ResendID(p.CampaignID, p.Resend), "", SettingsChanged, p.Revision))
}

func (m Messenger) approve(ctx context.Context, _ int64, payload json.RawMessage) error {
	var p struct {
		CampaignID uuid.UUID `json:"campaign_id"`
		ApprovalID string    `json:"approval_id"`
		Resend     int       `json:"resend"`
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		return err
	}
	return gone(m.client.SignalWorkflow(ctx, ResendID(p.CampaignID, p.Resend), "", Approve, Approved{p.ApprovalID}))
}

func (m Messenger) startImport(ctx context.Context, _ int64, payload json.RawMessage) error {
	var p struct {
		ImportID   uuid.UUID `json:"import_id"`
		CampaignID uuid.UUID `json:"campaign_id"`
		Bytes      int64     `json:"bytes"`
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		return err
	}
	return m.once(ctx, client.StartWorkflowOptions{
		ID:            ImportID(p.ImportID),
		StaticSummary: fmt.Sprintf("import of %.1f MiB", float64(p.Bytes)/(1<<20)),
		TypedSearchAttributes: temporal.NewSearchAttributes(AttrCampaignID.ValueSet(p.CampaignID.String()),
			AttrState.ValueSet("staging"), AttrNeedsHuman.ValueSet(false)),
	}, Import, ImportInput{ImportID: p.ImportID})
}

func (m Messenger) cancelImport(ctx context.Context, _ int64, payload json.RawMessage) error {
	var p struct {
		ImportID uuid.UUID `json:"import_id"`
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		return err
	}
	return m.cancel(ctx, ImportID(p.ImportID))
}

// gone turns the errors that no repetition mends into one of ours: the workflow has ended, or refuses.
func gone(err error) error {
	if _, ok := errors.AsType[*serviceerror.NotFound](err); ok {
		return domain.E(domain.Conflict, "workflow_ended", "the campaign has ended").Because(err)
	}
	if app, ok := errors.AsType[*temporal.ApplicationError](err); ok {
		return domain.E(domain.Conflict, app.Type(), "%s", app.Message()).Because(err)
	}
	return err
}

func (m Messenger) startSend(ctx context.Context, _ int64, payload json.RawMessage) error {
	var p struct {
		SendID   uuid.UUID `json:"send_id"`
		Run      int       `json:"run"`
		Template string    `json:"template"`
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		return err
	}
	return m.once(ctx, client.StartWorkflowOptions{
		ID:                    SendID(p.SendID, p.Run),
		StaticSummary:         "single send · " + p.Template,
		TypedSearchAttributes: temporal.NewSearchAttributes(AttrChannel.ValueSet("whatsapp"), AttrState.ValueSet("queued"), AttrNeedsHuman.ValueSet(false)),
	}, Send, SendInput{SendID: p.SendID, Run: p.Run})
}

func (m Messenger) wakeSend(ctx context.Context, _ int64, payload json.RawMessage) error {
	var p struct {
		SendID uuid.UUID `json:"send_id"`
		Run    int       `json:"run"`
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		return err
	}
	err := m.client.SignalWorkflow(ctx, SendID(p.SendID, p.Run), "", LookAgain, nil)
	if _, ended := errors.AsType[*serviceerror.NotFound](err); ended {
		return nil // it found out by itself
	}
	return err
}
