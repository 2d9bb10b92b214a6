package store

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"

	"github.com/jackc/pgx/v5"

	"lastcall/domain"
	"lastcall/domain/audience"
	"lastcall/domain/audit"
	"lastcall/domain/contact"
)

// ContactImport is what a file of contacts did: Lines = Invalid + Duplicates + Added + Changed + Same.
type ContactImport struct {
	Lines      int64 `json:"lines" doc:"Below the header, without blank ones"`
	Invalid    int64 `json:"invalid"`
	Duplicates int64 `json:"duplicates" doc:"Later lines of a number that the file had before"`
	Added      int64 `json:"added"`
	Changed    int64 `json:"changed"`
	Same       int64 `json:"same" doc:"Contacts that were like this already"`
	Consents   int64 `json:"consents" doc:"Words about marketing that were recorded"`
	Withdrawn  int64 `json:"withdrawn" doc:"Contacts that once withdrew their consent: without a date in the file it stays withdrawn"`
	OptedOut   int64 `json:"opted_out" doc:"Of the file's contacts, in the opt-out registry: they stay there"`

	IgnoredColumns []string     `json:"ignored_columns" doc:"Columns that nothing uses"`
	BadLines       []ImportLine `json:"bad_lines" doc:"The first 1,000 lines that could not be used, in order"`
}

// shownContactLines is how many bad lines a ContactImport tells; all are counted.
const shownContactLines = 1000

// ImportContacts streams a file of contacts in: all of its good lines or, when it cannot be read to its end, none. By
// number they are added or changed: what the file leaves empty stays as it was, tags are added, or take the place of
// those there were. Memory does not grow with the file. A claim of consent is recorded as of its date; one without a
// date as of now, and only for who never said anything else. It fails as Import does.
func (s *Store) ImportContacts(ctx context.Context, from *audience.ContactReader, replaceTags bool) (done ContactImport, err error) {
	in := &incomingContacts{from: from, hash: s.pepper, most: shownContactLines}
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		if in.lines > 0 {
			return audit.Entry{}, errReadTwice
		}
		done = ContactImport{IgnoredColumns: append([]string{}, from.Ignored()...)}
		if err := tx.readFile(); err != nil {
			return audit.Entry{}, err
		}
		if _, err := tx.pgx.Exec(ctx, `CREATE TEMP TABLE incoming (line bigint, msisdn text, msisdn_hash bytea, country char(2), name text,
			locale text, zone text, tags text[], bar text, agreed text, agreed_at timestamptz) ON COMMIT DROP; SET LOCAL work_mem = '64MB'`); err != nil {
			return audit.Entry{}, err
		}
		_, err := tx.pgx.CopyFrom(ctx, pgx.Identifier{"incoming"}, []string{"line", "msisdn", "msisdn_hash", "country", "name", "locale", "zone",
			"tags", "bar", "agreed", "agreed_at"}, in)
		if _, told := errors.AsType[*domain.Error](in.err); told {
			return audit.Entry{}, in.err
		}
		if in.err != nil {
			return audit.Entry{}, domain.E(domain.Invalid, "audience_unreadable", "the file could not be read to its end; nothing was imported").Because(in.err)
		}
		if err != nil {
			return audit.Entry{}, wrap(err, "copy contacts")
		}
		done.Lines, done.Invalid, done.BadLines = in.lines, in.invalid, in.bad
		if err := tx.mergeContacts(&done, replaceTags); err != nil {
			return audit.Entry{}, wrap(err, "merge contacts")
		}
		return audit.Entry{Action: "contacts.imported", Target: "contacts", Diff: map[string]any{"lines": done.Lines, "invalid": done.Invalid,
			"duplicates": done.Duplicates, "added": done.Added, "changed": done.Changed, "same": done.Same, "consents": done.Consents,
			"replace_tags": replaceTags}}, nil
	})
	return done, err
}

// mergeContacts makes contacts of the rows in incoming, in a handful of statements whatever their number.
func (tx *Tx) mergeContacts(done *ContactImport, replaceTags bool) error {
	actor := audit.ActorFrom(tx.ctx)
	if err := tx.firstOfEach(); err != nil {
		return err
	}
	// What a contact becomes, with the one there is locked, in the order of numbers.
	if _, err := tx.pgx.Exec(tx.ctx, `CREATE TEMP TABLE becoming ON COMMIT DROP AS
		SELECT i.*, c.id, coalesce(nullif(i.name, ''), c.name, '') AS new_name, coalesce(nullif(i.locale, ''), c.locale, '') AS new_locale,
			coalesce(nullif(i.zone, ''), c.zone, '') AS new_zone, coalesce(b.id, c.bar_id) AS new_bar,
			CASE WHEN c.id IS NULL OR $1 AND cardinality(i.tags) > 0 THEN i.tags
				WHEN i.tags <@ c.tags THEN c.tags ELSE ARRAY (SELECT DISTINCT t FROM unnest(c.tags || i.tags) t ORDER BY t) END AS new_tags
		FROM first_of_each i LEFT JOIN bars b ON i.bar <> '' AND b.code = i.bar AND b.deleted_at IS NULL
		LEFT JOIN (SELECT * FROM contacts WHERE msisdn IN (SELECT msisdn FROM first_of_each) ORDER BY msisdn FOR UPDATE) c ON c.msisdn = i.msisdn`, replaceTags); err != nil {
		return err
	}
	refused, err := tx.refuseLines(done, `DELETE FROM becoming k WHERE k.bar <> '' AND NOT EXISTS (SELECT FROM bars b WHERE b.code = k.bar AND b.deleted_at IS NULL)
		RETURNING line`, "bar", "unknown_bar", "no bar has this code")
	if err != nil {
		return err
	}
	more, err := tx.refuseLines(done, `DELETE FROM becoming WHERE cardinality(new_tags) > 50 RETURNING line`, "tags", "bad_tags",
		"with those it has, the contact would have more than 50 tags")
	if err != nil {
		return err
	}
	done.Invalid += refused + more
	changed, err := tx.pgx.Exec(tx.ctx, `UPDATE contacts c SET name = k.new_name, locale = k.new_locale, zone = k.new_zone, bar_id = k.new_bar, tags = k.new_tags,
			updated_at = clock_timestamp()
		FROM becoming k WHERE c.id = k.id
		  AND (c.name, c.locale, c.zone, c.bar_id, c.tags) IS DISTINCT FROM (k.new_name, k.new_locale, k.new_zone, k.new_bar, k.new_tags)`)
	if err != nil {
		return err
	}
	var kept int64
	if err := tx.pgx.QueryRow(tx.ctx, `SELECT count(id) FROM becoming`).Scan(&kept); err != nil {
		return err
	}
	added, err := tx.pgx.Exec(tx.ctx, `INSERT INTO contacts (id, msisdn, msisdn_hash, country, name, locale, zone, bar_id, tags)
		SELECT gen_random_uuid(), msisdn, msisdn_hash, country, new_name, new_locale, new_zone, new_bar, new_tags
		FROM becoming WHERE id IS NULL ORDER BY msisdn ON CONFLICT (msisdn) DO NOTHING`)
	if err != nil {
		return err
	}
	done.Added, done.Changed, done.Same = added.RowsAffected(), changed.RowsAffected(), kept-changed.RowsAffected()
	done.Duplicates = done.Lines - done.Invalid - done.Added - done.Changed - done.Same // those that others added just now among them
	consents, err := tx.pgx.Exec(tx.ctx, `INSERT INTO contact_consents (contact_id, at, granted, source, reference, actor_kind, actor)
		SELECT c.id, coalesce(k.agreed_at, clock_timestamp()), true, 'import', k.agreed, $1, $2
		FROM becoming k JOIN contacts c ON c.msisdn = k.msisdn
		WHERE k.agreed <> '' AND CASE WHEN k.agreed_at IS NULL THEN NOT EXISTS (SELECT FROM contact_consents h WHERE h.contact_id = c.id)
			ELSE NOT EXISTS (SELECT FROM contact_consents h WHERE h.contact_id = c.id AND h.at = k.agreed_at AND h.granted) END`, actor.Kind, actor.Name)
	if err != nil {
		return err
	}
	done.Consents = consents.RowsAffected()
	return tx.pgx.QueryRow(tx.ctx, `SELECT count(*) FILTER (WHERE k.agreed <> '' AND k.agreed_at IS NULL AND c.opted_in_at IS NULL),
			count(*) FILTER (WHERE EXISTS (SELECT FROM opt_outs o WHERE o.msisdn_hash = k.msisdn_hash))
		FROM becoming k JOIN contacts c ON c.msisdn = k.msisdn`).Scan(&done.Withdrawn, &done.OptedOut)
}

// firstOfEach keeps of the rows in incoming each number's first.
func (tx *Tx) firstOfEach() error {
	_, err := tx.pgx.Exec(tx.ctx, `CREATE TEMP TABLE first_of_each ON COMMIT DROP AS SELECT DISTINCT ON (msisdn) * FROM incoming ORDER BY msisdn, line`)
	if err == nil {
		_, err = tx.pgx.Exec(tx.ctx, `ANALYZE first_of_each`)
	}
	return err
}

// refuseLines takes lines out and tells of the first of them.
func (tx *Tx) refuseLines(done *ContactImport, sql, field, code, reason string) (int64, error) {
	var n, told int64
	rows, err := tx.pgx.Query(tx.ctx, `WITH gone AS (`+sql+`) SELECT line, count(*) OVER () FROM gone ORDER BY line LIMIT $1`, shownContactLines)
	if err != nil {
		return 0, err
	}
	var line int64
	_, err = pgx.ForEachRow(rows, []any{&line, &n}, func() error {
		done.BadLines = append(done.BadLines, ImportLine{Line: line, Field: field, Code: code, Reason: reason})
		told++
		return nil
	})
	if told > 0 {
		slices.SortFunc(done.BadLines, func(a, b ImportLine) int { return cmp.Compare(a.Line, b.Line) })
		done.BadLines = done.BadLines[:min(len(done.BadLines), shownContactLines)]
	}
	return n, err
}

// incomingContacts feeds a file to COPY and keeps count of what it could not take.
type incomingContacts struct {
	from    *audience.ContactReader
	hash    contact.Pepper
	most    int // bad lines to keep
	row     audience.ContactRow
	lines   int64
	invalid int64
	bad     []ImportLine
	err     error
}

// Next is pgx.CopyFromSource.
func (in *incomingContacts) Next() bool {
	for {
		row, err := in.from.Next()
		if errors.Is(err, io.EOF) {
			return false
		}
		in.lines++
		if bad, ok := errors.AsType[*audience.BadLine](err); ok {
			in.invalid++
			if len(in.bad) < in.most {
				in.bad = append(in.bad, ImportLine{Line: int64(bad.Line), Field: bad.Field, Code: bad.Code, Reason: bad.Reason})
			}
			continue
		}
		in.row, in.err = row, err
		return err == nil
	}
}

// Values is pgx.CopyFromSource.
func (in *incomingContacts) Values() ([]any, error) {
	r := in.row
	return []any{int64(r.Line), string(r.Number.MSISDN), in.hash.Hash(r.Number.MSISDN), r.Number.Country, r.Name, r.Locale, r.Zone,
		append([]string{}, r.Tags...), r.Bar, r.Agreed, r.AgreeAt}, nil
}

// Err is pgx.CopyFromSource.
func (in *incomingContacts) Err() error { return in.err }

// ExportContacts calls each for every contact that fits, by number, without holding them all. An error of each ends it.
func (s *Store) ExportContacts(ctx context.Context, f ContactFilter, each func(Contact) error) error {
	for after := contact.MSISDN(""); ; {
		page, err := s.Contacts(ctx, f, after, exportPage)
		if err != nil {
			return err
		}
		for _, c := range page {
			if err := each(c); err != nil {
				return err
			}
		}
		if len(page) < exportPage {
			return nil
		}
		after = page[len(page)-1].MSISDN
	}
}

const exportPage = 1000
