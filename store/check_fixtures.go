package store

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"lastcall/domain/rollout"
)

func init() { checks["fixtures"] = checkFixtures }

// checkFixtures proves that the staging set is there as it should be: counts, relations and hygiene.
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
	e := rollout.Evidence{Outcome: rollout.Passed, Summary: "the staging set is there, whole and clean"}
	for _, kind := range slices.Sorted(maps.Keys(v.Counts)) {
		e.Figures = append(e.Figures, rollout.Exhibit{Label: kind, Value: fmt.Sprint(v.Counts[kind])})
	}
	if !v.OK {
		first := v.Deviations[0]
		e.Outcome, e.Summary = rollout.Failed, fmt.Sprintf("%d things deviate; the first is %s, %s: %s", len(v.Deviations), first.Check, first.What, first.Detail)
	}
	return e, nil
}
