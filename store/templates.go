package store

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lastcall/domain/audit"
	"lastcall/domain/template"
)

// Template is one version of a message template.
type Template struct {
	ID          uuid.UUID           `gorm:"type:uuid;primaryKey" json:"id"`
	Name        string              `json:"name"`
	Version     int                 `json:"version"`
	Category    string              `json:"category"`
	Status      template.Status     `json:"status"`
	Variables   []template.Variable `gorm:"serializer:json;type:jsonb" json:"variables"`
	Texts       map[string]string   `gorm:"serializer:json;type:jsonb" json:"texts"`
	Headers     map[string]string   `gorm:"serializer:json;type:jsonb" json:"headers,omitempty" doc:"The line over the text, by locale"`
	Footers     map[string]string   `gorm:"serializer:json;type:jsonb" json:"footers,omitempty" doc:"The small line under it, by locale"`
	HeaderMedia string              `json:"header_media,omitempty"`
	Revision    int64               `json:"revision" doc:"Of this version: one more with every change; its ETag"`
	CreatedAt   time.Time           `json:"created_at"`
	UpdatedAt   time.Time           `json:"updated_at"`

	ApprovalID     *uuid.UUID `gorm:"type:uuid" json:"-"` // with which it was approved; nil: none, or it came so
	IdempotencyKey *string    `json:"-"`
	RequestHash    []byte     `json:"-"`
}

// Domain is the template as the rules know it.
func (t Template) Domain() template.Template {
	return template.Template{ID: t.ID, Name: t.Name, Version: t.Version, Category: t.Category, Status: t.Status,
		Variables: t.Variables, Texts: t.Texts, Headers: t.Headers, Footers: t.Footers, HeaderMedia: t.HeaderMedia}
}

// Templates lists all versions, by name, newest version first.
func (s *Store) Templates(ctx context.Context) ([]Template, error) {
	var all []Template
	err := s.orm.WithContext(ctx).Order("name, version DESC").Find(&all).Error
	return all, unavailable(err)
}

// Template returns one version.
func (s *Store) Template(ctx context.Context, id uuid.UUID) (Template, error) {
	var t Template
	err := s.orm.WithContext(ctx).First(&t, "id = ?", id).Error
	return t, notFound(err, "template", id)
}

// NewestTemplate returns the newest version of a template that may be sent, else its newest version.
func (s *Store) NewestTemplate(ctx context.Context, name string) (Template, error) {
	var t Template
	err := s.orm.WithContext(ctx).Where("name = ?", name).
		Order("status IN ('approved', 'locked') DESC, version DESC").First(&t).Error
	return t, notFound(err, "template", name)
}

// EnsureTemplate adds t unless this name has a version already, and reports whether it did.
func (s *Store) EnsureTemplate(ctx context.Context, t template.Template) (bool, error) {
	if err := t.Validate(); err != nil {
		return false, err
	}
	var there int64
	if err := s.orm.WithContext(ctx).Model(&Template{}).Where("name = ?", t.Name).Count(&there).Error; err != nil || there > 0 {
		return false, unavailable(err)
	}
	err := s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		row := Template{ID: uuid.Must(uuid.NewV7()), Name: t.Name, Version: t.Version, Category: t.Category, Status: t.Status,
			Variables: t.Variables, Texts: t.Texts, Headers: t.Headers, Footers: t.Footers, HeaderMedia: t.HeaderMedia, Revision: 1}
		row.fill()
		return audit.Entry{Action: "template.added", Target: "template/" + t.Name}, tx.orm.Create(&row).Error
	})
	return err == nil, err
}
