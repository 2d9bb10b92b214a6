package devstack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptrace"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"
)

const (
	temporalVersion = "1.5.1" // the CLI's; its server is 1.29.1, and docker-compose.yml pins that minor
	temporalSource  = "github.com/temporalio/cli/cmd/temporal@v" + temporalVersion
	oldestServer    = 29 // the oldest minor of server 1 that Lastcall is tried on

	firstByte = 15 * time.Second // what a download may take to begin
	lockRetry = 200 * time.Millisecond
)

// LocateTemporal finds the Temporal CLI, else fetches it.
func LocateTemporal(ctx context.Context, progress func(string)) (Installation, error) {
	if found, err := FindTemporal(ctx); err == nil {
		return found, nil
	}
	return FetchTemporal(ctx, progress)
}

// FindTemporal looks for the Temporal CLI on PATH and in the cache. The error is ErrNotFound when there
// is none that is new enough.
func FindTemporal(ctx context.Context) (Installation, error) {
	var places []string
	if path, err := exec.LookPath("temporal"); err == nil {
		places = append(places, path)
	}
	if path, err := cachedTemporal(); err == nil {
		places = append(places, path)
	}
	for _, path := range places {
		if version, err := serverVersion(ctx, path); err == nil {
			return Installation{Path: path, Version: version}, nil
		}
	}
	return Installation{}, fmt.Errorf("the Temporal CLI %s or later is %w", temporalVersion, ErrNotFound)
}

func cachedTemporal() (string, error) {
	root, err := cache(false)
	return filepath.Join(root, "temporal-"+temporalVersion), err
}

var serverNumber = regexp.MustCompile(`Server (1\.(\d+)[.\d]*)`)

// serverVersion asks a CLI which server it holds. The error says that it is none or too old.
func serverVersion(ctx context.Context, path string) (string, error) {
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return "", err
	}
	match := serverNumber.FindSubmatch(out)
	if match == nil {
		return "", fmt.Errorf("%s does not say which server it holds", path)
	}
	if minor, err := strconv.Atoi(string(match[2])); err != nil || minor < oldestServer {
		return "", fmt.Errorf("%s holds server %s, and 1.%d is needed", path, match[1], oldestServer)
	}
	return string(match[1]), nil
}

// FetchTemporal brings the Temporal CLI into the cache, unless it is there: by download, else by building
// it. Only one process of a machine does so at a time.
func FetchTemporal(ctx context.Context, progress func(string)) (Installation, error) {
	return fetchTemporal(ctx, progress, downloadTemporal, buildTemporal)
}

// fetcher puts the CLI into dir and returns its path.
type fetcher func(ctx context.Context, dir string) (string, error)

func fetchTemporal(ctx context.Context, progress func(string), download, build fetcher) (Installation, error) {
	path, err := cachedTemporal()
	if err != nil {
		return Installation{}, err
	}
	err = once(ctx, path, func() error {
		dir, err := os.MkdirTemp(filepath.Dir(path), ".temporal-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		say(progress, "downloading the Temporal CLI %s, once", temporalVersion)
		got, err := download(ctx, dir)
		if err != nil && ctx.Err() == nil {
			say(progress, "no download (%v); building the Temporal CLI from source instead: this takes minutes, once", err)
			got, err = build(ctx, dir)
		}
		if err != nil {
			return err
		}
		return os.Rename(got, path)
	})
	if err != nil {
		return Installation{}, fmt.Errorf("fetch Temporal: %w; put the Temporal CLI %s on PATH, or set LASTCALL_TEMPORAL_ADDRESS", err, temporalVersion)
	}
	version, err := serverVersion(ctx, path)
	if err != nil {
		return Installation{}, fmt.Errorf("fetch Temporal: %w", err)
	}
	return Installation{Path: path, Version: version, Fetched: true}, nil
}

// downloadTemporal has the SDK download, which also starts a server to see that it works.
func downloadTemporal(ctx context.Context, dir string) (string, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(firstByte, func() { cancel(fmt.Errorf("nothing came for %s", firstByte)) })
	defer silence.Stop()
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:              func(string) { silence.Reset(firstByte) },
		GotFirstResponseByte: func() { silence.Stop() },
	})
	server, err := testsuite.StartDevServer(traced, testsuite.DevServerOptions{
		CachedDownload: testsuite.CachedDownload{Version: "v" + temporalVersion, DestDir: dir},
		ClientOptions:  &client.Options{Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler))},
	})
	if cause := context.Cause(ctx); cause != nil {
		return "", cause
	}
	if err != nil {
		for inner := err; inner != nil; inner = errors.Unwrap(inner) {
			err = inner // the innermost tells why; the others tell addresses and arguments
		}
		return "", err
	}
	_ = server.Stop() // it reports the signal that stops it as an error
	return filepath.Join(dir, "temporal-cli-v"+temporalVersion), nil
}

// buildTemporal has the Go toolchain build it.
func buildTemporal(ctx context.Context, dir string) (string, error) {
	goTool, err := exec.LookPath("go")
	if err != nil {
		return "", errors.New("there is no Go toolchain to build it with")
	}
	cmd := exec.CommandContext(ctx, goTool, "install", temporalSource)
	cmd.Dir = dir // outside any module
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=", "GOWORK=off")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go install %s: %w\n%s", temporalSource, err, out)
	}
	return filepath.Join(dir, "temporal"), nil
}
