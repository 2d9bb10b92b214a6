// Package devstack starts Lastcall's Postgres and Temporal on this machine, for `lastcall up` and for
// tests, with nothing to set up: a server that is installed is found, else it is fetched, once.
//
// `lastcall up` gives a data directory, ports and its supervisor, and the servers keep their state there:
//
//	server, err := devstack.Postgres(ctx, devstack.PostgresOptions{
//		Dir: dataDir, Port: 8704, Password: secret, Run: supervisor.Run,
//	})
//
// A test gives nothing and gets a server of its own on a free port, quick because it may lose its data,
// and gone with Stop or with the test's process, however that ends:
//
//	server, err := devstack.Postgres(ctx, devstack.PostgresOptions{})
//	defer server.Stop(ctx)
package devstack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"

	"lastcall/devstack/supervise"
)

// Installation is a server that is on this machine.
type Installation struct {
	Path    string // Postgres: the directory of its programs; Temporal: the program
	Version string // the server's: "15.18", "1.29.1"
	Fetched bool   // it was not there before
}

// process is what both servers are: a child that can be kept up, waited for and stopped.
type process interface {
	PID() int
	Keep()
	Done() <-chan struct{}
	Failure() error
	Stop(ctx context.Context)
}

// Runner starts a server's process: supervise.Supervisor's Run.
type Runner func(supervise.Command) (*supervise.Child, error)

// freePort is a TCP port of the loopback that nobody listens on now.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// cache is where fetched programs stay. Root's is not in its home, where the user that Postgres runs as
// could not reach them.
func cache(shared bool) (string, error) {
	if shared && os.Geteuid() == 0 {
		return varLib, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the user's cache: %w", err)
	}
	return filepath.Join(dir, "lastcall"), nil
}

// once has one process at a time make path, by calling make unless the path is there by then.
func once(ctx context.Context, path string, make func() error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make the cache: %w", err)
	}
	lock := flock.New(path + ".lock")
	if _, err := lock.TryLockContext(ctx, lockRetry); err != nil {
		return fmt.Errorf("wait for another fetch of %s: %w", path, err)
	}
	var err error
	if _, missing := os.Stat(path); missing != nil {
		err = make()
	}
	return errors.Join(err, lock.Unlock())
}

// say calls progress if there is one.
func say(progress func(string), format string, args ...any) {
	if progress != nil {
		progress(fmt.Sprintf(format, args...))
	}
}
