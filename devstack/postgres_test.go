package devstack

import (
	"context"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"lastcall/devstack/supervise"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ask runs a query that gives one text.
func ask(t *testing.T, dsn, query string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	var answer string
	require.NoError(t, conn.QueryRow(t.Context(), query).Scan(&answer))
	return answer
}

// keep leaves something to find again.
func keep(t *testing.T, dsn string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), "CREATE TABLE kept AS SELECT 'yes' AS answer")
	require.NoError(t, err)
}

func refuses(address string) bool {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err == nil {
		conn.Close()
	}
	return err != nil
}

func host(t *testing.T, dsn string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	return u.Host
}

func TestEphemeralPostgresLeavesNothing(t *testing.T) {
	t.Parallel()
	began := time.Now()
	server, err := Postgres(t.Context(), PostgresOptions{})
	require.NoError(t, err)
	t.Logf("ready in %s", time.Since(began))
	for query, want := range map[string]string{
		"SELECT current_database() || ' of ' || current_user": "lastcall of lastcall_owner",
		"SHOW server_encoding":                                "UTF8",
		"SHOW fsync":                                          "off",
		"SHOW unix_socket_directories":                        "",
		"SHOW listen_addresses":                               "127.0.0.1",
		"SELECT upper('ħ')":                                   "Ħ",
		"SELECT usesuper::text FROM pg_user WHERE usename = current_user": "true",
	} {
		require.Equal(t, want, ask(t, server.OwnerURL(), query), query)
	}
	data := ask(t, server.OwnerURL(), "SHOW data_directory")
	require.DirExists(t, data)

	server.Stop(context.Background())
	require.True(t, refuses(host(t, server.OwnerURL())))
	require.NoDirExists(t, filepath.Dir(data))
}

// durable starts a Postgres with a data directory, here one that root's Postgres cannot reach, and
// removes what it keeps elsewhere when the test ends.
func durable(t *testing.T, o PostgresOptions) (*PostgresServer, error) {
	t.Helper()
	t.Cleanup(func() {
		home := clusterHome(o.Dir)
		require.True(t, strings.HasPrefix(home, varLib) || strings.HasPrefix(home, o.Dir), home)
		require.NoError(t, os.RemoveAll(home))
	})
	return Postgres(t.Context(), o)
}

func TestDurablePostgresKeepsItsData(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := durable(t, PostgresOptions{Dir: dir, Password: "first"})
	require.NoError(t, err)
	require.Equal(t, "on", ask(t, first.OwnerURL(), "SHOW fsync"))
	require.Equal(t, "on", ask(t, first.OwnerURL(), "SHOW synchronous_commit"))
	keep(t, first.OwnerURL())
	first.Stop(context.Background())

	_, err = durable(t, PostgresOptions{Dir: dir, Password: "second"})
	require.ErrorContains(t, err, "has another password for lastcall_owner")

	began := time.Now()
	again, err := durable(t, PostgresOptions{Dir: dir, Password: "first"})
	require.NoError(t, err)
	defer again.Stop(context.Background())
	t.Logf("second start in %s", time.Since(began))
	require.Equal(t, "yes", ask(t, again.OwnerURL(), "SELECT answer FROM kept"))
}

func TestKilledPostgresIsBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := supervise.Open(dir, nil)
	require.NoError(t, err)
	defer func() {
		s.Shutdown(context.Background())
		require.NoError(t, s.Close())
	}()
	server, err := durable(t, PostgresOptions{Dir: dir, Password: "p", Run: s.Run})
	require.NoError(t, err)
	server.Keep()
	keep(t, server.OwnerURL())

	require.NoError(t, syscall.Kill(server.PID(), syscall.SIGKILL))
	require.Eventually(t, func() bool {
		conn, err := pgx.Connect(t.Context(), server.OwnerURL())
		if err != nil {
			return false
		}
		return conn.Close(t.Context()) == nil
	}, 30*time.Second, 50*time.Millisecond)
	require.Equal(t, "yes", ask(t, server.OwnerURL(), "SELECT answer FROM kept"))
}

func TestHalfMadeClusterIsMadeAnew(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, err := serverAccount()
	require.NoError(t, err)
	home, err := a.home(dir)
	require.NoError(t, err)
	half := filepath.Join(home, "data.new")
	require.NoError(t, os.Mkdir(half, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(half, "PG_VERSION"), []byte("15"), 0o600))

	server, err := durable(t, PostgresOptions{Dir: dir, Password: "p"})
	require.NoError(t, err)
	server.Stop(context.Background())
	require.NoDirExists(t, half)
}

func TestPostgresTellsWhyItDoesNotStart(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	_, err = Postgres(t.Context(), PostgresOptions{Port: l.Addr().(*net.TCPAddr).Port})
	require.ErrorContains(t, err, "postgres ended: exit status 1")
	require.ErrorContains(t, err, "Address already in use")
}

func TestClusterStaysWhereItIs(t *testing.T) {
	t.Parallel()
	a, err := serverAccount()
	require.NoError(t, err)
	dir := t.TempDir()
	home, err := a.home(dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(home)) })
	if a.reaches(dir) {
		require.Equal(t, filepath.Join(dir, "postgres"), home)
	} else {
		require.Equal(t, varLib, filepath.Dir(home))
	}
	require.True(t, a.reaches(home))

	require.NoError(t, os.Mkdir(filepath.Join(home, "data"), 0o700))
	again, err := a.home(dir)
	require.NoError(t, err)
	require.Equal(t, home, again)
	other, err := a.home(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(other)) })
	require.NotEqual(t, home, other, "each data directory has a cluster of its own")
}
