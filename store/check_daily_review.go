package store

import (
	"context"
	"fmt"

	"lastcall/domain/rollout"
)

func init() { checks[rollout.DailyReview] = checkDailyReview }

// checkDailyReview proves that somebody has signed the review of every day of the phase. One that is still in time leaves it
// inconclusive; one that was reminded of, or never opened, fails it until somebody signs.
func checkDailyReview(ctx context.Context, c checking) (rollout.Evidence, error) {
	factor, err := rolloutFactor(ctx, c.db, c.Name)
	if err != nil {
		return rollout.Evidence{}, err
	}
	var revision int64
	if err := c.db.QueryRow(ctx, `SELECT coalesce(max(revision), 0) FROM settings_revisions`).Scan(&revision); err != nil {
		return rollout.Evidence{}, err
	}
	set, err := c.store.settingsAt(ctx, c.db, revision)
	if err != nil {
		return rollout.Evidence{}, err
	}
	due, next, err := set.DailyReview.Due(c.PhaseSince, c.Now, factor)
	if err != nil {
		return rollout.Evidence{}, err
	}
	days, err := reviewDays(ctx, c.db, c.Rollout)
	if err != nil {
		return rollout.Evidence{}, err
	}
	const link = "/rollout/reviews"
	if len(due) == 0 {
		return rollout.Missing("no day of the phase has been reviewed yet: the first review opens " + next.Opens.In(set.DailyReview.Location()).Format("2 Jan, 15:04") + ", " + set.DailyReview.Zone), nil
	}
	var signed, late, waiting int
	var missing string
	for _, d := range due {
		got := days[d.Name]
		switch {
		case got.SignedAt != nil:
			if signed++; got.SignedAt.After(got.RemindAt) {
				late++
			}
			continue
		case !c.Now.Before(d.Reminds):
			missing = d.Name
		}
		waiting++
	}
	e := rollout.Evidence{Outcome: rollout.Passed, Summary: fmt.Sprintf("the review of each of the %d days is signed", len(due)), Figures: []rollout.Exhibit{
		{Label: "Days", Value: fmt.Sprint(len(due)), Link: link}, {Label: "Signed", Value: fmt.Sprint(signed), Link: link},
		{Label: "Of them late", Value: fmt.Sprint(late), Link: link}, {Label: "Nobody has signed", Value: fmt.Sprint(waiting), Link: link}}}
	switch {
	case missing != "":
		e.Outcome, e.Summary = rollout.Failed, fmt.Sprintf("nobody has signed the review of %s", missing)
	case waiting > 0:
		e.Outcome, e.Summary = rollout.Inconclusive, "today's review is open: somebody of ops or support signs it"
	case len(due) == 1:
		e.Summary = "the review of the first day is signed"
	}
	return e, nil
}
