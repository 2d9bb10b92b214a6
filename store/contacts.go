package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"lastcall/domain"
	"lastcall/domain/audit"
	"lastcall/domain/contact"
)

// Contact is a person who may be written to.
type Contact struct {
	ID          uuid.UUID      `gorm:"type:uuid;primaryKey"`
	MSISDN      contact.MSISDN `gorm:"column:msisdn"`
	Name        string
	Country     string         `gorm:"type:char(2)"`
	Locale      string         // BCP 47, may be empty
	Zone        string         // IANA; empty: the country's only one
	Tags        pq.StringArray `gorm:"type:text[]"`
	BarID       *uuid.UUID     `gorm:"type:uuid"`
	OptedInAt   *time.Time
	OptInSource string
	CreatedAt   time.Time
	UpdatedAt   time.Time
	MSISDNHash  []byte `gorm:"column:msisdn_hash"` // as the opt-out registry has it; nil: not computed yet
}

// ContactFilter says which contacts; what is empty does not matter.
type ContactFilter struct {
	Country string // ISO 3166-1 alpha-2
	Tag     string
}

// Contacts lists contacts by number, those after the number `after` first; at most limit (1 to 1,000).
func (s *Store) Contacts(ctx context.Context, f ContactFilter, after contact.MSISDN, limit int) ([]Contact, error) {
	var all []Contact
	q := s.orm.WithContext(ctx).Where("msisdn > ?", after).Order("msisdn").Limit(page(limit))
	if f.Country != "" {
		q = q.Where("country = ?", f.Country)
	}
	if f.Tag != "" {
		q = q.Where("tags @> ARRAY[?]::text[]", f.Tag)
	}
	return all, unavailable(q.Find(&all).Error)
}

// Contact returns one contact.
func (s *Store) Contact(ctx context.Context, id uuid.UUID) (Contact, error) {
	var c Contact
	err := s.orm.WithContext(ctx).First(&c, "id = ?", id).Error
	return c, notFound(err, "contact", id)
}

// AddContact adds a contact; domain.Conflict when the number is there already.
func (s *Store) AddContact(ctx context.Context, c Contact) (Contact, error) {
	c.ID, c.MSISDNHash = uuid.Must(uuid.NewV7()), s.pepper.Hash(c.MSISDN)
	if c.Tags == nil {
		c.Tags = pq.StringArray{}
	}
	err := s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		made := tx.orm.Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "msisdn"}}, DoNothing: true}).Create(&c)
		if made.Error == nil && made.RowsAffected == 0 {
			return audit.Entry{}, domain.E(domain.Conflict, "contact_exists", "this number is a contact already").About("msisdn")
		}
		return audit.Entry{Action: "contact.added", Target: "contact/" + c.ID.String()}, made.Error
	})
	return c, err
}

// RecordOptIn records that a contact agreed to marketing now, and where.
func (s *Store) RecordOptIn(ctx context.Context, id uuid.UUID, source string) (c Contact, err error) {
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		now := time.Now()
		done := tx.orm.Model(&c).Clauses(clause.Returning{}).Where("id = ?", id).
			Updates(map[string]any{"opted_in_at": now, "opt_in_source": source, "updated_at": now})
		if done.Error == nil && done.RowsAffected == 0 {
			done.Error = notFound(gorm.ErrRecordNotFound, "contact", id)
		}
		return audit.Entry{Action: "contact.opted_in", Target: "contact/" + id.String(), Diff: map[string]any{"source": source}}, done.Error
	})
	return c, err
}

// ContactOf returns the contact with this number, or nil.
func (s *Store) ContactOf(ctx context.Context, m contact.MSISDN) (*Contact, error) {
	var found []Contact
	err := s.orm.WithContext(ctx).Where("msisdn = ?", m).Limit(1).Find(&found).Error
	if err != nil || len(found) == 0 {
		return nil, unavailable(err)
	}
	return &found[0], nil
}
