package store

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"lastcall/domain"
	"lastcall/domain/audit"
	"lastcall/domain/policy"
	"lastcall/domain/voucher"
)

// Redemption is a request to redeem a voucher: by its short code as typed, or by its id, which its QR code told.
type Redemption struct {
	By          StationSession
	Code        string
	Voucher     uuid.UUID
	Key         string     // the request's idempotency key
	RequestHash []byte     // 32 bytes: tell a repeated request from another one with the same key
	OfflineAt   *time.Time // when, by its clock, the device accepted it without a connection; nil: it has one
}

// Redeemed is a redemption as it was answered, the first time and each time its request is repeated.
type Redeemed struct {
	ID          uuid.UUID        `json:"id"`
	VoucherID   uuid.UUID        `json:"voucher_id"`
	Amount      string           `json:"amount"` // plain: 2000, 12.50
	Currency    voucher.Currency `json:"currency"`
	MSISDN      string           `json:"msisdn,omitempty"` // masked; "" when its owner was forgotten
	StationCode string           `json:"station_code"`
	StationName string           `json:"station_name"`
	RedeemedAt  time.Time        `json:"redeemed_at"` // by the database
	OfflineAt   *time.Time       `json:"offline_at,omitempty"`
	Mock        bool             `json:"mock,omitempty"` // rehearsed: the voucher can still be redeemed
}

// Redeem redeems a voucher at most once, whatever happens: one conditional update, and one insert whose unique voucher and
// unique key are the guarantee, in one statement. The same key and request again get the same receipt, and repeated says so; also while the
// first is under way, whose end the second awaits. The same key with another request is domain.Invalid of code
// idempotency_key_reused.
//
// What the rules refuse is a *Refusal, counted and audited: wrong_code, already_redeemed, voucher_expired, voucher_void,
// wrong_station, and of what was accepted offline offline_off, offline_too_old, offline_clock, offline_code, offline_scope
// and offline_lease, all of which become tasks for Support. A device or station that sent too many wrong codes gets
// domain.TooMany of code code_entry_locked; while stations may not redeem it is domain.Unavailable of code station_redeem_off.
func (s *Store) Redeem(ctx context.Context, r Redemption) (receipt Redeemed, repeated bool, err error) {
	a := attempt{store: s, Redemption: r}
	if a.atOnce(ctx) {
		return a.receipt, false, nil
	}
	if a.set, err = s.Settings(ctx); err != nil {
		return Redeemed{}, false, s.RedemptionFailed(ctx, r, err)
	}
	err = s.inTx(ctx, func(tx *Tx) error {
		entry, err := a.redeem(tx)
		if err != nil || a.entered {
			return err
		}
		return tx.enter(entry)
	})
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "23505" { // another one with this key, or of this voucher, came first
		err = s.Write(ctx, a.explain)
	}
	switch {
	case errors.Is(err, errRepeated), err == nil && a.refusal == nil:
		return a.receipt, err != nil, nil
	case errors.Is(err, errNotCounted), err == nil:
		return Redeemed{}, false, a.refusal
	}
	return Redeemed{}, false, s.RedemptionFailed(ctx, r, err)
}

// errNotCounted ends a transaction of a refusal that leaves no trace.
var errNotCounted = errors.New("refused without a trace")

// attempt is one attempt to redeem a voucher, or to look at one.
type attempt struct {
	Redemption
	store   *Store
	set     policy.Settings
	looking bool // at it only

	found   *found   // the voucher
	receipt Redeemed // when it went well
	entered bool     // in the audit log already
	refusal *Refusal // when the rules refuse
}

// atOnce redeems a voucher that was scanned in two statements, one that looks and one that redeems, which is a transaction by
// itself: the way that most go. It reports false when anything is not as it mostly is, an error among it; then nothing was
// done or, were the answer lost, the key tells.
func (a *attempt) atOnce(ctx context.Context) bool {
	if a.Code != "" || a.OfflineAt != nil {
		return false // wrong codes are counted in turns, and what is offline has more to be checked
	}
	var err error
	if a.found, err = a.lookUp(ctx, a.store.pool, `v.id = $1`, a.Voucher); err != nil || a.found.refuses(a.By) != nil {
		return false
	}
	a.set, err = a.store.settingsAt(ctx, a.store.pool, a.found.revision)
	if err != nil || !a.set.Toggles.StationRedeem || a.set.Toggles.MockRedemptions {
		return false
	}
	done, err := a.take(ctx, a.store.pool)
	return done && err == nil
}

// redeem is the transaction of the others.
func (a *attempt) redeem(tx *Tx) (audit.Entry, error) {
	a.found, a.refusal, a.entered = nil, nil, false
	if !a.set.Toggles.StationRedeem {
		return a.refuse(tx, domain.E(domain.Unavailable, "station_redeem_off", "vouchers are not redeemed for the time being; Ops has switched it off"))
	}
	if refused, err := a.find(tx); refused != nil || err != nil {
		return a.refuseUnless(tx, refused, err)
	}
	if refused, err := a.checkOffline(tx); refused != nil || err != nil {
		return a.refuseUnless(tx, refused, err)
	}
	if a.set.Toggles.MockRedemptions {
		return a.rehearse(tx)
	}
	done, err := a.take(tx.ctx, tx.pgx)
	if !done && err == nil { // it is not to be redeemed, or not any more
		return a.explain(tx)
	}
	return audit.Entry{}, err
}

// take redeems the voucher that was found, with its event and its entry in the audit log, unless it is not to be redeemed any
// more: one statement, all of it or nothing.
func (a *attempt) take(ctx context.Context, db querier) (done bool, err error) {
	a.receipt = a.answer(false)
	body, err := json.Marshal(a.receipt)
	if err != nil {
		return false, err
	}
	entry, err := entryValues(ctx, a.entry("voucher.redeemed"))
	if err != nil {
		return false, err
	}
	actor := audit.ActorFrom(ctx)
	var response []byte
	err = db.QueryRow(ctx, `WITH redeemed AS (
			UPDATE vouchers SET status = 'redeemed', redeemed_at = clock_timestamp(), redeemed_station_id = $2
			WHERE id = $1 AND status IN ('issued', 'sent') AND expires_at > clock_timestamp() AND (scope = 'all' OR $2 = ANY (station_ids)) AND station_takes_part($2)
			RETURNING id, amount, currency, redeemed_at),
		told AS (INSERT INTO voucher_events (voucher_id, at, status, actor_kind, actor, station_id)
			SELECT id, redeemed_at, 'redeemed', $10, $11, $2 FROM redeemed),
		entered AS (INSERT INTO audit_log (`+entryColumns+`)
			SELECT $13, $14, $15, $16, $17, $18::jsonb, $19, $20, nullif($21::bigint, 0) FROM redeemed)
		INSERT INTO redemptions (id, voucher_id, idempotency_key, request_hash, response, station_id, device_id, operator_id, operator,
			amount, currency, created_at, offline_at)
		SELECT $3, id, $4, $5, $6::jsonb || jsonb_build_object('redeemed_at', redeemed_at), $2, $7, $8, $9, amount, currency, redeemed_at, $12
		FROM redeemed RETURNING response`,
		append([]any{a.found.ID, a.By.StationID, a.receipt.ID, a.Key, a.RequestHash, body, a.By.DeviceID, a.By.OperatorID, a.By.Operator, actor.Kind, actor.Name,
			a.OfflineAt}, entry...)...).Scan(&response)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	a.entered = true
	return true, json.Unmarshal(response, &a.receipt)
}

// rehearse notes what would be a redemption, and leaves the voucher as it is.
func (a *attempt) rehearse(tx *Tx) (audit.Entry, error) {
	if a.found.refuses(a.By) != nil {
		return a.explain(tx)
	}
	a.receipt = a.answer(true)
	body, err := json.Marshal(a.receipt)
	if err != nil {
		return audit.Entry{}, err
	}
	var response []byte
	err = tx.pgx.QueryRow(tx.ctx, `INSERT INTO mock_redemptions (id, voucher_id, idempotency_key, request_hash, response, station_id, device_id,
			operator_id, operator, offline_at)
		VALUES ($1, $2, $3, $4, $5::jsonb || jsonb_build_object('redeemed_at', clock_timestamp()), $6, $7, $8, $9, $10) RETURNING response`,
		a.receipt.ID, a.found.ID, a.Key, a.RequestHash, body, a.By.StationID, a.By.DeviceID, a.By.OperatorID, a.By.Operator, a.OfflineAt).Scan(&response)
	if err != nil {
		return audit.Entry{}, err
	}
	return a.entry("voucher.mock_redeemed"), json.Unmarshal(response, &a.receipt)
}

// answer is the receipt, but for the time, which the database tells.
func (a *attempt) answer(mock bool) Redeemed {
	return Redeemed{ID: uuid.Must(uuid.NewV7()), VoucherID: a.found.ID, Amount: a.found.Money.Plain(), Currency: a.found.Money.Currency,
		MSISDN: a.found.masked(), StationCode: a.By.StationCode, StationName: a.found.here, OfflineAt: a.OfflineAt, Mock: mock}
}

func (a *attempt) entry(action string) audit.Entry {
	diff := map[string]any{"redemption_id": a.receipt.ID, "station_id": a.By.StationID, "device_id": a.By.DeviceID, "operator_id": a.By.OperatorID,
		"amount": a.receipt.Amount, "currency": a.receipt.Currency}
	if a.OfflineAt != nil {
		diff["offline_at"] = a.OfflineAt.UTC()
	}
	return audit.Entry{Action: action, Target: voucherTarget(a.found.ID), Diff: diff}
}

// repeated reports errRepeated, with the receipt of then, when the key was used for the same request, and another error
// when it was used for another one.
func (a *attempt) repeated(tx *Tx) error {
	if a.looking {
		return nil
	}
	table := "redemptions"
	if a.set.Toggles.MockRedemptions {
		table = "mock_redemptions"
	}
	var hash, response []byte
	err := tx.pgx.QueryRow(tx.ctx, `SELECT request_hash, response FROM `+table+` WHERE idempotency_key = $1`, a.Key).Scan(&hash, &response)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return err
	case string(hash) != string(a.RequestHash):
		return keyReused()
	}
	a.receipt = Redeemed{} // of this attempt, which came to nothing
	if err := json.Unmarshal(response, &a.receipt); err != nil {
		return err
	}
	return errRepeated
}

// explain is why the voucher was not redeemed just now: because it was, by this very request, or by whom, or what else.
func (a *attempt) explain(tx *Tx) (audit.Entry, error) {
	var err error
	if a.found, err = a.lookUp(tx.ctx, tx.pgx, `v.id = $1`, a.found.ID); err != nil {
		return audit.Entry{}, err
	}
	if refused := a.found.refuses(a.By); refused != nil {
		return a.refuse(tx, refused)
	}
	// Its key is another voucher's, or what stood in its way was undone.
	if err := a.repeated(tx); err != nil {
		return audit.Entry{}, err
	}
	return audit.Entry{}, domain.E(domain.Unavailable, "try_again", "somebody else was at this voucher; try again")
}

// checkOffline says what is wrong with having accepted a voucher offline.
func (a *attempt) checkOffline(tx *Tx) (*domain.Error, error) {
	if a.OfflineAt == nil {
		return nil, nil
	}
	most := a.set.OfflineRedemptions.MaxAge()
	if most == 0 {
		return domain.E(domain.Conflict, "offline_off", "vouchers are not accepted offline"), nil
	}
	var age float64 // seconds
	var leased bool
	err := tx.pgx.QueryRow(tx.ctx, `SELECT extract(epoch FROM clock_timestamp() - $3::timestamptz)::float8, EXISTS (SELECT FROM station_leases
			WHERE station_id = $1 AND device_id = $2 AND taken_at <= $3::timestamptz + $4::interval
				AND (ended_at IS NULL OR ended_at >= $3::timestamptz - $4::interval))`,
		a.By.StationID, a.By.DeviceID, *a.OfflineAt, voucher.ClockSkew).Scan(&age, &leased)
	switch since := time.Duration(age * float64(time.Second)); {
	case err != nil:
		return nil, err
	case since < -voucher.ClockSkew:
		return domain.E(domain.Conflict, "offline_clock", "the device's clock is ahead"), nil
	case since > most:
		return domain.E(domain.Conflict, "offline_too_old", "it was accepted offline more than %s ago", most), nil
	case a.found.Scope != voucher.ScopeStation:
		return domain.E(domain.Conflict, "offline_scope", "only a voucher for one station may be accepted offline"), nil
	case !leased:
		return domain.E(domain.Conflict, "offline_lease", "another device may accept vouchers offline for this station"), nil
	}
	return nil, nil
}
