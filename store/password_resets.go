package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/audit"
)

// RequestReset asks for a link to choose another password. What follows is the same for every address, in rows and in
// time: whether it has an account shows only in its inbox. It fails with domain.Invalid when it is no address, and with
// domain.TooMany.
func (s *Store) RequestReset(ctx context.Context, email, address string) error {
	email, err := access.ParseEmail(email)
	if err != nil {
		return err
	}
	ctx = audit.WithActor(ctx, s.client(address))
	if err := s.Spend(ctx, FromAddress(access.ResetsPerAddress, address), Use{access.ResetsPerAccount, email}); err != nil {
		return err
	}
	return s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		var account uuid.UUID // none: the message is delivered by doing nothing
		err := tx.pgx.QueryRow(tx.ctx, `SELECT id FROM accounts WHERE email = $1`, email).Scan(&account)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return audit.Entry{}, err
		}
		_, err = tx.send(KindPasswordReset, "password_reset/"+account.String(), SendPasswordReset{account})
		target := Account{ID: account}.target()
		if account == uuid.Nil {
			target = "account/unknown"
		}
		return audit.Entry{Action: "password_reset.requested", Target: target}, err
	})
}

// ResetLink makes a link for an account to choose another password and returns the token that is its end, which is told
// nobody again. The one before ends. It fails with domain.NotFound for nobody and for a disabled account.
func (s *Store) ResetLink(ctx context.Context, account uuid.UUID) (email, token string, err error) {
	token, hash := newSecret()
	err = s.inTx(ctx, func(tx *Tx) error {
		err := tx.pgx.QueryRow(tx.ctx, `SELECT email FROM accounts WHERE id = $1 AND disabled_at IS NULL`, account).Scan(&email)
		if err != nil {
			return notFound(err, "account", account)
		}
		_, err = tx.pgx.Exec(tx.ctx, `INSERT INTO password_resets (account_id, token_hash, expires_at)
			VALUES ($1, $2, clock_timestamp() + $3::interval)
			ON CONFLICT (account_id) DO UPDATE SET token_hash = excluded.token_hash, expires_at = excluded.expires_at,
				sent_at = clock_timestamp(), used_at = NULL`, account, hash, access.ResetLasts)
		return err
	})
	return email, token, err
}

// UseReset gives the account of a link another password, and ends its sessions and its lock-out. It fails with
// domain.NotFound (link_unknown) or domain.Conflict (link_used, link_expired), which is in the audit log, too, with
// domain.Invalid about "password" and with domain.TooMany.
func (s *Store) UseReset(ctx context.Context, token, password, address string) error {
	ctx = audit.WithActor(ctx, s.client(address))
	if err := s.Spend(ctx, FromAddress(access.LinksPerAddress, address)); err != nil {
		return err
	}
	var a Account
	var expires time.Time
	var used *time.Time
	hash := hashOf(token)
	err := s.pool.QueryRow(ctx, `SELECT a.id, a.email, a.disabled_at, r.expires_at, r.used_at FROM password_resets r JOIN accounts a ON a.id = r.account_id
		WHERE r.token_hash = $1`, hash).Scan(&a.ID, &a.Email, &a.DisabledAt, &expires, &used)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return s.refused(ctx, "link.refused", "account/unknown", errUnknownLink())
	case err != nil:
		return unavailable(err)
	case a.DisabledAt != nil:
		return s.refused(ctx, "link.refused", a.target(), errUnknownLink())
	case used != nil:
		return s.refused(ctx, "link.refused", a.target(), errUsedLink())
	case expires.Before(time.Now()):
		return s.refused(ctx, "link.refused", a.target(),
			domain.E(domain.Conflict, "link_expired", "this link has expired: ask for another one").About("token"))
	}
	if err := about(access.CheckPassword(password), "password"); err != nil {
		return err
	}
	_, err = s.setPassword(audit.WithActor(ctx, a.Actor()), a.ID, password, uuid.Nil, "account.password_reset_by_link", func(tx *Tx, now Account) error {
		taken, err := tx.pgx.Exec(tx.ctx, `UPDATE password_resets SET used_at = clock_timestamp()
			WHERE token_hash = $1 AND used_at IS NULL AND expires_at > clock_timestamp()`, hash)
		if err == nil && (taken.RowsAffected() == 0 || now.DisabledAt != nil) {
			err = errUsedLink() // just now
		}
		return err
	})
	if domain.KindOf(err) == domain.Conflict {
		return s.refused(ctx, "link.refused", a.target(), err)
	}
	return err
}

// seconds is a duration as Postgres reads an interval where GORM passes it on.
func seconds(d time.Duration) string { return fmt.Sprintf("%d seconds", int64(d.Seconds())) }
