package devstack

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"lastcall/devstack/supervise"
)

// The names every Lastcall database has.
const (
	ownerRole = "lastcall_owner" // owns the schema, and of a local cluster everything
	database  = "lastcall"
)

// PostgresOptions says which Postgres to start. The zero value is a test's: ephemeral.
type PostgresOptions struct {
	// Dir is the directory that the data stays in. Empty: the server is ephemeral, that is, it does not
	// wait for the disk, and its data is removed by Stop and when this process ends.
	Dir string
	// Binaries is the directory of initdb and postgres; default: found, else fetched.
	Binaries string
	// Port is the TCP port on the loopback; default: a free one.
	Port int
	// Password is lastcall_owner's; default: one made up, which only makes sense without Dir.
	Password string
	// Log is the file the server logs to; default: one beside the data.
	Log string
	// Run starts the process; default: one that dies with this process.
	Run Runner
	// Progress hears what takes long; may be nil.
	Progress func(string)
}

// PostgresServer is a running Postgres with an empty or kept database "lastcall".
type PostgresServer struct {
	process
	url string
}

// OwnerURL is the database's URL for lastcall_owner, who is superuser of this server.
func (s *PostgresServer) OwnerURL() string { return s.url }

// Postgres starts a Postgres on the loopback and returns when it answers and the database exists.
func Postgres(ctx context.Context, o PostgresOptions) (*PostgresServer, error) {
	c, err := openCluster(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := c.init(ctx); err != nil {
		return nil, errors.Join(err, c.discard())
	}
	for attempt := 1; ; attempt++ {
		server, err := c.start(ctx)
		if err == nil {
			return server, nil
		}
		if o.Port != 0 || attempt == 3 || ctx.Err() != nil {
			return nil, errors.Join(err, c.discard())
		} // else another process may have taken the free port in between
	}
}

// cluster is a Postgres data directory and how to run it.
type cluster struct {
	PostgresOptions
	account   account
	ephemeral bool
	home      string // holds the data directory, the log if there is no other, and nothing else
}

func openCluster(ctx context.Context, o PostgresOptions) (*cluster, error) {
	c := &cluster{PostgresOptions: o, ephemeral: o.Dir == ""}
	var err error
	if c.account, err = serverAccount(); err != nil {
		return nil, err
	}
	if c.ephemeral {
		c.home, err = c.account.tempDir()
	} else {
		c.home, err = c.account.home(o.Dir)
	}
	if err != nil {
		return nil, err
	}
	if c.Log == "" {
		c.Log = filepath.Join(c.home, "postgres.log")
	}
	if c.Password == "" {
		c.Password = rand.Text()
	}
	if c.Binaries == "" {
		found, err := LocatePostgres(ctx, o.Dir, o.Progress)
		if err != nil {
			return nil, errors.Join(err, c.discard())
		}
		c.Binaries = found.Path
	}
	return c, nil
}

func (c *cluster) data() string { return filepath.Join(c.home, "data") }

// discard removes what an ephemeral server that does not start would leave.
func (c *cluster) discard() error {
	if !c.ephemeral {
		return nil
	}
	return os.RemoveAll(c.home)
}

// init makes the data directory unless there is one. It is made aside and renamed, so that a half-made
// one is never taken for a whole one.
func (c *cluster) init(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(c.data(), "PG_VERSION")); err == nil {
		return nil
	}
	say(c.Progress, "making the database cluster in %s", c.home)
	aside, password := filepath.Join(c.home, "data.new"), filepath.Join(c.home, "password")
	if err := os.RemoveAll(aside); err != nil {
		return fmt.Errorf("remove a half-made cluster: %w", err)
	}
	err := os.WriteFile(password, []byte(c.Password), 0o600)
	defer os.Remove(password)
	if err = errors.Join(err, c.account.own(password)); err != nil {
		return fmt.Errorf("hand the password to initdb: %w", err)
	}
	args := []string{"--pgdata=" + aside, "--username=" + ownerRole, "--pwfile=" + password,
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale=" + locale()}
	if c.ephemeral {
		args = append(args, "--no-sync")
	}
	out, err := c.account.command(ctx, c.home, filepath.Join(c.Binaries, "initdb"), args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("make the database cluster in %s: %w\n%s", c.home, err, out)
	}
	if err := os.Rename(aside, c.data()); err != nil {
		return fmt.Errorf("put the database cluster in place: %w", err)
	}
	return nil
}

// start starts the server once.
func (c *cluster) start(ctx context.Context) (*PostgresServer, error) {
	if err := c.awaitPredecessor(ctx); err != nil {
		return nil, err
	}
	port := c.Port
	if port == 0 {
		var err error
		if port, err = freePort(); err != nil {
			return nil, err
		}
	}
	command := supervise.Command{
		Name: "postgres",
		Path: filepath.Join(c.Binaries, "postgres"),
		Args: []string{"-D", c.data(), "-p", strconv.Itoa(port)},
		Dir:  c.home,
		Env:  serverEnv("PG", "LASTCALL_"),
		Log:  c.Log,
		As:   c.account.credential,
		Stop: []supervise.Step{{Signal: syscall.SIGINT, Wait: 30 * time.Second}, {Signal: syscall.SIGQUIT, Wait: 10 * time.Second}},
	}
	for _, setting := range c.settings() {
		command.Args = append(command.Args, "-c", setting)
	}
	p, err := c.run(command)
	if err != nil {
		return nil, err
	}
	server := &PostgresServer{process: p, url: c.url(port, database)}
	if err := c.ready(ctx, p, port); err != nil {
		p.Stop(ctx)
		return nil, err
	}
	return server, nil
}

func (c *cluster) run(command supervise.Command) (process, error) {
	switch {
	case c.Run != nil:
		return c.Run(command)
	case c.ephemeral:
		return supervise.StartGuarded(command, syscall.SIGQUIT, c.home)
	default:
		return supervise.StartGuarded(command, syscall.SIGINT, "")
	}
}

// settings are for many short transactions and bulk loads on a developer's machine. An acknowledged
// commit is on the disk, except for ephemeral servers.
func (c *cluster) settings() []string {
	settings := []string{
		"listen_addresses=127.0.0.1",
		"unix_socket_directories=", // TCP with a password is the only way in
		"max_connections=200",
		"shared_buffers=256MB",
		"work_mem=16MB",
		"maintenance_work_mem=128MB",
		"random_page_cost=1.1", // nobody has spinning disks
		"jit=off",              // it costs short queries more than it gives
		"wal_compression=on",
		"max_wal_size=4GB", // an import of millions should not force checkpoints
		"checkpoint_timeout=15min",
		"autovacuum_naptime=15s", // targets change state several times within minutes
		"autovacuum_vacuum_scale_factor=0.05",
		"autovacuum_vacuum_cost_limit=2000",
		"timezone=UTC",
		"log_timezone=UTC",
		"log_checkpoints=off",
		"log_line_prefix=%m [%p] ",
		"log_min_error_statement=panic", // statements may hold phone numbers
		"log_parameter_max_length=0",    // so may parameters
		"log_error_verbosity=terse",     // so may the details of a violated constraint
	}
	if c.ephemeral {
		settings = append(settings, "fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=64MB")
	}
	return settings
}

// readyTime is what a server may take to answer: it may have to recover from a crash first.
const readyTime = 2 * time.Minute

// ready returns when the server answers and the database exists.
func (c *cluster) ready(ctx context.Context, p process, port int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyTime, fmt.Errorf("Postgres does not answer after %s", readyTime))
	defer cancel()
	for {
		attempt, stop := context.WithTimeout(ctx, 3*time.Second) // something else may hold the port and be silent
		conn, err := pgx.Connect(attempt, c.url(port, "postgres"))
		stop()
		if err == nil {
			return errors.Join(makeDatabase(ctx, conn), conn.Close(ctx))
		}
		if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == "28P01" {
			return fmt.Errorf("the database in %s has another password for %s", c.home, ownerRole)
		}
		select {
		case <-p.Done():
			return p.Failure()
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func makeDatabase(ctx context.Context, conn *pgx.Conn) error {
	var exists bool
	err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", database).Scan(&exists)
	if err == nil && !exists {
		_, err = conn.Exec(ctx, "CREATE DATABASE "+database)
	}
	if err != nil {
		return fmt.Errorf("make the database: %w", err)
	}
	return nil
}

func (c *cluster) url(port int, name string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(ownerRole, c.Password),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Path: name, RawQuery: "sslmode=disable",
	}
	return u.String()
}
