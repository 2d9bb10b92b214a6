package store

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain"
	"lastcall/domain/audit"
	"lastcall/domain/voucher"
)

// VoucherEvent is a change of a voucher's state.
type VoucherEvent struct {
	ID        int64
	At        time.Time
	Status    voucher.Status // what it became
	ActorKind string
	Actor     string
	StationID *uuid.UUID // where it was redeemed
	Reason    string
}

// VoucherEvents lists what became of a voucher, oldest first.
func (s *Store) VoucherEvents(ctx context.Context, id uuid.UUID) ([]VoucherEvent, error) {
	if _, err := s.Voucher(ctx, id); err != nil {
		return nil, err
	}
	rows, err := s.pool.Query(ctx, `SELECT id, at, status, actor_kind, actor, station_id, reason FROM voucher_events WHERE voucher_id = $1 ORDER BY id`, id)
	if err != nil {
		return nil, unavailable(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[VoucherEvent])
	return all, unavailable(err)
}

func (tx *Tx) voucherEvent(id uuid.UUID, became voucher.Status, station *uuid.UUID, reason string) error {
	actor := audit.ActorFrom(tx.ctx)
	_, err := tx.pgx.Exec(tx.ctx, `INSERT INTO voucher_events (voucher_id, status, actor_kind, actor, station_id, reason) VALUES ($1, $2, $3, $4, $5, $6)`,
		id, became, actor.Kind, actor.Name, station, reason)
	return wrap(err, "voucher event")
}

// MarkVoucherSent records that the guest was told of a voucher in another way than by a message that arrived, with a note of
// how, "" for none. It fails with domain.Conflict of code wrong_state when the voucher cannot be redeemed any more, or was
// sent and nobody knows that it did not arrive.
func (s *Store) MarkVoucherSent(ctx context.Context, id uuid.UUID, note string) (v Voucher, err error) {
	if note != "" {
		if note, err = voucher.ParseReason(note); err != nil {
			return v, about(err, "note")
		}
	}
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		entry := audit.Entry{Action: "voucher.told", Target: voucherTarget(id), Reason: note}
		told, err := tx.pgx.Exec(tx.ctx, `UPDATE vouchers SET undelivered_at = NULL WHERE id = $1 AND status = 'sent' AND undelivered_at IS NOT NULL`, id)
		if err != nil || told.RowsAffected() > 0 {
			if err == nil {
				v, err = voucherWhere(tx.ctx, tx.pgx, `v.id = $1`, id)
			}
			return entry, err
		}
		entry.Action = "voucher.sent"
		v, err = tx.moveVoucher(id, voucher.Sent, "sent_at", note)
		return entry, err
	})
	return v, err
}

// VoidVoucher withdraws a voucher that has not been redeemed, for a reason. It fails with domain.Conflict of code
// wrong_state when the voucher's state is final already, and that is audited, too.
func (s *Store) VoidVoucher(ctx context.Context, id uuid.UUID, reason string) (Voucher, error) {
	reason, err := voucher.ParseReason(reason)
	if err != nil {
		return Voucher{}, err
	}
	var v Voucher
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		v, err = tx.moveVoucher(id, voucher.Void, "voided_at", reason)
		return audit.Entry{Action: "voucher.voided", Target: voucherTarget(id), Reason: reason}, err
	})
	if domain.CodeOf(err) == "wrong_state" {
		refused := s.Write(ctx, func(*Tx) (audit.Entry, error) {
			return audit.Entry{Action: "voucher.void_refused", Target: voucherTarget(id), Reason: reason, Diff: map[string]any{"status": v.Status}}, nil
		})
		err = errors.Join(err, refused)
	}
	return v, err
}

// moveVoucher changes a voucher's state if it may, and notes when in the column stamp.
func (tx *Tx) moveVoucher(id uuid.UUID, to voucher.Status, stamp, reason string) (v Voucher, err error) {
	var from []voucher.Status
	for _, status := range voucher.Statuses {
		if status.MayBecome(to) {
			from = append(from, status)
		}
	}
	rows, err := tx.pgx.Query(tx.ctx, `UPDATE vouchers v SET status = $2, void_reason = CASE WHEN $2 = 'void' THEN $3 END, `+stamp+` = clock_timestamp()
		WHERE v.id = $1 AND v.status = ANY ($4) RETURNING `+voucherColumns, id, to, reason, from)
	if err == nil {
		v, err = pgx.CollectExactlyOneRow(rows, scanVoucher)
	}
	if errors.Is(err, pgx.ErrNoRows) {
		if v, err = voucherWhere(tx.ctx, tx.pgx, `v.id = $1`, id); err != nil {
			return v, notFound(err, "voucher", id)
		}
		return v, domain.E(domain.Conflict, "wrong_state", "the voucher is %s", v.Status)
	}
	if err != nil {
		return v, err
	}
	return v, tx.voucherEvent(id, to, nil, reason)
}

// expireAtOnce is how many vouchers expire in one transaction: some tens of milliseconds' work.
const expireAtOnce = 1000

// ExpireVouchers ends the vouchers whose time has passed, by the database's clock, in transactions of so many with one audit
// entry each, and returns how many. Any number may run beside each other.
func (s *Store) ExpireVouchers(ctx context.Context) (expired int64, err error) {
	ctx = audit.WithActor(ctx, audit.System("voucher expiry"))
	for {
		n, err := s.expireBatch(ctx)
		expired += n
		if err != nil || n < expireAtOnce {
			return expired, err
		}
	}
}

var errNothingDue = errors.New("nothing is due")

func (s *Store) expireBatch(ctx context.Context) (n int64, err error) {
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		actor := audit.ActorFrom(tx.ctx)
		var first, last *uuid.UUID
		err := tx.pgx.QueryRow(tx.ctx, `WITH due AS MATERIALIZED (
				SELECT id FROM vouchers WHERE status IN ('issued', 'sent') AND expires_at <= now() ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED),
			ended AS (UPDATE vouchers v SET status = 'expired', expired_at = clock_timestamp() FROM due WHERE v.id = due.id RETURNING v.id),
			told AS (INSERT INTO voucher_events (voucher_id, status, actor_kind, actor) SELECT id, 'expired', $2, $3 FROM ended)
			SELECT count(*), (array_agg(id ORDER BY id))[1], (array_agg(id ORDER BY id DESC))[1] FROM ended`, expireAtOnce, actor.Kind, actor.Name).
			Scan(&n, &first, &last)
		if err == nil && n == 0 {
			err = errNothingDue
		}
		return audit.Entry{Action: "voucher.expired", Target: "vouchers", Diff: map[string]any{"vouchers": n, "first": first, "last": last}}, err
	})
	if errors.Is(err, errNothingDue) {
		err = nil
	}
	return n, err
}

// VoucherExpiry lets vouchers expire. Any number may run.
type VoucherExpiry struct {
	Store *Store
	Log   *slog.Logger
	Every time.Duration // 0: a minute
}

// Run sweeps at once, and then again and again until ctx is over.
func (e *VoucherExpiry) Run(ctx context.Context) {
	for range repeatedly(ctx, cmp.Or(e.Every, time.Minute), true) {
		switch expired, err := e.Store.ExpireVouchers(ctx); {
		case err != nil && ctx.Err() == nil:
			e.Log.Warn("vouchers do not expire", "error", err)
		case expired > 0:
			e.Log.Info("vouchers expired", "vouchers", expired)
		}
	}
}
