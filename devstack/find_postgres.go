package devstack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

// oldestPostgres is the oldest major version that Lastcall's SQL runs on.
const oldestPostgres = 15

// fetchedPostgres is the version that is fetched where none is found.
const fetchedPostgres = embeddedpostgres.V17

// ErrNotFound says that a server is not on this machine.
var ErrNotFound = errors.New("not on this machine")

// LocatePostgres finds Postgres, else fetches it. It does not fetch what could not read the cluster of
// the data directory.
func LocatePostgres(ctx context.Context, dataDir string, progress func(string)) (Installation, error) {
	found, err := FindPostgres(ctx, dataDir)
	fetched, _, _ := strings.Cut(string(fetchedPostgres), ".")
	if made := clusterMajor(dataDir); err == nil || made != 0 && strconv.Itoa(made) != fetched {
		return found, err
	}
	return FetchPostgres(ctx, progress)
}

// FindPostgres looks for Postgres on PATH, where systems install it, and in the cache. A data directory
// that has a cluster wants the major version that made it; dataDir may be empty or have none. The error
// is ErrNotFound when no installation fits.
func FindPostgres(ctx context.Context, dataDir string) (Installation, error) {
	a, err := serverAccount()
	if err != nil {
		return Installation{}, err
	}
	made := clusterMajor(dataDir)
	var seen []string
	for _, dir := range postgresDirs() {
		version, err := postgresVersion(ctx, a, dir)
		if err != nil {
			continue
		}
		major, _, _ := strings.Cut(version, ".")
		n, err := strconv.Atoi(major)
		if err == nil && n >= oldestPostgres && (made == 0 || n == made) {
			return Installation{Path: dir, Version: version}, nil
		}
		seen = append(seen, version)
	}
	wanted := fmt.Sprintf("Postgres %d or later", oldestPostgres)
	if made != 0 {
		wanted = fmt.Sprintf("Postgres %d, which made the data in %s,", made, dataDir)
	}
	if len(seen) > 0 {
		return Installation{}, fmt.Errorf("%s is %w (only %s)", wanted, ErrNotFound, strings.Join(seen, ", "))
	}
	return Installation{}, fmt.Errorf("%s is %w", wanted, ErrNotFound)
}

// postgresDirs are the directories that may hold initdb and postgres, in the order of preference.
func postgresDirs() (dirs []string) {
	if path, err := exec.LookPath("postgres"); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(real))
		}
	}
	patterns := []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin", "/usr/local/opt/postgresql@*/bin"}
	if c, err := cache(true); err == nil {
		patterns = append(patterns, filepath.Join(c, "postgres-*", "bin"))
	}
	for _, pattern := range patterns {
		found, _ := filepath.Glob(pattern) // only a bad pattern is an error
		slices.Reverse(found)              // the newest first
		dirs = append(dirs, found...)
	}
	return dirs
}

var versionNumber = regexp.MustCompile(`\d+(\.\d+)+`)

// postgresVersion asks the programs of dir as the account that will run them.
func postgresVersion(ctx context.Context, a account, dir string) (version string, err error) {
	for _, program := range []string{"initdb", "postgres"} {
		out, err := a.command(ctx, "/", filepath.Join(dir, program), "--version").Output()
		if err != nil {
			return "", err
		}
		if version = versionNumber.FindString(string(out)); version == "" {
			return "", fmt.Errorf("%s in %s has no version", program, dir)
		}
	}
	return version, nil
}

// clusterMajor is the major version that made the cluster of a data directory; 0 if there is none.
func clusterMajor(dataDir string) int {
	if dataDir == "" {
		return 0
	}
	content, err := os.ReadFile(filepath.Join(clusterHome(dataDir), "data", "PG_VERSION"))
	if err != nil {
		return 0
	}
	major, _ := strconv.Atoi(strings.TrimSpace(string(content)))
	return major
}

// FetchPostgres downloads Postgres into the cache, unless it is there. Only one process of a machine does
// so at a time.
func FetchPostgres(ctx context.Context, progress func(string)) (Installation, error) {
	root, err := cache(true)
	if err != nil {
		return Installation{}, err
	}
	return fetchPostgres(ctx, progress, embeddedpostgres.DefaultConfig(), root)
}

func fetchPostgres(ctx context.Context, progress func(string), source embeddedpostgres.Config, root string) (Installation, error) {
	path := filepath.Join(root, "postgres-"+string(fetchedPostgres))
	err := once(ctx, path, func() error {
		say(progress, "downloading Postgres %s, once", fetchedPostgres)
		return unpackPostgres(ctx, source, path)
	})
	if err != nil {
		return Installation{}, fmt.Errorf("fetch Postgres: %w; install Postgres %d or later, or set LASTCALL_DATABASE_URL", err, oldestPostgres)
	}
	return Installation{Path: filepath.Join(path, "bin"), Version: string(fetchedPostgres), Fetched: true}, nil
}

// unpackPostgres has the library download and unpack. It would go on to run the server, but cannot do so
// as another user, so it is given a data directory that cannot be and gives up right after unpacking.
func unpackPostgres(ctx context.Context, source embeddedpostgres.Config, path string) error {
	work, err := os.MkdirTemp(filepath.Dir(path), ".postgres-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	noDir, unpacked := filepath.Join(work, "file"), filepath.Join(work, "unpacked")
	port, err := freePort()
	if err = errors.Join(err, os.WriteFile(noDir, nil, 0o600)); err != nil {
		return err
	}
	source = source.Version(fetchedPostgres).Port(uint32(port)).Logger(io.Discard).CachePath(filepath.Join(work, "archive")).
		BinariesPath(unpacked).RuntimePath(filepath.Join(work, "run")).DataPath(filepath.Join(noDir, "data"))

	stopped := make(chan error, 1)
	go func() { stopped <- embeddedpostgres.NewDatabase(source).Start() }()
	select {
	case err = <-stopped:
	case <-ctx.Done(): // the library cannot be interrupted; what it still writes goes with the directory
		return context.Cause(ctx)
	}
	for _, program := range []string{"initdb", "postgres"} {
		if _, missing := os.Stat(filepath.Join(unpacked, "bin", program)); missing != nil {
			return errors.Join(err, missing)
		}
	}
	if err := os.Chmod(unpacked, 0o755); err != nil {
		return err
	}
	return os.Rename(unpacked, path)
}
