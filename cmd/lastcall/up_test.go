package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"lastcall/config"
	"lastcall/devstack"
)

// playChild plays a process that up starts; false if it is none of those.
func playChild(name string) bool {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM)
	switch name {
	case "migrate":
		conn, err := pgx.Connect(context.Background(), os.Getenv("LASTCALL_DATABASE_URL"))
		if err == nil {
			_, err = conn.Exec(context.Background(), "DO $$ BEGIN CREATE ROLE lastcall_app NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
		}
		if err != nil || os.Getenv(childVariable) == "migrate fails" {
			fmt.Println("migration 7 failed", err)
			os.Exit(1)
		}
		return true
	case "api":
		http.HandleFunc("/readyz", func(http.ResponseWriter, *http.Request) {})
		go func() {
			fmt.Println(http.ListenAndServe(os.Getenv("LASTCALL_API_LISTEN"), nil))
			os.Exit(1)
		}()
	case "worker", "sandbox":
	default:
		return false
	}
	for _, variable := range os.Environ() {
		if strings.HasPrefix(variable, "LASTCALL_") {
			fmt.Println(variable)
		}
	}
	fmt.Println(name, "plays")
	<-asked
	fmt.Println(name, "drained")
	return true
}

// running is a lastcall in a process of its own.
type running struct {
	cmd *exec.Cmd
	dir string

	mu  sync.Mutex
	out bytes.Buffer
}

func (r *running) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out.Write(p)
}

func (r *running) output() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out.String()
}

// lastcall starts the program. Its data directory is one that root's Postgres can reach.
func lastcall(t *testing.T, dir string, args ...string) *running {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	r := &running{cmd: exec.Command(self, append(args, "--data-dir", dir)...), dir: dir}
	r.cmd.Env = append(os.Environ(), programVariable+"=1")
	if os.Getenv(childVariable) == "" {
		r.cmd.Env = append(r.cmd.Env, childVariable+"=1")
	}
	r.cmd.Dir = t.TempDir()
	r.cmd.Stdout, r.cmd.Stderr = r, r
	require.NoError(t, r.cmd.Start())
	return r
}

func dataDir(t *testing.T) string {
	t.Helper()
	base, err := os.MkdirTemp("", "lastcall-up-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(base, 0o755)) // so that root's Postgres keeps its data inside
	dir := filepath.Join(base, "data")
	t.Cleanup(func() {
		down := lastcall(t, dir, "down")
		require.NoError(t, down.cmd.Wait(), down.output())
		require.NoError(t, os.RemoveAll(base))
	})
	return dir
}

// lastBase is the last one that portBase gave: two tests at once get two.
var lastBase atomic.Int64

// portBase is where so many ports are free that nobody else of these tests was given.
func portBase(t *testing.T) int {
	t.Helper()
	lastBase.CompareAndSwap(0, int64(20000+os.Getpid()%1000*10))
	for {
		base := int(lastBase.Add(portCount))
		require.Less(t, base, 60000, "no free ports")
		if (&up{base: base, config: config.Defaults()}).checkPorts() == nil {
			return base
		}
	}
}

func (r *running) upFile(t *testing.T) (f upFile) {
	t.Helper()
	require.Eventually(t, func() bool {
		content, err := os.ReadFile(filepath.Join(r.dir, upFileName))
		return err == nil && json.Unmarshal(content, &f) == nil
	}, time.Minute, 10*time.Millisecond, "%s", r.output())
	return f
}

// logged are the LASTCALL_ variables that a child was given.
func (r *running) logged(t *testing.T, child string) map[string]string {
	t.Helper()
	var content []byte
	require.Eventually(t, func() bool {
		content, _ = os.ReadFile(filepath.Join(r.dir, "logs", child+".log"))
		return strings.Contains(string(content), child+" plays\n")
	}, 10*time.Second, 10*time.Millisecond)
	env := map[string]string{}
	for line := range strings.Lines(string(content)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		env[name] = value
	}
	return env
}

func gone(pid int) bool { return syscall.Kill(pid, 0) != nil }

func TestUp(t *testing.T) {
	dir, base := dataDir(t), portBase(t)
	began := time.Now()
	first := lastcall(t, dir, "up", "--port-base", strconv.Itoa(base))
	f := first.upFile(t)
	t.Logf("first start: %s", time.Since(began))
	address := func(offset int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(base+offset)) }

	// up.json says where everything is, to its owner only.
	info, err := os.Stat(filepath.Join(dir, upFileName))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.True(t, f.Ready)
	require.Equal(t, "http://"+address(0), f.API)
	require.Equal(t, "http://"+address(0)+"/station/", f.Station)
	require.Equal(t, "http://"+address(1), f.Sandbox)
	require.Equal(t, address(2), f.TemporalAddress)
	require.Equal(t, "http://"+address(3), f.TemporalWeb)
	require.Equal(t, first.cmd.Process.Pid, f.PIDs["up"])
	require.Regexp(t, `^lc_[A-Za-z0-9_-]{43}$`, f.Token)
	require.Contains(t, first.output(), f.API+"/api/v1/docs")
	require.Regexp(t, `ready in [0-9.]+ s\n\n  panel +`+f.API+`\n  sign in +admin@lastcall\.test +[A-Z2-7]{26}\n`, first.output())
	require.Equal(t, "admin@lastcall.test", f.Accounts[0].Email)

	// The owner and the application both get in, each as itself.
	worker := first.logged(t, "worker")
	for dsn, user := range map[string]string{f.DatabaseURL: "lastcall_owner", worker["LASTCALL_DATABASE_URL"]: "lastcall_app"} {
		conn, err := pgx.Connect(t.Context(), dsn)
		require.NoError(t, err)
		var who string
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT current_user").Scan(&who))
		require.NoError(t, conn.Close(t.Context()))
		require.Equal(t, user, who)
	}
	require.Equal(t, worker["LASTCALL_PEPPER"], first.logged(t, "api")["LASTCALL_PEPPER"])
	require.GreaterOrEqual(t, len(worker["LASTCALL_PEPPER"]), 32)
	sandbox := first.logged(t, "sandbox")
	require.Equal(t, worker["LASTCALL_WHATSAPP_ACCESS_TOKEN"], sandbox["LASTCALL_WHATSAPP_ACCESS_TOKEN"])
	require.NotContains(t, sandbox, "LASTCALL_DATABASE_URL")
	require.Equal(t, f.Sandbox, worker["LASTCALL_VOUCHER_CARD_BASE_URL"])
	require.Equal(t, worker["LASTCALL_VOUCHER_CARD_SECRET"], sandbox["LASTCALL_VOUCHER_CARD_SECRET"])
	require.FileExists(t, filepath.Join(dir, "voucher-keys.json"))

	// A second up of the directory is refused.
	second := lastcall(t, dir, "up", "--port-base", strconv.Itoa(base))
	require.Error(t, second.cmd.Wait())
	require.Contains(t, second.output(), fmt.Sprintf("already runs for %s (process %d)", dir, f.PIDs["up"]))

	// A killed worker is back within a second, and up.json knows.
	killed := time.Now()
	require.NoError(t, syscall.Kill(f.PIDs["worker"], syscall.SIGKILL))
	require.Eventually(t, func() bool { now := first.upFile(t).PIDs["worker"]; return now != 0 && now != f.PIDs["worker"] },
		5*time.Second, 5*time.Millisecond)
	require.Less(t, time.Since(killed), time.Second)

	// A killed up leaves everything running, and the next one stops that and begins again.
	left := first.upFile(t)
	require.NoError(t, first.cmd.Process.Kill())
	require.Error(t, first.cmd.Wait())
	require.False(t, gone(left.PIDs["worker"]))
	began = time.Now()
	again := lastcall(t, dir, "up", "--port-base", strconv.Itoa(base))
	var now upFile
	require.Eventually(t, func() bool { now = again.upFile(t); return now.PIDs["up"] == again.cmd.Process.Pid }, time.Minute, 10*time.Millisecond)
	t.Logf("start after a kill: %s", time.Since(began))
	require.Less(t, time.Since(began), 10*time.Second)
	require.Contains(t, again.output(), "stopped what a killed up had left running: worker, api, sandbox, temporal, postgres")
	for name, pid := range left.PIDs {
		require.NotEqual(t, pid, now.PIDs[name], name)
	}
	require.Equal(t, f.Token, now.Token, "secrets are kept")

	// down stops all of it, the worker first and by itself.
	down := lastcall(t, dir, "down")
	require.NoError(t, down.cmd.Wait(), down.output())
	require.NoError(t, again.cmd.Wait(), again.output())
	for name, pid := range now.PIDs {
		require.True(t, gone(pid), name)
	}
	for _, name := range []string{"worker", "api", "sandbox"} {
		require.Contains(t, first.logged(t, name), name+" drained")
	}
	require.NoFileExists(t, filepath.Join(dir, upFileName))
	require.NoError(t, (&up{base: base, config: config.Defaults()}).checkPorts())

	began = time.Now()
	third := lastcall(t, dir, "up", "--port-base", strconv.Itoa(base))
	third.upFile(t)
	t.Logf("second start: %s", time.Since(began))
	require.Less(t, time.Since(began), 10*time.Second)
}

func TestUpNamesEveryBusyPort(t *testing.T) {
	dir, base := dataDir(t), portBase(t)
	for _, offset := range []int{portTemporal, portPostgres} {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(base+offset)))
		require.NoError(t, err)
		defer l.Close()
	}
	u := lastcall(t, dir, "up", "--port-base", strconv.Itoa(base))
	require.Error(t, u.cmd.Wait())
	require.Equal(t, exitFailed, u.cmd.ProcessState.ExitCode())
	require.Contains(t, u.output(), fmt.Sprintf("port %d, meant for Temporal, is taken", base+portTemporal))
	require.Contains(t, u.output(), fmt.Sprintf("port %d, meant for Postgres, is taken", base+portPostgres))
	require.Contains(t, u.output(), "lastcall up --port-base "+strconv.Itoa(base+1000))
	require.NoDirExists(t, filepath.Join(dir, "postgres"), "nothing was started")
}

func TestUpUsesConfiguredServersAndLeavesThem(t *testing.T) {
	theirs, err := devstack.Postgres(t.Context(), devstack.PostgresOptions{})
	require.NoError(t, err)
	defer theirs.Stop(context.Background())
	t.Setenv("LASTCALL_DATABASE_URL", theirs.OwnerURL())
	t.Setenv("LASTCALL_TEMPORAL_ADDRESS", "temporal.example:7233")

	dir := dataDir(t)
	u := lastcall(t, dir, "up", "--port-base", strconv.Itoa(portBase(t)))
	f := u.upFile(t)
	require.Equal(t, theirs.OwnerURL(), f.DatabaseURL)
	require.Equal(t, "temporal.example:7233", f.TemporalAddress)
	require.Empty(t, f.TemporalWeb)
	require.NotContains(t, f.PIDs, "postgres")
	require.NotContains(t, f.PIDs, "temporal")
	require.Equal(t, theirs.OwnerURL(), u.logged(t, "worker")["LASTCALL_DATABASE_URL"])

	require.NoError(t, u.cmd.Process.Signal(syscall.SIGINT))
	require.NoError(t, u.cmd.Wait(), u.output())
	conn, err := pgx.Connect(t.Context(), theirs.OwnerURL())
	require.NoError(t, err, "it still runs")
	require.NoError(t, conn.Close(t.Context()))
}

func TestUpCanBeStoppedWhileItStarts(t *testing.T) {
	dir := dataDir(t)
	u := lastcall(t, dir, "up", "--port-base", strconv.Itoa(portBase(t)))
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(dir, "postgres"))
		return err == nil
	}, 10*time.Second, time.Millisecond)
	require.NoError(t, u.cmd.Process.Signal(syscall.SIGINT))
	require.NoError(t, u.cmd.Wait(), u.output())
	require.Contains(t, u.output(), "stopped")
	require.NoFileExists(t, filepath.Join(dir, "processes.json"), "nothing is left")
	require.NoFileExists(t, filepath.Join(dir, upFileName))
}

func TestUpTellsWhyAChildFails(t *testing.T) {
	t.Setenv(childVariable, "migrate fails")
	dir := dataDir(t)
	u := lastcall(t, dir, "up", "--port-base", strconv.Itoa(portBase(t)))
	require.Error(t, u.cmd.Wait())
	require.Contains(t, u.output(), "migrate ended: exit status 1")
	require.Contains(t, u.output(), "migration 7 failed")
	require.NoFileExists(t, filepath.Join(dir, "processes.json"), "what was started is stopped")
}

func TestUpRefusesHalfAConfiguration(t *testing.T) {
	t.Setenv("LASTCALL_WHATSAPP_ACCESS_TOKEN", "real")
	dir := dataDir(t)
	u := lastcall(t, dir, "up")
	require.Error(t, u.cmd.Wait())
	for _, key := range []string{"whatsapp.phone_number_id", "whatsapp.app_secret", "whatsapp.verify_token"} {
		require.Contains(t, u.output(), key+": is needed and not set")
	}
}

func TestConfiguredPartsAreUsedAsTheyAre(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, value := range map[string]string{
		"DATABASE_URL": "postgres://me@db/lastcall", "TEMPORAL_ADDRESS": "temporal:7233", "PEPPER": strings.Repeat("p", 40),
		"WHATSAPP_PHONE_NUMBER_ID": "1", "WHATSAPP_ACCESS_TOKEN": "a", "WHATSAPP_APP_SECRET": "s", "WHATSAPP_VERIFY_TOKEN": "v",
		"OPS_WEBHOOK_URL": "https://ops.example/hook", "MAIL_ADDRESS": "mail:25", "VOUCHER_CARD_BASE_URL": "https://cards.example", "RECONCILE_AFTER": "1h",
		"PROBES_PANEL_EMAIL": "probe@example.test", "PROBES_PANEL_PASSWORD": "of its own",
	} {
		t.Setenv("LASTCALL_"+name, value)
	}
	c, err := config.Load("")
	require.NoError(t, err)
	u := &up{config: c, base: 8700, dir: "/data", at: places{databaseApp: "postgres://me@db/lastcall", temporalAddress: "temporal:7233"}}
	require.NoError(t, u.needWhole())
	require.False(t, u.needsSandbox())
	require.ElementsMatch(t, []string{
		"LASTCALL_DATA_DIR=/data", "LASTCALL_API_LISTEN=127.0.0.1:8700", "LASTCALL_API_PUBLIC_URL=http://127.0.0.1:8700",
		"LASTCALL_DATABASE_URL=postgres://me@db/lastcall", "LASTCALL_TEMPORAL_ADDRESS=temporal:7233",
	}, u.settings("worker"), "the rest is inherited")
}

func TestSecretsAreMadeOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := loadSecrets(dir)
	require.NoError(t, err)
	again, err := loadSecrets(dir)
	require.NoError(t, err)
	require.Equal(t, first, again)
	info, err := os.Stat(filepath.Join(dir, secretsFileName))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	other, err := loadSecrets(t.TempDir())
	require.NoError(t, err)
	require.NotEqual(t, first.Pepper, other.Pepper)

	require.NoError(t, os.WriteFile(filepath.Join(dir, secretsFileName), []byte(`{"pepper": "hunter2`), 0o600))
	_, err = loadSecrets(dir)
	require.ErrorContains(t, err, "damaged")
	require.NotContains(t, err.Error(), "hunter2")
}

func TestLostSecretsAreNotReplaced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data := filepath.Join(dir, "postgres", "data")
	require.NoError(t, os.MkdirAll(data, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(data, "PG_VERSION"), []byte("15"), 0o600))
	_, err := loadSecrets(dir)
	require.ErrorContains(t, err, "secrets.json is gone")
	require.NoFileExists(t, filepath.Join(dir, secretsFileName))
}

func TestTailCopiesWholeLines(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	add := func(s string) {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		require.NoError(t, err)
		_, err = f.WriteString(s)
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
	add("before\n")
	log := newTail("api", path)
	var out bytes.Buffer
	add("one\ntw")
	log.copy(&out)
	require.Equal(t, "api     │ one\n", out.String())
	add("o\n")
	log.copy(&out)
	require.Equal(t, "api     │ one\napi     │ two\n", out.String())
	require.NoError(t, os.Truncate(path, 0))
	add("anew\n")
	log.copy(&out)
	require.True(t, strings.HasSuffix(out.String(), "api     │ anew\n"))
}
