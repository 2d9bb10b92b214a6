package store

import (
	"bytes"
	"slices"
	"time"

	"lastcall/domain/audit"
	"lastcall/domain/contact"
)

// Preference is a recipient's word about marketing, as the provider tells it.
type Preference struct {
	MSISDN contact.MSISDN
	Stop   bool      // no marketing any more; else marketing again
	At     time.Time // the provider's clock
}

// applyPreferences keeps each recipient's last word and has the registry follow it. Of two words within one
// second stop is the last: the provider's clock is no finer, and silence does no harm. Marketing again takes an
// opt-out away that the provider had told, and no other: what a person told us stands.
func (tx *Tx) applyPreferences(s *Store, all []Preference) error {
	if len(all) == 0 {
		return nil
	}
	type word struct {
		hash []byte
		stop bool
		at   time.Time
	}
	words := make([]word, len(all))
	for i, p := range all {
		words[i] = word{s.pepper.Hash(p.MSISDN), p.Stop, p.At}
	}
	slices.SortFunc(words, func(a, b word) int { // in one order everywhere, the last word of each last
		switch c := bytes.Compare(a.hash, b.hash); {
		case c != 0:
			return c
		case !a.at.Equal(b.at):
			return a.at.Compare(b.at)
		case a.stop == b.stop:
			return 0
		case b.stop:
			return -1
		}
		return 1
	})
	var hashes [][]byte
	var stops []bool
	var ats []time.Time
	for i, w := range words {
		if i+1 < len(words) && bytes.Equal(words[i+1].hash, w.hash) {
			continue
		}
		hashes, stops, ats = append(hashes, w.hash), append(stops, w.stop), append(ats, w.at)
	}
	rows, err := tx.pgx.Query(tx.ctx, `INSERT INTO preferences AS p (msisdn_hash, stop, at)
			SELECT * FROM unnest($1::bytea[], $2::boolean[], $3::timestamptz[])
		ON CONFLICT (msisdn_hash) DO UPDATE SET stop = excluded.stop, at = excluded.at
			WHERE excluded.at > p.at OR excluded.at = p.at AND excluded.stop AND NOT p.stop
		RETURNING msisdn_hash, stop, at`, hashes, stops, ats)
	if err != nil {
		return wrap(err, "preferences")
	}
	var out, in [][]byte
	var outAt, inAt []time.Time
	for rows.Next() {
		var w word
		if err := rows.Scan(&w.hash, &w.stop, &w.at); err != nil {
			return err
		}
		if w.stop {
			out, outAt = append(out, w.hash), append(outAt, w.at)
		} else {
			in, inAt = append(in, w.hash), append(inAt, w.at)
		}
	}
	if err := rows.Err(); err != nil {
		return wrap(err, "preferences")
	}
	const told = "told by WhatsApp"
	done, err := tx.pgx.Exec(tx.ctx, `INSERT INTO opt_outs AS o (msisdn_hash, source, reason, created_at)
			SELECT h, 'provider', $3, least(at, clock_timestamp()) FROM unnest($1::bytea[], $2::timestamptz[]) AS w (h, at)
		ON CONFLICT (msisdn_hash) DO UPDATE SET created_at = excluded.created_at
			WHERE o.source = 'provider' AND excluded.created_at > o.created_at`, out, outAt, told)
	if err == nil && done.RowsAffected() > 0 {
		err = tx.enter(audit.Entry{Action: "opt_out.added", Target: "opt_outs", Reason: told,
			Diff: map[string]any{"source": OptOutProvider, "given": len(out), "added": done.RowsAffected(), "hashes": digests(out)}})
	}
	if err != nil {
		return wrap(err, "preferences")
	}
	// One that is younger than the word was told at a send after it.
	done, err = tx.pgx.Exec(tx.ctx, `DELETE FROM opt_outs o USING unnest($1::bytea[], $2::timestamptz[]) AS w (h, at)
		WHERE o.msisdn_hash = w.h AND o.source = 'provider' AND o.created_at < w.at + interval '1 second'`, in, inAt)
	if err == nil && done.RowsAffected() > 0 {
		err = tx.enter(audit.Entry{Action: "opt_out.removed", Target: "opt_outs", Reason: told,
			Diff: map[string]any{"source": OptOutProvider, "given": len(in), "removed": done.RowsAffected(), "hashes": digests(in)}})
	}
	return wrap(err, "preferences")
}
