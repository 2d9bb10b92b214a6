package store

import (
	"context"

	"lastcall/domain/rollout"
)

func init() { checks["runbooks"] = checkRunbooks }

// checkRunbooks shows which runbooks there are, by their digest, for Ops to attest: another word in one is another evidence.
func checkRunbooks(_ context.Context, c checking) (rollout.Evidence, error) {
	if c.store.runbooks == nil {
		return rollout.Missing("this process does not know the runbooks"), nil
	}
	digest, err := c.store.runbooks()
	if err != nil {
		return rollout.Evidence{}, err
	}
	return rollout.Evidence{Outcome: rollout.Passed, Summary: "these are the runbooks to be reviewed", Values: digest, Figures: []rollout.Exhibit{
		{Label: "Runbooks", Value: "on their pages, beside incidents", Link: "/incidents"}, {Label: "Digest", Value: digest[:min(len(digest), 12)]}}}, nil
}
