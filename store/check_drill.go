package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain/rollout"
)

func init() { checks["incident_drill"] = checkIncidentDrill }

// checkIncidentDrill proves that an outage of an edge function was drilled, not longer ago than the item's evidence may be
// old: the newest such drill was seen to its end without deviation, and scored the item's threshold at least.
func checkIncidentDrill(ctx context.Context, c checking) (rollout.Evidence, error) {
	var id uuid.UUID
	var scenario, state, why, by string
	var score *int
	var deviated *bool
	var fast bool
	var ended time.Time
	err := c.db.QueryRow(ctx, `SELECT id, scenario, state, why, actor, score, deviated, fast, ended_at FROM drills
		WHERE experiment -> 'fault' ->> 'kind' IN ('timeout', 'reset', 'server_error', 'stop_polling') AND ended_at > clock_timestamp() - $1::interval
		ORDER BY id DESC LIMIT 1`, c.item.StaleAfter).Scan(&id, &scenario, &state, &why, &by, &score, &deviated, &fast, &ended)
	if errors.Is(err, pgx.ErrNoRows) {
		return rollout.Missing(fmt.Sprintf("no outage of an edge function was drilled in the last %s: lastcall drill run messaging-outage", rollout.Span(c.item.StaleAfter))), nil
	}
	if err != nil {
		return rollout.Evidence{}, err
	}
	scored := 0
	if score != nil {
		scored = *score
	}
	e := rollout.Evidence{Outcome: rollout.Passed, Summary: fmt.Sprintf("the drill %s was seen to its end and scored %d", scenario, scored), Values: id, Figures: []rollout.Exhibit{
		{Label: "Drill", Value: scenario, Link: "/drills/" + id.String()}, {Label: "Ended", Value: ended.UTC().Format("2 Jan 2006, 15:04 UTC")},
		{Label: "Score", Value: fmt.Sprintf("%d of 100", scored)}, {Label: "Run by", Value: by}, {Label: "Pace", Value: map[bool]string{true: "fast", false: "real"}[fast]}}}
	switch {
	case state == "aborted" || state == "interrupted":
		e.Outcome, e.Summary = rollout.Inconclusive, fmt.Sprintf("the newest drill was %s: %s", state, orNone(why))
	case state != "completed" || deviated != nil && *deviated || float64(scored) < c.item.Threshold:
		e.Outcome, e.Summary = rollout.Failed, fmt.Sprintf("the newest drill was not as expected: %s, score %d", state, scored)
	}
	return e, nil
}
