package store

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/lib/pq"
	"gorm.io/gorm/clause"

	"lastcall/domain"
	"lastcall/domain/audience"
	"lastcall/domain/audit"
	"lastcall/domain/campaign"
	"lastcall/domain/contact"
)

// Import is recipients taken into a campaign: a file, or contacts. Once done, Lines = Invalid + Duplicates + Targets.
type Import struct {
	ID             uuid.UUID       `gorm:"type:uuid;primaryKey"`
	CampaignID     uuid.UUID       `gorm:"type:uuid"`
	Source         string          // SourceCSV or SourceContacts
	Filter         json.RawMessage `gorm:"type:jsonb"` // of contacts: an audience.Filter
	Options        json.RawMessage `gorm:"type:jsonb"` // of an uploaded file: an ImportOptions
	Phase          audience.Phase
	Parts          int   // of an uploaded file, received
	Bytes          int64 // of them
	StagedBytes    int64 // of them, read by the workflow
	Lines          int64 // so far: below the header, without blank ones; or contacts
	Invalid        int64
	Duplicates     int64 // inside the file and against the campaign
	Targets        int64
	IgnoredColumns pq.StringArray `gorm:"type:text[]"`
	ProblemCode    string         // failed, cancelled: why; stable
	Problem        string         // the same for people
	CreatedAt      time.Time
	UpdatedAt      time.Time
	FinishedAt     *time.Time
}

// The sources of an import.
const (
	SourceCSV      = "csv"
	SourceContacts = "contacts"
)

// ImportLine is a line an import could not take.
type ImportLine struct {
	ImportID uuid.UUID `gorm:"type:uuid;primaryKey" json:"-"`
	Line     int64     `gorm:"primaryKey" json:"line"`
	Field    string    `json:"field,omitempty"`
	Code     string    `json:"code"`
	Reason   string    `json:"reason"`
}

// keptLines is how many bad lines of an import are kept with their reasons; all are counted.
const keptLines = 10_000

// Import streams an audience into a draft: all of the file or none of it. Memory does not grow with the
// file. It fails with domain.Conflict when the campaign is no draft or another import is running, and
// with domain.Invalid when the file cannot be read to its end.
func (s *Store) Import(ctx context.Context, id uuid.UUID, from *audience.Reader) (Import, error) {
	imp := newImport(id, SourceCSV)
	imp.IgnoredColumns = append(imp.IgnoredColumns, from.Ignored()...)
	incoming := &incoming{from: from, hash: s.pepper.Hash, kept: keptLines}
	err := s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		if incoming.lines > 0 {
			return audit.Entry{}, errReadTwice
		}
		if err := tx.openForImport(id); err != nil {
			return audit.Entry{}, err
		}
		if _, err := tx.pgx.Exec(tx.ctx, `CREATE TEMP TABLE incoming (line bigint, msisdn text, msisdn_hash bytea, country char(2),
			zone text, country_zone text, locale text, variables jsonb) ON COMMIT DROP`); err != nil {
			return audit.Entry{}, err
		}
		if err := tx.copyIncoming("incoming", incoming); err != nil {
			return audit.Entry{}, err
		}
		merged, err := tx.mergeRows(id, `incoming`)
		if err != nil {
			return audit.Entry{}, err
		}
		imp.Lines, imp.Invalid, imp.Targets = incoming.lines, incoming.invalid, merged
		if err := tx.finishImport(&imp); err != nil {
			return audit.Entry{}, err
		}
		return imp.entry(), tx.keepBadLines(imp.ID, incoming.bad)
	})
	return imp, err
}

func newImport(campaign uuid.UUID, source string) Import {
	return Import{ID: uuid.Must(uuid.NewV7()), CampaignID: campaign, Source: source, Phase: audience.Uploading,
		IgnoredColumns: pq.StringArray{}, CreatedAt: time.Now()}
}

// entry is what the audit log tells of an import that is done.
func (i Import) entry() audit.Entry {
	diff := map[string]any{"import_id": i.ID, "source": i.Source, "lines": i.Lines, "invalid": i.Invalid,
		"duplicates": i.Duplicates, "targets": i.Targets}
	if len(i.Filter) > 0 {
		diff["filter"] = i.Filter
	}
	return audit.Entry{Action: "campaign.imported", Target: target(i.CampaignID), Diff: diff}
}

// finishImport writes an import that began and ends in this transaction.
func (tx *Tx) finishImport(i *Import) error {
	now := time.Now()
	i.Phase, i.FinishedAt = audience.Done, &now
	i.Duplicates = i.Lines - i.Invalid - i.Targets
	if err := tx.edited(campaignSubject(i.CampaignID)); err != nil {
		return err
	}
	return tx.orm.Clauses(clause.Returning{}).Create(i).Error
}

// openForImport makes sure that the campaign is a draft into which no other import runs, and keeps it so until the
// transaction ends.
func (tx *Tx) openForImport(id uuid.UUID) error {
	if err := tx.readFile(); err != nil {
		return err
	}
	if err := tx.noImport(id); err != nil {
		return err
	}
	var status campaign.Status
	if err := tx.pgx.QueryRow(tx.ctx, `SELECT status FROM campaigns WHERE id = $1`, id).Scan(&status); err != nil {
		return notFound(err, "campaign", id)
	}
	if status != campaign.Draft {
		return domain.E(domain.Conflict, "wrong_state", "the campaign has been started; its audience is fixed")
	}
	return nil
}

// noImport makes sure that nothing is imported into a campaign, and keeps it so until the transaction ends, or fails at
// once with domain.Conflict of code import_running. What one request does holds a lock; what takes longer has a row.
func (tx *Tx) noImport(id uuid.UUID) error {
	if err := tx.onlyOne("import/" + id.String()); err != nil {
		return err
	}
	var phase *audience.Phase
	err := tx.pgx.QueryRow(tx.ctx, `SELECT (SELECT phase FROM imports WHERE campaign_id = $1
		AND phase IN ('uploading', 'staging', 'merging'))`, id).Scan(&phase)
	if err == nil && phase != nil {
		return domain.E(domain.Conflict, "import_running", "an import into this campaign is %s: wait for its end, or cancel it", *phase)
	}
	return err
}

// ImportLines lists the bad lines of an import in order, those after the line `after`.
func (s *Store) ImportLines(ctx context.Context, importID uuid.UUID, after int64, limit int) ([]ImportLine, error) {
	lines := []ImportLine{}
	err := s.orm.WithContext(ctx).Where("import_id = ? AND line > ?", importID, after).Order("line").Limit(page(limit)).Find(&lines).Error
	return lines, unavailable(err)
}

// keepBadLines keeps what was said of lines, once: what was said before stays.
func (tx *Tx) keepBadLines(id uuid.UUID, bad []audience.BadLine) error {
	if len(bad) == 0 {
		return nil
	}
	lines := make([]ImportLine, len(bad))
	for i, b := range bad {
		lines[i] = ImportLine{id, int64(b.Line), b.Field, b.Code, b.Reason}
	}
	const atOnce = 1000
	return wrap(tx.orm.Clauses(clause.OnConflict{DoNothing: true}).CreateInBatches(&lines, atOnce).Error, "keep bad lines")
}

var errReadTwice = errors.New("an import cannot be read twice")

var rowColumns = []string{"line", "msisdn", "msisdn_hash", "country", "zone", "country_zone", "locale", "variables"}

func (tx *Tx) copyIncoming(table string, rows *incoming) error {
	columns := rowColumns
	if rows.id != uuid.Nil {
		columns = append([]string{"import_id"}, columns...)
	}
	_, err := tx.pgx.CopyFrom(tx.ctx, pgx.Identifier{table}, columns, rows)
	if _, told := errors.AsType[*domain.Error](rows.err); told || rows.err != nil && rows.id != uuid.Nil {
		return rows.err // an upload is there to be read again
	}
	if rows.err != nil {
		return domain.E(domain.Invalid, "audience_unreadable", "the file could not be read to its end; nothing was imported").Because(rows.err)
	}
	return wrap(err, "copy audience")
}

// mergeRows makes targets of rows as an import reads them: one a number, the file's first line of it, none for a number
// the campaign has. What the file leaves open about zone and locale its contact tells, else its country.
func (tx *Tx) mergeRows(id uuid.UUID, from string, args ...any) (int64, error) {
	// Duplicates are taken out by sorting, in memory up to some hundred thousand rows: with ON CONFLICT each row
	// would be looked up and written twice. No other import into this campaign is running. Nobody counts the rows of
	// a file for the planner, which would look each one's contact up.
	if _, err := tx.pgx.Exec(tx.ctx, `SET LOCAL work_mem = '64MB'; SET LOCAL enable_nestloop = off`); err != nil {
		return 0, wrap(err, "place audience")
	}
	if _, err := tx.pgx.Exec(tx.ctx, `CREATE TEMP TABLE placed ON COMMIT DROP AS
		SELECT DISTINCT ON (i.msisdn) i.line, i.msisdn, i.msisdn_hash, i.variables, i.country,
			coalesce(nullif(i.zone, ''), nullif(c.zone, ''), i.country_zone) AS zone,
			coalesce(nullif(i.locale, ''), c.locale, '') AS locale
		FROM `+from+` i LEFT JOIN contacts c USING (msisdn) ORDER BY i.msisdn, i.line`, args...); err != nil {
		return 0, wrap(err, "place audience")
	}
	if _, err := tx.pgx.Exec(tx.ctx, `SET LOCAL enable_nestloop = on`); err != nil {
		return 0, wrap(err, "place audience")
	}
	return tx.mergePlaced(id)
}

// mergePlaced makes targets of the rows in the temporary table placed, one a number, none for a number the campaign
// has, and returns how many.
func (tx *Tx) mergePlaced(id uuid.UUID) (int64, error) {
	_, err := tx.pgx.Exec(tx.ctx, `INSERT INTO cohorts (campaign_id, id, country, zone, locale)
		SELECT $1, (SELECT coalesce(max(id), 0) FROM cohorts WHERE campaign_id = $1) + row_number() OVER (ORDER BY country, zone, locale),
			country, zone, locale
		FROM (SELECT DISTINCT country, zone, locale FROM placed
			EXCEPT SELECT country, zone, locale FROM cohorts WHERE campaign_id = $1) g`, id)
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "22003" {
		return 0, domain.E(domain.Invalid, "too_many_cohorts", "the audience has more than 32,767 combinations of country, zone and locale")
	}
	if err != nil {
		return 0, wrap(err, "make cohorts")
	}
	done, err := tx.pgx.Exec(tx.ctx, `INSERT INTO targets (campaign_id, cohort, msisdn, msisdn_hash, variables)
		SELECT $1, k.id, p.msisdn, p.msisdn_hash, p.variables
		FROM placed p JOIN cohorts k ON k.campaign_id = $1 AND (k.country, k.zone, k.locale) = (p.country, p.zone, p.locale)
		WHERE NOT EXISTS (SELECT FROM targets t WHERE t.campaign_id = $1 AND t.msisdn = p.msisdn)
		ORDER BY p.line, p.msisdn`, id)
	return done.RowsAffected(), wrap(err, "merge audience")
}

// incoming feeds an audience to COPY and keeps count of what it could not take.
type incoming struct {
	from    *audience.Reader
	hash    func(m contact.MSISDN) []byte
	id      uuid.UUID // of the import, if its rows name it
	most    int64     // stop after so many lines; 0: at the end
	kept    int       // how many bad lines to keep
	row     audience.Row
	lines   int64
	invalid int64
	bad     []audience.BadLine
	ended   bool // there are no more lines
	err     error
}

// Next is pgx.CopyFromSource.
func (in *incoming) Next() bool {
	for in.most == 0 || in.lines < in.most {
		row, err := in.from.Next()
		if errors.Is(err, io.EOF) {
			in.ended = true
			return false
		}
		in.lines++
		if bad, ok := errors.AsType[*audience.BadLine](err); ok {
			in.invalid++
			if len(in.bad) < in.kept {
				in.bad = append(in.bad, *bad)
			}
			continue
		}
		in.row, in.err = row, err
		return err == nil
	}
	return false
}

// Values is pgx.CopyFromSource.
func (in *incoming) Values() ([]any, error) {
	r := in.row
	var variables any
	if len(r.Variables) > 0 {
		variables = r.Variables
	}
	values := make([]any, 0, 1+len(rowColumns))
	if in.id != uuid.Nil {
		values = append(values, [16]byte(in.id)) // which COPY encodes as it is; a uuid.UUID it would first ask for a text
	}
	return append(values, int64(r.Line), string(r.Number.MSISDN), in.hash(r.Number.MSISDN), r.Number.Country, r.Zone, r.Number.Zone, r.Locale, variables), nil
}

// Err is pgx.CopyFromSource.
func (in *incoming) Err() error { return in.err }
