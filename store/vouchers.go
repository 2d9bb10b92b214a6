package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"lastcall/domain"
	"lastcall/domain/audit"
	"lastcall/domain/contact"
	"lastcall/domain/voucher"
)

// Voucher is an amount that one guest redeems once.
type Voucher struct {
	ID                uuid.UUID // their order is that of their issue
	Code              voucher.Code
	MSISDN            contact.MSISDN // "" when its owner was forgotten
	ContactID         *uuid.UUID     // nil when the number is no contact's
	Money             voucher.Money
	Scope             voucher.Scope
	Stations          []uuid.UUID // that the scope names; none for all
	CampaignID        *uuid.UUID
	TargetID          *int64
	BatchID           *uuid.UUID
	Reference         string // the issuer's own, "" for none
	Status            voucher.Status
	ExpiresAt         time.Time
	IssuedAt          time.Time
	SentAt            *time.Time
	RedeemedAt        *time.Time
	RedeemedStationID *uuid.UUID
	ExpiredAt         *time.Time
	VoidedAt          *time.Time
	VoidReason        string
	UndeliveredAt     *time.Time // when the provider told that the message it had taken did not arrive; nil: not that, or its guest was told since
}

const voucherColumns = `v.id, v.code, coalesce(v.msisdn, ''), v.contact_id, v.amount, v.currency, v.scope, v.station_ids, v.campaign_id, v.target_id, v.batch_id,
	coalesce(v.reference, ''), v.status, v.expires_at, v.issued_at, v.sent_at, v.redeemed_at, v.redeemed_station_id, v.expired_at, v.voided_at,
	coalesce(v.void_reason, ''), v.undelivered_at`

// into are the places of voucherColumns.
func (v *Voucher) into() []any {
	return []any{&v.ID, &v.Code, &v.MSISDN, &v.ContactID, &v.Money.Amount, &v.Money.Currency, &v.Scope, &v.Stations, &v.CampaignID, &v.TargetID, &v.BatchID,
		&v.Reference, &v.Status, &v.ExpiresAt, &v.IssuedAt, &v.SentAt, &v.RedeemedAt, &v.RedeemedStationID, &v.ExpiredAt, &v.VoidedAt, &v.VoidReason, &v.UndeliveredAt}
}

func scanVoucher(row pgx.CollectableRow) (v Voucher, err error) {
	err = row.Scan(v.into()...)
	return v, err
}

// NewVoucher is what a voucher is made of.
type NewVoucher struct {
	MSISDN         contact.MSISDN // whose it is
	Money          voucher.Money
	Stations       []uuid.UUID // where it may be redeemed; none: everywhere
	ExpiresAt      time.Time
	CampaignID     *uuid.UUID
	Reference      string // the issuer's own: a number gets one voucher of each; "" for none
	IdempotencyKey string // of the request, "" for none
	RequestHash    []byte // tells a repeated request from another one with the same key
}

// IssueVoucher issues one voucher. The same idempotency key again returns the same voucher; with another request it is
// domain.Invalid of code idempotency_key_reused. It fails with domain.Invalid about "stations" or "expires_at", and with
// domain.Conflict of code reference_exists when the number has a voucher of this reference.
func (s *Store) IssueVoucher(ctx context.Context, n NewVoucher) (Voucher, error) {
	if err := voucher.CheckExpiry(n.ExpiresAt, time.Now()); err != nil {
		return Voucher{}, err
	}
	var v Voucher
	err := s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		if err := tx.checkStations(n.Stations); err != nil {
			return audit.Entry{}, err
		}
		var err error
		v, err = tx.issue(n)
		return audit.Entry{Action: "voucher.issued", Target: voucherTarget(v.ID), Diff: map[string]any{"amount": v.Money.Plain(), "currency": v.Money.Currency,
			"scope": v.Scope, "stations": v.Stations, "campaign_id": v.CampaignID, "expires_at": v.ExpiresAt.UTC()}}, err
	})
	if !errors.Is(err, errRepeated) {
		return v, err
	}
	var hash []byte
	if err := s.pool.QueryRow(ctx, `SELECT id, request_hash FROM vouchers WHERE idempotency_key = $1`, n.IdempotencyKey).Scan(&v.ID, &hash); err != nil {
		return v, unavailable(err)
	}
	if string(hash) != string(n.RequestHash) {
		return Voucher{}, keyReused()
	}
	return s.Voucher(ctx, v.ID)
}

func keyReused() error {
	return domain.E(domain.Invalid, "idempotency_key_reused", "this Idempotency-Key was used for another request").About("Idempotency-Key")
}

func voucherTarget(id uuid.UUID) string { return "voucher/" + id.String() }

// issue makes a voucher with its event. It fails with errRepeated when the idempotency key was used.
func (tx *Tx) issue(n NewVoucher) (v Voucher, err error) {
	id := uuid.Must(uuid.NewV7())
	for { // until its code is nobody's: once, as good as always
		rows, err := tx.pgx.Query(tx.ctx, `INSERT INTO vouchers AS v (id, code, msisdn, contact_id, amount, currency, scope, station_ids, campaign_id,
				reference, expires_at, idempotency_key, request_hash)
			VALUES ($1, $2, nullif($3, ''), (SELECT id FROM contacts WHERE msisdn = $3), $4, $5, $6, $7, $8, nullif($9, ''), $10, nullif($11, ''), $12)
			ON CONFLICT DO NOTHING RETURNING `+voucherColumns, id, voucher.NewCode(), n.MSISDN, n.Money.Amount, n.Money.Currency,
			voucher.ScopeOf(len(n.Stations)), append([]uuid.UUID{}, n.Stations...), n.CampaignID, n.Reference, n.ExpiresAt, n.IdempotencyKey, n.RequestHash)
		if err != nil {
			return v, err
		}
		v, err = pgx.CollectExactlyOneRow(rows, scanVoucher)
		if err == nil {
			return v, tx.voucherEvent(v.ID, voucher.Issued, nil, "")
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			return v, err
		}
		var repeated, referred bool
		err = tx.pgx.QueryRow(tx.ctx, `SELECT EXISTS (SELECT FROM vouchers WHERE idempotency_key = $1),
			EXISTS (SELECT FROM vouchers WHERE msisdn = $2 AND reference = $3)`, n.IdempotencyKey, n.MSISDN, n.Reference).Scan(&repeated, &referred)
		switch {
		case err != nil:
			return v, err
		case repeated:
			return v, errRepeated
		case referred:
			return v, domain.E(domain.Conflict, "reference_exists", "this number has a voucher of this reference already").About("reference")
		}
	}
}

// checkStations makes sure that these are stations, and no more than a scope may name.
func (tx *Tx) checkStations(ids []uuid.UUID) error {
	if len(ids) == 0 {
		return nil
	}
	var known int
	err := tx.pgx.QueryRow(tx.ctx, `SELECT count(*) FROM stations WHERE id = ANY ($1) AND deleted_at IS NULL`, ids).Scan(&known)
	switch {
	case err != nil:
		return err
	case len(ids) > voucher.MaxStations:
		return domain.E(domain.Invalid, "too_many_stations", "name %d at most, or none for all", voucher.MaxStations).About("stations")
	case known != len(ids):
		return domain.E(domain.Invalid, "unknown_station", "names a station that is not there, or one twice").About("stations")
	}
	return nil
}

// StationIDs are the stations with these codes, however they are written; domain.Invalid about "stations" when one is not there.
func (s *Store) StationIDs(ctx context.Context, codes []string) ([]uuid.UUID, error) {
	if len(codes) == 0 {
		return nil, nil
	}
	wanted := make([]string, len(codes))
	for i, code := range codes {
		wanted[i] = strings.ToUpper(strings.TrimSpace(code))
	}
	slices.Sort(wanted)
	wanted = slices.Compact(wanted)
	rows, err := s.pool.Query(ctx, `SELECT id FROM stations WHERE code = ANY ($1) AND deleted_at IS NULL ORDER BY code`, wanted)
	if err != nil {
		return nil, unavailable(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err == nil && len(ids) != len(wanted) {
		err = domain.E(domain.Invalid, "unknown_station", "names a station that is not there").About("stations")
	}
	return ids, unavailable(err)
}

// Voucher returns one voucher.
func (s *Store) Voucher(ctx context.Context, id uuid.UUID) (Voucher, error) {
	v, err := voucherWhere(ctx, s.pool, `v.id = $1`, id)
	return v, notFound(err, "voucher", id)
}

// VoucherRequested reports whether a voucher was issued for the request with this idempotency key.
func (s *Store) VoucherRequested(ctx context.Context, key string) (there bool, err error) {
	err = s.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM vouchers WHERE idempotency_key = $1)`, key).Scan(&there)
	return there, unavailable(err)
}

func voucherWhere(ctx context.Context, db querier, where string, args ...any) (Voucher, error) {
	rows, err := db.Query(ctx, `SELECT `+voucherColumns+` FROM vouchers v WHERE `+where, args...)
	if err != nil {
		return Voucher{}, err
	}
	return pgx.CollectExactlyOneRow(rows, scanVoucher)
}

// RevealVoucher is Voucher for somebody who gets to see its code and number, which is audited.
func (s *Store) RevealVoucher(ctx context.Context, id uuid.UUID) (v Voucher, err error) {
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		var err error
		v, err = voucherWhere(tx.ctx, tx.pgx, `v.id = $1`, id)
		return audit.Entry{Action: "voucher.revealed", Target: voucherTarget(id)}, notFound(err, "voucher", id)
	})
	return v, err
}

// VoucherFilter says which vouchers; what is empty does not matter.
type VoucherFilter struct {
	Status         voucher.Status
	Campaign       uuid.UUID
	Batch          uuid.UUID
	Contact        uuid.UUID
	Station        uuid.UUID // that the scope names
	MSISDN         contact.MSISDN
	Code           voucher.Code
	ExpiresFrom    time.Time
	ExpiresBefore  time.Time
	IssuedFrom     time.Time
	IssuedBefore   time.Time
	OutstandingNow bool // issued or sent, and not expired by the clock
}

// where is the filter in SQL, its arguments counted from first.
func (f VoucherFilter) where(first int) (sql string, args []any) {
	conditions := []string{"true"}
	add := func(condition string, value any) {
		conditions = append(conditions, fmt.Sprintf(condition, first+len(args)))
		args = append(args, value)
	}
	if f.Status != "" {
		add("v.status = $%d", f.Status)
	}
	for _, by := range []struct {
		condition string
		id        uuid.UUID
	}{{"v.campaign_id = $%d", f.Campaign}, {"v.batch_id = $%d", f.Batch}, {"v.contact_id = $%d", f.Contact},
		{"v.scope <> 'all' AND v.station_ids @> ARRAY[$%d::uuid]", f.Station}} {
		if by.id != uuid.Nil {
			add(by.condition, by.id)
		}
	}
	if f.MSISDN != "" {
		add("v.msisdn = $%d", f.MSISDN)
	}
	if f.Code != "" {
		add("v.code = $%d", f.Code)
	}
	for _, by := range []struct {
		condition string
		at        time.Time
	}{{"v.expires_at >= $%d", f.ExpiresFrom}, {"v.expires_at < $%d", f.ExpiresBefore},
		{"v.issued_at >= $%d", f.IssuedFrom}, {"v.issued_at < $%d", f.IssuedBefore}} {
		if !by.at.IsZero() {
			add(by.condition, by.at)
		}
	}
	if f.OutstandingNow {
		conditions = append(conditions, "v.status IN ('issued', 'sent') AND v.expires_at > now()")
	}
	return strings.Join(conditions, " AND "), args
}

// Vouchers lists vouchers, newest first, those before the voucher `before` (uuid.Nil: the newest) on; at most limit (1 to
// 1,000).
func (s *Store) Vouchers(ctx context.Context, f VoucherFilter, before uuid.UUID, limit int) ([]Voucher, error) {
	where, args := f.where(3)
	rows, err := s.pool.Query(ctx, `SELECT `+voucherColumns+` FROM vouchers v
		WHERE ($1 = '00000000-0000-0000-0000-000000000000'::uuid OR v.id < $1) AND `+where+` ORDER BY v.id DESC LIMIT $2`,
		append([]any{before, page(limit)}, args...)...)
	if err != nil {
		return nil, unavailable(err)
	}
	all, err := pgx.CollectRows(rows, scanVoucher)
	return all, unavailable(err)
}

// ExportVouchers enters into the audit log that somebody exports vouchers, with or without their codes and numbers.
func (s *Store) ExportVouchers(ctx context.Context, f VoucherFilter, codes bool) error {
	return s.Write(ctx, func(*Tx) (audit.Entry, error) {
		return audit.Entry{Action: "voucher.exported", Target: "vouchers", Diff: map[string]any{"codes": codes, "filter": f.told()}}, nil
	})
}

// told is the filter as the audit log may know it.
func (f VoucherFilter) told() map[string]any {
	told := map[string]any{}
	for name, id := range map[string]uuid.UUID{"campaign_id": f.Campaign, "batch_id": f.Batch, "contact_id": f.Contact, "station_id": f.Station} {
		if id != uuid.Nil {
			told[name] = id
		}
	}
	if f.Status != "" {
		told["status"] = f.Status
	}
	for name, at := range map[string]time.Time{"expires_from": f.ExpiresFrom, "expires_before": f.ExpiresBefore, "issued_from": f.IssuedFrom, "issued_before": f.IssuedBefore} {
		if !at.IsZero() {
			told[name] = at.UTC()
		}
	}
	return told
}

// VoucherTotal is what the vouchers of one currency in one state are worth.
type VoucherTotal struct {
	Currency voucher.Currency
	Status   voucher.Status
	Vouchers int64
	Amount   decimal.Decimal
	Due      int64           // of issued and sent ones, those whose time has passed and that expire with the next sweep
	DueWorth decimal.Decimal // of these
}

// VoucherTotals adds vouchers up by currency and state.
func (s *Store) VoucherTotals(ctx context.Context, f VoucherFilter) ([]VoucherTotal, error) {
	where, args := f.where(1)
	rows, err := s.pool.Query(ctx, `SELECT v.currency, v.status, count(*), sum(v.amount),
			count(*) FILTER (WHERE v.expires_at <= now() AND v.status IN ('issued', 'sent')),
			coalesce(sum(v.amount) FILTER (WHERE v.expires_at <= now() AND v.status IN ('issued', 'sent')), 0)
		FROM vouchers v WHERE `+where+` GROUP BY 1, 2 ORDER BY 1, array_position(ARRAY['issued', 'sent', 'redeemed', 'expired', 'void'], v.status)`, args...)
	if err != nil {
		return nil, unavailable(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[VoucherTotal])
	return all, unavailable(err)
}
