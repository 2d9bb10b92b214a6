package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"lastcall/domain"
	"lastcall/domain/audit"
	"lastcall/domain/contact"
	"lastcall/domain/voucher"
)

// RedemptionEntry is a redemption as lists have it.
type RedemptionEntry struct {
	ID          uuid.UUID // their order is, but for moments, that of their time
	VoucherID   uuid.UUID
	Code        voucher.Code
	MSISDN      contact.MSISDN // "" when its owner was forgotten
	CampaignID  *uuid.UUID
	StationID   uuid.UUID
	StationCode string
	StationName string
	DeviceID    uuid.UUID
	Operator    string
	Amount      decimal.Decimal
	Currency    voucher.Currency
	RedeemedAt  time.Time  // by the database
	OfflineAt   *time.Time // by the device, of what it accepted offline
	SettledAt   *time.Time // when its station was paid
}

const redemptionColumns = `r.id, r.voucher_id, v.code, coalesce(v.msisdn, ''), v.campaign_id, r.station_id, s.code, s.name, r.device_id, r.operator,
	r.amount, r.currency, r.created_at, r.offline_at, r.settled_at
	FROM redemptions r JOIN vouchers v ON v.id = r.voucher_id JOIN stations s ON s.id = r.station_id`

// RedemptionFilter says which redemptions; what is empty does not matter.
type RedemptionFilter struct {
	Station  uuid.UUID
	Campaign uuid.UUID
	From     time.Time // by the database's clock
	Before   time.Time
}

// Redemptions lists redemptions, newest first, those before the redemption `before` (uuid.Nil: the newest) on. Rehearsed
// ones are not among them.
func (s *Store) Redemptions(ctx context.Context, f RedemptionFilter, before uuid.UUID, limit int) ([]RedemptionEntry, error) {
	args := []any{before, page(limit)}
	where := `($1 = '00000000-0000-0000-0000-000000000000'::uuid OR r.id < $1)`
	add := func(condition string, value any) {
		args = append(args, value)
		where += fmt.Sprintf(condition, len(args))
	}
	if f.Station != uuid.Nil {
		add(` AND r.station_id = $%d`, f.Station)
	}
	if f.Campaign != uuid.Nil {
		add(` AND v.campaign_id = $%d`, f.Campaign)
	}
	if !f.From.IsZero() {
		add(` AND r.created_at >= $%d`, f.From)
	}
	if !f.Before.IsZero() {
		add(` AND r.created_at < $%d`, f.Before)
	}
	rows, err := s.pool.Query(ctx, `SELECT `+redemptionColumns+` WHERE `+where+` ORDER BY r.id DESC LIMIT $2`, args...)
	if err != nil {
		return nil, unavailable(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[RedemptionEntry])
	return all, unavailable(err)
}

// RedemptionAt returns a redemption of a station; domain.NotFound when it is another's.
func (s *Store) RedemptionAt(ctx context.Context, station, id uuid.UUID) (RedemptionEntry, error) {
	rows, err := s.pool.Query(ctx, `SELECT `+redemptionColumns+` WHERE r.id = $1 AND r.station_id = $2`, id, station)
	if err != nil {
		return RedemptionEntry{}, unavailable(err)
	}
	r, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[RedemptionEntry])
	return r, notFound(err, "redemption", id)
}

// StationBalance is what a station has redeemed, in each currency.
type StationBalance struct {
	Zone     string // IANA: of the days
	Redeemed []Balance
	Days     []DayBalance // newest first: those of the last BalanceDays on which something was redeemed
}

// Balance is a sum of one currency.
type Balance struct {
	Currency    voucher.Currency
	Redemptions int64
	Amount      decimal.Decimal
	Pending     decimal.Decimal // of it, what the station has not been paid yet
}

// DayBalance is the sum of a day.
type DayBalance struct {
	Day string // 2026-11-23, in the station's zone
	Balance
}

// BalanceDays is how many days back a balance tells by day.
const BalanceDays = 31

// StationBalance adds up what a station has redeemed, ever and by day.
func (s *Store) StationBalance(ctx context.Context, station uuid.UUID) (StationBalance, error) {
	var b StationBalance
	var bar Bar
	err := s.pool.QueryRow(ctx, `SELECT b.country, b.zone FROM stations t JOIN bars b ON b.id = t.bar_id WHERE t.id = $1`, station).Scan(&bar.Country, &bar.Zone)
	if err != nil {
		return b, notFound(err, "station", station)
	}
	if b.Zone = bar.Clock(); b.Zone == "" {
		b.Zone = "UTC"
	}
	rows, err := s.pool.Query(ctx, `SELECT currency, count(*), sum(amount), coalesce(sum(amount) FILTER (WHERE settled_at IS NULL), 0)
		FROM redemptions WHERE station_id = $1 GROUP BY 1 ORDER BY 1`, station)
	if err == nil {
		b.Redeemed, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Balance])
	}
	if err != nil {
		return b, unavailable(err)
	}
	rows, err = s.pool.Query(ctx, `SELECT to_char(created_at AT TIME ZONE $2, 'YYYY-MM-DD'), currency, count(*), sum(amount),
			coalesce(sum(amount) FILTER (WHERE settled_at IS NULL), 0)
		FROM redemptions WHERE station_id = $1 AND created_at >= (date_trunc('day', now() AT TIME ZONE $2) - make_interval(days => $3 - 1)) AT TIME ZONE $2
		GROUP BY 1, 2 ORDER BY 1 DESC, 2`, station, b.Zone, BalanceDays)
	if err == nil {
		b.Days, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (d DayBalance, err error) {
			return d, row.Scan(&d.Day, &d.Currency, &d.Redemptions, &d.Amount, &d.Pending)
		})
	}
	return b, unavailable(err)
}

// Settlement is a payment to a station, for what it had redeemed.
type Settlement struct {
	Redemptions int64
	Amount      decimal.Decimal
}

// SettleStation notes that a station was paid, in one currency, for what it redeemed before a time. It fails with
// domain.Conflict of code nothing_pending when there is no such redemption, and with amount_differs when they are worth
// something else than what was paid.
func (s *Store) SettleStation(ctx context.Context, station uuid.UUID, paid voucher.Money, before time.Time) (done Settlement, err error) {
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		var code string
		if err := tx.pgx.QueryRow(tx.ctx, `SELECT code FROM stations WHERE id = $1`, station).Scan(&code); err != nil {
			return audit.Entry{}, notFound(err, "station", station)
		}
		err := tx.pgx.QueryRow(tx.ctx, `WITH paid AS (UPDATE redemptions SET settled_at = clock_timestamp()
				WHERE station_id = $1 AND currency = $2 AND created_at < $3 AND settled_at IS NULL RETURNING amount)
			SELECT count(*), coalesce(sum(amount), 0) FROM paid`, station, paid.Currency, before).Scan(&done.Redemptions, &done.Amount)
		switch {
		case err != nil:
			return audit.Entry{}, err
		case done.Redemptions == 0:
			return audit.Entry{}, domain.E(domain.Conflict, "nothing_pending", "the station has nothing to be paid for")
		case !done.Amount.Equal(paid.Amount):
			return audit.Entry{}, domain.E(domain.Conflict, "amount_differs", "what it redeemed before then is worth %s",
				voucher.Money{Amount: done.Amount, Currency: paid.Currency}).About("amount")
		}
		return audit.Entry{Action: "station.settled", Target: "station/" + station.String(), Diff: map[string]any{"redemptions": done.Redemptions,
			"amount": paid.Plain(), "currency": paid.Currency, "before": before.UTC()}}, nil
	})
	return done, err
}

// RedemptionRate is how redemptions went of late: what the rollback signal looks at. Business refusals, rehearsals and drills
// do not count.
type RedemptionRate struct {
	Redeemed int64
	Failed   int64 // by our fault
}

// RedemptionRate counts the redemptions of the last so long.
func (s *Store) RedemptionRate(ctx context.Context, last time.Duration) (RedemptionRate, error) {
	now := time.Now()
	r, err := s.redemptionRate(ctx, now.Add(-last), now.Add(time.Minute)) // the database's clock may be ahead of ours
	return r, unavailable(err)
}

func (s *Store) redemptionRate(ctx context.Context, from, to time.Time) (r RedemptionRate, err error) {
	err = s.pool.QueryRow(ctx, `SELECT (SELECT count(*) FROM redemptions r JOIN vouchers v ON v.id = r.voucher_id LEFT JOIN campaigns c ON c.id = v.campaign_id
			WHERE c.is_drill IS NOT TRUE AND r.created_at >= $1 AND r.created_at < $2),
		(SELECT count(*) FROM redemption_refusals WHERE NOT mock AND NOT is_drill AND kind = 'system' AND at >= $1 AND at < $2)`, from, to).Scan(&r.Redeemed, &r.Failed)
	return r, err
}

// RedemptionRefusal is a redemption that did not happen.
type RedemptionRefusal struct {
	ID        int64
	At        time.Time
	Kind      string // business: the rules at work; system: our fault
	Code      string
	VoucherID *uuid.UUID // nil: no voucher was found
	StationID uuid.UUID
	Station   string // "ENG-001"
}

// RedemptionRefusals lists redemptions that did not happen, newest first, those before the one with the id (0: the newest) on;
// of one kind, or of all (""), at a time or later. Rehearsals and drills are not among them.
func (s *Store) RedemptionRefusals(ctx context.Context, kind string, from time.Time, before int64, limit int) ([]RedemptionRefusal, error) {
	var since *time.Time
	if !from.IsZero() {
		since = &from
	}
	rows, err := s.pool.Query(ctx, `SELECT r.id, r.at, r.kind, r.code, r.voucher_id, r.station_id, s.code FROM redemption_refusals r JOIN stations s ON s.id = r.station_id
		WHERE NOT r.mock AND NOT r.is_drill AND ($1 = '' OR r.kind = $1) AND ($2::timestamptz IS NULL OR r.at >= $2) AND ($3 = 0 OR r.id < $3) ORDER BY r.id DESC LIMIT $4`,
		kind, since, before, page(limit))
	if err != nil {
		return nil, unavailable(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[RedemptionRefusal])
	return all, unavailable(err)
}
