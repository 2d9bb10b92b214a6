package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"lastcall/domain"
	"lastcall/domain/rollout"
	"lastcall/domain/throttle"
)

const throttleReview = "throttle_review"

func init() { checks[throttleReview] = checkThrottleReview }

// checkThrottleReview proves that somebody looked at the caps since the pilot began, with figures of enough messages; that the caps
// are still those; and that the figures speak against none of them that they did not speak against then.
func checkThrottleReview(ctx context.Context, c checking) (rollout.Evidence, error) {
	a, err := c.store.ThrottleAdvice(ctx)
	if err != nil {
		return rollout.Evidence{}, err
	}
	if a.Rollout == "" {
		return rollout.Missing("the pilot has not begun, by whose figures the caps are reviewed"), nil
	}
	r := a.Review
	if r == nil {
		e := rollout.Missing("nobody has reviewed the caps since the pilot began: Settings, Speed")
		e.Figures = exhibits(a.Figures, a.Proposals)
		return e, nil
	}
	now, err := c.store.Setting(ctx, "throttle")
	if err != nil {
		return rollout.Evidence{}, err
	}
	reviewed, err := json.Marshal(r.Caps)
	if err != nil {
		return rollout.Evidence{}, err
	}
	e := rollout.Evidence{Outcome: rollout.Passed, Summary: fmt.Sprintf("the caps were reviewed with the pilot's figures and %s", r.Verdict), Values: []any{r.ID, r.Caps},
		Figures: append([]rollout.Exhibit{{Label: "Reviewed by", Value: fmt.Sprintf("%s, %s: %s", r.Actor, r.CreatedAt.UTC().Format("2 Jan 2006, 15:04 UTC"), r.Reason), Link: "/settings"},
			{Label: "Of the pilot since", Value: r.Advice.From.UTC().Format(time.DateTime + " UTC")}}, exhibits(r.Advice.Figures, r.Advice.Proposals)...)}
	against := slices.DeleteFunc(throttle.Tightens(a.Proposals), func(s throttle.Setting) bool { return slices.Contains(r.Tightens, s) })
	n := int64(0)
	for _, p := range r.Advice.Proposals {
		n = max(n, p.N)
	}
	switch {
	case len(c.store.differences("throttle", now.Value, reviewed)) > 0:
		e.Outcome, e.Summary = rollout.Inconclusive, "the caps were changed after they had been reviewed"
	case n < throttle.Enough:
		e.Outcome, e.Summary = rollout.Inconclusive, fmt.Sprintf("the caps were reviewed by %s messages; %d are needed to know", domain.Thousands(n), throttle.Enough)
	case len(against) > 0:
		e.Outcome, e.Summary = rollout.Inconclusive, "since the caps were reviewed the figures have come to speak against "+settings(against)
	}
	if e.Outcome != rollout.Passed {
		e.Values = []any{e.Values, e.Summary}
	}
	return e, nil
}

// exhibits are figures and what is proposed by them, as evidence.
func exhibits(figures []throttle.Measure, proposals []throttle.Proposal) (all []rollout.Exhibit) {
	for _, f := range figures {
		value := domain.Thousands(f.N)
		if f.Of > 0 {
			value += " of " + domain.Thousands(f.Of)
		}
		if f.Share != nil {
			value += fmt.Sprintf(" (%.1f %%)", 100**f.Share)
		}
		all = append(all, rollout.Exhibit{Label: f.Title, Value: value})
	}
	for _, p := range proposals {
		value := fmt.Sprintf("unknown: %s", strings.Join(p.Reasons, "; "))
		if p.Proposed != nil {
			value = fmt.Sprintf("%s %s: %s", map[throttle.Verdict]string{throttle.Keep: "keep", throttle.Tighten: "tighten to", throttle.Loosen: "loosen to"}[p.Verdict],
				domain.Thousands(int64(*p.Proposed)), strings.Join(p.Reasons, "; "))
		}
		all = append(all, rollout.Exhibit{Label: "Advice: " + p.Setting.Title(), Value: value, Link: "/settings"})
	}
	return all
}

func settings(all []throttle.Setting) string {
	words := make([]string, len(all))
	for i, s := range all {
		words[i] = s.Title()
	}
	return strings.Join(words, ", ")
}
