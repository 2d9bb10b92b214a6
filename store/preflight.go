package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"lastcall/domain/template"
)

// Problem is something that keeps a campaign from starting.
type Problem struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Check is what a preflight found in the database.
type Check struct {
	Targets  int64     `json:"targets"`   // queued
	OptedOut int64     `json:"opted_out"` // of them, in the registry now
	Problems []Problem `json:"problems,omitempty"`
}

// Preflight checks what the database knows: that there is somebody to send to and that the template may
// be sent. It counts those who opted out since the import; they are left out when their turn comes.
func (s *Store) Preflight(ctx context.Context, id uuid.UUID) (Check, error) {
	return preflight(ctx, s.pool, id)
}

func preflight(ctx context.Context, db querier, id uuid.UUID) (Check, error) {
	var c Check
	var name string
	var status template.Status
	err := db.QueryRow(ctx, `SELECT t.name, t.status, (SELECT coalesce(sum(queued), 0) FROM cohorts WHERE campaign_id = c.id),
			(SELECT count(*) FROM targets x JOIN opt_outs USING (msisdn_hash) WHERE x.campaign_id = c.id AND x.state = 'queued')
		FROM campaigns c JOIN templates t ON t.id = c.template_id WHERE c.id = $1`, id).Scan(&name, &status, &c.Targets, &c.OptedOut)
	if err != nil {
		return c, notFound(err, "campaign", id)
	}
	if !status.Sendable() {
		c.Problems = append(c.Problems, Problem{"template_not_approved", fmt.Sprintf("template %s is %s; it must be approved before it is sent", name, status)})
	}
	if c.Targets == 0 {
		c.Problems = append(c.Problems, Problem{"no_targets", "the campaign has no targets: import an audience first"})
	}
	return c, nil
}
