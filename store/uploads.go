package store

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"gorm.io/gorm/clause"

	"lastcall/domain"
	"lastcall/domain/audience"
	"lastcall/domain/audit"
)

// UploadPart is a part of an uploaded file that has arrived.
type UploadPart struct {
	N      int    `json:"n"`
	Size   int    `json:"size"`
	Digest []byte `json:"sha256" doc:"SHA-256 of its bytes, base64"`
}

// ImportOptions say how an uploaded file is to be read.
type ImportOptions struct {
	Parts   int               `json:"parts"` // that the file has
	Country string            `json:"country,omitempty"`
	Columns map[string]string `json:"columns,omitempty"` // field → column
}

// abandonedAfter is how long an upload waits for its next part before it is given up.
const abandonedAfter = 24 * time.Hour

// StartUpload begins an import whose file comes in parts. Until it has ended nothing else is imported into the campaign,
// which cannot start either: domain.Conflict of code import_running.
func (s *Store) StartUpload(ctx context.Context, id uuid.UUID) (Import, error) {
	imp := newImport(id, SourceCSV)
	err := s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		if err := tx.openForImport(id); err != nil {
			return audit.Entry{}, err
		}
		if err := tx.edited(campaignSubject(id)); err != nil {
			return audit.Entry{}, err
		}
		err := tx.orm.Clauses(clause.Returning{}).Create(&imp).Error
		return audit.Entry{Action: "campaign.upload_started", Target: target(id), Diff: map[string]any{"import_id": imp.ID}}, err
	})
	return imp, err
}

// AddPart keeps part n of an upload, 1 being the first. Parts may come in any order, and again; another one of the same
// number is a domain.Conflict of code part_differs.
func (s *Store) AddPart(ctx context.Context, id uuid.UUID, n int, body []byte) (part UploadPart, err error) {
	digest := sha256.Sum256(body)
	part = UploadPart{N: n, Size: len(body), Digest: digest[:]}
	switch {
	case n < 1 || n > audience.MaxParts:
		return part, domain.E(domain.Invalid, "bad_part_number", "parts are numbered from 1 to %d", audience.MaxParts).About("n")
	case len(body) == 0:
		return part, domain.E(domain.Invalid, "empty_part", "the part is empty")
	case len(body) > audience.MaxPart:
		return part, domain.E(domain.TooLarge, "part_too_large", "a part has at most %d bytes", audience.MaxPart)
	}
	packed, err := pack(body)
	if err != nil {
		return part, err
	}
	err = s.inTx(ctx, func(tx *Tx) error {
		imp, err := tx.lockImport(id)
		if err != nil {
			return err
		}
		var known []byte
		err = tx.pgx.QueryRow(tx.ctx, `SELECT digest FROM import_parts WHERE import_id = $1 AND n = $2`, id, n).Scan(&known)
		switch {
		case err != nil && !errors.Is(err, pgx.ErrNoRows):
			return err
		case err == nil && bytes.Equal(known, part.Digest):
			return nil
		case imp.Phase != audience.Uploading:
			return domain.E(domain.Conflict, "upload_over", "no more parts: the import is %s", imp.Phase)
		case err == nil:
			return domain.E(domain.Conflict, "part_differs", "part %d is there already and was another one: this is not the file that was begun", n)
		case imp.Bytes+int64(len(body)) > audience.MaxBytes:
			return audience.TooLarge()
		}
		if _, err := tx.pgx.Exec(tx.ctx, `INSERT INTO import_parts (import_id, n, size, digest, body) VALUES ($1, $2, $3, $4, $5)`,
			id, n, len(body), part.Digest, packed); err != nil {
			return wrap(err, "keep part")
		}
		_, err = tx.pgx.Exec(tx.ctx, `UPDATE imports SET parts = parts + 1, bytes = bytes + $2, updated_at = clock_timestamp() WHERE id = $1`,
			id, len(body))
		return err
	})
	return part, err
}

// Parts lists the parts of an upload that have arrived, in order.
func (s *Store) Parts(ctx context.Context, id uuid.UUID) ([]UploadPart, error) {
	rows, err := s.pool.Query(ctx, `SELECT n, size, digest FROM import_parts WHERE import_id = $1 ORDER BY n`, id)
	if err != nil {
		return nil, unavailable(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[UploadPart])
	if all == nil {
		all = []UploadPart{}
	}
	return all, unavailable(err)
}

// CompleteUpload turns an upload over to its workflow. The header is read first: what is wrong with it comes at once, as
// audience.NewReader tells it, and the upload stays as it was. So it does when parts are missing (part_missing). Once
// turned over, completing it again changes nothing.
func (s *Store) CompleteUpload(ctx context.Context, id uuid.UUID, o ImportOptions) (Import, error) {
	imp, err := s.ImportOf(ctx, id)
	if err != nil {
		return imp, err
	}
	if imp.Phase == audience.Uploading {
		if err := s.checkParts(ctx, id, o.Parts); err != nil {
			return imp, err
		}
		if _, err := s.uploaded(ctx, imp, o); err != nil {
			return imp, err
		}
	}
	options, err := json.Marshal(o)
	if err != nil {
		return imp, err
	}
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		if imp, err = tx.lockImport(id); err != nil {
			return audit.Entry{}, err
		}
		switch imp.Phase {
		case audience.Uploading:
		case audience.Staging, audience.Merging, audience.Done:
			return audit.Entry{}, errRepeated
		default:
			return audit.Entry{}, domain.E(domain.Conflict, "upload_over", "the import is %s", imp.Phase)
		}
		if err := tx.orm.Model(&imp).Clauses(clause.Returning{}).Where("id = ?", id).
			Updates(map[string]any{"phase": audience.Staging, "options": string(options), "updated_at": time.Now()}).Error; err != nil {
			return audit.Entry{}, err
		}
		_, err := tx.send(KindStartImport, importKey(id), StartImport{ImportID: id, CampaignID: imp.CampaignID, Bytes: imp.Bytes})
		return audit.Entry{Action: "campaign.upload_completed", Target: target(imp.CampaignID),
			Diff: map[string]any{"import_id": id, "parts": imp.Parts, "bytes": imp.Bytes}}, err
	})
	if errors.Is(err, errRepeated) {
		err = nil
	}
	return imp, err
}

var errRepeated = errors.New("done already")

// checkParts makes sure that an upload has all parts of a file of so many.
func (s *Store) checkParts(ctx context.Context, id uuid.UUID, of int) error {
	var missing *int
	var last int
	err := s.pool.QueryRow(ctx, `SELECT (SELECT min(g) FROM generate_series(1, $2::int) g
			WHERE NOT EXISTS (SELECT FROM import_parts WHERE import_id = $1 AND n = g)),
		(SELECT coalesce(max(n), 0) FROM import_parts WHERE import_id = $1)`, id, of).Scan(&missing, &last)
	switch {
	case err != nil:
		return unavailable(err)
	case of < 1:
		return domain.E(domain.Invalid, "empty_file", "the file is empty; its first line must name the columns")
	case missing != nil:
		return domain.E(domain.Invalid, "part_missing", "part %d of %d has not arrived", *missing, of).About("parts")
	case last > of:
		return domain.E(domain.Invalid, "too_many_parts", "part %d has arrived, of a file of %d", last, of).About("parts")
	}
	return nil
}

// CancelImport gives up an import that has not ended; nothing of it gets into the campaign.
func (s *Store) CancelImport(ctx context.Context, id uuid.UUID, reason string) (imp Import, err error) {
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		was, err := tx.lockImport(id)
		if err != nil {
			return audit.Entry{}, err
		}
		if was.Phase.Ended() {
			return audit.Entry{}, domain.E(domain.Conflict, "wrong_state", "too late: the import is %s", was.Phase)
		}
		if imp, err = tx.endImport(id, audience.Cancelled, "cancelled", "cancelled by hand"); err != nil {
			return audit.Entry{}, err
		}
		if was.Phase == audience.Uploading {
			err = tx.cleanImport(id)
		} else {
			_, err = tx.send(KindCancelImport, importKey(id), CancelImport{ImportID: id})
		}
		return audit.Entry{Action: "campaign.import_cancelled", Target: target(imp.CampaignID), Reason: reason,
			Diff: map[string]any{"import_id": id, "phase": was.Phase}}, err
	})
	return imp, err
}

// FailImport ends an import that cannot go on, with the reason. One that has ended stays as it is.
func (s *Store) FailImport(ctx context.Context, id uuid.UUID, code, problem string) error {
	err := s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		imp, err := tx.lockImport(id)
		if err != nil {
			return audit.Entry{}, err
		}
		if imp.Phase.Ended() {
			return audit.Entry{}, errRepeated
		}
		_, err = tx.endImport(id, audience.Failed, code, problem)
		return audit.Entry{Action: "campaign.import_failed", Target: target(imp.CampaignID),
			Diff: map[string]any{"import_id": id, "code": code}, Reason: problem}, err
	})
	if errors.Is(err, errRepeated) {
		return nil
	}
	return err
}

// endImport ends an import of which nothing gets into the campaign.
func (tx *Tx) endImport(id uuid.UUID, as audience.Phase, code, problem string) (imp Import, err error) {
	now := time.Now()
	err = tx.orm.Model(&imp).Clauses(clause.Returning{}).Where("id = ?", id).Updates(map[string]any{"phase": as,
		"problem_code": code, "problem": problem, "finished_at": now, "updated_at": now}).Error
	return imp, err
}

// CleanImport removes what an import that has ended leaves: the file and its rows are full of personal data.
func (s *Store) CleanImport(ctx context.Context, id uuid.UUID) error {
	return s.inTx(ctx, func(tx *Tx) error {
		imp, err := tx.lockImport(id)
		if err != nil || !imp.Phase.Ended() {
			return err
		}
		return tx.cleanImport(id)
	})
}

func (tx *Tx) cleanImport(id uuid.UUID) error {
	for _, table := range []string{"import_parts", "import_rows", "import_checkpoints"} {
		if _, err := tx.pgx.Exec(tx.ctx, "DELETE FROM "+table+" WHERE import_id = $1", id); err != nil {
			return wrap(err, "clean up "+table)
		}
	}
	return nil
}

// pruneImports gives up uploads for which no part came for a day, and removes what an import left that ended without
// cleaning up.
func (s *Store) pruneImports(ctx context.Context) error {
	rows, err := s.pool.Query(ctx, `SELECT id FROM imports i WHERE phase = 'uploading' AND updated_at < clock_timestamp() - $1::interval
		OR phase IN ('done', 'failed', 'cancelled') AND EXISTS (SELECT FROM import_parts p WHERE p.import_id = i.id)`,
		fmt.Sprintf("%d seconds", int(abandonedAfter.Seconds())))
	if err != nil {
		return unavailable(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return unavailable(err)
	}
	for _, id := range ids {
		imp, err := s.ImportOf(ctx, id)
		if err == nil && imp.Phase == audience.Uploading {
			err = s.FailImport(ctx, id, "upload_abandoned", "no part came for a day")
		}
		if err == nil {
			err = s.CleanImport(ctx, id)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ImportOf returns one import.
func (s *Store) ImportOf(ctx context.Context, id uuid.UUID) (Import, error) {
	var imp Import
	err := s.orm.WithContext(ctx).First(&imp, "id = ?", id).Error
	return imp, notFound(err, "import", id)
}

// Imports lists a campaign's imports, newest first, those older than `before` (uuid.Nil: from the newest).
func (s *Store) Imports(ctx context.Context, campaign, before uuid.UUID, limit int) ([]Import, error) {
	all := []Import{}
	q := s.orm.WithContext(ctx).Where("campaign_id = ?", campaign).Order("id DESC").Limit(page(limit))
	if before != uuid.Nil {
		q = q.Where("id < ?", before)
	}
	return all, unavailable(q.Find(&all).Error)
}

// ActiveImports lists the imports that move: those that have not ended, and those that changed since the given time.
func (s *Store) ActiveImports(ctx context.Context, since time.Time) ([]Import, error) {
	var all []Import
	err := s.orm.WithContext(ctx).Where("phase IN ('uploading', 'staging', 'merging') OR updated_at > ?", since).Order("id").Find(&all).Error
	return all, unavailable(err)
}

// lockImport reads an import and keeps every other writer off it until the transaction ends.
func (tx *Tx) lockImport(id uuid.UUID) (Import, error) {
	var imp Import
	err := tx.orm.Clauses(clause.Locking{Strength: "UPDATE"}).First(&imp, "id = ?", id).Error
	return imp, notFound(err, "import", id)
}

// uploaded opens an uploaded file for reading, and returns it with what counts its bytes.
func (s *Store) uploaded(ctx context.Context, imp Import, o ImportOptions) (*upload, error) {
	c, err := s.Campaign(ctx, imp.CampaignID)
	if err != nil {
		return nil, err
	}
	t, err := s.Template(ctx, c.TemplateID)
	if err != nil {
		return nil, err
	}
	parts := &parts{ctx: ctx, db: s.pool, id: imp.ID, of: o.Parts}
	rows, err := audience.NewReader(parts, audience.Options{Country: o.Country, Columns: o.Columns, Variables: c.Asks(t), Fixed: c.Variables})
	return &upload{Reader: rows, parts: parts}, err
}

// upload is an uploaded file that is read.
type upload struct {
	*audience.Reader
	parts *parts
}

// parts reads an uploaded file, a part at a time.
type parts struct {
	ctx  context.Context
	db   querier
	id   uuid.UUID
	n    int // the part that was read last
	of   int
	rest io.Reader // of that part
	read int64     // bytes
}

// Read is io.Reader.
func (p *parts) Read(b []byte) (int, error) {
	for {
		if p.rest != nil {
			n, err := p.rest.Read(b)
			p.read += int64(n)
			if err != nil && !errors.Is(err, io.EOF) {
				return n, p.damaged(err)
			}
			if n > 0 {
				return n, nil
			}
			if err == nil {
				continue
			}
			p.rest = nil
		}
		if p.n == p.of {
			return 0, io.EOF
		}
		var body []byte
		if err := p.db.QueryRow(p.ctx, `SELECT body FROM import_parts WHERE import_id = $1 AND n = $2`, p.id, p.n+1).Scan(&body); err != nil {
			return 0, unavailable(err)
		}
		p.n++
		unpacked, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return 0, p.damaged(err)
		}
		p.rest = unpacked
	}
}

func (p *parts) damaged(err error) error {
	return domain.E(domain.Invalid, "part_damaged", "part %d cannot be read back; import the file again", p.n).Because(err)
}

// pack is gzip, at its fastest.
func pack(body []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err == nil {
		_, err = w.Write(body)
	}
	if err == nil {
		err = w.Close()
	}
	return out.Bytes(), err
}

// importKey names an import in outbox keys; it is its workflow's id too.
func importKey(id uuid.UUID) string { return "import/" + id.String() }
