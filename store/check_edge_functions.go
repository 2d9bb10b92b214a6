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
	all, err := c.store.EdgeFunctions(ctx)
	if err != nil {
		return rollout.Evidence{}, err
	}
	e := rollout.Evidence{Outcome: rollout.Passed, Summary: "every edge function is green or amber"}
	var red, unknown []string
	for _, f := range all {
		switch f.State {
		case probe.Green, probe.Amber:
		case probe.Red:
			red = append(red, f.Title)
		default:
			unknown = append(unknown, f.Title)
		}
		e.Figures = append(e.Figures, rollout.Exhibit{Label: f.Title, Value: string(f.State), Link: "/integrations"})
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
// percent. Time without a probe counts against it; drills count neither way. In a rehearsal the hours pass faster.
func checkAvailability(ctx context.Context, c checking) (rollout.Evidence, error) {
	day, slack := c.faster(24*time.Hour), c.faster(15*time.Minute)
	all, err := c.store.Availabilities(ctx, day)
	if err != nil {
		return rollout.Evidence{}, err
	}
	e := rollout.Evidence{Outcome: rollout.Passed, Summary: fmt.Sprintf("every critical function was green for %g %% of the last %s at least", c.item.Threshold, rollout.Span(day))}
	for _, f := range probe.Functions {
		if !f.Critical {
			continue
		}
		a := all[f.Name]
		e.Figures = append(e.Figures, rollout.Exhibit{Label: f.Title, Value: fmt.Sprintf("%.1f %% green", 100*a.Green), Link: "/integrations"})
		switch {
		case 100*a.Green >= c.item.Threshold && a.Over >= day-slack:
		case e.Outcome == rollout.Failed:
		case a.Watched < day-slack-(a.Over-a.Of) && 100*a.Green >= c.item.Threshold*float64(a.Watched)/float64(max(a.Of, 1)):
			e.Outcome, e.Summary = rollout.Inconclusive, fmt.Sprintf("%s has not been probed for %s without a gap yet", f.Title, rollout.Span(day))
		default:
			e.Outcome, e.Summary = rollout.Failed, fmt.Sprintf("%s was green for less than %g %% of the last %s", f.Title, c.item.Threshold, rollout.Span(day))
		}
	}
	e.Values = []any{e.Outcome} // shares change by the minute
	return e, nil
}
