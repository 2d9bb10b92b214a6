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

// Session is one sign-in of one account, for as long as it lasts. Of its token only the SHA-256 is kept.
type Session struct {
	ID        uuid.UUID `gorm:"type:uuid;primaryKey"`
	AccountID uuid.UUID `gorm:"type:uuid"`
	TokenHash []byte
	Agent     string    // the browser's family, "Firefox"
	CreatedAt time.Time `gorm:"default:clock_timestamp()"`
	SeenAt    time.Time `gorm:"default:clock_timestamp()"` // last request, to the minute
	ExpiresAt time.Time // however busy it is
	RevokedAt *time.Time
}

// Ends is when the session ends unless it is used before.
func (s Session) Ends() time.Time {
	if idle := s.SeenAt.Add(access.SessionIdle); idle.Before(s.ExpiresAt) {
		return idle
	}
	return s.ExpiresAt
}

// live is the condition for a session to count. Those of a disabled account are revoked.
var live = fmt.Sprintf(`revoked_at IS NULL AND expires_at > clock_timestamp() AND seen_at > clock_timestamp() - interval '%d seconds'`,
	int(access.SessionIdle.Seconds()))

// SignIn is an attempt to sign in.
type SignIn struct {
	Email, Password string
	Address         string    // the client's, to count failures by; it is not kept
	Agent           string    // the browser's family
	Replaces        uuid.UUID // the session the client has now, which ends; uuid.Nil for none
}

// OpenSession signs somebody in and returns the session's token, which is told nobody again. It fails with
// domain.Unauthenticated for an unknown address, a wrong password and a disabled account alike, and with
// domain.TooMany after too many of those. All of it is in the audit log, without what was typed.
func (s *Store) OpenSession(ctx context.Context, in SignIn) (token string, opened Session, a Account, err error) {
	email, err := access.ParseEmail(in.Email)
	if err != nil {
		email = in.Email // counted like any other
	}
	counts := s.counts(email, in.Address)
	if err := s.countAttempt(ctx, counts); err != nil {
		return "", opened, a, err
	}
	found, right, err := s.knows(ctx, email, in.Password)
	if err != nil {
		return "", opened, a, errors.Join(err, s.uncount(ctx, counts))
	}
	if right {
		token, opened, err = s.openSession(ctx, found, in, counts)
		if !errors.Is(err, errMayNot) {
			return token, opened, found, err
		}
	}
	if err := s.refuse(ctx, found, counts); err != nil {
		return "", Session{}, a, err
	}
	return "", Session{}, a, domain.E(domain.Unauthenticated, "wrong_credentials", "this address and password do not belong together")
}

// errMayNot is for an account that is disabled, or was given another password while this one was checked.
var errMayNot = errors.New("the account may not sign in")

// knows returns the account of an address, if there is one, and whether this is its password. It takes as long when
// there is none.
func (s *Store) knows(ctx context.Context, email, password string) (a Account, right bool, err error) {
	found := s.orm.WithContext(ctx).Where("email = ?", email).Limit(1).Find(&a)
	if found.Error != nil {
		return a, false, unavailable(found.Error)
	}
	hash := nobodysHash
	if found.RowsAffected > 0 {
		hash = a.PasswordHash
	}
	right, err = verifyPassword(ctx, password, hash)
	return a, right && found.RowsAffected > 0, err
}

// openSession makes the session of an account whose password was right. It fails with errMayNot.
func (s *Store) openSession(ctx context.Context, a Account, in SignIn, counts []*failureCount) (token string, opened Session, err error) {
	token, hash := newSecret()
	err = s.Write(audit.WithActor(ctx, a.Actor()), func(tx *Tx) (audit.Entry, error) {
		now, err := tx.account(a.ID)
		if err != nil {
			return audit.Entry{}, err
		}
		if now.DisabledAt != nil || now.PasswordHash != a.PasswordHash {
			return audit.Entry{}, errMayNot
		}
		if err := tx.revokeSession(in.Replaces); err != nil {
			return audit.Entry{}, err
		}
		opened = Session{ID: uuid.Must(uuid.NewV7()), AccountID: a.ID, TokenHash: hash, Agent: in.Agent}
		if err := tx.pgx.QueryRow(tx.ctx, `INSERT INTO sessions (id, account_id, token_hash, agent, expires_at)
				VALUES ($1, $2, $3, $4, clock_timestamp() + $5::interval) RETURNING created_at, seen_at, expires_at`,
			opened.ID, a.ID, hash, in.Agent, access.SessionMax).Scan(&opened.CreatedAt, &opened.SeenAt, &opened.ExpiresAt); err != nil {
			return audit.Entry{}, err
		}
		if err := tx.forgive(counts); err != nil {
			return audit.Entry{}, err
		}
		return audit.Entry{Action: "session.opened", Target: "session/" + opened.ID.String()}, tx.sweep(a.ID)
	})
	return token, opened, err
}

// sweep deletes what nobody asks about any more: the account's sessions that ended a month ago, and yesterday's failures.
func (tx *Tx) sweep(account uuid.UUID) error {
	_, err := tx.pgx.Exec(tx.ctx, `DELETE FROM sessions WHERE account_id = $1 AND expires_at < clock_timestamp() - interval '30 days'`, account)
	if err == nil {
		_, err = tx.pgx.Exec(tx.ctx, `DELETE FROM sign_in_failures WHERE (kind, key) IN (SELECT kind, key FROM sign_in_failures
			WHERE failed_at < clock_timestamp() - interval '1 day' LIMIT 1000 FOR UPDATE SKIP LOCKED)`)
	}
	return err
}

// refuse enters a failed sign-in into the audit log, as done by a client that its address's keyed hash names.
func (s *Store) refuse(ctx context.Context, a Account, counts []*failureCount) error {
	target := "account/unknown"
	if a.ID != uuid.Nil {
		target = a.target()
	}
	who := audit.Actor{Kind: "client", Name: "unknown"}
	for _, c := range counts {
		if c.kind == "address" {
			who.Name = c.digest()
		}
	}
	return s.Write(audit.WithActor(ctx, who), func(tx *Tx) (audit.Entry, error) {
		return audit.Entry{Action: "sign_in.refused", Target: target}, tx.enterLockOuts(counts, target)
	})
}

// AuthenticateSession returns the session of a token and its account, or domain.Unauthenticated when there is none, or
// it was revoked or has expired. Its last use is kept to the minute.
func (s *Store) AuthenticateSession(ctx context.Context, token string) (found Session, a Account, err error) {
	rows := s.orm.WithContext(ctx).Where("token_hash = ? AND "+live, hashOf(token)).Limit(1).Find(&found)
	if rows.Error != nil {
		return found, a, unavailable(rows.Error)
	}
	if rows.RowsAffected == 0 {
		return found, a, domain.E(domain.Unauthenticated, "session_ended", "this session has ended: sign in again")
	}
	if err := s.orm.WithContext(ctx).First(&a, "id = ?", found.AccountID).Error; err != nil {
		return found, a, unavailable(err)
	}
	if time.Since(found.SeenAt) > time.Minute {
		err = s.pool.QueryRow(ctx, `UPDATE sessions SET seen_at = clock_timestamp() WHERE id = $1 RETURNING seen_at`,
			found.ID).Scan(&found.SeenAt)
	}
	return found, a, unavailable(err)
}

// LiveSessions returns those of the sessions that have not ended.
func (s *Store) LiveSessions(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]bool, error) {
	rows, err := s.pool.Query(ctx, `SELECT id FROM sessions WHERE id = ANY ($1) AND `+live, ids)
	if err != nil {
		return nil, unavailable(err)
	}
	defer rows.Close()
	alive := map[uuid.UUID]bool{}
	for rows.Next() {
		var id uuid.UUID
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		alive[id] = true
	}
	return alive, unavailable(rows.Err())
}

// Sessions returns those of an account that have not ended, the one used last first; at most 1,000.
func (s *Store) Sessions(ctx context.Context, account uuid.UUID) ([]Session, error) {
	var all []Session
	err := s.orm.WithContext(ctx).Where("account_id = ? AND "+live, account).Order("seen_at DESC, id DESC").Limit(page(1000)).Find(&all).Error
	return all, unavailable(err)
}

// EndSession ends one session of an account. It fails with domain.NotFound when the account has no such one.
func (s *Store) EndSession(ctx context.Context, account, id uuid.UUID) error {
	return s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		done, err := tx.pgx.Exec(tx.ctx, `UPDATE sessions SET revoked_at = clock_timestamp() WHERE id = $1 AND account_id = $2 AND `+live, id, account)
		if err == nil && done.RowsAffected() == 0 {
			err = notFound(pgx.ErrNoRows, "session", id)
		}
		return audit.Entry{Action: "session.ended", Target: "session/" + id.String()}, err
	})
}

// EndOtherSessions ends all sessions of an account but one and returns how many that were.
func (s *Store) EndOtherSessions(ctx context.Context, a Account, but uuid.UUID) (ended int64, err error) {
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		ended, err = tx.revokeSessions(a.ID, but)
		return audit.Entry{Action: "session.others_ended", Target: a.target(), Diff: map[string]any{"sessions_ended": ended}}, err
	})
	return ended, err
}

// Presence is how an account is signed in.
type Presence struct {
	Sessions int        // that have not ended
	SeenAt   *time.Time // its last request in any session, to the minute; nil: none for a month
}

// Presences returns the presence of accounts; those that have none are not in it.
func (s *Store) Presences(ctx context.Context, accounts []uuid.UUID) (map[uuid.UUID]Presence, error) {
	rows, err := s.pool.Query(ctx, `SELECT account_id, count(*) FILTER (WHERE `+live+`), max(seen_at) FROM sessions
		WHERE account_id = ANY ($1) GROUP BY account_id`, accounts)
	if err != nil {
		return nil, unavailable(err)
	}
	all := map[uuid.UUID]Presence{}
	var account uuid.UUID
	var p Presence
	_, err = pgx.ForEachRow(rows, []any{&account, &p.Sessions, &p.SeenAt}, func() error {
		all[account] = p
		return nil
	})
	return all, unavailable(err)
}

// CloseSession signs out.
func (s *Store) CloseSession(ctx context.Context, id uuid.UUID) error {
	return s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		return audit.Entry{Action: "session.closed", Target: "session/" + id.String()}, tx.revokeSession(id)
	})
}

func (tx *Tx) revokeSession(id uuid.UUID) error {
	_, err := tx.pgx.Exec(tx.ctx, `UPDATE sessions SET revoked_at = clock_timestamp() WHERE id = $1 AND revoked_at IS NULL`, id)
	return err
}

// revokeSessions ends all sessions of an account but one and returns how many that were.
func (tx *Tx) revokeSessions(account, but uuid.UUID) (int64, error) {
	done, err := tx.pgx.Exec(tx.ctx, `UPDATE sessions SET revoked_at = clock_timestamp()
		WHERE account_id = $1 AND id <> $2 AND revoked_at IS NULL AND expires_at > clock_timestamp()`, account, but)
	return done.RowsAffected(), err
}
