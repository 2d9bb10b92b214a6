package store

import (
	"context"
	"encoding/hex"
	"time"

	"lastcall/domain"
	"lastcall/domain/audit"
	"lastcall/domain/contact"
)

// The sources of an opt-out.
const (
	OptOutRegistry = "registry" // entered by a person
	OptOutProvider = "provider" // the provider told us
	OptOutInbound  = "inbound"  // the person wrote STOP to us
)

// OptOut says that the owner of a number wants no messages. The number itself is not kept.
type OptOut struct {
	MSISDNHash []byte `gorm:"column:msisdn_hash;primaryKey"`
	Source     string
	Reason     string
	CreatedAt  time.Time // when the person said it; by the provider's clock, if it told us
	KnownAt    time.Time // when it was entered
}

// AddOptOuts enters numbers into the registry, all or none, and returns how many were new. It counts for
// every send whose permit is granted from then on.
func (s *Store) AddOptOuts(ctx context.Context, numbers []contact.MSISDN, source, reason string) (added int64, err error) {
	hashes := s.hashes(numbers)
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		done, err := tx.pgx.Exec(tx.ctx, `INSERT INTO opt_outs (msisdn_hash, source, reason)
			SELECT h, $2, $3 FROM unnest($1::bytea[]) h ON CONFLICT DO NOTHING`, hashes, source, reason)
		added = done.RowsAffected()
		return audit.Entry{Action: "opt_out.added", Target: "opt_outs", Reason: reason,
			Diff: map[string]any{"source": source, "given": len(numbers), "added": added, "hashes": digests(hashes)}}, err
	})
	return added, err
}

// RemoveOptOuts takes numbers out of the registry, as when a person opted in again, and returns how many
// were in it.
func (s *Store) RemoveOptOuts(ctx context.Context, numbers []contact.MSISDN, reason string) (removed int64, err error) {
	hashes := s.hashes(numbers)
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		done, err := tx.pgx.Exec(tx.ctx, `DELETE FROM opt_outs WHERE msisdn_hash = ANY ($1)`, hashes)
		removed = done.RowsAffected()
		if err == nil && removed == 0 {
			return audit.Entry{}, domain.E(domain.NotFound, "opt_out_not_found", "none of these numbers is opted out")
		}
		return audit.Entry{Action: "opt_out.removed", Target: "opt_outs", Reason: reason,
			Diff: map[string]any{"given": len(numbers), "removed": removed, "hashes": digests(hashes)}}, err
	})
	return removed, err
}

// OptOuts lists the registry, oldest first, from after the given entry (nil: the first) on.
func (s *Store) OptOuts(ctx context.Context, after *OptOut, limit int) ([]OptOut, error) {
	var all []OptOut
	q := s.orm.WithContext(ctx).Order("created_at, msisdn_hash").Limit(page(limit))
	if after != nil {
		q = q.Where("(created_at, msisdn_hash) > (?, ?)", after.CreatedAt, after.MSISDNHash)
	}
	return all, unavailable(q.Find(&all).Error)
}

// OptOutOf returns a number's entry in the registry, or nil.
func (s *Store) OptOutOf(ctx context.Context, m contact.MSISDN) (*OptOut, error) {
	var found []OptOut
	err := s.orm.WithContext(ctx).Where("msisdn_hash = ?", s.pepper.Hash(m)).Limit(1).Find(&found).Error
	if err != nil || len(found) == 0 {
		return nil, unavailable(err)
	}
	return &found[0], nil
}

// OptedOut reports whether a number is in the registry.
func (s *Store) OptedOut(ctx context.Context, m contact.MSISDN) (out bool, err error) {
	err = s.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM opt_outs WHERE msisdn_hash = $1)`, s.pepper.Hash(m)).Scan(&out)
	return out, unavailable(err)
}

func (s *Store) hashes(numbers []contact.MSISDN) [][]byte {
	all := make([][]byte, len(numbers))
	for i, m := range numbers {
		all[i] = s.pepper.Hash(m)
	}
	return all
}

// digests shortens hashes for the audit log, where they only have to be recognised; of long lists, the first.
func digests(hashes [][]byte) []string {
	var short []string
	for _, h := range hashes[:min(len(hashes), 100)] {
		short = append(short, hex.EncodeToString(h[:8]))
	}
	return short
}
