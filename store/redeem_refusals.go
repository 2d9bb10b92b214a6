package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain"
	"lastcall/domain/audit"
	"lastcall/domain/voucher"
)

// Refusal is why the rules did not let a voucher be redeemed. It is the business at work, no failure of ours.
type Refusal struct {
	Why        *domain.Error
	VoucherID  uuid.UUID  // uuid.Nil: no voucher was found
	RedeemedAt *time.Time // of one that was redeemed already
	Station    string     // where: "ENG-001, Kimironko"
	MSISDN     string     // masked, of one that was redeemed already
}

func (r *Refusal) Error() string { return r.Why.Error() }

// Unwrap gives the error people see to errors.AsType.
func (r *Refusal) Unwrap() error { return r.Why }

// refuseUnless refuses, unless something failed.
func (a *attempt) refuseUnless(tx *Tx, why *domain.Error, err error) (audit.Entry, error) {
	if err != nil {
		return audit.Entry{}, err
	}
	return a.refuse(tx, why)
}

// refuse notes that the rules refuse, unless this request had its answer before. What comes during a lock is not noted,
// so that nobody fills the log by knocking.
func (a *attempt) refuse(tx *Tx, why *domain.Error) (audit.Entry, error) {
	if err := a.repeated(tx); err != nil {
		return audit.Entry{}, err
	}
	a.refusal = &Refusal{Why: why}
	target, found := "station/"+a.By.StationID.String(), (*uuid.UUID)(nil)
	if a.found != nil {
		found, target = &a.found.ID, voucherTarget(a.found.ID)
		a.refusal.VoucherID = a.found.ID
		if why.Code == "already_redeemed" {
			a.refusal.RedeemedAt, a.refusal.Station, a.refusal.MSISDN = a.found.redeemedAt, a.found.station, a.found.masked()
		}
	}
	if why.Kind == domain.TooMany {
		return audit.Entry{}, errNotCounted
	}
	var alert bool
	if why.Code == "wrong_code" {
		var err error
		if alert, err = a.countGuess(tx); err != nil {
			return audit.Entry{}, err
		}
	}
	// Who only looks at a voucher has tried nothing, unless it was a code.
	if !a.looking || why.Code == "wrong_code" {
		if _, err := tx.pgx.Exec(tx.ctx, `INSERT INTO redemption_refusals (kind, code, voucher_id, station_id, device_id, mock, alerted)
			VALUES ('business', $1, $2, $3, $4, $5, $6)`, why.Code, found, a.By.StationID, a.By.DeviceID, a.set.Toggles.MockRedemptions, alert); err != nil {
			return audit.Entry{}, err
		}
	}
	if a.OfflineAt != nil && why.Kind != domain.Unavailable {
		if err := a.leaveToSupport(tx, why, found); err != nil {
			return audit.Entry{}, err
		}
	}
	action := "voucher.redemption_refused"
	if a.looking {
		action = "voucher.look_refused"
	}
	return audit.Entry{Action: action, Target: target, Diff: map[string]any{"code": why.Code, "station_id": a.By.StationID, "device_id": a.By.DeviceID,
		"offline": a.OfflineAt != nil}}, nil
}

// countGuess looks at what one more wrong code does: it may lock the device, and be a storm of which Ops is told once.
func (a *attempt) countGuess(tx *Tx) (alert bool, err error) {
	var wrong []time.Time
	var now time.Time
	var storm int
	err = tx.pgx.QueryRow(tx.ctx, `SELECT clock_timestamp(), array(SELECT at FROM redemption_refusals WHERE code = 'wrong_code' AND device_id = $1 ORDER BY at DESC LIMIT $2),
			(SELECT count(*) FROM (SELECT FROM redemption_refusals WHERE code = 'wrong_code' AND at > now() - $3::interval LIMIT $4) g)`,
		a.By.DeviceID, voucher.FreeGuesses-1, voucher.GuessWindow, voucher.StormGuesses).Scan(&now, &wrong, &storm)
	if err != nil {
		return false, err
	}
	if voucher.Locked(append([]time.Time{now}, wrong...), now) > 0 {
		if err := tx.enter(audit.Entry{Action: "station.code_entry_locked", Target: "device/" + a.By.DeviceID.String(),
			Diff: map[string]any{"station_id": a.By.StationID, "until": now.Add(voucher.GuessWindow).UTC()}}); err != nil {
			return false, err
		}
	}
	if storm+1 < voucher.StormGuesses {
		return false, nil
	}
	if _, err := tx.pgx.Exec(tx.ctx, `SELECT pg_advisory_xact_lock(hashtext('guess storm'))`); err != nil {
		return false, err
	}
	err = tx.pgx.QueryRow(tx.ctx, `SELECT NOT EXISTS (SELECT FROM redemption_refusals WHERE alerted AND at > now() - $1::interval)`, voucher.StormQuiet).Scan(&alert)
	if err == nil && alert {
		_, err = tx.send(KindOpsNotice, "vouchers/ops", OpsNotice{Title: "Somebody guesses voucher codes", Level: "warn",
			Text: fmt.Sprintf("%d wrong codes within %s, the last at %s. Devices that send %d are locked by themselves; look at the stations' refusals in the audit log.",
				storm+1, voucher.GuessWindow, a.By.StationCode, voucher.FreeGuesses)})
	}
	return alert, err
}

// leaveToSupport makes a task of a voucher that a station accepted offline in vain, once a request.
func (a *attempt) leaveToSupport(tx *Tx, why *domain.Error, found *uuid.UUID) error {
	_, err := tx.pgx.Exec(tx.ctx, `INSERT INTO provisional_refusals (id, idempotency_key, code, detail, voucher_id, station_id, device_id, operator, offline_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (idempotency_key) DO NOTHING`,
		uuid.Must(uuid.NewV7()), a.Key, why.Code, why.Message, found, a.By.StationID, a.By.DeviceID, a.By.Operator, a.OfflineAt)
	return wrap(err, "task for Support")
}

// RedemptionFailed notes a redemption that failed by our fault, as well as it can, and returns err. Whoever left has failed
// nothing, and a wrong request is the caller's.
func (s *Store) RedemptionFailed(ctx context.Context, r Redemption, err error) error {
	kind := domain.KindOf(err)
	if errors.Is(err, context.Canceled) || kind != domain.Internal && kind != domain.Unavailable {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_ = s.inTx(ctx, func(tx *Tx) error { // the error that counts is err
		_, err := tx.pgx.Exec(tx.ctx, `INSERT INTO redemption_refusals (kind, code, station_id, device_id) VALUES ('system', $1, $2, $3)`,
			domain.CodeOf(err), r.By.StationID, r.By.DeviceID)
		return err
	})
	return err
}

// SupportTask is something that somebody of Support has to see to: a voucher that a station accepted offline and that was
// refused when that came in. The guest has been served.
type SupportTask struct {
	ID          uuid.UUID
	Code        string // why it was refused
	Detail      string // the same for people
	VoucherID   *uuid.UUID
	StationID   uuid.UUID
	StationCode string
	DeviceID    uuid.UUID
	Operator    string
	OfflineAt   time.Time // by the device
	CreatedAt   time.Time
	ResolvedAt  *time.Time
	ResolvedBy  string
	Note        string
}

const taskColumns = `t.id, t.code, t.detail, t.voucher_id, t.station_id, (SELECT code FROM stations WHERE id = t.station_id), t.device_id, t.operator, t.offline_at,
	t.created_at, t.resolved_at, coalesce(t.resolved_by, ''), coalesce(t.note, '')`

// SupportTasks lists tasks, oldest first, those after the task `after` first; open ones only, or all.
func (s *Store) SupportTasks(ctx context.Context, all bool, after uuid.UUID, limit int) ([]SupportTask, error) {
	rows, err := s.pool.Query(ctx, `SELECT `+taskColumns+` FROM provisional_refusals t WHERE ($1 OR t.resolved_at IS NULL) AND t.id > $2 ORDER BY t.id LIMIT $3`,
		all, after, page(limit))
	if err != nil {
		return nil, unavailable(err)
	}
	tasks, err := pgx.CollectRows(rows, pgx.RowToStructByPos[SupportTask])
	return tasks, unavailable(err)
}

// ResolveSupportTask notes what somebody did about a task; domain.Conflict of code task_resolved when it was resolved.
func (s *Store) ResolveSupportTask(ctx context.Context, id uuid.UUID, note string) (task SupportTask, err error) {
	if note, err = voucher.ParseReason(note); err != nil {
		return task, about(err, "note")
	}
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		rows, err := tx.pgx.Query(tx.ctx, `UPDATE provisional_refusals t SET resolved_at = clock_timestamp(), resolved_by = $2, note = $3
			WHERE t.id = $1 AND t.resolved_at IS NULL RETURNING `+taskColumns, id, audit.ActorFrom(tx.ctx).Name, note)
		if err == nil {
			task, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[SupportTask])
		}
		if errors.Is(err, pgx.ErrNoRows) {
			var there bool
			if err := tx.pgx.QueryRow(tx.ctx, `SELECT EXISTS (SELECT FROM provisional_refusals WHERE id = $1)`, id).Scan(&there); err != nil || there {
				return audit.Entry{}, errors.Join(err, domain.E(domain.Conflict, "task_resolved", "somebody has resolved this task already"))
			}
			return audit.Entry{}, notFound(err, "support_task", id)
		}
		return audit.Entry{Action: "support_task.resolved", Target: "support_task/" + id.String(), Reason: note}, err
	})
	return task, err
}
