package store

import (
	"context"
	"database/sql"
	"embed"
	"io/fs"

	_ "github.com/jackc/pgx/v5/stdlib" // the "pgx" driver
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"lastcall/domain"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migration is one step of the schema and whether the database has taken it.
type Migration struct {
	Version int64  `json:"version"`
	Name    string `json:"name"`
	Applied bool   `json:"applied"`
}

// MigrateUp brings the schema to the newest version and returns how many steps it took. ownerURL's role
// must be allowed to create roles and to own the schema. Two at once wait for each other.
func MigrateUp(ctx context.Context, ownerURL string) (int, error) {
	var steps int
	err := migrate(ctx, ownerURL, func(p *goose.Provider) error {
		done, err := p.Up(ctx)
		steps = len(done)
		return err
	})
	return steps, err
}

// MigrateDown takes the newest step back. It destroys that step's data.
func MigrateDown(ctx context.Context, ownerURL string) error {
	return migrate(ctx, ownerURL, func(p *goose.Provider) error {
		_, err := p.Down(ctx)
		return err
	})
}

// MigrateStatus lists the steps, oldest first.
func MigrateStatus(ctx context.Context, ownerURL string) ([]Migration, error) {
	var all []Migration
	err := migrate(ctx, ownerURL, func(p *goose.Provider) error {
		status, err := p.Status(ctx)
		for _, st := range status {
			all = append(all, Migration{st.Source.Version, st.Source.Path, st.State == goose.StateApplied})
		}
		return err
	})
	return all, err
}

func migrate(ctx context.Context, ownerURL string, do func(*goose.Provider) error) error {
	db, err := sql.Open("pgx", ownerURL)
	if err != nil {
		return domain.E(domain.Invalid, "database_url", "the database URL cannot be read").About("database.url")
	}
	defer func() { _ = db.Close() }()
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithSessionLocker(locker))
	if err != nil {
		return err
	}
	return unavailable(do(p))
}
