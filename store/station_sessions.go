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
	"lastcall/domain/place"
)

// StationSession is one sign-in of one operator at one station on one of its devices. It has nothing in common with an
// account's session.
type StationSession struct {
	ID          uuid.UUID
	StationID   uuid.UUID
	StationCode string
	OperatorID  uuid.UUID
	Operator    string // their name
	DeviceID    uuid.UUID
	Device      string // its name
	Lease       bool   // the device holds the station's lease: it may accept vouchers offline
	SeenAt      time.Time
	ExpiresAt   time.Time // however busy it is
}

// Ends is when the session ends unless it is used before.
func (s StationSession) Ends() time.Time {
	if idle := s.SeenAt.Add(place.SessionIdle); idle.Before(s.ExpiresAt) {
		return idle
	}
	return s.ExpiresAt
}

// Actor is the operator at the station, as the audit log names them: people by their id.
func (s StationSession) Actor() audit.Actor {
	return audit.Actor{Kind: "station", Name: s.StationCode + "/" + s.OperatorID.String(), ID: s.OperatorID.String()}
}

// stationLive is the condition for a station's session to count. What ends operators, devices and stations revokes theirs.
var stationLive = fmt.Sprintf(`revoked_at IS NULL AND expires_at > clock_timestamp() AND seen_at > clock_timestamp() - interval '%d seconds'`,
	int(place.SessionIdle.Seconds()))

// StationSignIn is an attempt to sign in at a station.
type StationSignIn struct {
	Device  string // the device's token
	Station string // the station's code, as typed
	PIN     string
}

// OpenStationSession signs an operator in and returns the session's token, which is told nobody again; the session that
// the device had ends. It fails with domain.Unauthenticated: device_unknown for a device that is not enrolled,
// wrong_credentials for an unknown station, another device's station and a wrong PIN alike. A PIN that fits nobody is
// nobody's failure, so failures are counted by station and by device: domain.TooMany after too many.
func (s *Store) OpenStationSession(ctx context.Context, in StationSignIn) (token string, opened StationSession, err error) {
	d, _, err := s.DeviceOf(ctx, in.Device)
	if err != nil {
		return "", opened, err
	}
	code, err := place.ParseCode(in.Station)
	if err != nil {
		code = in.Station // counted and hashed like any other
	}
	counts := s.stationCounts(code, d.ID)
	if err := s.countAttempt(ctx, counts); err != nil {
		return "", opened, err
	}
	hash, err := s.hashPIN(ctx, code, in.PIN)
	if err != nil {
		return "", opened, errors.Join(err, s.uncount(ctx, counts))
	}
	o, found, err := operatorOf(ctx, s.pool, d.StationID, code, hash)
	if err != nil {
		return "", opened, errors.Join(err, s.uncount(ctx, counts))
	}
	if found {
		token, opened, err = s.openStationSession(ctx, d, o, code, hash, counts)
		if !errors.Is(err, errMayNot) {
			return token, opened, err
		}
	}
	who := audit.WithActor(ctx, audit.Actor{Kind: "device", Name: d.ID.String(), ID: d.ID.String()})
	err = s.Write(who, func(tx *Tx) (audit.Entry, error) {
		return audit.Entry{Action: "station_sign_in.refused", Target: "station/" + d.StationID.String()}, tx.enterLockOuts(counts, "")
	})
	if err == nil {
		err = domain.E(domain.Unauthenticated, "wrong_credentials", "this station and PIN do not belong together")
	}
	return "", StationSession{}, err
}

// stationCounts are the counts that an attempt at a station goes to; uuid.Nil is no device. Success forgives the
// station's, as an account's, and not the device's, as a client's.
func (s *Store) stationCounts(code string, device uuid.UUID) []*failureCount {
	counts := []*failureCount{{kind: "account", key: s.failureKey("station", code)}}
	counts[0].target = "station_sign_in/" + counts[0].digest() // it may be no code at all
	if device != uuid.Nil {
		counts = append(counts, &failureCount{kind: "address", key: s.failureKey("device", device.String()), target: "device/" + device.String()})
	}
	return counts
}

// openStationSession makes the session of an operator whose PIN was right. It fails with errMayNot when that, the device
// or the station is over meanwhile.
func (s *Store) openStationSession(ctx context.Context, d Device, o Operator, code string, hash []byte, counts []*failureCount) (token string, opened StationSession, err error) {
	token, kept := newToken()
	opened = StationSession{ID: uuid.Must(uuid.NewV7()), StationID: d.StationID, StationCode: code, OperatorID: o.ID, Operator: o.Name, DeviceID: d.ID, Device: d.Name}
	err = s.Write(audit.WithActor(ctx, opened.Actor()), func(tx *Tx) (audit.Entry, error) {
		if err := tx.guardStation(d.StationID); err != nil {
			return audit.Entry{}, err
		}
		if _, err := tx.station(d.StationID); domain.KindOf(err) == domain.NotFound {
			return audit.Entry{}, errMayNot
		} else if err != nil {
			return audit.Entry{}, err
		}
		now, found, err := operatorOf(tx.ctx, tx.pgx, d.StationID, code, hash)
		if err == nil && (!found || now.ID != o.ID) {
			err = errMayNot
		}
		if err != nil {
			return audit.Entry{}, err
		}
		seen, err := tx.pgx.Exec(tx.ctx, `UPDATE station_devices SET seen_at = clock_timestamp() WHERE id = $1 AND revoked_at IS NULL`, d.ID)
		if err == nil && seen.RowsAffected() == 0 {
			err = errMayNot
		}
		if err == nil {
			_, err = tx.pgx.Exec(tx.ctx, `UPDATE station_sessions SET revoked_at = clock_timestamp() WHERE device_id = $1 AND revoked_at IS NULL`, d.ID)
		}
		if err != nil {
			return audit.Entry{}, err
		}
		if err := tx.pgx.QueryRow(tx.ctx, `INSERT INTO station_sessions (id, station_id, device_id, operator_id, token_hash, expires_at)
				VALUES ($1, $2, $3, $4, $5, clock_timestamp() + $6::interval) RETURNING seen_at, expires_at,
				EXISTS (SELECT FROM station_leases WHERE station_id = $2 AND device_id = $3 AND ended_at IS NULL)`,
			opened.ID, d.StationID, d.ID, o.ID, kept, place.SessionMax).Scan(&opened.SeenAt, &opened.ExpiresAt, &opened.Lease); err != nil {
			return audit.Entry{}, err
		}
		if err := tx.forgive(counts); err != nil {
			return audit.Entry{}, err
		}
		// What nobody asks about any more.
		_, err = tx.pgx.Exec(tx.ctx, `DELETE FROM station_sessions WHERE device_id = $1 AND expires_at < clock_timestamp() - interval '30 days'`, d.ID)
		return audit.Entry{Action: "station_session.opened", Target: "station_session/" + opened.ID.String(),
			Diff: map[string]any{"station_id": d.StationID, "device_id": d.ID}}, err
	})
	return token, opened, err
}

// AuthenticateStation returns the session with this token, on the device with that one; domain.Unauthenticated when there
// is none (session_ended), or the device is not enrolled (device_unknown). Last use is kept to the minute.
func (s *Store) AuthenticateStation(ctx context.Context, device, token string) (v StationSession, err error) {
	err = s.pool.QueryRow(ctx, `SELECT s.id, s.station_id, t.code, s.operator_id, o.name, s.device_id, d.name, s.seen_at, s.expires_at,
			EXISTS (SELECT FROM station_leases l WHERE l.station_id = s.station_id AND l.device_id = s.device_id AND l.ended_at IS NULL)
		FROM (SELECT * FROM station_sessions WHERE token_hash = $1 AND `+stationLive+`) s
		JOIN station_devices d ON d.id = s.device_id AND d.token_hash = $2 AND d.revoked_at IS NULL
		JOIN station_operators o ON o.id = s.operator_id
		JOIN stations t ON t.id = s.station_id`, tokenHash(token), tokenHash(device)).
		Scan(&v.ID, &v.StationID, &v.StationCode, &v.OperatorID, &v.Operator, &v.DeviceID, &v.Device, &v.SeenAt, &v.ExpiresAt, &v.Lease)
	if errors.Is(err, pgx.ErrNoRows) {
		if _, _, err := s.DeviceOf(ctx, device); err != nil {
			return v, err
		}
		return v, domain.E(domain.Unauthenticated, "session_ended", "this session has ended: sign in again")
	}
	if err == nil && time.Since(v.SeenAt) > time.Minute {
		err = s.pool.QueryRow(ctx, `WITH seen AS (UPDATE station_devices SET seen_at = clock_timestamp() WHERE id = $2)
			UPDATE station_sessions SET seen_at = clock_timestamp() WHERE id = $1 RETURNING seen_at`, v.ID, v.DeviceID).Scan(&v.SeenAt)
	}
	return v, unavailable(err)
}

// CloseStationSession signs an operator out.
func (s *Store) CloseStationSession(ctx context.Context, id uuid.UUID) error {
	return s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		_, err := tx.pgx.Exec(tx.ctx, `UPDATE station_sessions SET revoked_at = clock_timestamp() WHERE id = $1 AND revoked_at IS NULL`, id)
		return audit.Entry{Action: "station_session.closed", Target: "station_session/" + id.String()}, err
	})
}
