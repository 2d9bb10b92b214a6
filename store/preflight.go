package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"lastcall/domain/template"
)

// Finding is something that keeps a campaign from starting, or that somebody should know before it does.
type Finding struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Check is what a preflight found in the database.
type Check struct {
	Targets   int64     `json:"targets" doc:"Queued"`
	OptedOut  int64     `json:"opted_out" doc:"Of them, in the registry now"`
	NoConsent int64     `json:"no_consent" doc:"Of them, without a recorded opt-in, which marketing needs; 0 for utility"`
	Problems  []Finding `json:"problems,omitempty" doc:"What keeps the campaign from starting"`
	Warnings  []Finding `json:"warnings,omitempty" doc:"What does not, but somebody should know"`
}

// Preflight checks what the database knows: that there is somebody to send to and that the template may
// be sent. It counts those who opted out since the import and those who never opted in; they are left out when
// their turn comes, the latter if the settings require consent.
func (s *Store) Preflight(ctx context.Context, id uuid.UUID) (Check, error) {
	return s.preflight(ctx, s.pool, id)
}

func (s *Store) preflight(ctx context.Context, db querier, id uuid.UUID) (Check, error) {
	var c Check
	var name string
	var status template.Status
	var revision int64
	var held []byte
	var locales []string
	var now time.Time
	err := db.QueryRow(ctx, `SELECT t.name, t.status, (SELECT coalesce(sum(queued), 0) FROM cohorts WHERE campaign_id = c.id),
			(SELECT count(*) FROM queued_targets x JOIN opt_outs USING (msisdn_hash) WHERE x.campaign_id = c.id),
			CASE WHEN t.category = 'marketing' THEN (SELECT count(*) FROM queued_targets x WHERE x.campaign_id = c.id
				AND NOT EXISTS (SELECT FROM contacts p WHERE p.msisdn = x.msisdn AND p.opted_in_at IS NOT NULL)) ELSE 0 END,
			(SELECT coalesce(max(revision), 0) FROM settings_revisions), standing(c.channel, t.id),
			(SELECT coalesce(array_agg(DISTINCT locale), '{}') FROM cohorts WHERE campaign_id = c.id AND queued > 0), clock_timestamp()
		FROM campaigns c JOIN templates t ON t.id = c.template_id WHERE c.id = $1`, id).
		Scan(&name, &status, &c.Targets, &c.OptedOut, &c.NoConsent, &revision, &held, &locales, &now)
	if err != nil {
		return c, notFound(err, "campaign", id)
	}
	set, err := s.settingsAt(ctx, db, revision)
	if err != nil {
		return c, err
	}
	if !status.Sendable() {
		c.Problems = append(c.Problems, Finding{"template_not_approved", fmt.Sprintf("template %s is %s; it must be approved before it is sent", name, status)})
	}
	st, err := parseStanding(held)
	if err != nil {
		return c, err
	}
	st.check(&c, locales, now)
	if c.Targets == 0 {
		c.Problems = append(c.Problems, Finding{"no_targets", "the campaign has no targets: import an audience first"})
	}
	if c.NoConsent > 0 {
		fate := "they will be written to all the same, because the setting consent does not require it"
		if set.Consent.Required {
			fate = "they will not be written to"
		}
		c.Warnings = append(c.Warnings, Finding{"no_consent", fmt.Sprintf("%d of %d targets have no recorded consent to marketing: %s", c.NoConsent, c.Targets, fate)})
	}
	return c, nil
}
