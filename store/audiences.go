package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain"
	"lastcall/domain/audience"
	"lastcall/domain/audit"
	"lastcall/domain/contact"
	"lastcall/domain/template"
)

// AudienceCount is what a filter of contacts would add to a campaign: contacts = invalid + duplicates + targets.
type AudienceCount struct {
	Contacts   int64 `json:"contacts" doc:"That match"`
	Invalid    int64 `json:"invalid" doc:"Of them, without a name, which the template needs"`
	Duplicates int64 `json:"duplicates" doc:"Of them, in the campaign already"`
	Targets    int64 `json:"targets" doc:"That it would get"`
	OptedOut   int64 `json:"opted_out" doc:"Of these, in the registry now: they will not be written to"`
	NoConsent  int64 `json:"no_consent" doc:"Of these, without a recorded opt-in, which marketing needs"`
}

// AddAudience makes targets of the contacts that match a filter, all or none, without their leaving the database. Their
// locale and zone are the contacts', else their country's; the template's variable name is the contact's name. It fails as Import does, with
// domain.Invalid of code missing_variable when the template needs what contacts do not have, and unknown_bar.
func (s *Store) AddAudience(ctx context.Context, id uuid.UUID, f audience.Filter) (Import, error) {
	q, err := s.matching(ctx, id, f)
	if err != nil {
		return Import{}, err
	}
	imp := newImport(id, SourceContacts)
	if imp.Filter, err = json.Marshal(f); err != nil {
		return imp, err
	}
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		if err := tx.openForImport(id); err != nil {
			return audit.Entry{}, err
		}
		countries, zones := countryZones()
		fixed, err := json.Marshal(q.fixed)
		if err != nil {
			return audit.Entry{}, err
		}
		from := fmt.Sprintf(`FROM contacts c LEFT JOIN unnest(%s::text[], %s::text[]) z(country, zone) ON z.country = c.country WHERE %s`,
			q.arg(countries), q.arg(zones), q.where)
		variables, named := q.arg(fixed)+"::jsonb", "false"
		if q.named {
			variables += ` || CASE WHEN c.name = '' THEN '{}' ELSE jsonb_build_object('name', c.name) END`
		}
		if q.nameless {
			named = `c.name = ''`
		}
		if _, err := tx.pgx.Exec(tx.ctx, `CREATE TEMP TABLE placed ON COMMIT DROP AS SELECT 0::bigint AS line, c.msisdn, c.msisdn_hash,
			nullif(`+variables+`, '{}') AS variables, c.country, coalesce(nullif(c.zone, ''), z.zone, '') AS zone, c.locale, `+named+` AS nameless `+
			from, q.args...); err != nil {
			return audit.Entry{}, wrap(err, "place contacts")
		}
		var unhashed int64
		if err := tx.pgx.QueryRow(tx.ctx, `SELECT count(*), count(*) FILTER (WHERE nameless), count(*) FILTER (WHERE msisdn_hash IS NULL) FROM placed`).
			Scan(&imp.Lines, &imp.Invalid, &unhashed); err != nil {
			return audit.Entry{}, err
		}
		if unhashed > 0 { // added this very moment by somebody who knows no hashes
			return audit.Entry{}, domain.E(domain.Unavailable, "contacts_changing", "contacts are being added; try again")
		}
		if imp.Invalid > 0 {
			if _, err := tx.pgx.Exec(tx.ctx, `DELETE FROM placed WHERE nameless`); err != nil {
				return audit.Entry{}, err
			}
		}
		if imp.Targets, err = tx.mergePlaced(id); err != nil {
			return audit.Entry{}, err
		}
		err = tx.finishImport(&imp)
		return imp.entry(), err
	})
	return imp, err
}

// CountAudience counts what AddAudience would do.
func (s *Store) CountAudience(ctx context.Context, id uuid.UUID, f audience.Filter) (n AudienceCount, err error) {
	q, err := s.matching(ctx, id, f)
	if err != nil {
		return n, err
	}
	err = s.pool.QueryRow(ctx, fmt.Sprintf(`SELECT count(*), count(*) FILTER (WHERE nameless), count(*) FILTER (WHERE known AND NOT nameless),
			count(*) FILTER (WHERE fresh), count(*) FILTER (WHERE fresh AND out), count(*) FILTER (WHERE fresh AND NOT agreed)
		FROM (SELECT *, NOT known AND NOT nameless AS fresh FROM (
			SELECT t.id IS NOT NULL AS known, o.msisdn_hash IS NOT NULL AS out, c.opted_in_at IS NOT NULL OR %s::bool AS agreed, %s::bool AND c.name = '' AS nameless
			FROM contacts c LEFT JOIN targets t ON t.campaign_id = %s AND t.msisdn = c.msisdn LEFT JOIN opt_outs o ON o.msisdn_hash = c.msisdn_hash
			WHERE %s) m) f`, q.arg(!q.marketing), q.arg(q.nameless), q.arg(id), q.where), q.args...).
		Scan(&n.Contacts, &n.Invalid, &n.Duplicates, &n.Targets, &n.OptedOut, &n.NoConsent)
	return n, unavailable(err)
}

// match is a filter of contacts as SQL, and what the campaign's template makes of a contact.
type match struct {
	where     string // about contacts c
	args      []any
	fixed     map[string]string // variables that have one value for all
	named     bool              // the template's variable name is the contact's
	nameless  bool              // and has no default
	marketing bool
}

// arg adds an argument and returns its placeholder.
func (m *match) arg(v any) string {
	m.args = append(m.args, v)
	return fmt.Sprintf("$%d", len(m.args))
}

// matching makes SQL of a filter that was checked. What nobody asked about is not in it, so that indexes serve the rest.
func (s *Store) matching(ctx context.Context, id uuid.UUID, f audience.Filter) (*match, error) {
	c, err := s.Campaign(ctx, id)
	if err != nil {
		return nil, err
	}
	t, err := s.Template(ctx, c.TemplateID)
	if err != nil {
		return nil, err
	}
	m := &match{fixed: map[string]string{}, marketing: t.Category == template.Marketing}
	for name, text := range c.Variables {
		if text != "" {
			m.fixed[name] = text
		}
	}
	for _, v := range c.Asks(t) {
		switch {
		case m.fixed[v.Name] != "":
		case v.Name == "name":
			m.named, m.nameless = true, v.Default == ""
		case v.Default == "":
			return nil, domain.E(domain.Invalid, "missing_variable", "the template needs a value that contacts do not have; give the campaign one for all").
				About("variables." + v.Name)
		}
	}
	var all []string
	if len(f.Tags) > 0 {
		operator := "&&"
		if f.TagsMatch == audience.MatchAll {
			operator = "@>"
		}
		all = append(all, "c.tags "+operator+" "+m.arg(f.Tags)+"::text[]")
	}
	if len(f.Bars) > 0 {
		bars, err := s.barIDs(ctx, f.Bars)
		if err != nil {
			return nil, err
		}
		all = append(all, "c.bar_id = ANY ("+m.arg(bars)+"::uuid[])")
	}
	if len(f.Countries) > 0 {
		all = append(all, "c.country = ANY ("+m.arg(f.Countries)+"::char(2)[])")
	}
	if len(f.Locales) > 0 {
		all = append(all, "c.locale = ANY ("+m.arg(f.Locales)+"::text[])")
	}
	if m.where = strings.Join(all, " AND "); m.where == "" {
		return nil, domain.E(domain.Invalid, "empty_filter", "a filter that chooses nobody in particular")
	}
	return m, s.hashContacts(ctx)
}

// barIDs are the ids of bars by their codes; domain.Invalid of code unknown_bar for one that is not there.
func (s *Store) barIDs(ctx context.Context, codes []string) ([]uuid.UUID, error) {
	var bars []Bar
	if err := s.orm.WithContext(ctx).Where("code IN ?", codes).Find(&bars).Error; err != nil {
		return nil, unavailable(err)
	}
	ids := make([]uuid.UUID, len(bars))
	for i, b := range bars {
		ids[i] = b.ID
	}
	for _, code := range codes {
		if !slices.ContainsFunc(bars, func(b Bar) bool { return b.Code == code }) {
			return nil, domain.E(domain.Invalid, "unknown_bar", "there is no bar %.40q", code).About("bars")
		}
	}
	return ids, nil
}

// hashContacts computes the hashes of contacts that have none. Whoever adds a contact here gives it one, so there
// are some only once, after others have filled the table.
func (s *Store) hashContacts(ctx context.Context) error {
	const atOnce = 10_000
	var last uuid.UUID
	for {
		rows, err := s.pool.Query(ctx, `SELECT id, msisdn FROM contacts WHERE msisdn_hash IS NULL AND id > $2 ORDER BY id LIMIT $1`, atOnce, last)
		if err != nil {
			return unavailable(err)
		}
		var ids []uuid.UUID
		var numbers []contact.MSISDN
		var id uuid.UUID
		var number contact.MSISDN
		if _, err := pgx.ForEachRow(rows, []any{&id, &number}, func() error {
			ids, numbers = append(ids, id), append(numbers, number)
			return nil
		}); err != nil || len(ids) == 0 {
			return unavailable(err)
		}
		last = id
		if _, err := s.pool.Exec(ctx, `UPDATE contacts c SET msisdn_hash = h.hash FROM unnest($1::uuid[], $2::text[], $3::bytea[]) h(id, msisdn, hash)
			WHERE c.id = h.id AND c.msisdn = h.msisdn`, ids, numbers, s.hashes(numbers)); err != nil {
			return unavailable(err)
		}
	}
}

// countryZones are the countries that have one clock, and their zones.
func countryZones() (countries, zones []string) {
	for country, zone := range contact.CountryZones() {
		countries, zones = append(countries, country), append(zones, zone)
	}
	return countries, zones
}

// Facets are the values that contacts can be chosen by, each with how many have it, the most frequent first.
type Facets struct {
	Contacts  int64   `json:"contacts" doc:"All of them"`
	Tags      []Facet `json:"tags"`
	Bars      []Facet `json:"bars"`
	Countries []Facet `json:"countries"`
	Locales   []Facet `json:"locales"`
}

// Facet is one such value.
type Facet struct {
	Value    string `json:"value" doc:"As a filter takes it; of bars, the code"`
	Name     string `json:"name,omitempty" doc:"Of bars"`
	Contacts int64  `json:"contacts"`
}

// Facets counts contacts by tag, bar, country and locale: of each kind the 500 most frequent.
func (s *Store) Facets(ctx context.Context) (f Facets, err error) {
	const most = ` ORDER BY 3 DESC, 1 LIMIT 500`
	for _, kind := range []struct {
		into *[]Facet
		sql  string
	}{
		// Many contacts share few combinations of tags.
		{&f.Tags, `SELECT tag, '', sum(n)::bigint FROM (SELECT tags, count(*) AS n FROM contacts GROUP BY tags) c, unnest(tags) tag GROUP BY tag` + most},
		{&f.Bars, `SELECT b.code, b.name, n.contacts FROM (SELECT bar_id, count(*) AS contacts FROM contacts WHERE bar_id IS NOT NULL GROUP BY bar_id) n
			JOIN bars b ON b.id = n.bar_id` + most},
		{&f.Countries, `SELECT country, '', count(*) FROM contacts GROUP BY country` + most},
		{&f.Locales, `SELECT locale, '', sum(n)::bigint FROM (SELECT country, locale, count(*) AS n FROM contacts GROUP BY country, locale) p
			WHERE locale <> '' GROUP BY locale` + most},
	} {
		rows, err := s.pool.Query(ctx, kind.sql)
		if err != nil {
			return f, unavailable(err)
		}
		if *kind.into, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Facet]); err != nil {
			return f, unavailable(err)
		}
		if *kind.into == nil {
			*kind.into = []Facet{}
		}
	}
	for _, c := range f.Countries {
		f.Contacts += c.Contacts
	}
	return f, nil
}
