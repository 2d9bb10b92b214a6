package store

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain"
	"lastcall/domain/audience"
	"lastcall/domain/audit"
)

// ImportStep is how far one step of an uploaded file's import came.
type ImportStep struct {
	Phase audience.Phase // of the import, after it
	Ready bool           // all lines are staged, and may be merged
}

// stageLines is how many lines are staged in one transaction: some half a second's work, and what is done again after a kill.
const stageLines = 25_000

// StageImport reads an uploaded file from where it was last read to, chunk by chunk, each a transaction of its own, until
// its end or until goOn, asked after each, says no. Whoever reads the same file at the same time is fenced out by the
// checkpoint: ErrFenced. It fails with domain.Invalid when the file cannot be imported.
func (s *Store) StageImport(ctx context.Context, id uuid.UUID, goOn func() bool) (ImportStep, error) {
	imp, err := s.ImportOf(ctx, id)
	if err != nil || imp.Phase.Ended() || imp.Phase == audience.Uploading {
		return ImportStep{Phase: imp.Phase}, err
	}
	at, err := s.checkpoint(ctx, id)
	if err != nil || at.Finished {
		return ImportStep{imp.Phase, at.Finished}, err
	}
	var o ImportOptions
	if err := json.Unmarshal(imp.Options, &o); err != nil {
		return ImportStep{}, wrap(err, "options of the import")
	}
	file, err := s.uploaded(ctx, imp, o)
	if err != nil {
		return ImportStep{}, err
	}
	if err := file.Skip(int(at.Line), int(at.Lines)); err != nil {
		return ImportStep{}, err
	}
	for !at.Finished {
		phase, err := s.stageChunk(ctx, id, file, &at)
		if err != nil || phase.Ended() || !goOn() {
			return ImportStep{phase, at.Finished && err == nil && !phase.Ended()}, err
		}
	}
	return ImportStep{audience.Staging, true}, nil
}

// checkpoint is how far the rows of an import reach.
type checkpoint struct {
	Line     int64 // of the file
	Lines    int64
	Invalid  int64
	Finished bool
}

// checkpoint reads how far the rows of an import reach. After a crash of Postgres that is nowhere: neither the rows nor the
// checkpoint are in its log.
func (s *Store) checkpoint(ctx context.Context, id uuid.UUID) (checkpoint, error) {
	if _, err := s.pool.Exec(ctx, `INSERT INTO import_checkpoints (import_id) VALUES ($1) ON CONFLICT DO NOTHING`, id); err != nil {
		return checkpoint{}, unavailable(err)
	}
	rows, err := s.pool.Query(ctx, `SELECT line, lines, invalid, finished FROM import_checkpoints WHERE import_id = $1`, id)
	if err != nil {
		return checkpoint{}, unavailable(err)
	}
	at, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[checkpoint])
	return at, unavailable(err)
}

// stageChunk stages the next lines of a file, moves the checkpoint past them and returns the import's phase.
func (s *Store) stageChunk(ctx context.Context, id uuid.UUID, file *upload, at *checkpoint) (phase audience.Phase, err error) {
	chunk := &incoming{from: file.Reader, hash: s.pepper.Hash, id: id, most: stageLines, kept: max(0, keptLines-int(at.Invalid))}
	var next checkpoint
	err = s.inTx(ctx, func(tx *Tx) error {
		if chunk.lines > 0 {
			return errReadTwice
		}
		imp, err := tx.lockImport(id) // and so nobody else stages
		if phase = imp.Phase; err != nil || phase.Ended() {
			return err
		}
		var ours bool
		if err := tx.pgx.QueryRow(tx.ctx, `SELECT EXISTS (SELECT FROM import_checkpoints WHERE import_id = $1 AND line = $2 AND NOT finished)`,
			id, at.Line).Scan(&ours); err != nil {
			return err
		}
		if !ours {
			return ErrFenced
		}
		if err := tx.copyIncoming("import_rows", chunk); err != nil {
			return err
		}
		if err := tx.keepBadLines(id, chunk.bad); err != nil {
			return err
		}
		next = checkpoint{int64(file.Line()), at.Lines + chunk.lines, at.Invalid + chunk.invalid, chunk.ended}
		_, err = tx.pgx.Exec(tx.ctx, `UPDATE import_checkpoints SET line = $2, lines = $3, invalid = $4, finished = $5 WHERE import_id = $1`,
			id, next.Line, next.Lines, next.Invalid, next.Finished)
		if err == nil {
			_, err = tx.pgx.Exec(tx.ctx, `UPDATE imports SET phase = 'staging', lines = $2, invalid = $3, staged_bytes = $4, ignored_columns = $5,
				updated_at = clock_timestamp() WHERE id = $1`, id, next.Lines, next.Invalid, file.parts.read, append([]string{}, file.Ignored()...))
		}
		return err
	})
	if err == nil {
		*at = next
	}
	return phase, err
}

// MergeImport makes targets of the staged rows, all or none. When they are gone, because Postgres crashed, it says that the
// import is to be staged again. Once done, merging again changes nothing.
func (s *Store) MergeImport(ctx context.Context, id uuid.UUID) (phase audience.Phase, err error) {
	// For those who watch: the transaction below says nothing until its end.
	err = s.pool.QueryRow(ctx, `UPDATE imports SET phase = CASE WHEN phase = 'staging' THEN 'merging' ELSE phase END,
		updated_at = clock_timestamp() WHERE id = $1 RETURNING phase`, id).Scan(&phase)
	if err != nil || phase != audience.Merging {
		return phase, notFound(err, "import", id)
	}
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		imp := Import{ID: id}
		if err := tx.pgx.QueryRow(tx.ctx, `SELECT campaign_id FROM imports WHERE id = $1`, id).Scan(&imp.CampaignID); err != nil {
			return audit.Entry{}, err
		}
		// An earlier attempt whose worker is gone may still be at it.
		if _, err := tx.pgx.Exec(tx.ctx, `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, "import/"+imp.CampaignID.String()); err != nil {
			return audit.Entry{}, err
		}
		var staged bool
		err := tx.pgx.QueryRow(tx.ctx, `SELECT i.phase, k.import_id IS NOT NULL, coalesce(k.lines, 0), coalesce(k.invalid, 0)
			FROM imports i LEFT JOIN import_checkpoints k ON k.import_id = i.id AND k.finished WHERE i.id = $1`, id).
			Scan(&phase, &staged, &imp.Lines, &imp.Invalid)
		if err != nil {
			return audit.Entry{}, err
		}
		if phase == audience.Merging && !staged {
			phase = audience.Staging
		}
		if phase != audience.Merging {
			return audit.Entry{}, errRepeated
		}
		if imp.Targets, err = tx.mergeRows(imp.CampaignID, `(SELECT * FROM import_rows WHERE import_id = $1)`, id); err != nil {
			return audit.Entry{}, err
		}
		imp.Duplicates = imp.Lines - imp.Invalid - imp.Targets
		// Whoever cancelled it meanwhile has changed the row, and gets what he wanted.
		err = tx.pgx.QueryRow(tx.ctx, `UPDATE imports SET phase = 'done', lines = $2, invalid = $3, duplicates = $4, targets = $5,
			finished_at = clock_timestamp(), updated_at = clock_timestamp() WHERE id = $1 AND phase = 'merging' RETURNING source`,
			id, imp.Lines, imp.Invalid, imp.Duplicates, imp.Targets).Scan(&imp.Source)
		if errors.Is(err, pgx.ErrNoRows) {
			return audit.Entry{}, domain.E(domain.Conflict, "import_cancelled", "the import was cancelled")
		}
		phase = audience.Done
		return imp.entry(), err
	})
	if errors.Is(err, errRepeated) {
		err = nil
	}
	return phase, err
}
