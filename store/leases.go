package store

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain"
	"lastcall/domain/audit"
	"lastcall/domain/place"
)

// Lease lets one device of a station accept vouchers offline. It is good as long as the device is heard of.
type Lease struct {
	ID        int64
	StationID uuid.UUID
	DeviceID  uuid.UUID
	Device    string // its name
	TakenAt   time.Time
	SeenAt    time.Time // when the device was heard of last
}

// Ends is when another device may have the lease for the asking, unless this one is heard of before.
func (l Lease) Ends() time.Time { return l.SeenAt.Add(place.LeaseUnseen) }

// Lease returns a station's lease; nil when no device has it, or the one that has was not heard of for too long.
func (s *Store) Lease(ctx context.Context, station uuid.UUID) (*Lease, error) {
	l, expired, err := lease(ctx, s.pool, station)
	if err != nil || l == nil || expired {
		return nil, err
	}
	return l, nil
}

func lease(ctx context.Context, db querier, station uuid.UUID) (*Lease, bool, error) {
	var l Lease
	var expired bool
	err := db.QueryRow(ctx, `SELECT l.id, l.station_id, l.device_id, d.name, l.taken_at, d.seen_at, d.seen_at < clock_timestamp() - $2::interval
		FROM station_leases l JOIN station_devices d ON d.id = l.device_id WHERE l.station_id = $1 AND l.ended_at IS NULL`, station, place.LeaseUnseen).
		Scan(&l.ID, &l.StationID, &l.DeviceID, &l.Device, &l.TakenAt, &l.SeenAt, &expired)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, false, nil
	}
	return &l, expired, unavailable(err)
}

// TakeLease makes the device of a session the one that holds its station's lease. While another one holds it, that is
// domain.Conflict unless it is taken over, which takes a reason: what the other has accepted offline and not sent yet
// may then be refused.
func (s *Store) TakeLease(ctx context.Context, v StationSession, takeOver bool, reason string) (Lease, error) {
	reason = strings.TrimSpace(reason)
	if takeOver && reason == "" {
		return Lease{}, domain.E(domain.Invalid, "reason_missing", "say why this device takes over").About("reason")
	}
	var mine Lease
	err := s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		if _, err := tx.station(v.StationID); err != nil { // one at a time
			return audit.Entry{}, err
		}
		seen, err := tx.pgx.Exec(tx.ctx, `UPDATE station_devices SET seen_at = clock_timestamp() WHERE id = $1 AND revoked_at IS NULL`, v.DeviceID)
		if err != nil {
			return audit.Entry{}, err
		}
		if seen.RowsAffected() == 0 { // revoked while this waited
			return audit.Entry{}, domain.E(domain.Unauthenticated, "device_unknown", "this device is not enrolled any more")
		}
		held, expired, err := lease(tx.ctx, tx.pgx, v.StationID)
		if err != nil {
			return audit.Entry{}, err
		}
		diff := map[string]any{"device_id": v.DeviceID}
		if held != nil {
			why := "taken_over"
			switch {
			case held.DeviceID == v.DeviceID:
				mine = *held
				return audit.Entry{}, errRepeated
			case expired:
				why = "unseen"
			case !takeOver:
				return audit.Entry{}, domain.E(domain.Conflict, "lease_held", "another device of this station, %s, accepts vouchers offline", held.Device)
			}
			if _, err := tx.pgx.Exec(tx.ctx, `UPDATE station_leases SET ended_at = clock_timestamp(), ended_why = $2 WHERE id = $1`, held.ID, why); err != nil {
				return audit.Entry{}, err
			}
			diff["before"], diff["ended"] = held.DeviceID, why
		}
		mine = Lease{StationID: v.StationID, DeviceID: v.DeviceID, Device: v.Device, SeenAt: time.Now()}
		err = tx.pgx.QueryRow(tx.ctx, `INSERT INTO station_leases (station_id, device_id, operator_id, reason) VALUES ($1, $2, $3, $4)
			RETURNING id, taken_at`, v.StationID, v.DeviceID, v.OperatorID, reason).Scan(&mine.ID, &mine.TakenAt)
		return audit.Entry{Action: "lease.taken", Target: "station/" + v.StationID.String(), Reason: reason, Diff: diff}, err
	})
	if errors.Is(err, errRepeated) {
		err = nil
	}
	return mine, err
}

// GiveUpLease ends the lease of a session's device, if it has it.
func (s *Store) GiveUpLease(ctx context.Context, v StationSession) error {
	err := s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		done, err := tx.pgx.Exec(tx.ctx, `UPDATE station_leases SET ended_at = clock_timestamp(), ended_why = 'given_up'
			WHERE station_id = $1 AND device_id = $2 AND ended_at IS NULL`, v.StationID, v.DeviceID)
		if err == nil && done.RowsAffected() == 0 {
			err = errRepeated
		}
		return audit.Entry{Action: "lease.given_up", Target: "station/" + v.StationID.String(), Diff: map[string]any{"device_id": v.DeviceID}}, err
	})
	if errors.Is(err, errRepeated) {
		err = nil
	}
	return err
}
