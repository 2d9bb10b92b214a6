package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain"
	"lastcall/domain/audit"
)

// The sources of a consent.
const (
	ConsentPanel   = "panel"   // somebody recorded it in the panel
	ConsentAPI     = "api"     // a program recorded it
	ConsentImport  = "import"  // a file said so
	ConsentJoin    = "join"    // the person wrote JOIN and a bar's token
	ConsentMessage = "message" // the person wrote STOP or START
)

// Consent is one word of a contact about marketing. The newest by At holds; the trigger that follows them keeps it in
// the contact.
type Consent struct {
	ID         int64
	At         time.Time // when the person said it
	Granted    bool      // else withdrawn
	Source     string    // ConsentPanel, …; "earlier" for those from before there was a history
	Reference  string    // what they saw or said, and where; one line
	ActorKind  string
	Actor      string
	RecordedAt time.Time
}

// consent records a word of a contact.
func (tx *Tx) consent(id uuid.UUID, c Consent) error {
	actor := audit.ActorFrom(tx.ctx)
	_, err := tx.pgx.Exec(tx.ctx, `INSERT INTO contact_consents (contact_id, at, granted, source, reference, actor_kind, actor)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`, id, c.At, c.Granted, c.Source, c.Reference, actor.Kind, actor.Name)
	return wrap(err, "record consent")
}

// consentSource is where a consent comes from that whoever acts records by hand.
func consentSource(ctx context.Context) string {
	if audit.ActorFrom(ctx).Kind == "account" {
		return ConsentPanel
	}
	return ConsentAPI
}

// RecordConsent records a word of a contact about marketing: c.At (zero: now), c.Granted and c.Reference. It takes nobody
// off the opt-out registry, nor puts anybody on it. An At in the future is domain.Invalid about "at".
func (s *Store) RecordConsent(ctx context.Context, id uuid.UUID, c Consent) (after Contact, err error) {
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		var now time.Time
		err := tx.pgx.QueryRow(ctx, `SELECT clock_timestamp() FROM contacts WHERE id = $1 FOR UPDATE`, id).Scan(&now)
		if err != nil {
			return audit.Entry{}, notFound(err, "contact", id)
		}
		if c.Source = consentSource(ctx); c.At.IsZero() {
			c.At = now
		} else if c.At.After(now.Add(time.Minute)) {
			return audit.Entry{}, domain.E(domain.Invalid, "in_the_future", "nobody can have said it yet").About("at")
		}
		if err := tx.consent(id, c); err != nil {
			return audit.Entry{}, err
		}
		after, err = contactBy(ctx, tx.pgx, id)
		action := map[bool]string{true: "contact.opted_in", false: "contact.consent_withdrawn"}[c.Granted]
		return audit.Entry{Action: action, Target: "contact/" + id.String(), Diff: map[string]any{"source": c.Source, "at": c.At}}, err
	})
	return after, err
}

// RecordOptIn records that a contact agreed to marketing now, and where.
func (s *Store) RecordOptIn(ctx context.Context, id uuid.UUID, where string) (Contact, error) {
	return s.RecordConsent(ctx, id, Consent{Granted: true, Reference: where})
}

// Consents lists what a contact said about marketing, the word that holds first; those before the given one (zero: all).
func (s *Store) Consents(ctx context.Context, id uuid.UUID, before Consent, limit int) ([]Consent, error) {
	var at *time.Time
	if !before.At.IsZero() {
		at = &before.At
	}
	rows, err := s.pool.Query(ctx, `SELECT id, at, granted, source, reference, actor_kind, actor, recorded_at FROM contact_consents
		WHERE contact_id = $1 AND ($2::timestamptz IS NULL OR (at, id) < ($2, $3)) ORDER BY at DESC, id DESC LIMIT $4`, id, at, before.ID, page(limit))
	if err != nil {
		return nil, unavailable(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Consent])
	return all, unavailable(err)
}

// ContactMessage is what became of one campaign's message to a contact.
type ContactMessage struct {
	CampaignID  uuid.UUID
	Campaign    string // its name
	TargetID    int64
	State       string
	Reason      string // why not, or why it waits
	ErrorCode   int    // the provider's, 0 for none
	Attempt     int
	NotBefore   *time.Time
	SentAt      *time.Time
	DeliveredAt *time.Time
	ReadAt      *time.Time
	EndedAt     *time.Time
}

// ContactMessages lists the campaigns that had a contact among their targets, the youngest first; those before the given
// campaign (uuid.Nil: all). There is no index by number, which every import would have to write: the one that keeps
// a number from being twice in a campaign is asked once a campaign.
func (s *Store) ContactMessages(ctx context.Context, id uuid.UUID, before uuid.UUID, limit int) ([]ContactMessage, error) {
	rows, err := s.pool.Query(ctx, `SELECT m.* FROM contacts p, LATERAL (SELECT c.id, c.name, t.id, t.state, coalesce(t.reason, ''), coalesce(t.error_code, 0), t.attempt, t.not_before,
			t.sent_at, t.delivered_at, t.read_at, t.ended_at
		FROM campaigns c JOIN targets t ON t.campaign_id = c.id AND t.msisdn = p.msisdn
		WHERE $2::uuid IS NULL OR c.id < $2 ORDER BY c.id DESC LIMIT $3) m WHERE p.id = $1`, id, optional(before), page(limit))
	if err != nil {
		return nil, unavailable(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ContactMessage])
	return all, unavailable(err)
}

func optional(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}
