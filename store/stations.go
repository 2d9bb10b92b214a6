package store

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm/clause"

	"lastcall/domain/audit"
	"lastcall/domain/place"
)

// Station is where vouchers are redeemed, in a bar.
type Station struct {
	ID        uuid.UUID `gorm:"type:uuid;primaryKey"`
	BarID     uuid.UUID `gorm:"type:uuid"`
	Code      string    // in capitals, like ENG-001, never another station's, not even after this one is deleted
	Name      string
	Version   int64     // one more with each change
	CreatedAt time.Time `gorm:"default:clock_timestamp()"`
	UpdatedAt time.Time `gorm:"default:clock_timestamp();autoUpdateTime:false"`
	DeletedAt *time.Time
}

func (s Station) target() string { return "station/" + s.ID.String() }

// StationFilter says which stations; what is empty does not matter.
type StationFilter struct {
	Bars   []uuid.UUID
	IDs    []uuid.UUID // these; none: all
	Codes  []string    // those with these codes, in capitals; none: all
	Search string      // in the code or the name
}

// Stations lists the stations that are not deleted by code, those after the code `after` first; at most limit (1 to 1,000).
func (s *Store) Stations(ctx context.Context, f StationFilter, after string, limit int) ([]Station, error) {
	var all []Station
	q := s.orm.WithContext(ctx).Where("deleted_at IS NULL AND code > ?", after).Order("code").Limit(page(limit))
	if len(f.Bars) > 0 {
		q = q.Where("bar_id IN ?", f.Bars)
	}
	if len(f.IDs) > 0 {
		q = q.Where("id IN ?", f.IDs)
	}
	if len(f.Codes) > 0 {
		q = q.Where("code IN ?", f.Codes)
	}
	if f.Search != "" {
		like := "%" + likeEscaper.Replace(f.Search) + "%"
		q = q.Where("code ILIKE ?::text OR name ILIKE ?", like, like)
	}
	return all, unavailable(q.Find(&all).Error)
}

// Station returns a station that is not deleted.
func (s *Store) Station(ctx context.Context, id uuid.UUID) (t Station, err error) {
	err = s.orm.WithContext(ctx).First(&t, "id = ? AND deleted_at IS NULL", id).Error
	return t, notFound(err, "station", id)
}

// AddStation makes a station in a bar. It fails with domain.Invalid for everything that is wrong at once, and with
// domain.Conflict when a station has, or once had, this code.
func (s *Store) AddStation(ctx context.Context, bar uuid.UUID, code, name string) (t Station, err error) {
	var problems [2]error
	code, problems[0] = place.ParseCode(code)
	name, problems[1] = place.ParseName(name)
	if err := errors.Join(problems[:]...); err != nil {
		return Station{}, err
	}
	t = Station{ID: uuid.Must(uuid.NewV7()), BarID: bar, Code: code, Name: name, Version: 1}
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		if _, err := tx.bar(bar); err != nil { // nobody deletes it meanwhile
			return audit.Entry{}, err
		}
		made := tx.orm.Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "code"}}, DoNothing: true}, clause.Returning{}).Create(&t)
		if made.Error == nil && made.RowsAffected == 0 {
			return audit.Entry{}, codeTaken("station")
		}
		return audit.Entry{Action: "station.added", Target: t.target(), Diff: map[string]any{"code": t.Code, "bar_id": bar}}, made.Error
	})
	return t, err
}

// EnsureStation returns the station with this code, made in a bar unless it is there; nil when it was deleted.
func (s *Store) EnsureStation(ctx context.Context, bar uuid.UUID, code, name string) (*Station, error) {
	var there []Station
	err := s.orm.WithContext(ctx).Where("code = ?", code).Find(&there).Error
	switch {
	case err != nil:
		return nil, unavailable(err)
	case len(there) == 0:
		t, err := s.AddStation(ctx, bar, code, name)
		return &t, err
	case there[0].DeletedAt != nil:
		return nil, nil
	}
	return &there[0], nil
}

// ChangeStation gives a station another name. It fails with domain.Stale when known, if given, is not the version it
// would replace.
func (s *Store) ChangeStation(ctx context.Context, id uuid.UUID, name string, known *int64) (t Station, err error) {
	if name, err = place.ParseName(name); err != nil {
		return Station{}, err
	}
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		var err error
		if t, err = tx.station(id); err != nil {
			return audit.Entry{}, err
		}
		if known != nil && *known != t.Version {
			return audit.Entry{}, changedMeanwhile("station")
		}
		diff := map[string]any{}
		changed(diff, "name", t.Name, name)
		err = tx.orm.Raw(`UPDATE stations SET name = ?, version = version + 1, updated_at = clock_timestamp() WHERE id = ? RETURNING *`, name, id).Scan(&t).Error
		return audit.Entry{Action: "station.changed", Target: t.target(), Diff: diff}, err
	})
	return t, err
}

// StationToll counts what deleting a station would take along.
func (s *Store) StationToll(ctx context.Context, id uuid.UUID) (i Toll, err error) {
	err = s.pool.QueryRow(ctx, "SELECT "+stationToll("($1::uuid)"), id).Scan(&i.Operators, &i.Devices, &i.Sessions)
	return i, unavailable(err)
}

// stationToll are the columns that count who may sign in, devices and open sessions of stations.
func stationToll(stations string) string {
	return `(SELECT count(*) FROM station_operators WHERE station_id IN ` + stations + ` AND disabled_at IS NULL),
		(SELECT count(*) FROM station_devices WHERE station_id IN ` + stations + ` AND revoked_at IS NULL),
		(SELECT count(*) FROM station_sessions WHERE station_id IN ` + stations + ` AND ` + stationLive + `)`
}

// DeleteStation deletes a station softly: its devices and sessions end at once, its code stays its own.
func (s *Store) DeleteStation(ctx context.Context, id uuid.UUID, reason string) error {
	return s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		t, err := tx.station(id)
		if err == nil {
			err = tx.closeStation(id)
		}
		return audit.Entry{Action: "station.deleted", Target: t.target(), Reason: reason, Diff: map[string]any{"code": t.Code}}, err
	})
}

// closeStation deletes a station that is locked, and ends all that it had.
func (tx *Tx) closeStation(id uuid.UUID) error {
	for _, sql := range []string{
		`UPDATE stations SET deleted_at = clock_timestamp(), updated_at = clock_timestamp(), version = version + 1 WHERE id = $1`,
		`UPDATE station_devices SET revoked_at = clock_timestamp() WHERE station_id = $1 AND revoked_at IS NULL`,
		`UPDATE station_leases SET ended_at = clock_timestamp(), ended_why = 'revoked' WHERE station_id = $1 AND ended_at IS NULL`,
		`UPDATE station_sessions SET revoked_at = clock_timestamp() WHERE station_id = $1 AND revoked_at IS NULL`,
		`UPDATE station_operators SET disabled_at = clock_timestamp(), pin_hash = NULL, pin_set_at = NULL WHERE station_id = $1 AND disabled_at IS NULL`,
		`DELETE FROM device_enrolments WHERE station_id = $1 AND used_at IS NULL`,
	} {
		if _, err := tx.pgx.Exec(tx.ctx, sql, id); err != nil {
			return err
		}
	}
	return nil
}

// station returns a station that is not deleted and keeps it from changing until the transaction ends.
func (tx *Tx) station(id uuid.UUID) (t Station, err error) {
	err = tx.orm.Clauses(clause.Locking{Strength: "UPDATE"}).First(&t, "id = ? AND deleted_at IS NULL", id).Error
	return t, notFound(err, "station", id)
}
