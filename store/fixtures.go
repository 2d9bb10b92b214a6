package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lastcall/domain"
	"lastcall/domain/audit"
	"lastcall/domain/campaign"
	"lastcall/domain/contact"
	"lastcall/domain/policy"
	"lastcall/domain/voucher"
)

// Fixtures is a set of made-up rows to try Lastcall with: what there is to be, by names that people know. The rows have
// ids that follow from these names, so that the set is found again, and taken out, and nothing else is.
type Fixtures struct {
	Accounts  []NewAccount // with their passwords; one without is not made
	Places    []FixturePlace
	Contacts  []FixtureContact
	Templates []string // names of those that campaigns and vouchers want; they belong to the installation, not to the set
	Campaigns []FixtureCampaign
	Vouchers  []FixtureVoucher
	Settings  []FixtureSetting
	Ranges    []string // how the numbers of nobody begin: the set has no others
}

// FixturePlace is a bar with its one station and somebody who works there.
type FixturePlace struct {
	Code string // of the bar
	BarFacts
	Station, StationName string
	Operator, PIN        string // PIN "": none until somebody gives one
}

// FixtureContact is a guest. Each agreed to marketing.
type FixtureContact struct {
	contact.Number
	Name, Locale string
	Bar          string // the code of the bar they came by, "" for none
	Tags         []string
}

// FixtureCampaign is a campaign with its audience. One that is no draft is started: its workflow is, too, by the outbox, and
// waits for those of its targets that the provider asked to try again.
type FixtureCampaign struct {
	Name, Template string
	Draft          bool
	Offer          *voucher.Offer
	Targets        []FixtureTarget
}

// FixtureTarget is a target and how far it came.
type FixtureTarget struct {
	To        contact.Number
	Locale    string
	State     campaign.TargetState
	Reason    string // why it failed, or waits
	ErrorCode int    // the provider's, 0 for none
}

// FixtureVoucher is a voucher in the state that it came to.
type FixtureVoucher struct {
	Key      string // of its request, as if somebody had asked for it
	To       contact.MSISDN
	Money    voucher.Money
	At       []string // codes of the stations of its scope; none: all
	For      time.Duration
	Status   voucher.Status
	Reason   string // of a void one
	Campaign string // the name of the campaign that gave it, "" for none

	Ago        time.Duration // redeemed so long before the set is loaded,
	RedeemedAt string        // at the station with this code
}

// FixtureSetting is a setting that is written down once, where nobody ever set it.
type FixtureSetting struct {
	Key   string
	Value json.RawMessage
}

// FixturesWait is how long the targets wait that the provider asked to try again, from the loading on: so long the set's
// campaign is under way.
const FixturesWait = 7 * 24 * time.Hour

// fixtureActor is who the set's rows are by.
var fixtureActor = audit.System("fixtures")

// FixtureID is the id of a row of the set. It sorts before the ids of all rows that come by themselves.
func FixtureID(kind, name string) uuid.UUID {
	sum := sha256.Sum256([]byte("lastcall fixture " + kind + "/" + name))
	id := uuid.UUID(sum[:16])
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()))
	copy(id[:6], ms[2:])
	id[6], id[8] = id[6]&0x0f|0x70, id[8]&0x3f|0x80
	return id
}

// FixturesLoaded reports whether the set was ever loaded here, also if it was taken out since.
func (s *Store) FixturesLoaded(ctx context.Context, f Fixtures) (loaded bool, err error) {
	err = s.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM audit_log WHERE action = 'fixtures.loaded') OR EXISTS (SELECT FROM vouchers WHERE idempotency_key = ANY ($1))`,
		f.keys()).Scan(&loaded)
	return loaded, unavailable(err)
}

func (f Fixtures) keys() []string {
	keys := make([]string, len(f.Vouchers))
	for i, v := range f.Vouchers {
		keys[i] = v.Key
	}
	return keys
}

// LoadFixtures adds what is missing of a set, in one transaction, and tells what it added. What has a name of the
// set already stays as it is, whoever made it; what was deleted in the panel stays deleted, with what hangs on it.
func (s *Store) LoadFixtures(ctx context.Context, f Fixtures) (FixturesAdded, error) {
	ctx = audit.WithActor(ctx, fixtureActor)
	l := fixtureLoader{store: s, set: f}
	if err := l.prepare(ctx); err != nil {
		return FixturesAdded{}, err
	}
	err := s.inTx(ctx, l.load)
	return FixturesAdded{l.added, l.signers, l.staffed}, err
}

// FixturesAdded is what was missing of a set.
type FixturesAdded struct {
	Added    map[string]int // rows by kind
	Accounts []string       // addresses of those made
	Stations []string       // codes of those whose operator was made
}

// PIN is with what the operator of a station signs in who is made with the set; "" for nothing.
func (f Fixtures) PIN(station string) string {
	for _, p := range f.Places {
		if p.Station == station {
			return p.PIN
		}
	}
	return ""
}

// fixtureLoader is one loading.
type fixtureLoader struct {
	store     *Store
	set       Fixtures
	passwords []string // hashes of the accounts' passwords; "" for those that are there
	pins      [][]byte // hashes of the operators' PINs

	tx       *Tx
	now      time.Time
	added    map[string]int
	signers  []string
	staffed  []string
	stations map[string]fixtureStation // by code; those that are not deleted
}

type fixtureStation struct {
	id, bar    uuid.UUID
	name       string
	operatorID uuid.UUID
	operator   string
}

// prepare hashes what takes its time, before anything is locked.
func (l *fixtureLoader) prepare(ctx context.Context) error {
	for _, a := range l.set.Accounts {
		var there bool
		err := l.store.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM accounts WHERE email = $1)`, a.Email).Scan(&there)
		hash := ""
		if err == nil && !there && a.Password != "" {
			hash, err = hashPassword(ctx, a.Password)
		}
		if err != nil {
			return unavailable(err)
		}
		l.passwords = append(l.passwords, hash)
	}
	for _, p := range l.set.Places {
		hash, err := l.store.hashPIN(ctx, p.Station, p.PIN)
		if err != nil {
			return err
		}
		l.pins = append(l.pins, hash)
	}
	return nil
}

func (l *fixtureLoader) load(tx *Tx) error {
	l.tx, l.added, l.signers, l.staffed, l.stations = tx, map[string]int{}, nil, nil, map[string]fixtureStation{}
	if err := tx.pgx.QueryRow(tx.ctx, `SELECT clock_timestamp() FROM pg_advisory_xact_lock(hashtext('fixtures'))`).Scan(&l.now); err != nil {
		return err
	}
	for _, step := range []func() error{l.accounts, l.places, l.contacts, l.settingRows, l.campaigns, l.vouchers} {
		if err := step(); err != nil {
			return err
		}
	}
	if len(l.added) == 0 {
		return nil
	}
	return tx.enter(audit.Entry{Action: "fixtures.loaded", Target: "fixtures", Diff: l.added})
}

// add runs an INSERT … ON CONFLICT DO NOTHING and, if it did something, counts that and enters it.
func (l *fixtureLoader) add(kind string, e audit.Entry, sql string, args ...any) (made bool, err error) {
	done, err := l.tx.pgx.Exec(l.tx.ctx, sql, args...)
	if err != nil || done.RowsAffected() == 0 {
		return false, wrap(err, "fixture "+kind)
	}
	l.added[kind]++
	e.Reason = "fixture"
	return true, l.tx.enter(e)
}

func (l *fixtureLoader) accounts() error {
	for i, a := range l.set.Accounts {
		if l.passwords[i] == "" {
			continue
		}
		id := FixtureID("account", a.Email)
		made, err := l.add("accounts", audit.Entry{Action: "account.added", Target: "account/" + id.String(), Diff: map[string]any{"role": a.Role}},
			`INSERT INTO accounts (id, email, name, role, password_hash) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (email) DO NOTHING`,
			id, a.Email, a.Name, a.Role, l.passwords[i])
		if err != nil {
			return err
		}
		if made {
			l.signers = append(l.signers, a.Email)
		}
	}
	return nil
}

func (l *fixtureLoader) places() error {
	for i, p := range l.set.Places {
		id := FixtureID("bar", p.Code)
		if _, err := l.add("bars", audit.Entry{Action: "bar.added", Target: "bar/" + id.String(), Diff: map[string]any{"code": p.Code, "country": p.Country}},
			`INSERT INTO bars (id, code, name, country, address, latitude, longitude, zone) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (code) DO NOTHING`,
			id, p.Code, p.Name, p.Country, p.Address, p.Latitude, p.Longitude, p.Zone); err != nil {
			return err
		}
		var t fixtureStation
		bar, err := l.live(`SELECT id FROM bars WHERE code = $1 AND deleted_at IS NULL FOR SHARE`, p.Code)
		if err != nil || bar == uuid.Nil {
			if err != nil {
				return err
			}
			continue // deleted, and it stays so
		}
		t.bar, t.name, t.operator = bar, p.StationName, p.Operator
		id = FixtureID("station", p.Station)
		if _, err := l.add("stations", audit.Entry{Action: "station.added", Target: "station/" + id.String(), Diff: map[string]any{"code": p.Station, "bar_id": bar}},
			`INSERT INTO stations (id, bar_id, code, name) VALUES ($1, $2, $3, $4) ON CONFLICT (code) DO NOTHING`, id, bar, p.Station, p.StationName); err != nil {
			return err
		}
		if t.id, err = l.live(`SELECT id FROM stations WHERE code = $1 AND deleted_at IS NULL FOR SHARE`, p.Station); err != nil {
			return err
		}
		if t.id == uuid.Nil {
			continue
		}
		if t.operatorID, err = l.worker(t, p, l.pins[i]); err != nil {
			return err
		}
		l.stations[p.Station] = t
	}
	return nil
}

// worker is who works at a station, made unless somebody of this name is there.
func (l *fixtureLoader) worker(t fixtureStation, p FixturePlace, pin []byte) (uuid.UUID, error) {
	there, err := l.live(`SELECT id FROM station_operators WHERE station_id = $1 AND name = $2 ORDER BY id LIMIT 1`, t.id, p.Operator)
	if err != nil || there != uuid.Nil {
		return there, err
	}
	id := FixtureID("operator", p.Station+"/"+p.Operator)
	_, err = l.add("operators", audit.Entry{Action: "operator.added", Target: "operator/" + id.String(), Diff: map[string]any{"station": p.Station}},
		`INSERT INTO station_operators (id, station_id, name, pin_hash, pin_set_at) VALUES ($1, $2, $3, $4, CASE WHEN $4::bytea IS NOT NULL THEN clock_timestamp() END)`,
		id, t.id, p.Operator, pin)
	l.staffed = append(l.staffed, p.Station)
	return id, err
}

// live is the id that a query finds, uuid.Nil when it finds none.
func (l *fixtureLoader) live(sql string, args ...any) (id uuid.UUID, err error) {
	err = l.tx.pgx.QueryRow(l.tx.ctx, sql, args...).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		return uuid.Nil, nil
	}
	return id, err
}

func (l *fixtureLoader) contacts() error {
	for _, c := range l.set.Contacts {
		id := FixtureID("contact", string(c.MSISDN))
		made, err := l.add("contacts", audit.Entry{Action: "contact.added", Target: "contact/" + id.String(), Diff: map[string]any{"country": c.Country}},
			`INSERT INTO contacts (id, msisdn, msisdn_hash, name, country, locale, zone, tags, bar_id)
			VALUES ($1, $2, $3, $4, $5, $6, '', $7, (SELECT id FROM bars WHERE code = $8 AND deleted_at IS NULL)) ON CONFLICT (msisdn) DO NOTHING`,
			id, string(c.MSISDN), l.store.pepper.Hash(c.MSISDN), c.Name, c.Country, c.Locale, append([]string{}, c.Tags...), c.Bar)
		if err == nil && made {
			err = l.tx.consent(id, Consent{At: l.now.Add(-30 * 24 * time.Hour), Granted: true, Source: ConsentImport, Reference: "fixture: made up"})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// settingRows writes settings down that nobody ever set.
func (l *fixtureLoader) settingRows() error {
	if len(l.set.Settings) == 0 {
		return nil
	}
	if _, err := l.tx.pgx.Exec(l.tx.ctx, `SELECT pg_advisory_xact_lock(hashtext('settings_revisions'))`); err != nil {
		return err
	}
	for _, set := range l.set.Settings {
		if err := new(policy.Settings).Apply(set.Key, set.Value); err != nil {
			return err
		}
		if _, err := l.add("settings", audit.Entry{Action: "settings.changed", Target: "settings/" + set.Key, Diff: map[string]any{"after": set.Value}},
			`INSERT INTO settings_revisions (key, value, actor, reason) SELECT $1::text, $2::jsonb, $3::text, 'fixture'
			WHERE NOT EXISTS (SELECT FROM settings_revisions WHERE key = $1)`, set.Key, []byte(set.Value), fixtureActor.Name); err != nil {
			return err
		}
	}
	return nil
}

// errNoTemplate is what a set cannot be loaded without.
func errNoTemplate(name string) error {
	return domain.E(domain.Conflict, "no_template", "there is no template %s, which the set's campaigns are of: run `lastcall migrate up`", name)
}
