package store

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/lib/pq"
	"gorm.io/gorm/clause"

	"lastcall/domain"
	"lastcall/domain/audience"
	"lastcall/domain/audit"
	"lastcall/domain/campaign"
	"lastcall/domain/contact"
)

// Import is one file of recipients taken into a campaign. Lines = Invalid + Duplicates + Targets.
type Import struct {
	ID             uuid.UUID `gorm:"type:uuid;primaryKey"`
	CampaignID     uuid.UUID `gorm:"type:uuid"`
	Lines          int64
	Invalid        int64
	Duplicates     int64 // inside the file and against the campaign
	Targets        int64
	IgnoredColumns pq.StringArray `gorm:"type:text[]"`
	CreatedAt      time.Time
}

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
	imp := Import{ID: uuid.Must(uuid.NewV7()), CampaignID: id, IgnoredColumns: pq.StringArray(from.Ignored())}
	if imp.IgnoredColumns == nil {
		imp.IgnoredColumns = pq.StringArray{}
	}
	incoming := &incoming{from: from, hash: s.pepper.Hash}
	err := s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		if incoming.lines > 0 {
			return audit.Entry{}, errors.New("an import cannot be read twice")
		}
		if err := tx.onlyOne("import/" + id.String()); err != nil {
			return audit.Entry{}, err
		}
		var status campaign.Status
		if err := tx.pgx.QueryRow(tx.ctx, `SELECT status FROM campaigns WHERE id = $1`, id).Scan(&status); err != nil {
			return audit.Entry{}, notFound(err, "campaign", id)
		}
		if status != campaign.Draft {
			return audit.Entry{}, domain.E(domain.Conflict, "wrong_state", "the campaign has been started; its audience is fixed")
		}
		if err := tx.copyIncoming(incoming); err != nil {
			return audit.Entry{}, err
		}
		merged, err := tx.mergeIncoming(id)
		if err != nil {
			return audit.Entry{}, err
		}
		imp.Lines, imp.Invalid, imp.Targets = incoming.lines, incoming.invalid, merged
		imp.Duplicates = imp.Lines - imp.Invalid - imp.Targets
		if err := tx.orm.Clauses(clause.Returning{}).Omit("CreatedAt").Create(&imp).Error; err != nil {
			return audit.Entry{}, err
		}
		_, err = tx.pgx.CopyFrom(tx.ctx, pgx.Identifier{"import_lines"}, []string{"import_id", "line", "field", "code", "reason"},
			pgx.CopyFromSlice(len(incoming.bad), func(i int) ([]any, error) {
				b := incoming.bad[i]
				return []any{imp.ID, b.Line, b.Field, b.Code, b.Reason}, nil
			}))
		return audit.Entry{Action: "campaign.imported", Target: target(id), Diff: map[string]any{"import_id": imp.ID,
			"lines": imp.Lines, "invalid": imp.Invalid, "duplicates": imp.Duplicates, "targets": imp.Targets}}, err
	})
	return imp, err
}

// ImportLines lists the bad lines of an import in order, those after the line `after`.
func (s *Store) ImportLines(ctx context.Context, importID uuid.UUID, after int64, limit int) ([]ImportLine, error) {
	lines := []ImportLine{}
	err := s.orm.WithContext(ctx).Where("import_id = ? AND line > ?", importID, after).Order("line").Limit(page(limit)).Find(&lines).Error
	return lines, unavailable(err)
}

func (tx *Tx) copyIncoming(rows *incoming) error {
	if _, err := tx.pgx.Exec(tx.ctx, `CREATE TEMP TABLE incoming (line bigint, msisdn text, msisdn_hash bytea, country char(2),
		zone text, country_zone text, locale text, variables jsonb) ON COMMIT DROP`); err != nil {
		return err
	}
	_, err := tx.pgx.CopyFrom(tx.ctx, pgx.Identifier{"incoming"},
		[]string{"line", "msisdn", "msisdn_hash", "country", "zone", "country_zone", "locale", "variables"}, rows)
	if rows.err != nil {
		return domain.E(domain.Invalid, "audience_unreadable", "the file could not be read to its end; nothing was imported").Because(rows.err)
	}
	return wrap(err, "copy audience")
}

// mergeIncoming makes targets of the rows: one a number, the file's first line of it, none for a number
// the campaign has. What the file leaves open about zone and locale its contact tells, else its country.
func (tx *Tx) mergeIncoming(id uuid.UUID) (int64, error) {
	// Duplicates are taken out by sorting, in memory up to some hundred thousand rows: with ON CONFLICT each row
	// would be looked up and written twice. No other import into this campaign is running.
	if _, err := tx.pgx.Exec(tx.ctx, `SET LOCAL work_mem = '64MB'`); err != nil {
		return 0, wrap(err, "place audience")
	}
	if _, err := tx.pgx.Exec(tx.ctx, `CREATE TEMP TABLE placed ON COMMIT DROP AS
		SELECT DISTINCT ON (i.msisdn) i.line, i.msisdn, i.msisdn_hash, i.variables, i.country,
			coalesce(nullif(i.zone, ''), nullif(c.zone, ''), i.country_zone) AS zone,
			coalesce(nullif(i.locale, ''), c.locale, '') AS locale
		FROM incoming i LEFT JOIN contacts c USING (msisdn) ORDER BY i.msisdn, i.line`); err != nil {
		return 0, wrap(err, "place audience")
	}
	if _, err := tx.pgx.Exec(tx.ctx, `INSERT INTO cohorts (campaign_id, id, country, zone, locale)
		SELECT $1, (SELECT coalesce(max(id), 0) FROM cohorts WHERE campaign_id = $1) + row_number() OVER (ORDER BY country, zone, locale),
			country, zone, locale
		FROM (SELECT DISTINCT country, zone, locale FROM placed
			EXCEPT SELECT country, zone, locale FROM cohorts WHERE campaign_id = $1) g`, id); err != nil {
		return 0, wrap(err, "make cohorts")
	}
	done, err := tx.pgx.Exec(tx.ctx, `INSERT INTO targets (campaign_id, cohort, msisdn, msisdn_hash, variables)
		SELECT $1, k.id, p.msisdn, p.msisdn_hash, p.variables
		FROM placed p JOIN cohorts k ON k.campaign_id = $1 AND (k.country, k.zone, k.locale) = (p.country, p.zone, p.locale)
		WHERE NOT EXISTS (SELECT FROM targets t WHERE t.campaign_id = $1 AND t.msisdn = p.msisdn)
		ORDER BY p.line`, id)
	return done.RowsAffected(), wrap(err, "merge audience")
}

// incoming feeds an audience to COPY and keeps count of what it could not take.
type incoming struct {
	from    *audience.Reader
	hash    func(m contact.MSISDN) []byte
	row     audience.Row
	lines   int64
	invalid int64
	bad     []audience.BadLine
	err     error
}

// Next is pgx.CopyFromSource.
func (in *incoming) Next() bool {
	for {
		row, err := in.from.Next()
		if errors.Is(err, io.EOF) {
			return false
		}
		in.lines++
		if bad, ok := errors.AsType[*audience.BadLine](err); ok {
			in.invalid++
			if len(in.bad) < keptLines {
				in.bad = append(in.bad, *bad)
			}
			continue
		}
		in.row, in.err = row, err
		return err == nil
	}
}

// Values is pgx.CopyFromSource.
func (in *incoming) Values() ([]any, error) {
	r := in.row
	var variables any
	if len(r.Variables) > 0 {
		variables = r.Variables
	}
	return []any{int64(r.Line), string(r.Number.MSISDN), in.hash(r.Number.MSISDN), r.Number.Country, r.Zone, r.Number.Zone, r.Locale, variables}, nil
}

// Err is pgx.CopyFromSource.
func (in *incoming) Err() error { return in.err }
