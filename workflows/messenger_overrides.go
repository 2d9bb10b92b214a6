package workflows

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/google/uuid"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"lastcall/domain"
)

func (m Messenger) startOverride(ctx context.Context, _ int64, payload json.RawMessage) error {
	var p struct {
		OverrideID uuid.UUID  `json:"override_id"`
		Kind       string     `json:"kind"`
		CampaignID *uuid.UUID `json:"campaign_id"`
		SendID     *uuid.UUID `json:"send_id"`
		Name       string     `json:"name"`
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		return err
	}
	attributes := []temporal.SearchAttributeUpdate{AttrState.ValueSet("requested"), AttrNeedsHuman.ValueSet(true)}
	summary := strings.ReplaceAll(p.Kind, "_", " ")
	if p.CampaignID != nil {
		attributes = append(attributes, AttrCampaignID.ValueSet(p.CampaignID.String()))
	}
	if p.CampaignID != nil || p.SendID != nil {
		summary += " · " + p.Name
	}
	return m.once(ctx, client.StartWorkflowOptions{
		ID:                    OverrideID(p.OverrideID),
		StaticSummary:         summary,
		TypedSearchAttributes: temporal.NewSearchAttributes(attributes...),
	}, Override, OverrideInput{OverrideID: p.OverrideID})
}

func (m Messenger) decideOverride(ctx context.Context, _ int64, payload json.RawMessage) error {
	var p struct {
		OverrideID uuid.UUID `json:"override_id"`
		ApprovalID string    `json:"approval_id"`
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		return err
	}
	return overrideOver(m.client.SignalWorkflow(ctx, OverrideID(p.OverrideID), "", Decide, Decided{p.ApprovalID}))
}

func (m Messenger) overrideChanged(ctx context.Context, _ int64, payload json.RawMessage) error {
	var p struct {
		OverrideID uuid.UUID `json:"override_id"`
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		return err
	}
	return overrideOver(m.client.SignalWorkflow(ctx, OverrideID(p.OverrideID), "", OverrideChanged, nil))
}

// overrideOver turns the error that no repetition mends into one of ours.
func overrideOver(err error) error {
	if _, ok := errors.AsType[*serviceerror.NotFound](err); ok {
		return domain.E(domain.Conflict, "workflow_ended", "the override is over").Because(err)
	}
	return err
}
