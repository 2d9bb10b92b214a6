package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"lastcall/domain/probe"
	"lastcall/domain/rollout"
)

func init() {
	checks["edge_functions"] = checkEdgeFunctions
	checks["availability"] = checkAvailability
}

// checkEdgeFunctions proves that the last probe of each edge function found it green or amber. One that was not probed
// lately is unknown, and proves nothing.
func checkEdgeFunctions(ctx context.Context, c checking) (rollout.Evidence, error) {
	rows, err := c.db.Query(ctx, `SELECT name, CASE WHEN checked_at > clock_timestamp() - $1::interval THEN state ELSE 'unknown' END FROM edge_functions`, probe.Stale)
	if err != nil {
		return rollout.Evidence{}, err
	}
	states := map[probe.Name]probe.State{}
	for rows.Next() {
		var name probe.Name
		var state probe.State
		if err := rows.Scan(&name, &state); err != nil {
			return rollout.Evidence{}, err
		}
		states[name] = state
	}
	if err := rows.Err(); err != nil {
		return rollout.Evidence{}, err
	}
	e := rollout.Evidence{Outcome: rollout.Passed, Summary: "every edge function is green or amber"}
	var red, unknown []string
	for _, f := range probe.Functions {
		state := states[f.Name]
		switch state {
		case probe.Green, probe.Amber:
		case probe.Red:
			red = append(red, f.Title)
		default:
			state = probe.Unknown
			unknown = append(unknown, f.Title)
		}
		e.Figures = append(e.Figures, rollout.Figure{Label: f.Title, Value: string(state), Link: "/integrations"})
	}
	switch {
	case len(red) > 0:
		e.Outcome, e.Summary = rollout.Failed, "red: "+strings.Join(red, ", ")
	case len(unknown) > 0:
		e.Outcome, e.Summary = rollout.Inconclusive, "not probed lately: "+strings.Join(unknown, ", ")
	}
	return e, nil
}

// checkAvailability proves that each critical edge function was green for the item's threshold of the last 24 hours, in
// percent of their minutes. A minute without a probe counts against it; drills count neither way.
func checkAvailability(ctx context.Context, c checking) (rollout.Evidence, error) {
	const minutes = 24 * 60
	rows, err := c.db.Query(ctx, `SELECT edge_function, count(DISTINCT date_trunc('minute', at)) FILTER (WHERE state = 'green'),
			count(DISTINCT date_trunc('minute', at)) FILTER (WHERE is_drill), min(at) FROM probe_results
		WHERE at > clock_timestamp() - interval '24 hours' GROUP BY 1`)
	if err != nil {
		return rollout.Evidence{}, err
	}
	green, drill := map[probe.Name]int{}, map[probe.Name]int{}
	first := map[probe.Name]time.Time{}
	for rows.Next() {
		var name probe.Name
		var g, d int
		var since time.Time
		if err := rows.Scan(&name, &g, &d, &since); err != nil {
			return rollout.Evidence{}, err
		}
		green[name], drill[name], first[name] = g, d, since
	}
	if err := rows.Err(); err != nil {
		return rollout.Evidence{}, err
	}
	e := rollout.Evidence{Outcome: rollout.Passed, Summary: fmt.Sprintf("every critical function was green for %g %% of the last 24 h at least", c.item.Threshold)}
	for _, f := range probe.Functions {
		if !f.Critical {
			continue
		}
		of := minutes - drill[f.Name]
		share := 100 * float64(min(green[f.Name], of)) / float64(max(of, 1))
		e.Figures = append(e.Figures, rollout.Figure{Label: f.Title, Value: fmt.Sprintf("%.1f %% green", share), Link: "/integrations"})
		switch since, probed := first[f.Name]; {
		case !probed && e.Outcome != rollout.Failed:
			e.Outcome, e.Summary = rollout.Inconclusive, f.Title+" was not probed in the last 24 h"
		case probed && share < c.item.Threshold && c.Now.Sub(since) < 24*time.Hour-10*time.Minute && e.Outcome == rollout.Passed:
			e.Outcome, e.Summary = rollout.Inconclusive, f.Title+" has not been probed for 24 h yet"
		case probed && share < c.item.Threshold && c.Now.Sub(since) >= 24*time.Hour-10*time.Minute:
			e.Outcome, e.Summary = rollout.Failed, fmt.Sprintf("%s was green for less than %g %% of the last 24 h", f.Title, c.item.Threshold)
		}
	}
	e.Values = []any{e.Outcome} // shares change by the minute
	return e, nil
}
