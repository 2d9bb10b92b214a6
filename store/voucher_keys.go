package store

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"lastcall/domain/audit"
	"lastcall/domain/voucher"
)

// A key that signs vouchers comes and goes in a file, which has no audit log. Whoever reads the file notes here what it
// sees, and what is new, or gone for good, is entered once, however many look.

// voucherKeyGone is how long nobody has to have seen a key for it to be retired: some processes may get the file later.
const voucherKeyGone = 10 * time.Minute

// NoteVoucherKeys notes which keys there are to sign vouchers and verify them by: voucher_key.added and voucher_key.retired
// in the audit log.
func (s *Store) NoteVoucherKeys(ctx context.Context, keys *voucher.Keys) error {
	var ids []string
	var from []time.Time
	for _, k := range keys.List() {
		ids, from = append(ids, k.ID().String()), append(from, k.SignsFrom)
	}
	ctx = audit.WithActor(ctx, audit.System("voucher keys"))
	return s.inTx(ctx, func(tx *Tx) error {
		if _, err := tx.pgx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('voucher keys'))`); err != nil { // one enters what is new
			return err
		}
		var added, gone []string
		err := tx.pgx.QueryRow(ctx, `SELECT array(SELECT id FROM unnest($1::text[]) AS k (id)
				WHERE NOT EXISTS (SELECT FROM voucher_keys v WHERE v.id = k.id AND v.retired_at IS NULL) ORDER BY id)`, ids).Scan(&added)
		if err == nil {
			_, err = tx.pgx.Exec(ctx, `INSERT INTO voucher_keys (id, signs_from) SELECT * FROM unnest($1::text[], $2::timestamptz[])
				ON CONFLICT (id) DO UPDATE SET seen_at = clock_timestamp(), retired_at = NULL`, ids, from)
		}
		if err == nil {
			err = tx.pgx.QueryRow(ctx, `WITH gone AS (UPDATE voucher_keys SET retired_at = clock_timestamp()
					WHERE retired_at IS NULL AND seen_at < clock_timestamp() - $1::interval RETURNING id)
				SELECT coalesce(array_agg(id ORDER BY id), '{}') FROM gone`, voucherKeyGone).Scan(&gone)
		}
		for action, ids := range map[string][]string{"voucher_key.added": added, "voucher_key.retired": gone} {
			for _, id := range ids {
				if err == nil {
					err = tx.enter(audit.Entry{Action: action, Target: "voucher_key/" + id})
				}
			}
		}
		return err
	})
}

// VoucherKeyWatch notes the keys of a file. Any number may run.
type VoucherKeyWatch struct {
	Store *Store
	Keys  func() (*voucher.Keys, error)
	Log   *slog.Logger
	Every time.Duration // 0: a minute
}

// Run looks at once, and then again and again until ctx is over.
func (w *VoucherKeyWatch) Run(ctx context.Context) {
	for range repeatedly(ctx, cmp.Or(w.Every, time.Minute), true) {
		if keys, err := w.Keys(); err == nil { // without keys there is nothing to note; who needs one says so
			if err := w.Store.NoteVoucherKeys(ctx, keys); err != nil && ctx.Err() == nil {
				w.Log.Warn("voucher keys are not noted", "error", err)
			}
		}
	}
}
