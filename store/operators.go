package store

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/crypto/argon2"
	"gorm.io/gorm/clause"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/audit"
	"lastcall/domain/place"
)

// Operator is a person who works at a station and signs in there with a PIN. It is no account: it has no address, and
// nothing of the panel (docs/decisions/0015-stations.md).
type Operator struct {
	ID         uuid.UUID `gorm:"type:uuid;primaryKey"`
	StationID  uuid.UUID `gorm:"type:uuid"`
	Name       string
	PINHash    []byte     `gorm:"column:pin_hash"`
	PINSetAt   *time.Time `gorm:"column:pin_set_at"` // nil: no PIN yet, and so no way in
	CreatedAt  time.Time  `gorm:"default:clock_timestamp()"`
	DisabledAt *time.Time
}

// TableName tells GORM the table.
func (Operator) TableName() string { return "station_operators" }

func (o Operator) target() string { return "operator/" + o.ID.String() }

// Operators lists who works at a station, oldest first, at most 1,000.
func (s *Store) Operators(ctx context.Context, station uuid.UUID) ([]Operator, error) {
	var all []Operator
	err := s.orm.WithContext(ctx).Where("station_id = ?", station).Order("id").Limit(1000).Find(&all).Error
	return all, unavailable(err)
}

// AddOperator adds somebody to a station, with a PIN that is told nobody again. It fails with domain.Conflict when as
// many may sign in there as should.
func (s *Store) AddOperator(ctx context.Context, station uuid.UUID, name string) (o Operator, pin string, err error) {
	if name, err = access.ParseName(name); err != nil {
		return o, "", err
	}
	pin, err = s.newPIN(func(pin string) error {
		o, err = s.addOperator(ctx, station, name, pin)
		return err
	})
	return o, pin, err
}

// EnsureOperator adds somebody with this PIN to a station ("": none yet), unless one of this name is there: that one
// stays as it is, PIN and all.
func (s *Store) EnsureOperator(ctx context.Context, station uuid.UUID, name, pin string) error {
	var there int64
	err := s.orm.WithContext(ctx).Model(&Operator{}).Where("station_id = ? AND name = ?", station, name).Count(&there).Error
	if err != nil || there > 0 {
		return unavailable(err)
	}
	if pin != "" {
		if err := place.CheckPIN(pin); err != nil {
			return err
		}
	}
	_, err = s.addOperator(ctx, station, name, pin)
	return err
}

func (s *Store) addOperator(ctx context.Context, station uuid.UUID, name, pin string) (o Operator, err error) {
	t, err := s.Station(ctx, station)
	if err != nil {
		return o, err
	}
	hash, err := s.hashPIN(ctx, t.Code, pin)
	if err != nil {
		return o, err
	}
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		if _, err := tx.station(station); err != nil {
			return audit.Entry{}, err
		}
		if err := tx.roomForOperator(station); err != nil {
			return audit.Entry{}, err
		}
		o = Operator{ID: uuid.Must(uuid.NewV7()), StationID: station, Name: name, PINHash: hash}
		if hash != nil {
			now := time.Now()
			o.PINSetAt = &now
		}
		err := tx.orm.Clauses(clause.Returning{}).Create(&o).Error
		return audit.Entry{Action: "operator.added", Target: o.target(), Diff: map[string]any{"station": t.Code}}, err // names are not kept
	})
	return o, err
}

func (tx *Tx) roomForOperator(station uuid.UUID) error {
	var n int
	err := tx.pgx.QueryRow(tx.ctx, `SELECT count(*) FROM station_operators WHERE station_id = $1 AND disabled_at IS NULL`, station).Scan(&n)
	if err == nil && n >= place.MaxOperators {
		err = domain.E(domain.Conflict, "too_many_operators", "%d people may sign in here already, which is the most: disable one first", n)
	}
	return err
}

// ResetPIN gives an operator another PIN, which is told nobody again, and ends the operator's sessions and the station's
// lock-out. It fails with domain.Conflict for one who is disabled.
func (s *Store) ResetPIN(ctx context.Context, id uuid.UUID) (o Operator, pin string, err error) {
	t, err := s.stationOfOperator(ctx, id)
	if err != nil {
		return o, "", err
	}
	pin, err = s.newPIN(func(pin string) error {
		hash, err := s.hashPIN(ctx, t.Code, pin)
		if err != nil {
			return err
		}
		return s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
			if o, err = tx.operator(t.ID, id); err != nil {
				return audit.Entry{}, err
			}
			if o.DisabledAt != nil {
				return audit.Entry{}, domain.E(domain.Conflict, "operator_disabled", "this operator may not sign in: enable them first")
			}
			now := time.Now()
			o.PINHash, o.PINSetAt = hash, &now
			if err := tx.orm.Model(&o).Select("PINHash", "PINSetAt").Updates(&o).Error; err != nil {
				return audit.Entry{}, err
			}
			ended, err := tx.endSessionsOf(id)
			if err == nil {
				err = tx.forgive(s.stationCounts(t.Code, uuid.Nil))
			}
			return audit.Entry{Action: "operator.pin_reset", Target: o.target(), Diff: map[string]any{"sessions_ended": ended}}, err
		})
	})
	return o, pin, err
}

// SetOperatorDisabled says whether an operator may sign in. Disabling ends the sessions at once and forgets the PIN:
// who is enabled again needs another.
func (s *Store) SetOperatorDisabled(ctx context.Context, id uuid.UUID, disabled bool) (o Operator, err error) {
	t, err := s.stationOfOperator(ctx, id)
	if err != nil {
		return o, err
	}
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		if o, err = tx.operator(t.ID, id); err != nil {
			return audit.Entry{}, err
		}
		if disabled == (o.DisabledAt != nil) {
			return audit.Entry{}, errRepeated
		}
		entry := audit.Entry{Action: "operator.enabled", Target: o.target()}
		o.DisabledAt = nil
		if disabled {
			now := time.Now()
			o.DisabledAt, o.PINHash, o.PINSetAt = &now, nil, nil
			ended, err := tx.endSessionsOf(id)
			if err != nil {
				return audit.Entry{}, err
			}
			entry.Action, entry.Diff = "operator.disabled", map[string]any{"sessions_ended": ended}
		} else if err := tx.roomForOperator(t.ID); err != nil {
			return audit.Entry{}, err
		}
		return entry, tx.orm.Model(&o).Select("DisabledAt", "PINHash", "PINSetAt").Updates(&o).Error
	})
	if errors.Is(err, errRepeated) {
		err = nil
	}
	return o, err
}

func (s *Store) stationOfOperator(ctx context.Context, id uuid.UUID) (t Station, err error) {
	err = s.orm.WithContext(ctx).First(&t, "deleted_at IS NULL AND id = (SELECT station_id FROM station_operators WHERE id = ?)", id).Error
	return t, notFound(err, "operator", id)
}

// operator locks an operator, after their station.
func (tx *Tx) operator(station, id uuid.UUID) (o Operator, err error) {
	if _, err := tx.station(station); err != nil {
		return o, err
	}
	err = tx.orm.Clauses(clause.Locking{Strength: "UPDATE"}).First(&o, "id = ?", id).Error
	return o, notFound(err, "operator", id)
}

func (tx *Tx) endSessionsOf(operator uuid.UUID) (int64, error) {
	done, err := tx.pgx.Exec(tx.ctx, `UPDATE station_sessions SET revoked_at = clock_timestamp() WHERE operator_id = $1 AND revoked_at IS NULL`, operator)
	return done.RowsAffected(), err
}

// newPIN makes PINs until one is nobody's at the station.
func (s *Store) newPIN(set func(pin string) error) (string, error) {
	for range 20 {
		pin := place.NewPIN()
		err := set(pin)
		if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.ConstraintName == "station_operators_pin" {
			continue
		}
		if err != nil {
			return "", err
		}
		return pin, nil
	}
	return "", domain.E(domain.Internal, "no_pin", "no PIN was free")
}

// hashPIN is what is kept of a PIN: argon2id, salted by the pepper and the station's code, so that one hash tells which
// of a station's operators it is, and whether there is such a station costs the same to find out. nil for no PIN.
// Another cost than passwordCost's would be other PINs for all.
func (s *Store) hashPIN(ctx context.Context, code, pin string) (hash []byte, err error) {
	if pin == "" {
		return nil, nil
	}
	salt := hmac.New(sha256.New, s.pepper)
	salt.Write([]byte("station pin " + code))
	err = hashing.take(ctx, func() error {
		hash = argon2.IDKey([]byte(pin), salt.Sum(nil)[:16], 2, 19*1024, 1, 32)
		return nil
	})
	return hash, err
}

// operatorOf returns the operator of a station with this PIN's hash, and the station's id; found is false when there is
// none, they are disabled, or the station is deleted.
func operatorOf(ctx context.Context, db querier, station uuid.UUID, code string, hash []byte) (o Operator, found bool, err error) {
	err = db.QueryRow(ctx, `SELECT o.id, o.station_id, o.name FROM station_operators o JOIN stations t ON t.id = o.station_id
		WHERE t.id = $1 AND t.code = $2 AND t.deleted_at IS NULL AND o.pin_hash = $3 AND o.disabled_at IS NULL`, station, code, hash).
		Scan(&o.ID, &o.StationID, &o.Name)
	if errors.Is(err, pgx.ErrNoRows) {
		return o, false, nil
	}
	return o, err == nil, unavailable(err)
}
