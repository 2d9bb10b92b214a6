package store

import (
	"cmp"
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain"
	"lastcall/domain/audience"
	"lastcall/domain/audit"
	"lastcall/domain/contact"
	"lastcall/domain/template"
	"lastcall/domain/voucher"
)

// VoucherBatch is a file of vouchers that were issued, and what became of its lines: Lines = Invalid + Duplicates + Issued.
type VoucherBatch struct {
	ID             uuid.UUID
	Lines          int64 // below the header, without blank ones
	Invalid        int64
	Duplicates     int64 // lines of a number and reference that came before, in the file or of a reference ever
	Issued         int64
	IgnoredColumns []string // that nothing uses
	CreatedAt      time.Time
}

// BatchDefaults are what lines of a file mean that do not say otherwise.
type BatchDefaults struct {
	Amount         string
	Currency       string
	Stations       []string      // codes; none: all
	ExpiresAt      time.Time     // zero: each line must say
	IdempotencyKey string        // of the request, "" for none
	Hash           func() []byte // of what was read of the request, 32 bytes
}

// BatchColumns are the columns of a file of vouchers, beside those of every audience, as audience.NewReader wants them.
func BatchColumns(d BatchDefaults) []template.Variable {
	absent := " " // whatever is not empty makes a column one that may be absent
	amount := template.Variable{Name: "amount", Default: absent}
	if d.Amount == "" {
		amount.Default = ""
	}
	expires := template.Variable{Name: "expires_at", Default: absent}
	if d.ExpiresAt.IsZero() {
		expires.Default = ""
	}
	currency := template.Variable{Name: "currency", Default: absent}
	if d.Currency == "" {
		currency.Default = ""
	}
	return []template.Variable{amount, currency, expires, {Name: "stations", Default: absent}, {Name: "reference", Default: absent}}
}

// MaxBatch is how many lines a file of vouchers may have.
const MaxBatch = 1_000_000

// IssueBatch issues the vouchers of a file, all that its good lines ask for, in one transaction; memory does not grow with
// the file. The same idempotency key again returns the same batch; with another file it is domain.Invalid of code
// idempotency_key_reused. It fails with domain.Invalid when the file cannot be read to its end.
func (s *Store) IssueBatch(ctx context.Context, rows *audience.Reader, d BatchDefaults) (VoucherBatch, error) {
	b := VoucherBatch{ID: uuid.Must(uuid.NewV7()), IgnoredColumns: append([]string{}, rows.Ignored()...), CreatedAt: time.Now()}
	read := false
	err := s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		if read {
			return audit.Entry{}, errReadTwice
		}
		if err := tx.readFile(); err != nil {
			return audit.Entry{}, err
		}
		if d.IdempotencyKey != "" {
			// The one under way is awaited: its file is read only here.
			if _, err := tx.pgx.Exec(tx.ctx, `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, "voucher batch "+d.IdempotencyKey); err != nil {
				return audit.Entry{}, err
			}
			if err := tx.repeatedBatch(&b, rows, d); err != nil {
				return audit.Entry{}, err
			}
		}
		in, err := tx.incomingVouchers(rows, d)
		if err != nil {
			return audit.Entry{}, err
		}
		read = true
		if _, err := tx.pgx.Exec(tx.ctx, `CREATE TEMP TABLE incoming_vouchers (line bigint, id uuid, code text, msisdn text, amount text, currency text,
			scope text, station_ids text, expires_at timestamptz, reference text) ON COMMIT DROP`); err != nil {
			return audit.Entry{}, err
		}
		_, err = tx.pgx.CopyFrom(tx.ctx, pgx.Identifier{"incoming_vouchers"},
			[]string{"line", "id", "code", "msisdn", "amount", "currency", "scope", "station_ids", "expires_at", "reference"}, in)
		if in.err != nil {
			return audit.Entry{}, in.unreadable()
		}
		if err != nil {
			return audit.Entry{}, wrap(err, "copy vouchers")
		}
		if b.Issued, err = tx.issueIncoming(&b, in, d); err != nil {
			return audit.Entry{}, err
		}
		return audit.Entry{Action: "voucher.batch_issued", Target: "voucher_batch/" + b.ID.String(), Diff: map[string]any{"lines": b.Lines,
			"invalid": b.Invalid, "duplicates": b.Duplicates, "issued": b.Issued}}, nil
	})
	if errors.Is(err, errRepeated) {
		err = nil
	}
	return b, err
}

// repeatedBatch fails with errRepeated, and fills b, when this very request was answered before.
func (tx *Tx) repeatedBatch(b *VoucherBatch, rows *audience.Reader, d BatchDefaults) error {
	var first VoucherBatch
	var hash []byte
	err := tx.pgx.QueryRow(tx.ctx, `SELECT `+batchColumns+`, request_hash FROM voucher_batches WHERE idempotency_key = $1`, d.IdempotencyKey).
		Scan(&first.ID, &first.Lines, &first.Invalid, &first.Duplicates, &first.Issued, &first.IgnoredColumns, &first.CreatedAt, &hash)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	for err == nil { // to the end, for the hash
		if _, err = rows.Next(); err != nil {
			if _, bad := errors.AsType[*audience.BadLine](err); bad {
				err = nil
			}
		}
	}
	switch {
	case !errors.Is(err, io.EOF):
		return err
	case string(hash) != string(d.Hash()):
		return keyReused()
	}
	*b = first
	return errRepeated
}

const batchColumns = `id, lines, invalid, duplicates, issued, ignored_columns, created_at`

// issueIncoming makes vouchers of the rows in the temporary table, one a number and reference, and returns how many.
func (tx *Tx) issueIncoming(b *VoucherBatch, in *incomingVouchers, d BatchDefaults) (issued int64, err error) {
	// The first line of a number and reference counts, unless there is such a voucher already.
	var wanted int64
	err = tx.pgx.QueryRow(tx.ctx, `WITH repeated AS (DELETE FROM incoming_vouchers i USING (
				SELECT line, row_number() OVER (PARTITION BY msisdn, reference ORDER BY line) AS n FROM incoming_vouchers) o
			WHERE o.line = i.line AND (o.n > 1 OR EXISTS (SELECT FROM vouchers v WHERE v.msisdn = i.msisdn AND v.reference = i.reference)) RETURNING i.line)
		SELECT (SELECT count(*) FROM incoming_vouchers) - (SELECT count(*) FROM repeated)`).Scan(&wanted)
	if err != nil {
		return 0, wrap(err, "sort out duplicates")
	}
	b.Lines, b.Invalid, b.Issued = in.lines, in.invalid, wanted
	b.Duplicates = b.Lines - b.Invalid - b.Issued
	var key *string
	var hash []byte
	if d.IdempotencyKey != "" {
		key, hash = &d.IdempotencyKey, d.Hash()
	}
	if err := tx.pgx.QueryRow(tx.ctx, `INSERT INTO voucher_batches (id, lines, invalid, duplicates, issued, ignored_columns, idempotency_key, request_hash)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING created_at`, b.ID, b.Lines, b.Invalid, b.Duplicates, b.Issued, b.IgnoredColumns, key, hash).Scan(&b.CreatedAt); err != nil {
		return 0, err
	}
	// A code that is somebody's is made anew; of a million vouchers that concerns some thirty of the second million.
	for {
		done, err := tx.pgx.Exec(tx.ctx, `INSERT INTO vouchers (id, code, msisdn, contact_id, amount, currency, scope, station_ids, reference, expires_at, batch_id)
			SELECT i.id, i.code, i.msisdn, c.id, i.amount::numeric, i.currency, i.scope, i.station_ids::uuid[], i.reference, i.expires_at, $1
			FROM incoming_vouchers i LEFT JOIN contacts c USING (msisdn) WHERE NOT EXISTS (SELECT FROM vouchers v WHERE v.id = i.id)
			ORDER BY i.id ON CONFLICT (code) DO NOTHING`, b.ID)
		if err != nil {
			return issued, wrap(err, "issue vouchers")
		}
		if issued += done.RowsAffected(); issued == wanted {
			break
		}
		if err := tx.newCodes(); err != nil {
			return issued, err
		}
	}
	actor := audit.ActorFrom(tx.ctx)
	if _, err := tx.pgx.Exec(tx.ctx, `INSERT INTO voucher_events (voucher_id, status, actor_kind, actor)
		SELECT id, 'issued', $2, $3 FROM vouchers WHERE batch_id = $1 ORDER BY id`, b.ID, actor.Kind, actor.Name); err != nil {
		return issued, wrap(err, "voucher events")
	}
	return issued, tx.keepBatchLines(b.ID, in.bad)
}

// newCodes gives the rows another code that have not become vouchers.
func (tx *Tx) newCodes() error {
	rows, err := tx.pgx.Query(tx.ctx, `SELECT id FROM incoming_vouchers i WHERE NOT EXISTS (SELECT FROM vouchers v WHERE v.id = i.id)`)
	if err != nil {
		return err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	codes := make([]string, len(ids))
	for i := range codes {
		codes[i] = string(voucher.NewCode())
	}
	if err == nil {
		_, err = tx.pgx.Exec(tx.ctx, `UPDATE incoming_vouchers i SET code = n.code FROM unnest($1::uuid[], $2::text[]) n (id, code) WHERE n.id = i.id`, ids, codes)
	}
	return err
}

func (tx *Tx) keepBatchLines(id uuid.UUID, bad []audience.BadLine) error {
	_, err := tx.pgx.CopyFrom(tx.ctx, pgx.Identifier{"voucher_batch_lines"}, []string{"batch_id", "line", "field", "code", "reason"},
		pgx.CopyFromSlice(len(bad), func(i int) ([]any, error) {
			return []any{id, int64(bad[i].Line), bad[i].Field, bad[i].Code, bad[i].Reason}, nil
		}))
	return wrap(err, "keep bad lines")
}

// VoucherBatches lists batches, newest first, those before the batch `before` (uuid.Nil: the newest) on.
func (s *Store) VoucherBatches(ctx context.Context, before uuid.UUID, limit int) ([]VoucherBatch, error) {
	rows, err := s.pool.Query(ctx, `SELECT `+batchColumns+` FROM voucher_batches
		WHERE $1 = '00000000-0000-0000-0000-000000000000'::uuid OR id < $1 ORDER BY id DESC LIMIT $2`, before, page(limit))
	if err != nil {
		return nil, unavailable(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[VoucherBatch])
	return all, unavailable(err)
}

// VoucherBatchLines lists the lines of a batch that could not be used, in order, those after the line `after`; the first
// 10,000 are kept.
func (s *Store) VoucherBatchLines(ctx context.Context, id uuid.UUID, after int64, limit int) ([]ImportLine, error) {
	var there bool
	err := s.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM voucher_batches WHERE id = $1)`, id).Scan(&there)
	if err == nil && !there {
		return nil, notFound(pgx.ErrNoRows, "voucher_batch", id)
	}
	if err != nil {
		return nil, unavailable(err)
	}
	rows, err := s.pool.Query(ctx, `SELECT batch_id, line, field, code, reason FROM voucher_batch_lines WHERE batch_id = $1 AND line > $2 ORDER BY line LIMIT $3`,
		id, after, page(limit))
	if err != nil {
		return nil, unavailable(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ImportLine])
	return append([]ImportLine{}, lines...), unavailable(err)
}

// incomingVouchers feeds a file to COPY and keeps count of the lines it cannot use.
type incomingVouchers struct {
	from     *audience.Reader
	defaults BatchDefaults
	stations map[string]uuid.UUID // by code
	here     []uuid.UUID          // the defaults' stations
	now      time.Time

	values  []any
	lines   int64
	invalid int64
	bad     []audience.BadLine
	err     error
}

func (tx *Tx) incomingVouchers(rows *audience.Reader, d BatchDefaults) (*incomingVouchers, error) {
	in := &incomingVouchers{from: rows, defaults: d, stations: map[string]uuid.UUID{}, now: time.Now()}
	known, err := tx.pgx.Query(tx.ctx, `SELECT code, id FROM stations WHERE deleted_at IS NULL`)
	if err != nil {
		return nil, err
	}
	var code string
	var id uuid.UUID
	if _, err := pgx.ForEachRow(known, []any{&code, &id}, func() error { in.stations[code] = id; return nil }); err != nil {
		return nil, err
	}
	in.here, err = in.stationsOf(strings.Join(d.Stations, " "))
	return in, err
}

// Next is pgx.CopyFromSource.
func (in *incomingVouchers) Next() bool {
	for {
		row, err := in.from.Next()
		if errors.Is(err, io.EOF) {
			return false
		}
		in.lines++
		if err == nil {
			if in.values, err = in.voucher(row); err == nil {
				return true
			}
			if e, ok := errors.AsType[*domain.Error](err); ok {
				err = &audience.BadLine{Line: row.Line, Field: e.Field, Code: e.Code, Reason: e.Message}
			}
		}
		bad, ok := errors.AsType[*audience.BadLine](err)
		if !ok {
			in.err = err
			return false
		}
		in.invalid++
		if len(in.bad) < keptLines {
			in.bad = append(in.bad, *bad)
		}
	}
}

// Values is pgx.CopyFromSource.
func (in *incomingVouchers) Values() ([]any, error) { return in.values, nil }

// Err is pgx.CopyFromSource.
func (in *incomingVouchers) Err() error { return in.err }

// unreadable is why the file was not read to its end.
func (in *incomingVouchers) unreadable() error {
	if _, told := errors.AsType[*domain.Error](in.err); told {
		return in.err
	}
	return domain.E(domain.Invalid, "batch_unreadable", "the file could not be read to its end; nothing was issued").Because(in.err)
}

// voucher is the row of a line; its errors are domain.Invalid about the column.
func (in *incomingVouchers) voucher(row audience.Row) ([]any, error) {
	own := row.Variables
	money, err := voucher.ParseMoney(cmp.Or(own["amount"], in.defaults.Amount), cmp.Or(own["currency"], in.defaults.Currency))
	if err != nil {
		return nil, err
	}
	expires := in.defaults.ExpiresAt
	if own["expires_at"] != "" {
		if expires, err = parseExpiry(own["expires_at"], row.Number.Zone); err != nil {
			return nil, err
		}
	}
	if err := voucher.CheckExpiry(expires, in.now); err != nil {
		return nil, err
	}
	stations := in.here
	if own["stations"] != "" {
		if stations, err = in.stationsOf(own["stations"]); err != nil {
			return nil, err
		}
	}
	if len(own["reference"]) > 100 {
		return nil, domain.E(domain.Invalid, "reference_too_long", "must have at most 100 bytes").About("reference")
	}
	var reference *string
	if own["reference"] != "" {
		text := own["reference"]
		reference = &text
	}
	ids := make([]string, len(stations))
	for i, id := range stations {
		ids[i] = id.String()
	}
	return []any{int64(row.Line), [16]byte(uuid.Must(uuid.NewV7())), string(voucher.NewCode()), string(row.Number.MSISDN), money.Plain(), string(money.Currency),
		string(voucher.ScopeOf(len(ids))), "{" + strings.Join(ids, ",") + "}", expires, reference}, nil
}

// stationsOf are the stations of codes with spaces or semicolons between them; none for "" and "all".
func (in *incomingVouchers) stationsOf(text string) ([]uuid.UUID, error) {
	if strings.EqualFold(strings.TrimSpace(text), "all") {
		return nil, nil
	}
	var ids []uuid.UUID
	seen := map[uuid.UUID]bool{}
	for _, code := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" ;,|+", r) }) {
		id, known := in.stations[strings.ToUpper(code)]
		if !known {
			return nil, domain.E(domain.Invalid, "unknown_station", "there is no station %.20q", code).About("stations")
		}
		if !seen[id] {
			seen[id], ids = true, append(ids, id)
		}
	}
	if len(ids) > voucher.MaxStations {
		return nil, domain.E(domain.Invalid, "too_many_stations", "name %d at most, or none for all", voucher.MaxStations).About("stations")
	}
	return ids, nil
}

// parseExpiry reads a time, or a date, to whose end a voucher is good where its guest is.
func parseExpiry(text, zone string) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	where, err := contact.LoadZone(zone)
	if err != nil {
		where = time.UTC
	}
	day, err := time.ParseInLocation(time.DateOnly, text, where)
	if err != nil {
		return time.Time{}, domain.E(domain.Invalid, "bad_expiry", "use a date like 2026-12-31, or a time like 2026-12-31T22:00:00+02:00").About("expires_at")
	}
	return day.AddDate(0, 0, 1), nil
}
