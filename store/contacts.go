package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/lib/pq"
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
	OptedInAt   *time.Time     `gorm:"->"` // follows the consent history; nobody else writes it
	OptInSource string         `gorm:"->"`
	CreatedAt   time.Time
	UpdatedAt   time.Time
	MSISDNHash  []byte `gorm:"column:msisdn_hash"` // as the opt-out registry has it; nil: not computed yet

	BarCode, BarName string `gorm:"-"` // "" without a bar
	OptedOut         bool   `gorm:"-"` // in the registry now
}

// The consents to look for.
const (
	ConsentAgreed    = "agreed"    // the last word was yes
	ConsentWithdrawn = "withdrawn" // it was no
	ConsentNone      = "none"      // there never was one
)

// ContactFilter says which contacts; what is empty does not matter, and all that is given must hold.
type ContactFilter struct {
	Country  string         // ISO 3166-1 alpha-2
	Tag      string         // one of theirs
	Bar      string         // its code
	Locale   string         // BCP 47
	Consent  string         // ConsentAgreed, ConsentWithdrawn or ConsentNone
	OptedOut *bool          // in the registry, or not
	Name     string         // it begins like this, whatever the case
	MSISDN   contact.MSISDN // this one
}

// where is the filter as SQL about contacts c, and its arguments.
func (f ContactFilter) where() (string, []any) {
	all := []string{"true"}
	var args []any
	add := func(sql string, arg any) {
		args = append(args, arg)
		all = append(all, strings.ReplaceAll(sql, "?", fmt.Sprintf("$%d", len(args))))
	}
	if f.Country != "" {
		add("c.country = ?", f.Country)
	}
	if f.Tag != "" {
		add("c.tags @> ARRAY[?]::text[]", f.Tag)
	}
	if f.Bar != "" {
		add("c.bar_id = (SELECT id FROM bars WHERE code = ?)", f.Bar)
	}
	if f.Locale != "" {
		add("c.locale = ?", f.Locale)
	}
	if f.Name != "" {
		add("lower(c.name) LIKE lower(?::text)", likeEscaper.Replace(f.Name)+"%")
	}
	if f.MSISDN != "" {
		add("c.msisdn = ?", string(f.MSISDN))
	}
	switch f.Consent {
	case ConsentAgreed:
		all = append(all, "c.opted_in_at IS NOT NULL")
	case ConsentWithdrawn:
		all = append(all, "c.opted_in_at IS NULL AND EXISTS (SELECT FROM contact_consents h WHERE h.contact_id = c.id)")
	case ConsentNone:
		all = append(all, "c.opted_in_at IS NULL AND NOT EXISTS (SELECT FROM contact_consents h WHERE h.contact_id = c.id)")
	}
	if f.OptedOut != nil {
		not := map[bool]string{true: "", false: "NOT "}[*f.OptedOut]
		all = append(all, not+"EXISTS (SELECT FROM opt_outs o WHERE o.msisdn_hash = c.msisdn_hash)")
	}
	return strings.Join(all, " AND "), args
}

var likeEscaper = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

const contactColumns = `c.id, c.msisdn, c.name, c.country, c.locale, c.zone, c.tags, c.bar_id, c.opted_in_at, c.opt_in_source,
	c.created_at, c.updated_at, c.msisdn_hash, coalesce(b.code, ''), coalesce(b.name, ''),
	EXISTS (SELECT FROM opt_outs o WHERE o.msisdn_hash = c.msisdn_hash)`

func scanContact(row pgx.CollectableRow) (c Contact, err error) {
	return c, row.Scan(&c.ID, &c.MSISDN, &c.Name, &c.Country, &c.Locale, &c.Zone, (*[]string)(&c.Tags), &c.BarID, &c.OptedInAt, &c.OptInSource,
		&c.CreatedAt, &c.UpdatedAt, &c.MSISDNHash, &c.BarCode, &c.BarName, &c.OptedOut)
}

// Contacts lists contacts by number, those after the number `after` first; at most limit (1 to 1,000).
func (s *Store) Contacts(ctx context.Context, f ContactFilter, after contact.MSISDN, limit int) ([]Contact, error) {
	if err := s.hashContacts(ctx); err != nil { // the registry is asked by hash
		return nil, err
	}
	where, args := f.where()
	args = append(args, string(after), page(limit))
	rows, err := s.pool.Query(ctx, fmt.Sprintf(`SELECT %s FROM contacts c LEFT JOIN bars b ON b.id = c.bar_id
		WHERE %s AND c.msisdn > $%d ORDER BY c.msisdn LIMIT $%d`, contactColumns, where, len(args)-1, len(args)), args...)
	if err != nil {
		return nil, unavailable(err)
	}
	all, err := pgx.CollectRows(rows, scanContact)
	return all, unavailable(err)
}

// Contact returns one contact.
func (s *Store) Contact(ctx context.Context, id uuid.UUID) (Contact, error) {
	if err := s.hashContacts(ctx); err != nil {
		return Contact{}, err
	}
	return contactBy(ctx, s.pool, id)
}

func contactBy(ctx context.Context, db querier, id uuid.UUID) (Contact, error) {
	rows, err := db.Query(ctx, `SELECT `+contactColumns+` FROM contacts c LEFT JOIN bars b ON b.id = c.bar_id WHERE c.id = $1`, id)
	if err != nil {
		return Contact{}, unavailable(err)
	}
	c, err := pgx.CollectExactlyOneRow(rows, scanContact)
	return c, notFound(err, "contact", id)
}

// ContactOf returns the contact with this number, or nil.
func (s *Store) ContactOf(ctx context.Context, m contact.MSISDN) (*Contact, error) {
	found, err := s.Contacts(ctx, ContactFilter{MSISDN: m}, "", 1)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// AddContact adds a contact, and the consent of one with OptedInAt; domain.Conflict when the number is there already.
func (s *Store) AddContact(ctx context.Context, c Contact) (Contact, error) {
	c.ID, c.MSISDNHash = uuid.Must(uuid.NewV7()), s.pepper.Hash(c.MSISDN)
	if c.Tags == nil {
		c.Tags = pq.StringArray{}
	}
	err := s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		row := c // Create writes into it what the trigger has yet to say
		made := tx.orm.Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "msisdn"}}, DoNothing: true}).Create(&row)
		if made.Error == nil && made.RowsAffected == 0 {
			return audit.Entry{}, domain.E(domain.Conflict, "contact_exists", "this number is a contact already").About("msisdn")
		}
		if made.Error != nil {
			return audit.Entry{}, made.Error
		}
		if c.OptedInAt != nil {
			if err := tx.consent(c.ID, Consent{At: *c.OptedInAt, Granted: true, Source: consentSource(ctx), Reference: c.OptInSource}); err != nil {
				return audit.Entry{}, err
			}
		}
		var err error
		c, err = contactBy(ctx, tx.pgx, c.ID)
		return audit.Entry{Action: "contact.added", Target: "contact/" + c.ID.String()}, err
	})
	return c, err
}

// ContactChange is what becomes different of a contact. What is nil stays as it is.
type ContactChange struct {
	Name, Locale, Zone *string // the last two checked; "" for none
	Tags               *[]string
	Bar                *string    // its code; "" for none
	Known              *time.Time // UpdatedAt of the contact that is to be changed; nil: as it is
}

// ChangeContact changes a contact. It fails with domain.Stale of code contact_changed when it is not any more what its
// caller knew, and with domain.Invalid about "bar" for a code that no bar has.
func (s *Store) ChangeContact(ctx context.Context, id uuid.UUID, to ContactChange) (c Contact, err error) {
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		if _, err := tx.pgx.Exec(ctx, `SELECT FROM contacts WHERE id = $1 FOR UPDATE`, id); err != nil {
			return audit.Entry{}, err
		}
		was, err := contactBy(ctx, tx.pgx, id)
		if err != nil {
			return audit.Entry{}, err
		}
		if to.Known != nil && !to.Known.Equal(was.UpdatedAt) {
			return audit.Entry{}, domain.E(domain.Stale, "contact_changed", "somebody changed the contact meanwhile: load it again")
		}
		columns, diff := map[string]any{"updated_at": time.Now()}, map[string]any{}
		if n := to.Name; n != nil && *n != was.Name {
			columns["name"], diff["name"] = *n, "changed" // the log knows no names
		}
		for column, v := range map[string][2]*string{"locale": {to.Locale, &was.Locale}, "zone": {to.Zone, &was.Zone}} {
			if v[0] != nil && *v[0] != *v[1] {
				columns[column], diff[column] = *v[0], []string{*v[1], *v[0]}
			}
		}
		if t := to.Tags; t != nil && !slices.Equal(*t, was.Tags) {
			columns["tags"], diff["tags"] = pq.StringArray(append([]string{}, *t...)), [][]string{was.Tags, *t}
		}
		if b := to.Bar; b != nil && *b != was.BarCode {
			var bar *uuid.UUID
			if *b != "" {
				if bar, err = tx.barCalled(*b); err != nil {
					return audit.Entry{}, err
				}
			}
			columns["bar_id"], diff["bar"] = bar, []string{was.BarCode, *b}
		}
		if err := tx.orm.Model(&Contact{}).Where("id = ?", id).Updates(columns).Error; err != nil {
			return audit.Entry{}, err
		}
		c, err = contactBy(ctx, tx.pgx, id)
		return audit.Entry{Action: "contact.changed", Target: "contact/" + id.String(), Diff: diff}, err
	})
	return c, err
}

func (tx *Tx) barCalled(code string) (*uuid.UUID, error) {
	var id *uuid.UUID
	err := tx.pgx.QueryRow(tx.ctx, `SELECT (SELECT id FROM bars WHERE code = $1 AND deleted_at IS NULL)`, code).Scan(&id)
	if err == nil && id == nil {
		err = domain.E(domain.Invalid, "unknown_bar", "no bar has this code").About("bar")
	}
	return id, err
}
