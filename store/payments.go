package store

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain"
	"lastcall/domain/audit"
	"lastcall/domain/payment"
)

// PaymentRevision is one saved version of the payment settings. The newest confirmed one is in force; of none anything
// but its state is ever changed, and that once.
type PaymentRevision struct {
	Revision      int64 // 1 at least
	Value         payment.Terms
	Reason        string
	Author        string
	AuthorID      *uuid.UUID // nil: a program's token
	CreatedAt     time.Time
	State         payment.State
	ConfirmedBy   *string
	ConfirmedByID *uuid.UUID
	ConfirmedAt   *time.Time
}

const paymentColumns = `revision, value, reason, author, author_id, created_at, state, confirmed_by, confirmed_by_id, confirmed_at`

func scanPayment(row pgx.CollectableRow) (p PaymentRevision, err error) {
	var value []byte
	err = row.Scan(&p.Revision, &value, &p.Reason, &p.Author, &p.AuthorID, &p.CreatedAt, &p.State, &p.ConfirmedBy, &p.ConfirmedByID, &p.ConfirmedAt)
	if err == nil {
		err = json.Unmarshal(value, &p.Value)
	}
	return p, err
}

// Payments returns the revision in force and the newest one, which may be the same; nil for none.
func (s *Store) Payments(ctx context.Context) (inForce, newest *PaymentRevision, err error) {
	rows, err := s.pool.Query(ctx, `(SELECT `+paymentColumns+` FROM payment_settings_revisions ORDER BY revision DESC LIMIT 1)
		UNION (SELECT `+paymentColumns+` FROM payment_settings_revisions WHERE state = 'confirmed' ORDER BY revision DESC LIMIT 1)
		ORDER BY revision`)
	if err != nil {
		return nil, nil, unavailable(err)
	}
	all, err := pgx.CollectRows(rows, scanPayment)
	if err != nil || len(all) == 0 {
		return nil, nil, unavailable(err)
	}
	newest = &all[len(all)-1]
	if all[0].State == payment.Confirmed {
		inForce = &all[0]
	}
	return inForce, newest, nil
}

// PaymentHistory lists the revisions, newest first, those before the given one (0: the newest) on.
func (s *Store) PaymentHistory(ctx context.Context, before int64, limit int) ([]PaymentRevision, error) {
	rows, err := s.pool.Query(ctx, `SELECT `+paymentColumns+` FROM payment_settings_revisions WHERE $1 = 0 OR revision < $1
		ORDER BY revision DESC LIMIT $2`, before, page(limit))
	if err != nil {
		return nil, unavailable(err)
	}
	all, err := pgx.CollectRows(rows, scanPayment)
	return all, unavailable(err)
}

// SavePayments checks value and makes it the newest revision, a draft. It fails with domain.Invalid naming the field, and
// with domain.Stale when known, if given, is not the newest revision (0: none).
func (s *Store) SavePayments(ctx context.Context, value payment.Terms, reason string, known *int64) (p PaymentRevision, err error) {
	if value, err = value.Check(); err != nil {
		return p, err
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return p, err
	}
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		newest, err := tx.newestPayments()
		if err == nil && known != nil && *known != newest {
			err = domain.E(domain.Stale, "payments_changed", "somebody changed the payment settings in the meantime; look at them again")
		}
		if err != nil {
			return audit.Entry{}, err
		}
		who := audit.ActorFrom(ctx)
		rows, err := tx.pgx.Query(tx.ctx, `INSERT INTO payment_settings_revisions (value, reason, author, author_id)
			VALUES ($1, $2, $3, nullif($4, '')::uuid) RETURNING `+paymentColumns, raw, reason, who.Name, accountID(who))
		if err == nil {
			p, err = pgx.CollectExactlyOneRow(rows, scanPayment)
		}
		return audit.Entry{Action: "payments.drafted", Target: "payments", Reason: reason, Diff: map[string]any{"revision": p.Revision, "replaces": newest}}, err
	})
	return p, err
}

// ConfirmPayments puts the newest revision in force. Four eyes: it takes an account, and not the one that wrote it, else
// domain.Forbidden. It fails with domain.Stale for a revision that is not the newest any more, with domain.Conflict for
// one that is confirmed.
func (s *Store) ConfirmPayments(ctx context.Context, revision int64) (p PaymentRevision, err error) {
	who := audit.ActorFrom(ctx)
	if accountID(who) == "" {
		return p, domain.E(domain.Forbidden, "no_account", "only a person confirms: sign in with an account")
	}
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		newest, err := tx.newestPayments()
		if err != nil {
			return audit.Entry{}, err
		}
		rows, err := tx.pgx.Query(tx.ctx, `SELECT `+paymentColumns+` FROM payment_settings_revisions WHERE revision = $1`, revision)
		if err == nil {
			p, err = pgx.CollectExactlyOneRow(rows, scanPayment)
		}
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return audit.Entry{}, notFound(err, "revision", revision)
		case err != nil:
			return audit.Entry{}, err
		case newest != revision:
			return audit.Entry{}, domain.E(domain.Stale, "payments_changed", "revision %d came after it; look at that one", newest)
		case p.State == payment.Confirmed:
			return audit.Entry{}, domain.E(domain.Conflict, "confirmed_already", "this revision is in force already")
		case p.AuthorID != nil && p.AuthorID.String() == accountID(who):
			return audit.Entry{}, domain.E(domain.Forbidden, "four_eyes", "you wrote it: somebody else confirms it")
		}
		rows, err = tx.pgx.Query(tx.ctx, `UPDATE payment_settings_revisions SET state = 'confirmed', confirmed_by = $2, confirmed_by_id = $3::uuid,
			confirmed_at = clock_timestamp() WHERE revision = $1 RETURNING `+paymentColumns, revision, who.Name, accountID(who))
		if err == nil {
			p, err = pgx.CollectExactlyOneRow(rows, scanPayment)
		}
		return audit.Entry{Action: "payments.confirmed", Target: "payments", Diff: map[string]any{"revision": revision}}, err
	})
	if domain.KindOf(err) == domain.Forbidden {
		refusal := s.Write(ctx, func(*Tx) (audit.Entry, error) {
			return audit.Entry{Action: "payments.confirmation_refused", Target: "payments", Diff: map[string]any{"revision": revision, "code": domain.CodeOf(err)}}, nil
		})
		err = errors.Join(err, refusal)
	}
	return p, err
}

// newestPayments is the newest revision, 0 for none. One writer at a time: nobody confirms what is replaced just now.
func (tx *Tx) newestPayments() (newest int64, err error) {
	if _, err := tx.pgx.Exec(tx.ctx, "SELECT pg_advisory_xact_lock(hashtext('payment_settings_revisions'))"); err != nil {
		return 0, err
	}
	err = tx.pgx.QueryRow(tx.ctx, `SELECT coalesce(max(revision), 0) FROM payment_settings_revisions`).Scan(&newest)
	return newest, err
}

// accountID is the id of whoever acts, "" for what is no account.
func accountID(a audit.Actor) string {
	if a.Kind == "station" || uuid.Validate(a.ID) != nil {
		return ""
	}
	return a.ID
}
