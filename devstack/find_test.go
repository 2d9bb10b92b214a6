package devstack

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
	"github.com/stretchr/testify/require"
)

// program writes an executable shell script.
func program(t *testing.T, path, script string) string {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755))
	return path
}

func versioned(version string) string {
	return "echo 'temporal version 1.0.0 (Server " + version + ", UI 2.0.0)'"
}

// emptyMachine gives the test a PATH and a cache with nothing in them.
func emptyMachine(t *testing.T) (path, cache string) {
	t.Helper()
	path, cache = t.TempDir(), t.TempDir()
	t.Setenv("PATH", path)
	t.Setenv("HOME", cache)
	t.Setenv("XDG_CACHE_HOME", cache)
	found, err := cachedTemporal()
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(found, cache))
	return path, filepath.Dir(found)
}

func TestFindTemporal(t *testing.T) {
	tests := map[string]struct {
		onPath, inCache string // scripts
		want            string // version; empty: not found
		fromCache       bool
	}{
		"nowhere":                  {},
		"on PATH":                  {onPath: versioned("1.31.0"), inCache: versioned("1.29.1"), want: "1.31.0"},
		"in the cache":             {inCache: versioned("1.29.1"), want: "1.29.1", fromCache: true},
		"too old on PATH":          {onPath: versioned("1.22.4"), inCache: versioned("1.29.1"), want: "1.29.1", fromCache: true},
		"something else called so": {onPath: "echo 'temporal 3'"},
		"broken":                   {onPath: versioned("1.29.1") + "; exit 1"},
		"only too old":             {onPath: versioned("1.28.0")},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path, cache := emptyMachine(t)
			if tt.onPath != "" {
				program(t, filepath.Join(path, "temporal"), tt.onPath)
			}
			if tt.inCache != "" {
				program(t, filepath.Join(cache, "temporal-1.5.1"), tt.inCache)
			}
			found, err := FindTemporal(t.Context())
			if tt.want == "" {
				require.ErrorIs(t, err, ErrNotFound)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, found.Version)
			require.Equal(t, tt.fromCache, filepath.Dir(found.Path) == cache)
		})
	}
}

func TestFetchTemporal(t *testing.T) {
	works := func(_ context.Context, dir string) (string, error) {
		return program(t, filepath.Join(dir, "any-name"), versioned("1.29.1")), nil
	}
	fails := func(context.Context, string) (string, error) { return "", errors.New("no route") }
	tests := map[string]struct {
		download, build fetcher
		said            []string
		err             string
	}{
		"downloaded": {works, fails, []string{"downloading"}, ""},
		"else built": {fails, works, []string{"downloading", "no download (no route); building"}, ""},
		"else told":  {fails, fails, []string{"downloading", "building"}, "put the Temporal CLI 1.5.1 on PATH, or set LASTCALL_TEMPORAL_ADDRESS"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, cache := emptyMachine(t)
			var said []string
			found, err := fetchTemporal(t.Context(), func(s string) { said = append(said, s) }, tt.download, tt.build)
			require.Len(t, said, len(tt.said))
			for i, part := range tt.said {
				require.Contains(t, said[i], part)
			}
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				_, err = FindTemporal(t.Context())
				require.ErrorIs(t, err, ErrNotFound)
			} else {
				require.NoError(t, err)
				require.Equal(t, Installation{Path: filepath.Join(cache, "temporal-1.5.1"), Version: "1.29.1", Fetched: true}, found)
			}
			left, err := filepath.Glob(filepath.Join(cache, ".temporal-*"))
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
}

func TestFetchIsDoneOnce(t *testing.T) {
	emptyMachine(t)
	var fetches atomic.Int32
	download := func(_ context.Context, dir string) (string, error) {
		fetches.Add(1)
		return program(t, filepath.Join(dir, "cli"), versioned("1.29.1")), nil
	}
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if _, err := fetchTemporal(t.Context(), nil, download, download); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, int32(1), fetches.Load())
}

func TestBuildTemporal(t *testing.T) {
	path, _ := emptyMachine(t)
	_, err := buildTemporal(t.Context(), t.TempDir())
	require.EqualError(t, err, "there is no Go toolchain to build it with")

	program(t, filepath.Join(path, "go"), `echo "$@" > "$GOBIN/temporal"; echo "flags: $GOFLAGS" >> "$GOBIN/temporal"`)
	t.Setenv("GOFLAGS", "-mod=vendor")
	got, err := buildTemporal(t.Context(), t.TempDir())
	require.NoError(t, err)
	content, err := os.ReadFile(got)
	require.NoError(t, err)
	require.Equal(t, "install github.com/temporalio/cli/cmd/temporal@v1.5.1\nflags: \n", string(content))

	program(t, filepath.Join(path, "go"), "echo no space left >&2; exit 1")
	_, err = buildTemporal(t.Context(), t.TempDir())
	require.ErrorContains(t, err, "no space left")
}

func TestFindPostgresWantsTheVersionThatMadeTheData(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data := filepath.Join(dir, "postgres", "data")
	require.NoError(t, os.MkdirAll(data, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(data, "PG_VERSION"), []byte("9\n"), 0o600))
	_, err := FindPostgres(t.Context(), dir)
	require.ErrorIs(t, err, ErrNotFound)
	require.ErrorContains(t, err, "Postgres 9, which made the data in "+dir)
}

// testdata/postgres.txz holds bin/{initdb,postgres,pg_ctl}, shell scripts that fail.
func TestFetchPostgres(t *testing.T) {
	t.Parallel()
	archive, err := os.ReadFile(filepath.Join("testdata", "postgres.txz"))
	require.NoError(t, err)
	var jar bytes.Buffer
	z := zip.NewWriter(&jar)
	w, err := z.Create("postgres-linux-x86_64.txz")
	require.NoError(t, err)
	_, err = w.Write(archive)
	require.NoError(t, errors.Join(err, z.Close()))
	sum := sha256.Sum256(jar.Bytes())
	var downloads atomic.Int32
	repository := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".sha256") {
			_, _ = w.Write([]byte(hex.EncodeToString(sum[:])))
			return
		}
		downloads.Add(1)
		_, _ = w.Write(jar.Bytes())
	}))
	t.Cleanup(func() { repository.Close(); http.DefaultClient.CloseIdleConnections() })

	root := t.TempDir()
	source := embeddedpostgres.DefaultConfig().BinaryRepositoryURL(repository.URL)
	for range 2 { // the second finds it there
		fetched, err := fetchPostgres(t.Context(), nil, source, root)
		require.NoError(t, err)
		require.Equal(t, Installation{Path: filepath.Join(root, "postgres-17.5.0", "bin"), Version: "17.5.0", Fetched: true}, fetched)
		require.FileExists(t, filepath.Join(fetched.Path, "initdb"))
	}
	require.Equal(t, int32(1), downloads.Load())
	left, err := filepath.Glob(filepath.Join(root, ".postgres-*"))
	require.NoError(t, err)
	require.Empty(t, left)

	nowhere := embeddedpostgres.DefaultConfig().BinaryRepositoryURL("http://127.0.0.1:1")
	_, err = fetchPostgres(t.Context(), nil, nowhere, t.TempDir())
	require.ErrorContains(t, err, "install Postgres 15 or later, or set LASTCALL_DATABASE_URL")
}
