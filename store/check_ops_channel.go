package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"lastcall/domain/alert"
	"lastcall/domain/rollout"
)

func init() { checks["ops_channel"] = checkOpsChannel }

// checkOpsChannel proves that Ops get alerts: a test alert since the rollout began came to their channel, and somebody
// acknowledged it.
func checkOpsChannel(ctx context.Context, c checking) (rollout.Evidence, error) {
	var at time.Time
	var delivered, acknowledged *time.Time
	var by, outcome string
	err := c.db.QueryRow(ctx, `SELECT a.fired_at, a.acknowledged_at, coalesce(a.acknowledged_by, ''), n.delivered_at, coalesce(n.outcome, '') FROM alerts a
		LEFT JOIN LATERAL (SELECT n.delivered_at, n.outcome FROM alert_notice_lines l JOIN alert_notices n ON n.id = l.notice_id
			WHERE l.alert_id = a.id AND n.channel = 'ops' AND l.kind = 'test' ORDER BY n.created_at LIMIT 1) n ON true
		WHERE a.rule = $1 AND NOT a.is_drill AND a.fired_at >= $2
		ORDER BY a.acknowledged_at IS NOT NULL AND n.outcome = 'delivered' DESC, a.id DESC LIMIT 1`, alert.TestRule.Name, c.StartedAt).
		Scan(&at, &acknowledged, &by, &delivered, &outcome)
	if errors.Is(err, pgx.ErrNoRows) {
		return rollout.Missing("no test alert since the rollout began: lastcall alerts test makes one"), nil
	}
	if err != nil {
		return rollout.Evidence{}, err
	}
	told := func(at *time.Time) string {
		if at == nil {
			return "not yet"
		}
		return at.UTC().Format("2 Jan 2006, 15:04 UTC")
	}
	e := rollout.Evidence{Outcome: rollout.Passed, Summary: "a test alert came to the Ops channel and was acknowledged", Figures: []rollout.Exhibit{
		{Label: "Test alert", Value: told(&at), Link: "/incidents"}, {Label: "In the channel", Value: told(delivered)},
		{Label: "Acknowledged", Value: told(acknowledged)}, {Label: "By", Value: orNone(by)}}}
	switch {
	case outcome == "no_channel":
		e.Outcome, e.Summary = rollout.Failed, "no Ops channel is configured: the test alert went nowhere"
	case delivered == nil:
		e.Outcome, e.Summary = rollout.Inconclusive, "the test alert has not come to the Ops channel yet"
	case acknowledged == nil:
		e.Outcome, e.Summary = rollout.Inconclusive, "nobody has acknowledged the test alert yet"
	}
	return e, nil
}
