package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"lastcall/domain/rollout"
)

func init() { checks["rollback_rehearsed"] = checkRollback }

// checkRollback proves that rolling back was rehearsed in this rollout, not longer ago than the item's evidence may be old: every step was
// read back, legacy tooling too, and somebody recovered from it.
func checkRollback(ctx context.Context, c checking) (rollout.Evidence, error) {
	all, err := rollbacks(ctx, c.db, `b.rollout = $1 AND b.rehearsal AND b.started_at > clock_timestamp() - $2::interval ORDER BY b.id DESC LIMIT 1`, c.Name, c.item.StaleAfter)
	if err != nil {
		return rollout.Evidence{}, err
	}
	if len(all) == 0 {
		return rollout.Missing(fmt.Sprintf("no rollback was rehearsed in the last %s: lastcall rollout roll-back --rehearsal", rollout.Span(c.item.StaleAfter))), nil
	}
	b := all[0]
	e := rollout.Evidence{Outcome: rollout.Passed, Values: []any{b.ID, b.State}, Summary: fmt.Sprintf("rehearsed: nothing went any more after %s", rollout.Span(b.TimeToSafe().Round(100*1e6))),
		Figures: []rollout.Exhibit{{Label: "Ordered by", Value: b.Actor, Link: rollbackPage(b.ID)}, {Label: "Began", Value: b.StartedAt.UTC().Format("2 Jan 2006, 15:04 UTC")}}}
	if b.State != rollout.RollbackRecovered {
		e.Outcome, e.Summary = rollout.Inconclusive, fmt.Sprintf("the newest rehearsal is %s", b.State)
		if b.Open() {
			e.Summary += ": " + b.waits()
		}
	}
	if b.SafeAt != nil {
		e.Figures = append(e.Figures, rollout.Exhibit{Label: "Time to safe", Value: rollout.Span(b.TimeToSafe().Round(100 * 1e6))})
	}
	for _, s := range b.Steps {
		e.Figures = append(e.Figures, rollout.Exhibit{Label: rollout.StepTitles[s.Step], Value: orNone(s.Detail)})
	}
	return e, nil
}

func rollbackPage(id uuid.UUID) string { return "/rollout/rollbacks/" + id.String() }
