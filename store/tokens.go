package store

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/google/uuid"

	"lastcall/domain"
	"lastcall/domain/audit"
)

// APIToken lets a program use the API. Only the SHA-256 of the token is kept: it is random, so a slow
// hash would add nothing.
type APIToken struct {
	ID         uuid.UUID `gorm:"type:uuid;primaryKey"`
	Name       string
	TokenHash  []byte
	CreatedAt  time.Time
	ExpiresAt  *time.Time
	RevokedAt  *time.Time
	LastUsedAt *time.Time
}

// TableName tells GORM the table.
func (APIToken) TableName() string { return "api_tokens" }

// EnsureToken makes token valid under this name and revokes the name's other tokens. Called again with
// the same token it changes nothing.
func (s *Store) EnsureToken(ctx context.Context, name, token string) error {
	hash := sha256.Sum256([]byte(token))
	var valid int64
	err := s.orm.WithContext(ctx).Model(&APIToken{}).
		Where("name = ? AND token_hash = ? AND revoked_at IS NULL", name, hash[:]).Count(&valid).Error
	if err != nil || valid > 0 {
		return unavailable(err)
	}
	return s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		err := tx.orm.Model(&APIToken{}).Where("name = ? AND revoked_at IS NULL", name).Update("revoked_at", time.Now()).Error
		if err == nil {
			err = tx.orm.Create(&APIToken{ID: uuid.Must(uuid.NewV7()), Name: name, TokenHash: hash[:]}).Error
		}
		return audit.Entry{Action: "api_token.issued", Target: "api_token/" + name}, err
	})
}

// Authenticate returns the token's row, or domain.Unauthenticated when the token is unknown, expired or
// revoked. Its last use is kept to the minute.
func (s *Store) Authenticate(ctx context.Context, token string) (APIToken, error) {
	hash := sha256.Sum256([]byte(token))
	var t APIToken
	found := s.orm.WithContext(ctx).Where("token_hash = ? AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())", hash[:]).
		Limit(1).Find(&t)
	if found.Error != nil {
		return t, unavailable(found.Error)
	}
	if found.RowsAffected == 0 {
		return t, domain.E(domain.Unauthenticated, "token_invalid", "this token is not valid (any more)")
	}
	if t.LastUsedAt == nil || time.Since(*t.LastUsedAt) > time.Minute {
		err := s.orm.WithContext(ctx).Model(&t).Update("last_used_at", time.Now()).Error
		return t, unavailable(err)
	}
	return t, nil
}
