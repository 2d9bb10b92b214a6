package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"lastcall/config"
	"lastcall/devstack"
	"lastcall/devstack/supervise"
)

func upCommand(sh *shell) *cobra.Command {
	var base int
	var secure tlsOptions
	cmd := &cobra.Command{
		Use:     "up",
		GroupID: groupRun,
		Short:   "Run everything on this machine",
		Long: `Brings up Postgres, Temporal, a sandbox that stands in for the outside world, the API with the panel, and a
worker, and says where each is and with what to sign in. Each server is used if configured
(LASTCALL_DATABASE_URL, LASTCALL_TEMPORAL_ADDRESS, LASTCALL_WHATSAPP_*, LASTCALL_OPS_WEBHOOK_URL,
LASTCALL_MAIL_ADDRESS, LASTCALL_VOUCHER_CARD_*), else found, else fetched.

State stays in the data directory, so campaigns go on after a restart. Ctrl-C lets the worker finish what
it is sending and stops what up started, nothing else; a second Ctrl-C hurries.

Everything is reached from this machine only. To try the station app on a phone, --tls --listen 0.0.0.0 serves the API and the panel,
and nothing else, by https to the network, with a certificate of its own that nobody has signed: compare its fingerprint.`,
		Example: `  lastcall up
  lastcall up --tls --listen 0.0.0.0
  lastcall up --port-base 9700 --data-dir /srv/lastcall`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if v := os.Getenv("LASTCALL_PORT_BASE"); v != "" && !cmd.Flags().Changed("port-base") {
				n, err := strconv.Atoi(v)
				if err != nil {
					return usageError{errors.New("LASTCALL_PORT_BASE must be a number")}
				}
				base = n
			}
			if base < 1 || base+portCount > 65536 {
				return usageError{fmt.Errorf("--port-base must be between 1 and %d: up uses %d ports from there", 65536-portCount, portCount)}
			}
			if err := secure.check(); err != nil {
				return err
			}
			c, err := sh.config()
			if err != nil {
				return err
			}
			u, err := newUp(sh, c, base)
			if err != nil {
				return err
			}
			u.secure = secure
			return u.run(cmd.Context())
		},
	}
	cmd.Flags().IntVar(&base, "port-base", 8700,
		"the first port: API +0, sandbox +1, Temporal +2, Temporal Web +3, Postgres +4, sandbox mail +5, https +6 (also LASTCALL_PORT_BASE)")
	cmd.Flags().BoolVar(&secure.on, "tls", false, "serve the API and the panel by https as well, with a self-signed certificate")
	cmd.Flags().StringVar(&secure.host, "listen", "", "with --tls: the address to serve https on, 0.0.0.0 for all of this machine's (default 127.0.0.1)")
	return cmd
}

// up is one run of everything.
type up struct {
	sh      *shell
	config  *config.Config
	dir     string // absolute
	base    int    // the first port
	program string // this one
	super   *supervise.Supervisor
	secure  tlsOptions
	secrets secrets
	at      places
	servers []server // Postgres and Temporal, if they are ours

	mu       sync.Mutex // guards what follows
	pids     map[string]int
	ready    bool
	stopping bool
}

// server is a part that up started itself.
type server interface {
	Keep()
	Done() <-chan struct{}
	Failure() error
}

// places are where the parts are; what is empty is not there.
type places struct {
	databaseOwner   string // DSN that migrates
	databaseApp     string // DSN that serves
	temporalAddress string
	temporalWeb     string
	api             string // URL, for what runs on this machine
	public          string // URL, for people
	sandbox         string // URL
}

func newUp(sh *shell, c *config.Config, base int) (*up, error) {
	dir, err := filepath.Abs(c.DataDir)
	if err != nil {
		return nil, fmt.Errorf("find the data directory: %w", err)
	}
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	return &up{sh: sh, config: c, dir: dir, base: base, program: program, pids: map[string]int{"up": os.Getpid()}}, nil
}

// run brings everything up and keeps it so until ctx is done.
func (u *up) run(ctx context.Context) (err error) {
	began := time.Now()
	signals := make(chan os.Signal, 4) // all of them, for the second one
	signal.Notify(signals, endSignals()...)
	defer signal.Stop(signals)
	surviveClosedOutput()

	if err := u.needWhole(); err != nil {
		return err
	}
	if u.super, err = supervise.Open(u.dir, u.heard); err != nil {
		return err
	}
	defer func() {
		stopped := ctx.Err() != nil
		if stopErr := u.stop(stopped, signals); err == nil || stopped {
			err = stopErr // what broke because we were told to stop is no failure
		}
	}()

	if err := u.tidy(ctx); err != nil {
		return err
	}
	if err := u.checkPorts(); err != nil {
		return err
	}
	if u.secrets, err = loadSecrets(u.dir); err != nil {
		return err
	}
	if err := config.EnsureVoucherKeys(u.voucherKeysFile()); err != nil {
		return err
	}
	if err := u.prepareTLS(time.Now()); err != nil {
		return err
	}
	fmt.Fprintf(u.sh.stdout, "lastcall up, with its data in %s\n\n", u.config.DataDir)
	if err := u.startPostgres(ctx); err != nil {
		return err
	}
	if err := u.migrate(ctx); err != nil {
		return err
	}
	if err := u.startTemporal(ctx); err != nil {
		return err
	}
	if err := u.startChildren(ctx); err != nil {
		return err
	}
	if err := u.announce(time.Since(began)); err != nil {
		return err
	}
	u.follow(ctx)
	return nil
}

// tidy clears what a killed up left behind.
func (u *up) tidy(ctx context.Context) error {
	if err := os.Remove(filepath.Join(u.dir, upFileName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the old %s: %w", upFileName, err)
	}
	names, err := u.super.StopOrphans(ctx)
	if len(names) > 0 {
		fmt.Fprintf(u.sh.stdout, "stopped what a killed up had left running: %s\n", strings.Join(names, ", "))
	}
	return err
}

// stop stops everything, the worker first. Another signal hurries it.
func (u *up) stop(signalled bool, signals <-chan os.Signal) error {
	u.mu.Lock()
	u.stopping = true
	u.mu.Unlock()
	if signalled {
		select {
		case <-signals: // the one that brought us here
		case <-time.After(time.Second):
		}
		fmt.Fprintln(u.sh.stdout, "\nstopping: the worker finishes what it is sending (Ctrl-C again hurries)")
	}
	hurry, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-signals:
			cancel()
		case <-hurry.Done():
		}
	}()
	_ = os.Remove(filepath.Join(u.dir, upFileName)) // it need not be there
	u.super.Shutdown(hurry)
	if err := u.super.Close(); err != nil {
		return err
	}
	if signalled {
		fmt.Fprintln(u.sh.stdout, "stopped")
	}
	return nil
}

func (u *up) startPostgres(ctx context.Context) error {
	if u.config.Database.URL != "" {
		printPart(u.sh, "Postgres", "configured")
		u.at.databaseOwner, u.at.databaseApp = u.config.Database.URL.Reveal(), u.config.Database.URL.Reveal()
		return nil
	}
	found, err := devstack.LocatePostgres(ctx, u.dir, u.progress)
	if err != nil {
		return err
	}
	printPart(u.sh, "Postgres", origin(found))
	postgres, err := devstack.Postgres(ctx, devstack.PostgresOptions{
		Dir: u.dir, Binaries: found.Path, Port: u.port(portPostgres), Password: u.secrets.OwnerPassword,
		Log: u.log("postgres"), Run: u.super.Run, Progress: u.progress,
	})
	if err != nil {
		return err
	}
	u.servers = append(u.servers, postgres)
	u.at.databaseOwner = postgres.OwnerURL()
	return nil
}

// migrate brings the schema up to date and, on our own Postgres, lets the application's role log in.
func (u *up) migrate(ctx context.Context) error {
	migration, err := u.child("migrate", "migrate", "up")
	if err != nil {
		return err
	}
	select {
	case <-migration.Done():
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if migration.Err() != nil {
		return migration.Failure()
	}
	if u.at.databaseApp != "" {
		return nil
	}
	conn, err := pgx.Connect(ctx, u.at.databaseOwner)
	if err != nil {
		return fmt.Errorf("let the application into the database: %w", err)
	}
	defer conn.Close(ctx)
	// The password is ours, of letters and digits.
	if _, err := conn.Exec(ctx, "ALTER ROLE lastcall_app LOGIN PASSWORD '"+u.secrets.AppPassword+"'"); err != nil {
		return fmt.Errorf("let the application into the database: %w", err)
	}
	u.at.databaseApp, err = asUser(u.at.databaseOwner, "lastcall_app", u.secrets.AppPassword)
	return err
}

func (u *up) startTemporal(ctx context.Context) error {
	if u.config.Temporal.Address != "" {
		printPart(u.sh, "Temporal", "configured")
		u.at.temporalAddress, u.at.temporalWeb = u.config.Temporal.Address, u.config.TemporalWeb.URL
		return nil
	}
	found, err := devstack.LocateTemporal(ctx, u.progress)
	if err != nil {
		return err
	}
	printPart(u.sh, "Temporal", origin(found))
	temporal, err := devstack.Temporal(ctx, devstack.TemporalOptions{
		DBFile: filepath.Join(u.dir, "temporal.db"), Binary: found.Path, Namespace: u.config.Temporal.Namespace,
		Port: u.port(portTemporal), WebPort: u.port(portTemporalWeb), Log: u.log("temporal"), Run: u.super.Run,
	})
	if err != nil {
		return err
	}
	u.servers = append(u.servers, temporal)
	u.at.temporalAddress, u.at.temporalWeb = temporal.Address(), temporal.WebURL()
	return nil
}

func (u *up) progress(s string) { printPart(u.sh, "", s) }

func (u *up) log(name string) string { return filepath.Join(u.dir, "logs", name+".log") }
