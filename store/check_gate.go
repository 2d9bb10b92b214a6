package store

import (
	"context"
	"fmt"

	"lastcall/domain/rollout"
)

// everythingElse is the check that looks at what the others came to.
const everythingElse = "everything_else"

func init() { checks[everythingElse] = checkEverythingElse }

// checkEverythingElse shows what the other items of the phase came to, for those to attest who say Go or No-Go. Whichever
// of them comes to something else is another evidence.
func checkEverythingElse(ctx context.Context, c checking) (rollout.Evidence, error) {
	all, err := c.store.standings(ctx, c.db, c.Rollout)
	if err != nil {
		return rollout.Evidence{}, err
	}
	e := rollout.Evidence{Outcome: rollout.Passed, Summary: "every other item of the phase is passed or waived"}
	values := map[string]rollout.Outcome{}
	var open int
	for _, v := range all {
		if v.Phase != c.Phase || v.Item.ID == c.item.ID {
			continue
		}
		values[v.Item.ID] = v.Outcome
		if v.Open != nil {
			open++
		}
		e.Figures = append(e.Figures, rollout.Exhibit{Label: v.Item.Text, Value: string(v.Outcome), Link: "/rollout?item=" + v.Item.ID})
	}
	if e.Values = values; open > 0 {
		e.Outcome, e.Summary = rollout.Inconclusive, fmt.Sprintf("%d other items of the phase are open: they come first", open)
	}
	return e, nil
}
