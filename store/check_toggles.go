package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"lastcall/domain/rollout"
)

func init() { checks["toggles"] = checkToggles }

// checkToggles proves that each toggle with which one rolls back has a description and an owner, and was rehearsed since
// the rollout began: switched off, and on again after that.
func checkToggles(ctx context.Context, c checking) (rollout.Evidence, error) {
	e := rollout.Evidence{Outcome: rollout.Passed, Summary: "every toggle is described, owned and rehearsed"}
	var never []string
	for _, t := range rollout.Toggles {
		if t.Does == "" || t.Owner == "" {
			return rollout.Evidence{Outcome: rollout.Failed, Summary: "nobody has written down what " + t.Name + " does, and whose it is"}, nil
		}
		var off, on time.Time
		err := c.db.QueryRow(ctx, `SELECT off.created_at, (SELECT n.created_at FROM settings_revisions n WHERE n.key = 'toggles' AND n.revision > off.revision AND (n.value ->> $1)::boolean ORDER BY n.revision LIMIT 1)
			FROM settings_revisions off WHERE off.key = 'toggles' AND off.created_at >= $2 AND NOT (off.value ->> $1)::boolean
				AND EXISTS (SELECT FROM settings_revisions n WHERE n.key = 'toggles' AND n.revision > off.revision AND (n.value ->> $1)::boolean)
			ORDER BY off.revision DESC LIMIT 1`, t.Name, c.StartedAt).Scan(&off, &on)
		rehearsed := "never rehearsed"
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			never = append(never, t.Name)
		case err != nil:
			return rollout.Evidence{}, err
		default:
			rehearsed = fmt.Sprintf("rehearsed %s, off for %s", off.UTC().Format("2 Jan 15:04 UTC"), on.Sub(off).Round(time.Second))
		}
		e.Figures = append(e.Figures, rollout.Exhibit{Label: t.Name, Value: fmt.Sprintf("%s Owner: %s; %s.", t.Does, rollout.Names(t.Owners()), rehearsed), Link: "/settings"})
	}
	if len(never) > 0 {
		e.Outcome, e.Summary = rollout.Inconclusive, "switch off and on again, to know that it works: "+strings.Join(never, ", ")
	}
	return e, nil
}
