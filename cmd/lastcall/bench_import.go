package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain/audience"
	"lastcall/domain/contact"
)

// imports imports a file beside COPY of the targets it makes, as they are in the database: into a table of
// the same shape, that is, the columns, constraints and indexes of targets, and for comparison into one of
// the columns alone.
func (b *bench) imports(ctx context.Context) error {
	s := b.stack
	conn, err := pgx.Connect(ctx, s.postgres.OwnerURL())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var importing, same, bare time.Duration
	const rounds = 3
	for range rounds {
		began := time.Now()
		id, err := s.draft(ctx, b.targets)
		if err != nil {
			return err
		}
		importing += time.Since(began)
		for _, table := range []struct {
			like string
			took *time.Duration
		}{{"(LIKE targets INCLUDING ALL)", &same}, {"(LIKE targets INCLUDING GENERATED)", &bare}} {
			if _, err := conn.Exec(ctx, "DROP TABLE IF EXISTS bench_copy; CREATE TABLE bench_copy "+table.like); err != nil {
				return err
			}
			rows, err := targetsOf(b.targets, id, s.store.Pepper().Hash)
			if err != nil {
				return err
			}
			began := time.Now()
			if _, err := conn.CopyFrom(ctx, pgx.Identifier{"bench_copy"},
				[]string{"id", "campaign_id", "cohort", "msisdn", "msisdn_hash", "variables", "state", "attempt"}, pgx.CopyFromRows(rows)); err != nil {
				return fmt.Errorf("raw copy: %w", err)
			}
			*table.took += time.Since(began)
		}
	}
	rate := func(took time.Duration) float64 { return rounds * float64(b.targets) / took.Seconds() }
	b.atLeast(40, benchFigure{Bench: "import", Name: "import of COPY", Value: 100 * rate(importing) / rate(same), Unit: "%",
		Basis: fmt.Sprintf("%s/s of %s/s (%s/s without indexes), %s rows", thousands(int64(rate(importing))), thousands(int64(rate(same))),
			thousands(int64(rate(bare))), thousands(int64(b.targets))),
		Detail: map[string]float64{"rows_per_second": rate(importing), "copy_per_second": rate(same), "copy_without_indexes_per_second": rate(bare)}})
	return nil
}

// targetsOf are the rows that an import of so many numbers makes, ready to be copied.
func targetsOf(n int, campaign uuid.UUID, hash func(contact.MSISDN) []byte) (rows [][]any, err error) {
	file, err := audience.NewReader(&numbersFile{rows: n}, audience.Options{})
	if err != nil {
		return nil, err
	}
	for {
		row, err := file.Next()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, err
		}
		rows = append(rows, []any{int64(row.Line), campaign, int16(1), string(row.Number.MSISDN), hash(row.Number.MSISDN),
			[]byte(`{"name":"Guest"}`), "queued", int32(0)})
	}
}
