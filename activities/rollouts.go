package activities

import (
	"context"
	"time"

	"lastcall/domain/audit"
	"lastcall/domain/rollout"
	"lastcall/store"
)

// Rollouts are the activities of the rollout workflow.
type Rollouts struct {
	Store *store.Store
}

// RolloutStep is where a rollout is.
type RolloutStep struct {
	Phase rollout.Phase `json:"phase"`
	Over  bool          `json:"over,omitempty"`
	Due   []string      `json:"due,omitempty"`  // the items to be looked at now
	Gate  string        `json:"gate,omitempty"` // the order to open the next phase that waits
	Wait  time.Duration `json:"wait,omitempty"` // until the next item is due, by the database's clock; 0: none will be
	Open  int           `json:"open"`           // what keeps the gate shut
	Why   string        `json:"why,omitempty"`  // what it waits for, for people
}

// StepRollout tells what is to be done about a rollout now.
func (a *Rollouts) StepRollout(ctx context.Context, name string) (RolloutStep, error) {
	step, err := a.Store.StepRollout(rolloutActor(ctx), name)
	return RolloutStep(step), err
}

// RolloutItem names an item of a rollout.
type RolloutItem struct {
	Name string `json:"name"`
	Item string `json:"item"`
}

// ProveItem looks anew whether an item is so, and returns what it came to; "" when it is not to be looked at any more.
func (a *Rollouts) ProveItem(ctx context.Context, in RolloutItem) (rollout.Outcome, error) {
	return a.Store.ProveItem(rolloutActor(ctx), in.Name, in.Item)
}

// RolloutClaim is the claim that somebody has signed or waived an item.
type RolloutClaim struct {
	Name     string `json:"name"`
	Approval string `json:"approval"` // the id of the decision, as a message said
}

// DecidedRollout looks a claimed decision up, whatever the message said of it, and lets it count if it holds. Why it does
// not is returned for people; a refusal is in the audit log.
func (a *Rollouts) DecidedRollout(ctx context.Context, in RolloutClaim) (problem string, err error) {
	return a.Store.DecidedRollout(rolloutActor(ctx), in.Name, in.Approval)
}

// RolloutGate is the order to open the next phase.
type RolloutGate struct {
	Name string `json:"name"`
	Gate string `json:"gate"`
}

// OpenGate opens the next phase if everything is so by now, and tells whether it did; else the order is refused, for good.
func (a *Rollouts) OpenGate(ctx context.Context, in RolloutGate) (opened bool, err error) {
	return a.Store.OpenGate(rolloutActor(ctx), in.Name, in.Gate)
}

// rolloutActor enters what the steps do as done by the workflow.
func rolloutActor(ctx context.Context) context.Context {
	return audit.WithActor(ctx, audit.System("rollout"))
}
