package store

import (
	"context"
	"fmt"

	"lastcall/domain"
	"lastcall/domain/rollout"
)

func init() { checks["opt_outs"] = checkOptOuts }

// checkOptOuts proves that nothing was sent to anybody after their opt-out had been entered, over all targets and single messages
// that there are. Who has opted in again since is not in the registry, and so in no count. An opt-out counts from when we have it:
// WhatsApp may tell of one hours later, and what went in between nobody could have kept back; nor could anybody keep back what was
// on its way in the very second. Such messages are a figure of their own.
//
// Everybody in the registry is looked for by an index of persons; OFFSET 0 keeps the planner from reading all targets.
func checkOptOuts(ctx context.Context, c checking) (rollout.Evidence, error) {
	var registry, targets, sends, crossed, after int64
	err := c.db.QueryRow(ctx, `SELECT (SELECT count(*) FROM opt_outs),
			(SELECT coalesce(sum(sending + sent + delivered + read + failed + unknown), 0)::bigint FROM cohorts),
			(SELECT count(*) FROM sends WHERE sending_at IS NOT NULL),
			count(*) FILTER (WHERE NOT late), count(*) FILTER (WHERE late)
		FROM (SELECT t.sending_at > o.known_at + interval '1 second' AS late FROM opt_outs o, LATERAL (
			SELECT sending_at FROM targets WHERE msisdn_hash = o.msisdn_hash AND sending_at > least(o.created_at, o.known_at)
			UNION ALL SELECT sending_at FROM sends WHERE msisdn_hash = o.msisdn_hash AND sending_at > least(o.created_at, o.known_at) OFFSET 0) t) found`).
		Scan(&registry, &targets, &sends, &crossed, &after)
	if err != nil {
		return rollout.Evidence{}, err
	}
	e := rollout.Evidence{Outcome: rollout.Passed, Summary: "nobody was written to after they had opted out", Figures: []rollout.Exhibit{
		{Label: "In the registry", Value: domain.Thousands(registry), Link: "/opt-outs"}, {Label: "Targets looked at", Value: domain.Thousands(targets)},
		{Label: "Single messages looked at", Value: domain.Thousands(sends), Link: "/sends"}, {Label: "Sent after an opt-out", Value: domain.Thousands(after)},
		{Label: "Sent before an opt-out had reached us", Value: domain.Thousands(crossed)}}}
	switch {
	case after > 0:
		e.Outcome, e.Summary = rollout.Failed, fmt.Sprintf("%s messages went to somebody who had opted out", domain.Thousands(after))
	case targets+sends == 0:
		e.Outcome, e.Summary = rollout.Inconclusive, "nothing has been sent yet"
	}
	return e, nil
}
