package store

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm/clause"

	"lastcall/domain"
	"lastcall/domain/audit"
	"lastcall/domain/place"
)

// Bar is a venue. What hangs on it is locked after it: bar, then station, then device.
type Bar struct {
	ID        uuid.UUID `gorm:"type:uuid;primaryKey"`
	Code      string    // in capitals, never another bar's, not even after this one is deleted
	Name      string
	Country   string   `gorm:"type:char(2)"`
	Address   string   // may be empty
	Latitude  *float64 // degrees, WGS 84; nil with Longitude
	Longitude *float64
	Zone      string    // IANA; empty: the country's only one
	Version   int64     // one more with each change
	CreatedAt time.Time `gorm:"default:clock_timestamp()"`
	UpdatedAt time.Time `gorm:"default:clock_timestamp();autoUpdateTime:false"`
	DeletedAt *time.Time
}

// Clock is the bar's IANA zone; "" where nobody knows.
func (b Bar) Clock() string {
	zone, err := place.Zone(b.Zone, b.Country)
	if err != nil {
		return ""
	}
	return zone
}

func (b Bar) target() string { return "bar/" + b.ID.String() }

// BarFacts are what may be changed of a bar.
type BarFacts struct {
	Name, Address       string
	Country             string // ISO 3166-1 alpha-2
	Zone                string // IANA; empty: the country's only one
	Latitude, Longitude *float64
}

// check makes of the facts what is kept, or says everything that is wrong with them at once.
func (f *BarFacts) check() error {
	var problems [5]error
	f.Name, problems[0] = place.ParseName(f.Name)
	f.Address, problems[1] = place.ParseAddress(f.Address)
	f.Country, problems[2] = place.ParseCountry(f.Country)
	if problems[2] == nil {
		f.Zone, problems[3] = place.Zone(f.Zone, f.Country)
	}
	problems[4] = place.CheckCoordinates(f.Latitude, f.Longitude)
	return errors.Join(problems[:]...)
}

// BarFilter says which bars; what is empty does not matter.
type BarFilter struct {
	Search string // in the code, the name or the address, of the bar or (but for the address) of one of its stations
}

// Bars lists the bars that are not deleted by code, those after the code `after` first; at most limit (1 to 1,000).
func (s *Store) Bars(ctx context.Context, f BarFilter, after string, limit int) ([]Bar, error) {
	var all []Bar
	q := s.orm.WithContext(ctx).Where("deleted_at IS NULL AND code > ?", after).Order("code").Limit(page(limit))
	if f.Search != "" {
		like := "%" + likeEscaper.Replace(f.Search) + "%"
		q = q.Where(`code ILIKE ?::text OR name ILIKE ? OR address ILIKE ? OR EXISTS (SELECT FROM stations t
			WHERE t.bar_id = bars.id AND t.deleted_at IS NULL AND (t.code ILIKE ? OR t.name ILIKE ?))`, like, like, like, like, like)
	}
	return all, unavailable(q.Find(&all).Error)
}

// Bar returns a bar that is not deleted.
func (s *Store) Bar(ctx context.Context, id uuid.UUID) (b Bar, err error) {
	err = s.orm.WithContext(ctx).First(&b, "id = ? AND deleted_at IS NULL", id).Error
	return b, notFound(err, "bar", id)
}

// AddBar makes a bar. It fails with domain.Invalid for everything that is wrong at once, and with domain.Conflict when
// a bar has, or once had, this code.
func (s *Store) AddBar(ctx context.Context, code string, f BarFacts) (b Bar, err error) {
	code, err = place.ParseCode(code)
	if err = errors.Join(err, f.check()); err != nil {
		return Bar{}, err
	}
	b = Bar{ID: uuid.Must(uuid.NewV7()), Code: code, Name: f.Name, Country: f.Country, Address: f.Address,
		Latitude: f.Latitude, Longitude: f.Longitude, Zone: f.Zone, Version: 1}
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		made := tx.orm.Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "code"}}, DoNothing: true}, clause.Returning{}).Create(&b)
		if made.Error == nil && made.RowsAffected == 0 {
			return audit.Entry{}, codeTaken("bar")
		}
		return audit.Entry{Action: "bar.added", Target: b.target(), Diff: map[string]any{"code": b.Code, "country": b.Country}}, made.Error
	})
	return b, err
}

// EnsureBar returns the bar with this code, made of f unless it is there; nil when it was deleted.
func (s *Store) EnsureBar(ctx context.Context, code string, f BarFacts) (*Bar, error) {
	var there []Bar
	err := s.orm.WithContext(ctx).Where("code = ?", code).Find(&there).Error
	switch {
	case err != nil:
		return nil, unavailable(err)
	case len(there) == 0:
		b, err := s.AddBar(ctx, code, f)
		return &b, err
	case there[0].DeletedAt != nil:
		return nil, nil
	}
	return &there[0], nil
}

func codeTaken(what string) error {
	return domain.E(domain.Conflict, what+"_exists", "a %s has this code, or had it: codes are not used again", what).About("code")
}

// ChangeBar gives a bar other facts. It fails with domain.Stale when known, if given, is not the version it would
// replace, and with domain.Conflict when the country of a bar changes that has stations: their vouchers are in its money.
func (s *Store) ChangeBar(ctx context.Context, id uuid.UUID, f BarFacts, known *int64) (b Bar, err error) {
	if err := f.check(); err != nil {
		return Bar{}, err
	}
	err = s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		var err error
		if b, err = tx.bar(id); err != nil {
			return audit.Entry{}, err
		}
		if known != nil && *known != b.Version {
			return audit.Entry{}, changedMeanwhile("bar")
		}
		if f.Country != b.Country {
			var had bool
			if err := tx.pgx.QueryRow(tx.ctx, `SELECT EXISTS (SELECT FROM stations WHERE bar_id = $1 AND deleted_at IS NULL)`, id).Scan(&had); err != nil {
				return audit.Entry{}, err
			}
			if had {
				return audit.Entry{}, domain.E(domain.Conflict, "has_stations", "its stations take vouchers in the money of the country it has").About("country")
			}
		}
		diff := map[string]any{}
		changed(diff, "name", b.Name, f.Name)
		changed(diff, "address", b.Address, f.Address)
		changed(diff, "country", b.Country, f.Country)
		changed(diff, "zone", b.Zone, f.Zone)
		if !sameDegrees(b.Latitude, f.Latitude) || !sameDegrees(b.Longitude, f.Longitude) {
			diff["coordinates"] = [][]*float64{{b.Latitude, b.Longitude}, {f.Latitude, f.Longitude}}
		}
		err = tx.orm.Raw(`UPDATE bars SET name = ?, address = ?, country = ?, zone = ?, latitude = ?, longitude = ?, version = version + 1,
			updated_at = clock_timestamp() WHERE id = ? RETURNING *`, f.Name, f.Address, f.Country, f.Zone, f.Latitude, f.Longitude, id).Scan(&b).Error
		return audit.Entry{Action: "bar.changed", Target: b.target(), Diff: diff}, err
	})
	return b, err
}

func changedMeanwhile(what string) error {
	return domain.E(domain.Stale, what+"_changed", "somebody changed this %s in the meantime; look at it again", what)
}

func changed(diff map[string]any, name, from, to string) {
	if from != to {
		diff[name] = []string{from, to}
	}
}

func sameDegrees(a, b *float64) bool { return a == b || (a != nil && b != nil && *a == *b) }

// Toll is what a deletion takes along.
type Toll struct {
	Stations  int64 // live ones
	Operators int64 // who may sign in
	Devices   int64 // enrolled
	Sessions  int64 // open
	QRTokens  int64 // on tables, not revoked
	Contacts  int64 // who came by this bar; they stay
}

// BarToll counts what deleting a bar would take along.
func (s *Store) BarToll(ctx context.Context, id uuid.UUID) (i Toll, err error) {
	err = s.pool.QueryRow(ctx, `WITH live AS MATERIALIZED (SELECT id FROM stations WHERE bar_id = $1 AND deleted_at IS NULL)
		SELECT (SELECT count(*) FROM live), `+stationToll("(SELECT id FROM live)")+`,
			(SELECT count(*) FROM qr_tokens WHERE bar_id = $1 AND revoked_at IS NULL), (SELECT count(*) FROM contacts WHERE bar_id = $1)`, id).
		Scan(&i.Stations, &i.Operators, &i.Devices, &i.Sessions, &i.QRTokens, &i.Contacts)
	return i, unavailable(err)
}

// DeleteBar deletes a bar softly: its code stays its own, its table codes end, what was is still told. A bar with live
// stations is refused with domain.Conflict unless they are to be deleted with it.
func (s *Store) DeleteBar(ctx context.Context, id uuid.UUID, withStations bool, reason string) error {
	return s.Write(ctx, func(tx *Tx) (audit.Entry, error) {
		b, err := tx.bar(id)
		if err != nil {
			return audit.Entry{}, err
		}
		var stations []uuid.UUID
		if err := tx.orm.Raw(`SELECT id FROM stations WHERE bar_id = ? AND deleted_at IS NULL ORDER BY id FOR UPDATE`, id).Scan(&stations).Error; err != nil {
			return audit.Entry{}, err
		}
		if len(stations) > 0 && !withStations {
			return audit.Entry{}, domain.E(domain.Conflict, "has_stations", "it has %d live stations: delete them, too, or first", len(stations))
		}
		for _, station := range stations {
			if err := tx.closeStation(station); err != nil {
				return audit.Entry{}, err
			}
		}
		codes, err := tx.pgx.Exec(tx.ctx, `UPDATE qr_tokens SET revoked_at = clock_timestamp() WHERE bar_id = $1 AND revoked_at IS NULL`, id)
		if err == nil {
			_, err = tx.pgx.Exec(tx.ctx, `UPDATE bars SET deleted_at = clock_timestamp(), updated_at = clock_timestamp(), version = version + 1 WHERE id = $1`, id)
		}
		return audit.Entry{Action: "bar.deleted", Target: b.target(), Reason: reason,
			Diff: map[string]any{"code": b.Code, "stations": stations, "qr_tokens": codes.RowsAffected()}}, err
	})
}

// bar returns a bar that is not deleted and keeps it from changing until the transaction ends.
func (tx *Tx) bar(id uuid.UUID) (b Bar, err error) {
	err = tx.orm.Clauses(clause.Locking{Strength: "UPDATE"}).First(&b, "id = ? AND deleted_at IS NULL", id).Error
	return b, notFound(err, "bar", id)
}
