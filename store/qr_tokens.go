package store

import (
	"context"
	"crypto/rand"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm/clause"

	"lastcall/domain"
	"lastcall/domain/audit"
)

// QRToken is the code on a bar's table. Who scans it writes JOIN and the token, and so joins by this bar.
type QRToken struct {
	ID        uuid.UUID `gorm:"type:uuid;primaryKey"`
	BarID     uuid.UUID `gorm:"type:uuid"`
	Token     string    // 10 letters of Crockford's base 32
	Label     string    // "Table 7"
	CreatedAt time.Time `gorm:"default:clock_timestamp()"`
	RevokedAt *time.Time
}

// TableName tells GORM the table.
func (QRToken) TableName() string { return "qr_tokens" }

// MaxTables is how many tables of a bar may have a code.
const MaxTables = 500

// QRTokens lists the codes of a bar that are not revoked, oldest first.
func (s *Store) QRTokens(ctx context.Context, bar uuid.UUID) ([]QRToken, error) {
	var all []QRToken
	err := s.orm.WithContext(ctx).Where("bar_id = ? AND revoked_at IS NULL", bar).Order("id").Limit(MaxTables).Find(&all).Error
	return all, unavailable(err)
}

// QRToken returns a code of a bar that is not revoked.
func (s *Store) QRToken(ctx context.Context, bar, id uuid.UUID) (q QRToken, err error) {
	err = s.orm.WithContext(ctx).First(&q, "id = ? AND bar_id = ? AND revoked_at IS NULL", id, bar).Error
	return q, notFound(err, "qr_token", id)
}

// AddQRTokens makes a code for each of n more tables of a bar, "Table 1" and so on, after those there are.
func (s *Store) AddQRTokens(ctx context.Context, bar uuid.UUID, n int) (made []QRToken, err error) {
	if n < 1 || n > MaxTables {
		return nil, domain.E(domain.Invalid, "bad_tables", "must be between 1 and %d", MaxTables).About("tables")
	}
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		b, err := tx.bar(bar)
		if err != nil {
			return audit.Entry{}, err
		}
		var live, last int
		err = tx.pgx.QueryRow(tx.ctx, `SELECT count(*), coalesce(max(substring(label FROM '^Table ([0-9]{1,6})$')::int), 0)
			FROM qr_tokens WHERE bar_id = $1 AND revoked_at IS NULL`, bar).Scan(&live, &last)
		if err != nil {
			return audit.Entry{}, err
		}
		if live+n > MaxTables {
			return audit.Entry{}, domain.E(domain.Conflict, "too_many_tables", "a bar has at most %d codes, and this one has %d", MaxTables, live).About("tables")
		}
		made = make([]QRToken, n)
		for i := range made {
			made[i] = QRToken{ID: uuid.Must(uuid.NewV7()), BarID: bar, Token: qrToken(), Label: "Table " + strconv.Itoa(last+1+i)}
		}
		err = tx.orm.Clauses(clause.Returning{}).Create(&made).Error
		return audit.Entry{Action: "qr_tokens.added", Target: b.target(), Diff: map[string]any{"tables": n, "from": last + 1}}, err
	})
	return made, err
}

// RevokeQRToken ends a code: who scans it joins no bar any more.
func (s *Store) RevokeQRToken(ctx context.Context, bar, id uuid.UUID) error {
	return s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		var q QRToken
		done := tx.orm.Raw(`UPDATE qr_tokens SET revoked_at = clock_timestamp() WHERE id = ? AND bar_id = ? AND revoked_at IS NULL RETURNING *`, id, bar).Scan(&q)
		if done.Error == nil && done.RowsAffected == 0 {
			done.Error = domain.E(domain.NotFound, "qr_token_not_found", "there is no qr_token %v", id)
		}
		return audit.Entry{Action: "qr_token.revoked", Target: "bar/" + bar.String(), Diff: map[string]any{"qr_token": id, "label": q.Label}}, done.Error
	})
}

const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// qrToken is 50 random bits.
func qrToken() string {
	random := make([]byte, 10)
	_, _ = rand.Read(random) // never fails
	var b strings.Builder
	for _, r := range random {
		b.WriteByte(crockford[r%32])
	}
	return b.String()
}
