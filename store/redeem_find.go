package store

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain"
	"lastcall/domain/audit"
	"lastcall/domain/contact"
	"lastcall/domain/rollout"
	"lastcall/domain/voucher"
)

// found is a voucher as a station meets it.
type found struct {
	Voucher
	due        bool       // its time has passed, by the database's clock
	redeemedAt *time.Time // if it was; of a rehearsal the mock's
	station    string     // where: "ENG-001, Kimironko"
	here       string     // the name of the station that meets it
	zone       string     // its, IANA
	revision   int64      // of the settings at that moment
	part       bool       // the station takes part in the rollout, if there is one that only some do
}

// lookUp finds a voucher with what a station has to be told about it. Whether it was redeemed is, in a rehearsal, whether
// that was rehearsed.
func (a *attempt) lookUp(ctx context.Context, db querier, where string, arg any) (*found, error) {
	rows, err := db.Query(ctx, `SELECT `+voucherColumns+`, v.expires_at <= clock_timestamp(), coalesce(v.redeemed_at, m.created_at),
			coalesce(s.code || ', ' || s.name, ''), here.name, b.country, b.zone,
			(SELECT coalesce(max(revision), 0) FROM settings_revisions), station_takes_part($2)
		FROM vouchers v JOIN stations here ON here.id = $2 JOIN bars b ON b.id = here.bar_id
			LEFT JOIN mock_redemptions m ON $3 AND m.voucher_id = v.id
			LEFT JOIN stations s ON s.id = coalesce(v.redeemed_station_id, m.station_id)
		WHERE `+where, arg, a.By.StationID, a.set.Toggles.MockRedemptions)
	if err != nil {
		return nil, err
	}
	return pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (*found, error) {
		var f found
		var bar Bar
		err := row.Scan(append(f.into(), &f.due, &f.redeemedAt, &f.station, &f.here, &bar.Country, &bar.Zone, &f.revision, &f.part)...)
		f.zone = bar.Clock()
		return &f, err
	})
}

// masked is the number as stations may see it.
func (f *found) masked() string {
	if f.MSISDN == "" {
		return ""
	}
	return f.MSISDN.Masked()
}

// refuses says why this voucher cannot be redeemed by somebody; nil when it can.
func (f *found) refuses(by StationSession) *domain.Error {
	switch {
	case !f.part:
		return domain.E(domain.Conflict, rollout.Guardrail, "this station does not take part in the pilot: no voucher is redeemed here yet")
	case f.redeemedAt != nil:
		return domain.E(domain.Conflict, "already_redeemed", "this voucher was redeemed on %s at %s", clock(*f.redeemedAt, f.zone), f.station)
	case f.Status == voucher.Void:
		return domain.E(domain.Conflict, "voucher_void", "this voucher was withdrawn")
	case f.Status == voucher.Expired || f.due:
		return domain.E(domain.Conflict, "voucher_expired", "this voucher expired on %s", clock(f.ExpiresAt, f.zone))
	case f.Scope != voucher.ScopeAll && !slices.Contains(f.Stations, by.StationID):
		return domain.E(domain.Conflict, "wrong_station", "this voucher is for another station")
	}
	return nil
}

// clock is a time as people behind a bar read it.
func clock(at time.Time, zone string) string {
	where, err := contact.LoadZone(zone)
	if err != nil {
		where = time.UTC
	}
	return at.In(where).Format("02 Jan, 15:04 (MST)")
}

// find finds the voucher of an attempt. Wrong codes are counted: one attempt with a code at a time a device, so that none
// of many at once is overlooked.
func (a *attempt) find(tx *Tx) (refused *domain.Error, err error) {
	if a.Code == "" {
		a.found, err = a.lookUp(tx.ctx, tx.pgx, `v.id = $1`, a.Voucher)
		if errors.Is(err, pgx.ErrNoRows) { // signed by us, and yet there is none
			a.found = nil
			return domain.E(domain.NotFound, "wrong_qr", "this QR code is no voucher's"), nil
		}
		return nil, err
	}
	if a.OfflineAt != nil {
		return domain.E(domain.Conflict, "offline_code", "a code that was typed cannot be accepted offline"), nil
	}
	if locked, err := a.locked(tx); locked != nil || err != nil {
		return locked, err
	}
	code, err := voucher.ParseCode(a.Code)
	if err == nil {
		a.found, err = a.lookUp(tx.ctx, tx.pgx, `v.code = $1`, code)
	}
	if errors.Is(err, pgx.ErrNoRows) || domain.CodeOf(err) == "bad_code" {
		a.found = nil
		return domain.E(domain.NotFound, "wrong_code", "no voucher has this code; look at it again").About("code"), nil
	}
	return nil, err
}

// locked says for how long no code may be typed on this device, if it may not, and keeps others from trying one on it
// until the transaction ends.
func (a *attempt) locked(tx *Tx) (*domain.Error, error) {
	var wrong []time.Time
	var now time.Time
	var station int
	batch := &pgx.Batch{}
	batch.Queue(`SELECT pg_advisory_xact_lock(hashtextextended('code entry ' || $1::text, 0))`, a.By.DeviceID.String())
	batch.Queue(`SELECT clock_timestamp(), array(SELECT at FROM redemption_refusals WHERE code = 'wrong_code' AND device_id = $1 ORDER BY at DESC LIMIT $2),
			(SELECT count(*) FROM (SELECT FROM redemption_refusals WHERE code = 'wrong_code' AND station_id = $3 AND at > now() - $4::interval LIMIT $5) g)`,
		a.By.DeviceID, voucher.FreeGuesses, a.By.StationID, voucher.StationWindow, voucher.StationGuesses)
	results := tx.pgx.SendBatch(tx.ctx, batch)
	_, err := results.Exec()
	if err == nil {
		err = results.QueryRow().Scan(&now, &wrong, &station)
	}
	if err = errors.Join(err, results.Close()); err != nil {
		return nil, err
	}
	if wait := voucher.Locked(wrong, now); wait > 0 {
		wait = max(wait, time.Second).Round(time.Second)
		return domain.E(domain.TooMany, "code_entry_locked", "too many wrong codes on this device: scan the QR code, or try again in %s", wait).After(wait), nil
	}
	if station >= voucher.StationGuesses {
		return domain.E(domain.TooMany, "code_entry_locked", "too many wrong codes at this station today: scan the QR code").After(time.Hour), nil
	}
	return nil, nil
}

// Look is what a station is shown before it redeems.
type Look struct {
	VoucherID uuid.UUID
	Money     voucher.Money
	MSISDN    string // masked
	Scope     voucher.Scope
	ExpiresAt time.Time
}

// LookAtVoucher finds the voucher that a station is about to redeem. It refuses as Redeem does, and wrong codes count.
func (s *Store) LookAtVoucher(ctx context.Context, by StationSession, code string, id uuid.UUID) (Look, error) {
	set, err := s.Settings(ctx)
	if err != nil {
		return Look{}, err
	}
	a := attempt{store: s, Redemption: Redemption{By: by, Code: code, Voucher: id}, set: set, looking: true}
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		a.found, a.refusal = nil, nil
		if !set.Toggles.StationRedeem {
			return a.refuse(tx, domain.E(domain.Unavailable, "station_redeem_off", "vouchers are not redeemed for the time being; Ops has switched it off"))
		}
		if refused, err := a.find(tx); refused != nil || err != nil {
			return a.refuseUnless(tx, refused, err)
		}
		if refused := a.found.refuses(by); refused != nil {
			return a.refuse(tx, refused)
		}
		return audit.Entry{Action: "voucher.looked_at", Target: voucherTarget(a.found.ID), Diff: map[string]any{"station_id": by.StationID, "device_id": by.DeviceID}}, nil
	})
	switch {
	case err == nil && a.refusal != nil, errors.Is(err, errNotCounted):
		return Look{}, a.refusal
	case err != nil:
		return Look{}, err
	}
	return Look{a.found.ID, a.found.Money, a.found.masked(), a.found.Scope, a.found.ExpiresAt}, nil
}
