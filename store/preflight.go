package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain/probe"
	"lastcall/domain/template"
	"lastcall/domain/voucher"
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
	c, p, err := s.preflight(ctx, s.pool, id)
	if err != nil {
		return c, err
	}
	err = s.pool.QueryRow(ctx, `SELECT count(o.msisdn_hash), count(*) FILTER (WHERE p.msisdn IS NULL) FROM queued_targets t
			LEFT JOIN opt_outs o USING (msisdn_hash) LEFT JOIN contacts p ON p.msisdn = t.msisdn AND p.opted_in_at IS NOT NULL
		WHERE t.campaign_id = $1`, id).Scan(&c.OptedOut, &c.NoConsent)
	if err != nil {
		return c, unavailable(err)
	}
	if !p.marketing {
		c.NoConsent = 0
	}
	if c.NoConsent > 0 {
		fate := "they will be written to all the same, because the setting consent does not require it"
		if p.consentRequired {
			fate = "they will not be written to"
		}
		c.Warnings = append(c.Warnings, Finding{"no_consent", fmt.Sprintf("%d of %d targets have no recorded consent to marketing: %s", c.NoConsent, c.Targets, fate)})
	}
	return c, nil
}

// Ready is Preflight without its counts, OptedOut and NoConsent. It looks at no target, so it is quick however many
// there are.
func (s *Store) Ready(ctx context.Context, id uuid.UUID) (Check, error) {
	c, _, err := s.preflight(ctx, s.pool, id)
	return c, err
}

// warnOfDown adds to a check what a campaign needs that probes found down; the campaign waits for it, or does without.
func warnOfDown(ctx context.Context, db querier, c *Check, vouchers bool) error {
	rows, err := db.Query(ctx, `SELECT name FROM edge_functions WHERE state = 'red' AND name = ANY ($1) ORDER BY name`,
		[]probe.Name{probe.Messaging, probe.Dispatcher, probe.VoucherCard})
	if err != nil {
		return unavailable(err)
	}
	down, err := pgx.CollectRows(rows, pgx.RowTo[probe.Name])
	for _, name := range down {
		if f, ok := probe.Find(name); ok && (vouchers || name != probe.VoucherCard) {
			c.Warnings = append(c.Warnings, Finding{"edge_function_down", f.Title + " is down. " + f.Impact})
		}
	}
	return unavailable(err)
}

// preflighted is what else a preflight read.
type preflighted struct{ marketing, consentRequired bool }

func (s *Store) preflight(ctx context.Context, db querier, id uuid.UUID) (c Check, p preflighted, err error) {
	var name string
	var status template.Status
	var revision int64
	var held []byte
	var locales []string
	var now time.Time
	var offer *voucher.Offer
	var lift liftRow
	err = db.QueryRow(ctx, `SELECT t.name, t.status, t.category = 'marketing', (SELECT coalesce(sum(queued), 0) FROM cohorts WHERE campaign_id = c.id),
			(SELECT coalesce(max(revision), 0) FROM settings_revisions), standing(c.channel, t.id),
			(SELECT coalesce(array_agg(DISTINCT locale), '{}') FROM cohorts WHERE campaign_id = c.id AND queued > 0), clock_timestamp(), c.voucher, `+liftColumns+`
		FROM campaigns c JOIN templates t ON t.id = c.template_id`+joinLift+`WHERE c.id = $1`, id).
		Scan(append([]any{&name, &status, &p.marketing, &c.Targets, &revision, &held, &locales, &now, &offer}, lift.into()...)...)
	if err != nil {
		return c, p, notFound(err, "campaign", id)
	}
	set, err := s.settingsAt(ctx, db, revision)
	if err != nil {
		return c, p, err
	}
	p.consentRequired = set.Consent.Required
	if !status.Sendable() {
		c.Problems = append(c.Problems, Finding{"template_not_approved", fmt.Sprintf("template %s is %s; it must be approved before it is sent", name, status)})
	}
	st, err := parseStanding(held)
	if err != nil {
		return c, p, err
	}
	st.check(&c, locales, now)
	if l := lift.lift(now); l.ID != "" {
		c.Warnings = append(c.Warnings, Finding{"quiet_hours_lifted", l.String()})
	}
	if offer != nil && offer.Over(now) {
		c.Problems = append(c.Problems, Finding{"vouchers_over", "the vouchers would be worth nothing any more: they were good until " + offer.ExpiresAt.UTC().Format("2 January 2006, 15:04 MST")})
	}
	if err := warnOfDown(ctx, db, &c, offer != nil); err != nil {
		return c, p, err
	}
	if c.Targets == 0 {
		c.Problems = append(c.Problems, Finding{"no_targets", "the campaign has no targets: import an audience first"})
	}
	return c, p, nil
}
