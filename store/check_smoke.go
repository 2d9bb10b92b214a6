package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"lastcall/domain/rollout"
)

func init() {
	checks["policy_smoke"] = smokeCheck(SmokePolicy, 1, 12)
	checks["admin_smoke"] = smokeCheck(SmokeAdmin, 1, 20)
	checks["station_smoke"] = smokeCheck(SmokeStation, 21, 30)
}

// smokeCheck proves that the newest recorded run of a kind of smoke tests was on this build, had every item from first to
// last, and that all of them passed.
func smokeCheck(kind string, first, last int) func(context.Context, checking) (rollout.Evidence, error) {
	return func(ctx context.Context, c checking) (rollout.Evidence, error) {
		var r SmokeRun
		var items []byte
		err := c.db.QueryRow(ctx, `SELECT id, build, environment, finished_at, actor, items FROM smoke_runs WHERE kind = $1 AND created_at >= $2 ORDER BY id DESC LIMIT 1`,
			kind, c.StartedAt).Scan(&r.ID, &r.Build, &r.Environment, &r.FinishedAt, &r.By, &items)
		if errors.Is(err, pgx.ErrNoRows) {
			command := "lastcall smoke"
			if kind == SmokePolicy {
				command += " policy"
			}
			return rollout.Missing(fmt.Sprintf("no run of the %s smoke tests since the rollout began: %s records one", kind, command)), nil
		}
		if err == nil {
			err = json.Unmarshal(items, &r.Items)
		}
		if err != nil {
			return rollout.Evidence{}, err
		}
		var absent, undecided, failed []int
		for id := first; id <= last; id++ {
			i := slices.IndexFunc(r.Items, func(item SmokeItem) bool { return item.ID == id })
			switch {
			case i < 0:
				absent = append(absent, id)
			case r.Items[i].Outcome == "failed":
				failed = append(failed, id)
			case r.Items[i].Outcome != "passed":
				undecided = append(undecided, id)
			}
		}
		total := last - first + 1
		e := rollout.Evidence{Outcome: rollout.Passed, Summary: fmt.Sprintf("all %d items passed on this build", total), Figures: []rollout.Exhibit{
			{Label: "Passed", Value: fmt.Sprintf("%d of %d", total-len(absent)-len(undecided)-len(failed), total)},
			{Label: "Run by", Value: r.By}, {Label: "Finished", Value: r.FinishedAt.UTC().Format("2 Jan 2006, 15:04 UTC")},
			{Label: "Build", Value: r.Build}, {Label: "At", Value: r.Environment}}, Values: []any{r.ID, c.store.build}}
		switch {
		case len(failed) > 0:
			e.Outcome, e.Summary = rollout.Failed, fmt.Sprintf("items %v failed", failed)
		case len(absent)+len(undecided) > 0:
			e.Outcome, e.Summary = rollout.Inconclusive, fmt.Sprintf("items %v were not decided: run the others too", append(absent, undecided...))
		case c.store.build == "" || c.store.build == "unknown" || r.Build != c.store.build:
			e.Outcome, e.Summary = rollout.Inconclusive, "the run was on another build than this one: run it again"
			e.Figures = append(e.Figures, rollout.Exhibit{Label: "This build", Value: c.store.build})
		}
		return e, nil
	}
}
