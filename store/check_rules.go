package store

import (
	"context"
	"fmt"
	"strings"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/rollout"
)

func init() {
	checks["overrides"] = checkOverrides
	checks["templates_locked"] = checkTemplatesLocked
}

// checkOverrides proves that no override became active unless a project lead had approved it before. That there were none
// proves it as well: the database lets none become active otherwise.
func checkOverrides(ctx context.Context, c checking) (rollout.Evidence, error) {
	var all, active, wrong int64
	err := c.db.QueryRow(ctx, `SELECT count(*), count(o.active_at), count(*) FILTER (WHERE o.active_at IS NOT NULL
			AND (a.id IS NULL OR a.verdict <> 'approved' OR a.actor_role <> $1 OR a.created_at > o.active_at OR a.actor_id = o.requested_by))
		FROM overrides o LEFT JOIN approvals a ON a.id = o.approval_id`, access.ProjectLead).Scan(&all, &active, &wrong)
	if err != nil {
		return rollout.Evidence{}, err
	}
	e := rollout.Evidence{Outcome: rollout.Passed, Summary: "every override that became active had been approved by a project lead", Figures: []rollout.Exhibit{
		{Label: "Asked for", Value: domain.Thousands(all), Link: "/overrides"}, {Label: "Became active", Value: domain.Thousands(active), Link: "/overrides"},
		{Label: "Of them, without approval", Value: domain.Thousands(wrong)}}}
	if all == 0 {
		e.Summary = "nobody has asked for an override; none becomes active without approval"
	}
	if wrong > 0 {
		e.Outcome, e.Summary = rollout.Failed, fmt.Sprintf("%d overrides became active without a project lead's approval", wrong)
	}
	return e, nil
}

// checkTemplatesLocked proves that every template in use is locked, and was approved by Compliance: those of campaigns and
// messages since the rollout began, and of drafts, which are about to be used. A drill's campaign goes to nobody.
func checkTemplatesLocked(ctx context.Context, c checking) (rollout.Evidence, error) {
	rows, err := c.db.Query(ctx, `SELECT t.name || ' v' || t.version, t.status = 'locked',
			EXISTS (SELECT FROM approvals a WHERE a.id = t.approval_id AND a.verdict = 'approved' AND a.voided_at IS NULL AND a.actor_role = $2)
		FROM templates t WHERE t.id IN (SELECT template_id FROM campaigns WHERE NOT is_drill AND (status NOT IN ('done', 'stopped', 'failed') OR started_at >= $1)
			UNION SELECT template_id FROM sends WHERE created_at >= $1) ORDER BY 1`, c.StartedAt, access.Compliance)
	if err != nil {
		return rollout.Evidence{}, err
	}
	e := rollout.Evidence{Outcome: rollout.Passed, Summary: "every template in use is approved by Compliance and locked"}
	var open []string
	for rows.Next() {
		var name string
		var locked, approved bool
		if err := rows.Scan(&name, &locked, &approved); err != nil {
			return rollout.Evidence{}, err
		}
		said := map[bool]string{true: "locked", false: "not locked"}[locked]
		if !approved {
			said += ", not approved by Compliance"
		}
		if !locked || !approved {
			open = append(open, name)
		}
		e.Figures = append(e.Figures, rollout.Exhibit{Label: name, Value: said, Link: "/templates"})
	}
	if err := rows.Err(); err != nil {
		return rollout.Evidence{}, err
	}
	switch {
	case len(e.Figures) == 0:
		e = rollout.Missing("no template is in use: no campaign was made, and nothing sent, since the rollout began")
	case len(open) > 0:
		e.Outcome, e.Summary = rollout.Failed, "not approved and locked: "+strings.Join(open, ", ")
	}
	return e, nil
}
