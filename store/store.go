// Package store keeps Lastcall's truth in Postgres: every recipient's state, every permit, every
// decision of a person, and the outbox of what must follow a commit. One file an aggregate.
package store

import (
	"cmp"
	"context"
	"crypto/subtle"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"lastcall/domain"
	"lastcall/domain/audit"
	"lastcall/domain/contact"
	"lastcall/domain/policy"
	"lastcall/domain/probe"
)

// AppRole is the database role that serves. It owns nothing: it cannot change the schema, the audit
// log or the counts.
const AppRole = "lastcall_app"

// Config says which database to use and how.
type Config struct {
	URL      string         // a Postgres DSN; its role is AppRole or a member of it
	Pepper   contact.Pepper // hashes the opt-out registry; must stay the same for the life of the database
	MaxConns int            // 0: 16
	AppName  string         // shown in pg_stat_activity
	Sandbox  bool           // messages go to the sandbox: marketing needs no consent, and campaigns no approval, unless the settings say so

	Build              string // of this Lastcall: smoke tests count for the build that they were run on
	AuditRetentionDays int    // how long entries are kept, by the configuration; 0: nobody told

	RunbooksDigest func() (string, error)   // what a review of the runbooks is of; nil: there are none
	Staging        func() (Fixtures, error) // the staging set; nil: there is none

	AssumedRate float64 // messages a second that forecasts reckon with where no rule limits them; 0: forecast.AssumedRate

	ProbesEvery time.Duration // how often edge functions are probed; 0: probe.Every
}

// Store is the database, opened for serving.
type Store struct {
	pool     *pgxpool.Pool
	std      *sql.DB
	orm      *gorm.DB
	pepper   contact.Pepper
	defaults policy.Settings
	settings settingsCache

	assumedRate float64
	probesEvery time.Duration
	sandbox     bool // nobody gets what is sent
	build       string
	retention   int // days
	runbooks    func() (string, error)
	staging     func() (Fixtures, error)
}

// Open connects as AppRole and checks that the schema is there and the pepper belongs to it. It fails
// with domain.Unavailable when the database does not answer, domain.Conflict when the pepper is another's.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	pc, err := pgxpool.ParseConfig(cfg.URL)
	if err != nil {
		return nil, domain.E(domain.Invalid, "database_url", "the database URL cannot be read").About("database.url")
	}
	pc.MaxConns = int32(cfg.MaxConns)
	if cfg.MaxConns == 0 {
		pc.MaxConns = 16
	}
	pc.ConnConfig.RuntimeParams["application_name"] = cfg.AppName
	pc.ConnConfig.RuntimeParams["timezone"] = "UTC"
	pc.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, "SET ROLE "+AppRole)
		return err
	}
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, unavailable(err)
	}
	s := &Store{pool: pool, std: stdlib.OpenDBFromPool(pool), pepper: cfg.Pepper, defaults: policy.Defaults(), assumedRate: cfg.AssumedRate,
		probesEvery: cmp.Or(cfg.ProbesEvery, probe.Every), sandbox: cfg.Sandbox, build: cfg.Build, retention: cfg.AuditRetentionDays,
		runbooks: cfg.RunbooksDigest, staging: cfg.Staging}
	if cfg.Sandbox {
		s.defaults.Consent.Required = false
		s.defaults.Campaigns.Approval = policy.ApprovalRule{Rule: policy.ApprovalNever}
	}
	s.orm, err = gorm.Open(postgres.New(postgres.Config{Conn: s.std}), &gorm.Config{
		SkipDefaultTransaction: true, Logger: logger.Discard, TranslateError: false,
	})
	if err == nil {
		err = s.checkInstallation(ctx)
	}
	if err != nil {
		s.Close()
		return nil, unavailable(err)
	}
	return s, nil
}

// Close gives all connections back. Streams and listeners must have ended.
func (s *Store) Close() {
	_ = s.std.Close()
	s.pool.Close()
}

// Ping asks the database for a sign of life.
func (s *Store) Ping(ctx context.Context) error { return unavailable(s.pool.Ping(ctx)) }

// Pepper is what opt-outs are hashed with.
func (s *Store) Pepper() contact.Pepper { return s.pepper }

// checkInstallation refuses a pepper that did not make the hashes in this database: with it every
// opt-out would silently be overlooked.
func (s *Store) checkInstallation(ctx context.Context) error {
	var known []byte
	_, err := s.pool.Exec(ctx, `INSERT INTO installation (pepper_fingerprint) VALUES ($1) ON CONFLICT DO NOTHING`, s.pepper.Fingerprint())
	if err == nil {
		err = s.pool.QueryRow(ctx, `SELECT pepper_fingerprint FROM installation`).Scan(&known)
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "42P01" {
		return domain.E(domain.Unavailable, "not_migrated", "the database has no schema yet: run `lastcall migrate up`").Because(err)
	}
	if err != nil {
		return unavailable(err)
	}
	if subtle.ConstantTimeCompare(known, s.pepper.Fingerprint()) != 1 {
		return domain.E(domain.Conflict, "wrong_pepper",
			"this pepper is not the one the database was made with: opted-out numbers would not be recognised").About("pepper")
	}
	return nil
}

// Tx is one transaction, for GORM and for pgx alike: both speak on the same connection.
type Tx struct {
	ctx context.Context
	orm *gorm.DB
	pgx *pgx.Conn
}

// Write runs fn in a transaction and enters what it did in the audit log of the same transaction: both
// are there or neither. fn may run again after a deadlock or serialisation failure.
func (s *Store) Write(ctx context.Context, fn func(tx *Tx) (audit.Entry, error)) error {
	return s.inTx(ctx, func(tx *Tx) error {
		entry, err := fn(tx)
		if err != nil {
			return err
		}
		return tx.enter(entry)
	})
}

// inTx is Write without an entry, for the engine's own steps, which leave their trace in the rows.
func (s *Store) inTx(ctx context.Context, fn func(tx *Tx) error) error {
	return s.guarded(ctx, again(ctx, func() error { return s.once(ctx, fn) }))
}

// again runs fn, and once more as long as that ends in a deadlock or serialisation failure.
func again(ctx context.Context, fn func() error) error {
	const tries = 6
	for try := 1; ; try++ {
		err := fn()
		pg, ok := errors.AsType[*pgconn.PgError](err)
		if !ok || try == tries || (pg.Code != "40001" && pg.Code != "40P01") {
			return unavailable(err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(try) * time.Duration(5+rand.IntN(20)) * time.Millisecond):
		}
	}
}

func (s *Store) once(ctx context.Context, fn func(tx *Tx) error) error {
	conn, err := s.std.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	// fn's statements end with ctx; the transaction itself must not: database/sql would roll back from a
	// goroutine of its own while pgx is still on the connection.
	t, err := conn.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return err
	}
	defer func() { _ = t.Rollback() }()

	orm := s.orm.Session(&gorm.Session{NewDB: true, Context: ctx})
	orm.Statement.ConnPool = t
	tx := &Tx{ctx: ctx, orm: orm}
	if err := conn.Raw(func(driver any) error {
		tx.pgx = driver.(*stdlib.Conn).Conn()
		return nil
	}); err != nil {
		return err
	}
	if err := fn(tx); err != nil {
		return err
	}
	return t.Commit()
}

// unavailable marks the errors that mean "the database does not answer", so that the API says 503.
func unavailable(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	if _, ok := errors.AsType[*domain.Error](err); ok {
		return err
	}
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	_, network := errors.AsType[*net.OpError](err)
	pg, answered := errors.AsType[*pgconn.PgError](err)
	shutting := answered && (pg.Code == "57P01" || pg.Code == "57P02" || pg.Code == "57P03" || pg.Code == "53300")
	cut := errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) // in the middle of an answer
	if connecting || network || shutting || cut || pgconn.SafeToRetry(err) {
		return domain.E(domain.Unavailable, "database_unavailable", "the database does not answer").Because(err)
	}
	return err
}

// notFound turns "no row" into the error people see.
func notFound(err error, what string, id any) error {
	if errors.Is(err, gorm.ErrRecordNotFound) || errors.Is(err, pgx.ErrNoRows) {
		return domain.E(domain.NotFound, what+"_not_found", "there is no %s %v", what, id)
	}
	return unavailable(err)
}

// page keeps a limit that somebody asked for within reason.
func page(limit int) int { return min(max(limit, 1), 1000) }

func wrap(err error, doing string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}
