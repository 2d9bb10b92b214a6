package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"gorm.io/gorm/clause"

	"lastcall/domain"
	"lastcall/domain/audit"
	"lastcall/domain/place"
)

// Device is a phone or tablet that is enrolled at one station, for as long as it is not revoked.
type Device struct {
	ID         uuid.UUID `gorm:"type:uuid;primaryKey"`
	StationID  uuid.UUID `gorm:"type:uuid"`
	Name       string
	TokenHash  []byte
	Agent      string    // the browser's family, "Firefox"
	EnrolledAt time.Time `gorm:"default:clock_timestamp()"`
	SeenAt     time.Time `gorm:"default:clock_timestamp()"` // last request of somebody signed in, to the minute
	RevokedAt  *time.Time
}

// TableName tells GORM the table.
func (Device) TableName() string { return "station_devices" }

func (d Device) target() string { return "device/" + d.ID.String() }

// Enrolment is an invitation to one device.
type Enrolment struct {
	ID        uuid.UUID
	StationID uuid.UUID
	Name      string // what the device will be called
	ExpiresAt time.Time
}

// Devices lists the devices of a station that are not revoked, oldest first, at most 1,000.
func (s *Store) Devices(ctx context.Context, station uuid.UUID) ([]Device, error) {
	var all []Device
	err := s.orm.WithContext(ctx).Where("station_id = ? AND revoked_at IS NULL", station).Order("id").Limit(1000).Find(&all).Error
	return all, unavailable(err)
}

// InviteDevice makes an enrolment of a station and returns its token, which is told nobody again. It is good for one
// device, for place.EnrolWithin.
func (s *Store) InviteDevice(ctx context.Context, station uuid.UUID, name string) (token string, e Enrolment, err error) {
	if name, err = place.ParseName(name); err != nil {
		return "", e, err
	}
	token, hash := newToken()
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		if err := tx.guardStation(station); err != nil {
			return audit.Entry{}, err
		}
		t, err := tx.station(station)
		if err != nil {
			return audit.Entry{}, err
		}
		if _, err := tx.pgx.Exec(tx.ctx, `DELETE FROM device_enrolments WHERE station_id = $1 AND used_at IS NULL AND expires_at < clock_timestamp()`, station); err != nil {
			return audit.Entry{}, err
		}
		e = Enrolment{ID: uuid.Must(uuid.NewV7()), StationID: station, Name: name}
		err = tx.pgx.QueryRow(tx.ctx, `INSERT INTO device_enrolments (id, station_id, name, token_hash, expires_at)
			VALUES ($1, $2, $3, $4, clock_timestamp() + $5::interval) RETURNING expires_at`,
			e.ID, station, name, hash, place.EnrolWithin).Scan(&e.ExpiresAt)
		return audit.Entry{Action: "device.invited", Target: t.target(), Diff: map[string]any{"enrolment": e.ID, "name": name}}, err
	})
	return token, e, err
}

// newToken is a random secret, and its SHA-256: being random, it needs no slow hash.
func newToken() (token string, hash []byte) {
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails
	token = base64.RawURLEncoding.EncodeToString(random)
	return token, tokenHash(token)
}

func tokenHash(token string) []byte {
	hash := sha256.Sum256([]byte(token))
	return hash[:]
}

// EnrolDevice makes a device of an enrolment's token, once, and returns the device's own token, which is told nobody
// again. A token that is unknown, used or expired is domain.Unauthenticated alike.
func (s *Store) EnrolDevice(ctx context.Context, token, agent string) (own string, d Device, err error) {
	own, hash := newToken()
	var e Enrolment
	err = s.pool.QueryRow(ctx, `SELECT id, station_id, name FROM device_enrolments WHERE token_hash = $1`, tokenHash(token)).Scan(&e.ID, &e.StationID, &e.Name)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", d, enrolmentInvalid()
	}
	if err != nil {
		return "", d, unavailable(err)
	}
	d = Device{ID: uuid.Must(uuid.NewV7()), StationID: e.StationID, Name: e.Name, TokenHash: hash, Agent: agent}
	ctx = audit.WithActor(ctx, audit.Actor{Kind: "device", Name: d.ID.String(), ID: d.ID.String()})
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		if err := tx.guardStation(e.StationID); err != nil {
			return audit.Entry{}, err
		}
		if _, err := tx.station(e.StationID); err != nil {
			return audit.Entry{}, enrolmentInvalid()
		}
		if err := tx.orm.Clauses(clause.Returning{}).Create(&d).Error; err != nil {
			return audit.Entry{}, err
		}
		used, err := tx.pgx.Exec(tx.ctx, `UPDATE device_enrolments SET used_at = clock_timestamp(), device_id = $2
			WHERE id = $1 AND used_at IS NULL AND expires_at > clock_timestamp()`, e.ID, d.ID)
		if err == nil && used.RowsAffected() == 0 {
			err = enrolmentInvalid()
		}
		return audit.Entry{Action: "device.enrolled", Target: d.target(), Diff: map[string]any{"station_id": d.StationID, "enrolment": e.ID}}, err
	})
	if err != nil {
		return "", Device{}, err
	}
	return own, d, nil
}

func enrolmentInvalid() error {
	return domain.E(domain.Unauthenticated, "enrolment_invalid", "this link was used already, or is too old: ask for another")
}

// DeviceOf returns the device with this token and its station; domain.Unauthenticated when there is none, or it was revoked.
func (s *Store) DeviceOf(ctx context.Context, token string) (d Device, t Station, err error) {
	found := s.orm.WithContext(ctx).Where("token_hash = ? AND revoked_at IS NULL", tokenHash(token)).Limit(1).Find(&d)
	if found.Error == nil && found.RowsAffected == 0 {
		return d, t, domain.E(domain.Unauthenticated, "device_unknown", "this device is not enrolled (any more): ask for an enrolment link")
	}
	if found.Error == nil {
		found = s.orm.WithContext(ctx).First(&t, "id = ?", d.StationID)
	}
	return d, t, unavailable(found.Error)
}

// RevokeDevice ends a device, its session and its lease, at once.
func (s *Store) RevokeDevice(ctx context.Context, id uuid.UUID, reason string) error {
	var station uuid.UUID
	err := s.pool.QueryRow(ctx, `SELECT station_id FROM station_devices WHERE id = $1 AND revoked_at IS NULL`, id).Scan(&station)
	if err != nil {
		return notFound(err, "device", id)
	}
	return s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		if _, err := tx.station(station); err != nil {
			return audit.Entry{}, err
		}
		done, err := tx.pgx.Exec(tx.ctx, `UPDATE station_devices SET revoked_at = clock_timestamp() WHERE id = $1 AND revoked_at IS NULL`, id)
		if err == nil && done.RowsAffected() == 0 {
			err = notFound(pgx.ErrNoRows, "device", id)
		}
		if err == nil {
			_, err = tx.pgx.Exec(tx.ctx, `UPDATE station_sessions SET revoked_at = clock_timestamp() WHERE device_id = $1 AND revoked_at IS NULL`, id)
		}
		if err == nil {
			_, err = tx.pgx.Exec(tx.ctx, `UPDATE station_leases SET ended_at = clock_timestamp(), ended_why = 'revoked' WHERE device_id = $1 AND ended_at IS NULL`, id)
		}
		return audit.Entry{Action: "device.revoked", Target: "device/" + id.String(), Reason: reason, Diff: map[string]any{"station_id": station}}, err
	})
}
