package store

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm/clause"

	"lastcall/domain"
	"lastcall/domain/approval"
	"lastcall/domain/audit"
	"lastcall/domain/template"
)

// SubjectTemplate is the kind of a version of a template as the subject of approvals.
const SubjectTemplate = "template"

func templateSubject(id uuid.UUID) approval.Subject {
	return approval.Subject{Kind: SubjectTemplate, ID: id.String()}
}

// TemplateContent is what a version of a template says.
type TemplateContent struct {
	Category    string
	Variables   []template.Variable
	Texts       map[string]string
	Headers     map[string]string
	Footers     map[string]string
	HeaderMedia string
}

// NewTemplate is what a version is made of.
type NewTemplate struct {
	Name           string    // of a template that is new
	From           uuid.UUID // else the version that it begins as a copy of
	Content        TemplateContent
	IdempotencyKey string // of the request, "" for none
	RequestHash    []byte // tells a repeated request from another one with the same key
}

// CreateTemplate makes a draft: the first version of a new template, or the next one of the template that From is of. The
// same idempotency key again returns the same draft. It fails with domain.Conflict of code template_exists, or
// version_being_written while another version of it is a draft or submitted; and with domain.Invalid for what cannot be kept.
func (s *Store) CreateTemplate(ctx context.Context, n NewTemplate) (Template, error) {
	if found, err := s.templateOfKey(ctx, n); found.ID != uuid.Nil || err != nil {
		return found, err
	}
	t := Template{ID: uuid.Must(uuid.NewV7()), Name: n.Name, Version: 1, Status: template.Draft, Revision: 1}
	if n.IdempotencyKey != "" {
		t.IdempotencyKey, t.RequestHash = &n.IdempotencyKey, n.RequestHash
	}
	err := s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		content := n.Content
		diff := map[string]any{}
		if n.From != uuid.Nil {
			from, err := tx.lockTemplateVersion(n.From)
			if err != nil {
				return audit.Entry{}, err
			}
			content = TemplateContent{from.Category, from.Variables, from.Texts, from.Headers, from.Footers, from.HeaderMedia}
			t.Name, diff["from"] = from.Name, from.Version
			if err := tx.pgx.QueryRow(tx.ctx, `SELECT max(version) + 1 FROM templates WHERE name = $1`, t.Name).Scan(&t.Version); err != nil {
				return audit.Entry{}, err
			}
		}
		t.say(content)
		diff["name"], diff["version"] = t.Name, t.Version
		if err := t.Domain().Keepable(); err != nil {
			return audit.Entry{}, err
		}
		if err := tx.orm.Create(&t).Error; err != nil {
			return audit.Entry{}, clash(err)
		}
		return audit.Entry{Action: "template.created", Target: templateSubject(t.ID).String(), Diff: diff}, tx.edited(templateSubject(t.ID))
	})
	if domain.KindOf(err) == domain.Conflict { // perhaps with the same request, which came twice at once
		if found, failed := s.templateOfKey(ctx, n); found.ID != uuid.Nil || failed != nil {
			return found, failed
		}
	}
	if err != nil {
		return Template{}, err
	}
	return s.Template(ctx, t.ID)
}

// EditTemplate changes what a version says, which makes it a draft: what was asked or approved about it is void. known is
// the revision that its editor saw; nil: whichever. It fails with domain.Stale of code template_changed, and with
// domain.Conflict of code wrong_state when the version is locked or retired, template_in_use when a campaign was started
// with it, version_being_written when it would be the second one. A refusal is in the audit log.
func (s *Store) EditTemplate(ctx context.Context, id uuid.UUID, content TemplateContent, known *int64) (Template, error) {
	var changed Template
	err := s.inTx(ctx, func(tx *Tx) error {
		t, err := tx.knownTemplate(id, known)
		if err != nil {
			return err
		}
		if t.Status == template.Locked || t.Status == template.Retired {
			return domain.E(domain.Conflict, "wrong_state", "version %d is %s and stays as it is: make a new version", t.Version, t.Status)
		}
		if n, err := tx.campaignsOf(id, `status <> 'draft'`); err != nil {
			return err
		} else if n > 0 {
			return domain.E(domain.Conflict, "template_in_use", "%d campaigns were started with version %d: make a new version", n, t.Version)
		}
		changed = t
		changed.say(content)
		if err := changed.Domain().Keepable(); err != nil {
			return err
		}
		before := t.Domain()
		if bytes.Equal(before.Digest(), changed.Domain().Digest()) {
			changed = t
			return nil
		}
		if err := tx.changeTemplate(&changed, template.Draft, nil); err != nil {
			return err
		}
		subject := templateSubject(id)
		if err := tx.void(subject, "changed"); err != nil {
			return err
		}
		if err := tx.closeRequest(subject, "superseded"); err != nil {
			return err
		}
		if err := tx.edited(subject); err != nil {
			return err
		}
		return tx.enter(audit.Entry{Action: "template.edited", Target: subject.String(), Diff: map[string]any{"name": t.Name, "version": t.Version,
			"revision": changed.Revision, "status": []template.Status{t.Status, changed.Status}, "changed": changedParts(before, changed.Domain())}})
	})
	return changed, s.templateRefused(ctx, id, "edit", err)
}

// say gives a version this content.
func (t *Template) say(c TemplateContent) {
	t.Category, t.Variables, t.Texts, t.Headers, t.Footers, t.HeaderMedia = c.Category, c.Variables, c.Texts, c.Headers, c.Footers, c.HeaderMedia
	t.fill()
}

// fill makes empty what is nil: the database keeps no null.
func (t *Template) fill() {
	if t.Variables == nil {
		t.Variables = []template.Variable{}
	}
	for _, texts := range []*map[string]string{&t.Texts, &t.Headers, &t.Footers} {
		if *texts == nil {
			*texts = map[string]string{}
		}
	}
}

// changedParts names what of a version was changed, not what it says.
func changedParts(a, b template.Template) (parts []string) {
	if a.Category != b.Category {
		parts = append(parts, "category")
	}
	if a.HeaderMedia != b.HeaderMedia {
		parts = append(parts, "header_media")
	}
	for _, of := range []struct {
		name string
		a, b map[string]string
	}{{"texts", a.Texts, b.Texts}, {"headers", a.Headers, b.Headers}, {"footers", a.Footers, b.Footers}} {
		locales := map[string]string{}
		for locale, text := range of.a {
			if other, there := of.b[locale]; !there || other != text {
				locales[locale] = ""
			}
		}
		for locale := range of.b {
			if _, there := of.a[locale]; !there {
				locales[locale] = ""
			}
		}
		for _, locale := range slices.Sorted(maps.Keys(locales)) {
			parts = append(parts, of.name+"."+locale)
		}
	}
	if len(parts) == 0 || !slices.Equal(a.Variables, b.Variables) {
		parts = append(parts, "variables")
	}
	return parts
}

// changeTemplate writes what a version says now, with another status.
func (tx *Tx) changeTemplate(t *Template, to template.Status, approved *uuid.UUID) error {
	t.Status, t.ApprovalID = to, approved
	t.Revision++
	err := tx.orm.Model(&Template{}).Where("id = ?", t.ID).Select("category", "variables", "texts", "headers", "footers", "header_media",
		"status", "revision", "approval_id").Updates(t).Error
	if err == nil {
		err = tx.pgx.QueryRow(tx.ctx, `UPDATE templates SET updated_at = clock_timestamp() WHERE id = $1 RETURNING updated_at`, t.ID).Scan(&t.UpdatedAt)
	}
	return clash(err)
}

// knownTemplate locks a version, and fails with domain.Stale when it is not of the revision that its caller knows.
func (tx *Tx) knownTemplate(id uuid.UUID, known *int64) (Template, error) {
	t, err := tx.lockTemplateVersion(id)
	if err == nil && known != nil && *known != t.Revision {
		err = domain.E(domain.Stale, "template_changed", "somebody changed this version in the meantime; look at it again")
	}
	return t, err
}

// lockTemplateVersion reads a version and keeps every other writer off it until the transaction ends.
func (tx *Tx) lockTemplateVersion(id uuid.UUID) (t Template, err error) {
	err = tx.orm.Clauses(clause.Locking{Strength: "UPDATE"}).First(&t, "id = ?", id).Error
	return t, notFound(err, "template", id)
}

// keepTemplate keeps a version as it is until the transaction ends.
func (tx *Tx) keepTemplate(id uuid.UUID) error {
	_, err := tx.pgx.Exec(tx.ctx, `SELECT FROM templates WHERE id = $1 FOR SHARE`, id)
	return err
}

// campaignsOf counts the campaigns with a version that fit.
func (tx *Tx) campaignsOf(id uuid.UUID, which string) (n int, err error) {
	err = tx.pgx.QueryRow(tx.ctx, `SELECT count(*) FROM campaigns WHERE template_id = $1 AND `+which, id).Scan(&n)
	return n, err
}

// templateOfKey is what the same request made before; without an id: nothing.
func (s *Store) templateOfKey(ctx context.Context, n NewTemplate) (t Template, err error) {
	if n.IdempotencyKey == "" {
		return t, nil
	}
	if err := s.orm.WithContext(ctx).Limit(1).Find(&t, "idempotency_key = ?", n.IdempotencyKey).Error; err != nil {
		return t, unavailable(err)
	}
	if t.ID != uuid.Nil && !bytes.Equal(t.RequestHash, n.RequestHash) {
		return t, domain.E(domain.Invalid, "idempotency_key_reused", "this Idempotency-Key was used for another request").About("Idempotency-Key")
	}
	return t, nil
}

// clash says what a version is in the way of.
func clash(err error) error {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || pg.Code != "23505" {
		return err
	}
	if pg.ConstraintName == "templates_written" {
		return domain.E(domain.Conflict, "version_being_written", "another version of this template is being written or reviewed: go on with that one")
	}
	return domain.E(domain.Conflict, "template_exists", "there is a template of this name: make a new version of it").About("name")
}

// templateRefused enters a refusal in the audit log, in a transaction of its own, and returns err.
func (s *Store) templateRefused(ctx context.Context, id uuid.UUID, what string, err error) error {
	if err == nil {
		return nil
	}
	switch domain.KindOf(err) {
	case domain.Conflict, domain.Stale, domain.Forbidden, domain.Invalid:
	default:
		return err
	}
	failed := s.Enter(ctx, audit.Entry{Action: "template.refused", Target: templateSubject(id).String(),
		Diff: map[string]any{"what": what, "code": domain.CodeOf(err)}})
	if failed != nil {
		return errors.Join(err, failed)
	}
	return err
}
