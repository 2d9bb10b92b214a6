package devstack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"

	"lastcall/devstack/supervise"
)

// searchAttributes are what the workflows file themselves under.
var searchAttributes = []string{
	"CampaignId=Keyword", "Channel=Keyword", "State=Keyword", "Blocker=Keyword", "NeedsHuman=Bool",
}

// TemporalOptions says which Temporal to start. The zero value is a test's: ephemeral.
type TemporalOptions struct {
	// DBFile is the SQLite file that the state stays in. Empty: the server is ephemeral, its state in
	// memory, and it ends with Stop and when this process ends.
	DBFile string
	// Namespace is one to have besides "default"; may be empty.
	Namespace string
	// Binary is the Temporal CLI; default: found, else fetched.
	Binary string
	// Port is the frontend's TCP port on the loopback; default: a free one.
	Port int
	// WebPort is Temporal Web's; default: no Web.
	WebPort int
	// DynamicConfig is the server's own, each "key=value"; default: none.
	DynamicConfig []string
	// Log is the file the server logs to; default: a temporary one that Stop removes.
	Log string
	// Run starts the process; default: one that dies with this process.
	Run Runner
	// Progress hears what takes long; may be nil.
	Progress func(string)
}

// TemporalServer is a running Temporal with the namespace "default" and the search attributes that
// Lastcall's workflows use.
type TemporalServer struct {
	process
	address string
	web     string
}

// Address is the frontend's host:port.
func (s *TemporalServer) Address() string { return s.address }

// WebURL is Temporal Web's address, empty if there is none.
func (s *TemporalServer) WebURL() string { return s.web }

// Temporal starts a Temporal on the loopback and returns when it answers. It is the CLI's development
// server, so its Web's write actions cannot be switched off.
func Temporal(ctx context.Context, o TemporalOptions) (*TemporalServer, error) {
	if o.Binary == "" {
		found, err := LocateTemporal(ctx, o.Progress)
		if err != nil {
			return nil, err
		}
		o.Binary = found.Path
	}
	for attempt := 1; ; attempt++ {
		server, err := startTemporal(ctx, o)
		if err == nil {
			return server, nil
		}
		if o.Port != 0 || attempt == 3 || ctx.Err() != nil {
			return nil, err
		} // else another process may have taken a free port in between
	}
}

func startTemporal(ctx context.Context, o TemporalOptions) (*TemporalServer, error) {
	scrap := ""
	if o.DBFile == "" || o.Log == "" {
		var err error
		if scrap, err = os.MkdirTemp("", "lastcall-temporal-"); err != nil {
			return nil, fmt.Errorf("make a temporary directory: %w", err)
		}
	}
	if o.Log == "" {
		o.Log = filepath.Join(scrap, "temporal.log")
	}
	if o.Port == 0 {
		var err error
		if o.Port, err = freePort(); err != nil {
			return nil, err
		}
	}
	args := []string{"server", "start-dev", "--ip", "127.0.0.1", "--port", strconv.Itoa(o.Port), "--log-level", "warn"}
	for _, attribute := range searchAttributes {
		args = append(args, "--search-attribute", attribute)
	}
	for _, value := range o.DynamicConfig {
		args = append(args, "--dynamic-config-value", value)
	}
	if o.Namespace != "" {
		args = append(args, "--namespace", o.Namespace)
	}
	if o.WebPort != 0 {
		args = append(args, "--ui-port", strconv.Itoa(o.WebPort))
	} else {
		args = append(args, "--headless")
	}
	env := serverEnv("TEMPORAL_", "LASTCALL_")
	if o.DBFile != "" {
		args = append(args, "--db-filename", o.DBFile)
	} else {
		env = append(env, "HOME="+scrap, "XDG_CONFIG_HOME="+scrap) // without a database it writes an id to the user's settings
	}
	command := supervise.Command{
		Name: "temporal", Path: o.Binary, Args: args, Env: env, Log: o.Log,
		Stop: []supervise.Step{{Signal: syscall.SIGTERM, Wait: 15 * time.Second}},
	}
	begun, err := beginDB(o.DBFile)
	if err != nil {
		return nil, err
	}
	var p process
	if o.Run != nil {
		p, err = o.Run(command)
	} else {
		p, err = supervise.StartGuarded(command, syscall.SIGTERM, scrap)
	}
	if err != nil {
		return nil, err
	}
	server := &TemporalServer{process: p, address: net.JoinHostPort("127.0.0.1", strconv.Itoa(o.Port))}
	if o.WebPort != 0 {
		server.web = fmt.Sprintf("http://127.0.0.1:%d", o.WebPort)
	}
	if err := server.ready(ctx); err != nil {
		p.Stop(ctx)
		return nil, err
	}
	return server, begun()
}

// beginDB sees to it that a server which dies while it makes its tables does not leave a file that no
// later one can use: until the first server on a new file is ready, a mark beside it says so, and a
// marked file, which nobody has used yet, is removed. begun removes the mark.
func beginDB(file string) (begun func() error, err error) {
	if file == "" {
		return func() error { return nil }, nil
	}
	mark := file + ".new"
	if _, err := os.Stat(mark); err == nil {
		for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
			if err := os.Remove(file + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("remove a half-made Temporal database: %w", err)
			}
		}
	}
	if _, err := os.Stat(file); err == nil {
		return func() error { return nil }, nil
	}
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		return nil, fmt.Errorf("begin Temporal's database: %w", err)
	}
	return func() error { return os.Remove(mark) }, nil
}

// ready returns when the frontend says that it serves.
func (s *TemporalServer) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyTime, fmt.Errorf("Temporal does not answer after %s", readyTime))
	defer cancel()
	c, err := client.NewLazyClient(client.Options{HostPort: s.address, Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	if err != nil {
		return fmt.Errorf("reach Temporal: %w", err)
	}
	defer c.Close()
	for {
		once, cancel := context.WithTimeout(ctx, time.Second)
		_, err := c.CheckHealth(once, &client.CheckHealthRequest{})
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-s.Done():
			return s.Failure()
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
