package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"lastcall/domain/rollout"
)

func init() { checks["fixtures"] = checkFixtures }

// fixturesWhole is what is said of a staging set that is as it should be.
const fixturesWhole = "the staging set is there, whole and clean"

// checkFixtures proves that the staging set is there as it should be: counts, relations and hygiene. One that was, in this phase,
// may be taken away before the next one: nothing of it may run where messages go to people.
func checkFixtures(ctx context.Context, c checking) (rollout.Evidence, error) {
	if c.store.staging == nil {
		return rollout.Missing("this process does not know the staging set"), nil
	}
	set, err := c.store.staging()
	if err != nil {
		return rollout.Evidence{}, err
	}
	v, err := c.store.VerifyFixtures(ctx, set)
	if err != nil {
		return rollout.Evidence{}, err
	}
	e := rollout.Evidence{Outcome: rollout.Passed, Summary: fixturesWhole}
	for _, kind := range slices.Sorted(maps.Keys(v.Counts)) {
		e.Figures = append(e.Figures, rollout.Exhibit{Label: kind, Value: fmt.Sprint(v.Counts[kind])})
	}
	if !v.OK && v.gone() {
		var at *time.Time
		if err := c.db.QueryRow(ctx, `SELECT max(last_at) FROM rollout_evidence WHERE rollout = $1 AND item = $2 AND phase = $3 AND outcome = 'passed' AND summary = $4`,
			c.Name, c.item.ID, c.Phase, fixturesWhole).Scan(&at); err != nil {
			return rollout.Evidence{}, err
		}
		if at != nil {
			e.Summary = "the staging set was there, whole and clean, until " + at.UTC().Format("2 Jan 15:04 UTC") + "; it was taken away since"
			return e, nil
		}
	}
	if !v.OK {
		first := v.Deviations[0]
		e.Outcome, e.Summary = rollout.Failed, fmt.Sprintf("%d things deviate; the first is %s, %s: %s", len(v.Deviations), first.Check, first.What, first.Detail)
	}
	return e, nil
}
