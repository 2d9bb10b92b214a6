package activities

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lastcall/domain/audit"
	"lastcall/domain/override"
	"lastcall/store"
)

// Overrides are the activities of the override workflow.
type Overrides struct {
	Store *store.Store
}

// OverrideStep is where an override is.
type OverrideStep struct {
	State   override.State `json:"state"`
	Wait    time.Duration  `json:"wait,omitempty"`    // until time alone changes it, by the database's clock; 0: it does not
	Why     string         `json:"why,omitempty"`     // what it waits for, for people
	Problem string         `json:"problem,omitempty"` // why a claimed decision changed nothing, for people
}

// StepOverride moves an override to where it is due by now: its request expires, it begins, it ends.
func (a *Overrides) StepOverride(ctx context.Context, id uuid.UUID) (OverrideStep, error) {
	step, err := a.Store.StepOverride(workflowActor(ctx), id)
	return OverrideStep(step), err
}

// DecidedInput is the claim that somebody has decided about an override.
type DecidedInput struct {
	OverrideID uuid.UUID `json:"override_id"`
	Approval   string    `json:"approval"` // the id of the decision, as a message said
}

// DecidedOverride looks a claimed decision up, whatever the message said of it, and does what it says if it holds. A refusal is
// in the audit log.
func (a *Overrides) DecidedOverride(ctx context.Context, in DecidedInput) (OverrideStep, error) {
	step, err := a.Store.DecidedOverride(workflowActor(ctx), in.OverrideID, in.Approval)
	return OverrideStep(step), err
}

// workflowActor enters what the steps do as done by the workflow.
func workflowActor(ctx context.Context) context.Context {
	return audit.WithActor(ctx, audit.System("override"))
}
