package store

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/lib/pq"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/audit"
)

// APIToken lets a program use the API: the system's own, or as an account, which may never do more by it than the
// account itself may. Only the SHA-256 of the token is kept.
type APIToken struct {
	ID         uuid.UUID `gorm:"type:uuid;primaryKey"`
	Name       string
	TokenHash  []byte
	AccountID  *uuid.UUID     `gorm:"type:uuid"`   // nil: the system's
	Scopes     pq.StringArray `gorm:"type:text[]"` // the permissions of an account's
	CreatedAt  time.Time
	ExpiresAt  *time.Time
	RevokedAt  *time.Time
	LastUsedAt *time.Time // to the minute
}

// TableName tells GORM the table.
func (APIToken) TableName() string { return "api_tokens" }

// Permissions are the token's scopes.
func (t APIToken) Permissions() access.Scopes {
	all := make(access.Scopes, len(t.Scopes))
	for i, s := range t.Scopes {
		all[i] = access.Permission(s)
	}
	return all
}

func (t APIToken) target() string { return "api_token/" + t.ID.String() }

// EnsureToken makes a token of the system valid under this name and revokes the name's other ones. Called again with
// the same token it changes nothing.
func (s *Store) EnsureToken(ctx context.Context, name, token string) error {
	hash := hashOf(token)
	var valid int64
	err := s.orm.WithContext(ctx).Model(&APIToken{}).
		Where("name = ? AND account_id IS NULL AND token_hash = ? AND revoked_at IS NULL", name, hash).Count(&valid).Error
	if err != nil || valid > 0 {
		return unavailable(err)
	}
	return s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		err := tx.orm.Model(&APIToken{}).Where("name = ? AND account_id IS NULL AND revoked_at IS NULL", name).Update("revoked_at", time.Now()).Error
		if err == nil {
			err = tx.orm.Create(&APIToken{ID: uuid.Must(uuid.NewV7()), Name: name, TokenHash: hash, Scopes: pq.StringArray{}}).Error
		}
		return audit.Entry{Action: "api_token.issued", Target: "api_token/" + name}, err
	})
}

// Authenticate returns the token's row and the account it is of, the zero Account for the system's. It fails with
// domain.Unauthenticated when the token is unknown, expired or revoked, or its account disabled.
func (s *Store) Authenticate(ctx context.Context, token string) (t APIToken, of Account, err error) {
	found := s.orm.WithContext(ctx).Where("token_hash = ? AND "+liveToken, hashOf(token)).Limit(1).Find(&t)
	if found.Error != nil {
		return t, of, unavailable(found.Error)
	}
	if found.RowsAffected > 0 && t.AccountID != nil {
		found = s.orm.WithContext(ctx).Where("id = ? AND disabled_at IS NULL", t.AccountID).Limit(1).Find(&of)
	}
	if found.Error != nil {
		return t, of, unavailable(found.Error)
	}
	if found.RowsAffected == 0 {
		return t, of, domain.E(domain.Unauthenticated, "token_invalid", "this token is not valid (any more)")
	}
	if t.LastUsedAt == nil || time.Since(*t.LastUsedAt) > time.Minute {
		err := s.orm.WithContext(ctx).Model(&t).Update("last_used_at", time.Now()).Error
		return t, of, unavailable(err)
	}
	return t, of, nil
}

// liveToken is the condition for a token to count. Those of a disabled account do not, either.
const liveToken = `revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())`

// NewToken is what a token of one's own is made of.
type NewToken struct {
	Name   string
	Scopes []access.Permission
	Lasts  time.Duration // 0: access.TokenLasts
}

// maxTokens are how many tokens an account may have at once: more are a mistake.
const maxTokens = 50

// CreateToken makes a token of an account and returns it, which is told nobody again. It fails with domain.Invalid for all
// that is wrong with n at once, and with domain.Conflict about "name" when the account has one of this name.
func (s *Store) CreateToken(ctx context.Context, a Account, n NewToken) (token string, t APIToken, err error) {
	var problems [3]error
	t = APIToken{ID: uuid.Must(uuid.NewV7()), AccountID: &a.ID}
	t.Name, problems[0] = access.ParseName(n.Name)
	scopes, err := access.ParseScopes(a.Role, n.Scopes)
	for _, p := range scopes {
		t.Scopes = append(t.Scopes, string(p))
	}
	problems[1] = err
	if n.Lasts == 0 {
		n.Lasts = access.TokenLasts
	}
	if n.Lasts < time.Hour || n.Lasts > access.TokenLastsMax {
		problems[2] = domain.E(domain.Invalid, "bad_lifetime", "must be between an hour and a year").About("days")
	}
	if err := errors.Join(problems[:]...); err != nil {
		return "", t, err
	}
	secret, _ := newSecret()
	token = "lc_" + secret
	t.TokenHash = hashOf(token)
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		now, err := tx.account(a.ID) // as it is now, and one token at a time
		if err == nil && now.DisabledAt != nil {
			err = domain.E(domain.Forbidden, "account_disabled", "this account is disabled")
		}
		var others int
		if err == nil {
			err = tx.pgx.QueryRow(tx.ctx, `SELECT count(*) FROM api_tokens WHERE account_id = $1 AND `+liveToken, a.ID).Scan(&others)
		}
		if err == nil && others >= maxTokens {
			err = domain.E(domain.Conflict, "too_many_tokens", "an account has %d tokens at most: revoke those that nothing uses", maxTokens)
		}
		if err == nil { // an expired one leaves its name to the next
			_, err = tx.pgx.Exec(tx.ctx, `UPDATE api_tokens SET revoked_at = expires_at WHERE account_id = $1 AND name = $2
				AND revoked_at IS NULL AND expires_at <= clock_timestamp()`, a.ID, t.Name)
		}
		if err != nil {
			return audit.Entry{}, err
		}
		err = tx.pgx.QueryRow(tx.ctx, `INSERT INTO api_tokens (id, name, token_hash, account_id, scopes, created_at, expires_at)
			VALUES ($1, $2, $3, $4, $5, clock_timestamp(), clock_timestamp() + $6::interval)
			ON CONFLICT (account_id, name) WHERE account_id IS NOT NULL AND revoked_at IS NULL DO NOTHING RETURNING created_at, expires_at`,
			t.ID, t.Name, t.TokenHash, a.ID, []string(t.Scopes), n.Lasts).Scan(&t.CreatedAt, &t.ExpiresAt)
		if errors.Is(err, pgx.ErrNoRows) {
			err = domain.E(domain.Conflict, "token_exists", "you have a token of this name: revoke it, or choose another name").About("name")
		}
		return audit.Entry{Action: "api_token.created", Target: t.target(), Diff: map[string]any{"scopes": t.Scopes, "expires_at": t.ExpiresAt}}, err
	})
	return token, t, err
}

// Tokens returns the tokens of an account that are valid, newest first.
func (s *Store) Tokens(ctx context.Context, account uuid.UUID) ([]APIToken, error) {
	var all []APIToken
	err := s.orm.WithContext(ctx).Where("account_id = ? AND "+liveToken, account).Order("id DESC").Limit(maxTokens).Find(&all).Error
	return all, unavailable(err)
}

// RevokeToken ends a token of an account. It fails with domain.NotFound when the account has no such one.
func (s *Store) RevokeToken(ctx context.Context, account, id uuid.UUID) error {
	return s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		done, err := tx.pgx.Exec(tx.ctx, `UPDATE api_tokens SET revoked_at = clock_timestamp() WHERE id = $1 AND account_id = $2 AND `+liveToken, id, account)
		if err == nil && done.RowsAffected() == 0 {
			err = notFound(pgx.ErrNoRows, "token", id)
		}
		return audit.Entry{Action: "api_token.revoked", Target: APIToken{ID: id}.target()}, err
	})
}

// LiveTokens returns those of the tokens that still count.
func (s *Store) LiveTokens(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]bool, error) {
	rows, err := s.pool.Query(ctx, `SELECT t.id FROM api_tokens t LEFT JOIN accounts a ON a.id = t.account_id
		WHERE t.id = ANY ($1) AND a.disabled_at IS NULL AND `+liveToken, ids)
	if err != nil {
		return nil, unavailable(err)
	}
	alive := map[uuid.UUID]bool{}
	var id uuid.UUID
	_, err = pgx.ForEachRow(rows, []any{&id}, func() error {
		alive[id] = true
		return nil
	})
	return alive, unavailable(err)
}
