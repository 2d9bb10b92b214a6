package store

import (
	"context"
	"slices"
	"time"

	"gorm.io/gorm/clause"

	"lastcall/domain"
	"lastcall/domain/audit"
	"lastcall/domain/delivery"
	"lastcall/domain/policy"
)

// TemplateState is how a template stands with the provider, in one language or in all. While it is not active no
// campaign with the template gets a permit for recipients of that language.
type TemplateState struct {
	Name     string                 `gorm:"primaryKey" json:"name"`
	Language string                 `gorm:"primaryKey" json:"language"` // BCP 47; "" for all
	State    delivery.TemplateState `json:"state"`
	Source   string                 `json:"source"`   // who said so: webhook, send, trial or operator
	Code     int                    `json:"code"`     // the provider's, if a send found out
	Note     string                 `json:"note"`     // the provider's reason, or the operator's
	At       time.Time              `json:"at"`       // the provider's clock, of the newest event known
	Pauses   int                    `json:"pauses"`   // so far: the provider pauses for longer each time
	Since    time.Time              `json:"since"`    // it has stood so
	RetryAt  *time.Time             `json:"retry_at"` // paused: when a send may try; nil: never by itself
	TrialBy  *string                `json:"trial_by"`
}

// TemplateChange is an event of the provider's about a template.
type TemplateChange struct {
	Name     string
	Language string // BCP 47; "" for all
	State    delivery.TemplateState
	Event    string    // the provider's word for it
	Note     string    // the provider's reason
	At       time.Time // the provider's clock
}

// Why says why the template cannot be sent, for people; "" when it can.
func (t TemplateState) Why() string {
	if t.State == delivery.TemplateActive {
		return ""
	}
	return delivery.TemplateWhy(t.Name, t.Language, t.State, t.Code, t.Note)
}

func (t TemplateState) suspension() policy.Suspension {
	s := policy.Suspension{Reason: policy.TemplateSuspended, Why: t.Why() + ". " + delivery.TemplateAdvice(t.State), NeedsHuman: true}
	if t.RetryAt != nil {
		s.Until = *t.RetryAt
	}
	return s
}

// SuspendedTemplates lists the templates that the provider does not take, by name and language.
func (s *Store) SuspendedTemplates(ctx context.Context) ([]TemplateState, error) {
	var all []TemplateState
	return all, unavailable(s.orm.WithContext(ctx).Where("state <> ?", delivery.TemplateActive).Order("name, language").Find(&all).Error)
}

// SuspendTemplate suspends a template in one language for what a send of a lane found out by the provider's
// code, since the claim was made. It is no news when it is suspended already, unless the lane had the trial; nor
// when it has become active after the claim.
func (s *Store) SuspendTemplate(ctx context.Context, l Lane, name, language string, code int, since time.Time) error {
	return s.inTx(ctx, func(tx *Tx) error { return tx.suspendTemplate(l, name, language, code, since) })
}

func (tx *Tx) suspendTemplate(l Lane, name, language string, code int, since time.Time) error {
	state, ok := delivery.SuspendsTemplate(code)
	if !ok {
		return domain.E(domain.Internal, "no_suspension", "code %d suspends no template", code)
	}
	rows, err := tx.lockTemplate(name)
	if err != nil {
		return err
	}
	old := effective(rows, name, language)
	trial := old.TrialBy != nil && *old.TrialBy == l.holder()
	if old.State != delivery.TemplateActive && !trial || old.State == delivery.TemplateActive && old.Since.After(since) {
		return nil
	}
	next := old
	if !trial {
		next.Language = language
	}
	next.State, next.Source, next.Code, next.Note = state, "send", code, ""
	return tx.templateBecomes(old, next)
}

// TemplatePassed makes a template active after a trial that went well, and wakes its campaigns. It does nothing
// when the trial is not l's any more.
func (s *Store) TemplatePassed(ctx context.Context, l Lane, name, language string) error {
	return s.inTx(ctx, func(tx *Tx) error {
		rows, err := tx.lockTemplate(name)
		if err != nil {
			return err
		}
		old := effective(rows, name, language)
		if old.State == delivery.TemplateActive || old.TrialBy == nil || *old.TrialBy != l.holder() {
			return nil
		}
		next := old
		next.State, next.Source, next.Code, next.Note = delivery.TemplateActive, "trial", 0, ""
		return tx.templateBecomes(old, next)
	})
}

// ResumeTemplate makes a suspended template active in all its languages, because somebody says that it is:
// domain.Conflict when none is suspended. What the provider told before counts no more.
func (s *Store) ResumeTemplate(ctx context.Context, name, reason string) error {
	return s.inTx(ctx, func(tx *Tx) error {
		rows, err := tx.lockTemplate(name)
		if err != nil {
			return err
		}
		suspended := false
		for _, old := range rows {
			if old.State == delivery.TemplateActive {
				continue
			}
			suspended = true
			next := old
			next.State, next.Source, next.Code, next.Note = delivery.TemplateActive, "operator", 0, reason
			if now := time.Now().UTC(); now.After(next.At) {
				next.At = now
			}
			if err := tx.templateBecomes(old, next); err != nil {
				return err
			}
		}
		if !suspended {
			return domain.E(domain.Conflict, "wrong_state", "template %s is not suspended", name)
		}
		return nil
	})
}

// applyTemplates applies the provider's events. They repeat and overtake one another: each counts once, and of
// two about the same language the later one. One about all languages counts for each.
func (tx *Tx) applyTemplates(all []TemplateChange) error {
	slices.SortStableFunc(all, func(a, b TemplateChange) int { return a.At.Compare(b.At) })
	for _, e := range all {
		done, err := tx.pgx.Exec(tx.ctx, `INSERT INTO template_events (name, language, at, event) VALUES ($1, $2, $3, $4)
			ON CONFLICT DO NOTHING`, e.Name, e.Language, e.At, e.Event)
		if err != nil {
			return wrap(err, "template event")
		}
		if done.RowsAffected() == 0 {
			continue
		}
		rows, err := tx.lockTemplate(e.Name)
		if err != nil {
			return err
		}
		concerned := []TemplateState{effective(rows, e.Name, e.Language)}
		if e.Language == "" {
			for _, row := range rows {
				if row.Language != "" {
					concerned = append(concerned, row)
				}
			}
		}
		for i, old := range concerned {
			if old.At.After(e.At) {
				continue
			}
			next := old
			if i == 0 {
				next.Language = e.Language
			}
			next.State, next.Source, next.Code, next.Note, next.At = e.State, "webhook", 0, e.Note, e.At
			if err := tx.templateBecomes(old, next); err != nil {
				return err
			}
		}
	}
	return nil
}

// effective is how a template stands in a language: by its own row, else by that of all languages, else active
// since ever.
func effective(rows []TemplateState, name, language string) TemplateState {
	found := TemplateState{Name: name, Language: language, State: delivery.TemplateActive, At: time.Unix(0, 0).UTC()}
	for _, row := range rows {
		if row.Language == language || row.Language == "" && found.Source == "" {
			found = row
		}
	}
	return found
}

// templateBecomes writes next in the place of old. What changes whether it can be sent, or why not, is entered
// in the audit log, told to Ops, and wakes its campaigns.
func (tx *Tx) templateBecomes(old, next TemplateState) error {
	var now time.Time
	var ours bool
	if err := tx.pgx.QueryRow(tx.ctx, `SELECT clock_timestamp(), EXISTS (SELECT FROM templates WHERE name = $1)`, next.Name).Scan(&now, &ours); err != nil {
		return err
	}
	changed := old.State != next.State
	if again := old.TrialBy != nil; changed || again { // or a trial failed
		if next.RetryAt = nil; next.State == delivery.TemplatePaused {
			next.Pauses++
			at := now.Add(delivery.Jitter(delivery.TemplatePause(next.Pauses), 7*time.Hour))
			next.RetryAt = &at
		}
		next.TrialBy = nil
	}
	if changed || next.Since.IsZero() {
		next.Since = now
	}
	err := tx.orm.Clauses(clause.OnConflict{UpdateAll: true}).Create(&next).Error
	if err != nil || !changed || !ours {
		return err
	}
	action, title, text, level := "template.suspended", "Template suspended: "+next.Name, next.suspension().Why, "critical"
	if next.State == delivery.TemplateActive {
		action, title, text, level = "template.resumed", "Template goes on: "+next.Name, "It was suspended: "+old.Why(), "info"
	}
	if err := tx.notify("template/"+next.Name, title, text, level); err != nil {
		return err
	}
	if err := tx.wake(`template_id IN (SELECT id FROM templates WHERE name = $2)`, next.Name); err != nil {
		return err
	}
	entry := audit.Entry{Action: action, Target: "template/" + next.Name, Diff: map[string]any{"language": next.Language,
		"state": []delivery.TemplateState{old.State, next.State}, "source": next.Source, "code": next.Code, "at": next.At}}
	if next.Source == "operator" {
		entry.Reason = next.Note
	}
	return tx.enter(entry)
}

// tryTemplate gives a lane the trial of a paused template whose time has come, unless another was quicker.
func (tx *Tx) tryTemplate(l Lane, t TemplateState) (got bool, err error) {
	done, err := tx.pgx.Exec(tx.ctx, `UPDATE template_states SET trial_by = $3, retry_at = clock_timestamp() + make_interval(secs => $4)
		WHERE name = $1 AND language = $2 AND state = 'paused' AND retry_at <= clock_timestamp()`, t.Name, t.Language, l.holder(), trialLasts.Seconds())
	return done.RowsAffected() == 1, err
}

// lockTemplate reads what is known of a template and keeps every other writer off it until the transaction ends.
func (tx *Tx) lockTemplate(name string) (rows []TemplateState, err error) {
	if _, err := tx.pgx.Exec(tx.ctx, `SELECT pg_advisory_xact_lock(hashtextextended($1, 7))`, "template/"+name); err != nil {
		return nil, err
	}
	err = tx.orm.Clauses(clause.Locking{Strength: "UPDATE"}).Order("language").Find(&rows, "name = ?", name).Error
	return rows, err
}
