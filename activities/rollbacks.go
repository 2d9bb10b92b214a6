package activities

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lastcall/domain"
	"lastcall/domain/audit"
	"lastcall/domain/rollout"
	"lastcall/store"
)

// Rollbacks are the activities of the rollback workflow.
type Rollbacks struct {
	Store  *store.Store
	Legacy LegacyTooling // nil: Ops switch it by hand, and sign
}

// LegacyTooling is what served before Lastcall, behind its webhook.
type LegacyTooling interface {
	// Switch switches it on or off; the same rollback again changes nothing.
	Switch(ctx context.Context, on bool, rollback uuid.UUID) error
	// Serves asks whether it is on.
	Serves(ctx context.Context) (bool, error)
}

// RollbackNext is what is to be done about a rollback now.
type RollbackNext struct {
	State rollout.RollbackState `json:"state"`
	Step  rollout.RollbackStep  `json:"step,omitempty"` // due now
	Wait  time.Duration         `json:"wait,omitempty"` // until the next is, by the database's clock; 0: people have the word
	Over  bool                  `json:"over,omitempty"` // nothing will ever be due again
}

// NextRollbackStep tells what is to be done about a rollback now.
func (a *Rollbacks) NextRollbackStep(ctx context.Context, id uuid.UUID) (RollbackNext, error) {
	next, err := a.Store.NextRollbackStep(ctx, id)
	return RollbackNext(next), err
}

// RollbackTask names a step of a rollback.
type RollbackTask struct {
	RollbackID uuid.UUID            `json:"rollback_id"`
	Step       rollout.RollbackStep `json:"step"`
}

// TakeRollbackStep takes a step, or has it tried again later: that it did not come off is no error, and keeps no other step waiting.
func (a *Rollbacks) TakeRollbackStep(ctx context.Context, in RollbackTask) (Nothing, error) {
	ctx = audit.WithActor(ctx, audit.System("rollback"))
	if in.Step != rollout.LegacyOn && in.Step != rollout.LegacyOff {
		return Nothing{}, a.Store.TakeRollbackStep(ctx, in.RollbackID, in.Step)
	}
	if a.Legacy == nil {
		return Nothing{}, a.Store.LegacyByHand(ctx, in.RollbackID, in.Step)
	}
	done, detail := a.legacy(ctx, in)
	return Nothing{}, a.Store.LegacyTold(ctx, in.RollbackID, in.Step, done, detail)
}

// legacy switches the legacy tooling and reads it back.
func (a *Rollbacks) legacy(ctx context.Context, in RollbackTask) (done bool, detail string) {
	want := in.Step == rollout.LegacyOn
	err := a.Legacy.Switch(ctx, want, in.RollbackID)
	var serves bool
	if err == nil {
		serves, err = a.Legacy.Serves(ctx)
	}
	word := map[bool]string{true: "on", false: "off"}
	switch {
	case err != nil:
		return false, "it cannot be switched " + word[want] + " now: " + domain.CodeOf(err)
	case serves != want:
		return false, "it took the order, and says that it is " + word[serves]
	}
	return true, "it says that it is " + word[serves]
}
