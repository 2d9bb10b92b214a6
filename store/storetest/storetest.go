// Package storetest gives each test a migrated, empty database of its own, on a real Postgres that is
// started once a test process.
package storetest

import (
	"context"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"lastcall/devstack"
	"lastcall/domain/contact"
	"lastcall/store"
)

// Pepper is the pepper of every test database.
var Pepper = contact.Pepper("a pepper for tests only, nobody's secret")

// New returns a store on a new database. Both are gone when the test ends.
func New(t testing.TB) *store.Store {
	t.Helper()
	return Open(t, URL(t))
}

// Open returns a store on the database at url, closed when the test ends. As on the sandbox, marketing needs no consent.
func Open(t testing.TB, url string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{URL: url, Pepper: Pepper, AppName: t.Name(), Sandbox: true})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

// URL returns its owner's URL of a new, migrated database.
func URL(t testing.TB) string {
	t.Helper()
	return create(t, "TEMPLATE migrated")
}

// EmptyURL returns its owner's URL of a new database without a schema.
func EmptyURL(t testing.TB) string {
	t.Helper()
	return create(t, "")
}

// postgres is held here for as long as the process lives.
var postgres *devstack.PostgresServer

// server is started by the first test that needs it and ends with the process.
var server = sync.OnceValues(func() (string, error) {
	ctx := context.Background()
	var err error
	if postgres, err = devstack.Postgres(ctx, devstack.PostgresOptions{}); err != nil {
		return "", err
	}
	if err := exec(ctx, postgres.OwnerURL(), "CREATE DATABASE migrated"); err != nil {
		return "", err
	}
	_, err = store.MigrateUp(ctx, named(postgres.OwnerURL(), "migrated"))
	return postgres.OwnerURL(), err
})

var count atomic.Int64

func create(t testing.TB, from string) string {
	t.Helper()
	owner, err := server()
	require.NoError(t, err, "start Postgres for the tests")
	name := fmt.Sprintf("test_%d", count.Add(1))
	require.NoError(t, exec(t.Context(), owner, "CREATE DATABASE "+name+" "+from))
	t.Cleanup(func() {
		require.NoError(t, exec(context.Background(), owner, "DROP DATABASE "+name+" WITH (FORCE)"))
	})
	return named(owner, name)
}

func named(owner, database string) string {
	u, err := url.Parse(owner)
	if err != nil {
		panic(err)
	}
	u.Path = "/" + database
	return u.String()
}

// one at a time: a database that is a template must not be in use twice.
var creating sync.Mutex

func exec(ctx context.Context, url, sql string) error {
	creating.Lock()
	defer creating.Unlock()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, sql)
	return err
}
