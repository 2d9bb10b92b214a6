package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm/clause"

	"lastcall/domain"
	"lastcall/domain/audit"
	"lastcall/domain/delivery"
)

// TemplateListing is what the provider listed of a template in one language when it was asked last.
type TemplateListing struct {
	Name      string    `gorm:"primaryKey"`
	Language  string    `gorm:"primaryKey"` // BCP 47
	Status    string    // the provider's word; "": it lists none
	Category  string    // lower case; "": it does not say
	CheckedAt time.Time `gorm:"default:clock_timestamp()"`
}

// ListedTemplate is what the provider answered about a language.
type ListedTemplate struct {
	Language string
	Status   string                 // the provider's word; "": it lists none
	Category string                 // lower case; "": it does not say
	State    delivery.TemplateState // "": the word says nothing about sending
}

// SyncTemplate keeps what the provider answered about a version's languages, asked at `at`. Where it takes the template or
// does not, which we did not know, campaigns wait or go on from now on.
func (s *Store) SyncTemplate(ctx context.Context, id uuid.UUID, listed []ListedTemplate, at time.Time) error {
	return s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		var t Template
		if err := tx.orm.First(&t, "id = ?", id).Error; err != nil {
			return audit.Entry{}, notFound(err, "template", id)
		}
		rows, err := tx.lockTemplate(t.Name)
		if err != nil {
			return audit.Entry{}, err
		}
		told := map[string][]string{}
		for _, l := range listed {
			told[l.Language] = []string{l.Status, l.Category}
			row := TemplateListing{Name: t.Name, Language: l.Language, Status: l.Status, Category: l.Category}
			if err := tx.pgx.QueryRow(tx.ctx, `SELECT clock_timestamp()`).Scan(&row.CheckedAt); err != nil {
				return audit.Entry{}, err
			}
			if err := tx.orm.Clauses(clause.OnConflict{UpdateAll: true}).Create(&row).Error; err != nil {
				return audit.Entry{}, err
			}
			old := effective(rows, t.Name, l.Language)
			if l.State == "" || l.State == old.State || old.At.After(at) {
				continue
			}
			next := old
			next.Language, next.State, next.Source, next.Code, next.Note, next.At = l.Language, l.State, "sync", 0, "", at
			if err := tx.templateBecomes(old, next); err != nil {
				return audit.Entry{}, err
			}
		}
		if len(told) == 0 {
			return audit.Entry{}, domain.E(domain.Invalid, "no_text", "the version has no text to ask about")
		}
		return audit.Entry{Action: "template.synced", Target: templateSubject(id).String(), Diff: map[string]any{"name": t.Name, "version": t.Version, "listed": told}}, nil
	})
}
