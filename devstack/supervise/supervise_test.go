package supervise_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"lastcall/devstack/supervise"
)

// The test binary plays every process: the variable says which.
const roleVariable = "SUPERVISE_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "":
		goleak.VerifyTestMain(m)
	case "polite": // ends when asked
		playUntil(syscall.SIGTERM)
	case "stubborn": // ends only when asked a second time, otherwise
		signal.Ignore(syscall.SIGTERM)
		playUntil(syscall.SIGQUIT)
	case "broken":
		fmt.Println("no such table")
		os.Exit(3)
	case "up": // supervises two processes
		playUp(os.Args[1])
	case "tester": // a test process with a guarded server
		playTester(os.Args[1])
	}
}

func playUntil(s os.Signal) {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, s)
	fmt.Println("ready")
	<-asked
	fmt.Println("done")
}

func playUp(dir string) {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM)
	s, err := supervise.Open(dir, nil)
	if err == nil {
		_, err = s.Run(command(dir, "first", "polite"))
	}
	if err == nil {
		_, err = s.Run(command(dir, "second", "polite"))
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ready")
	<-asked
	s.Shutdown(context.Background())
	if err := s.Close(); err != nil {
		os.Exit(1)
	}
}

func playTester(dir string) {
	c := command(dir, "server", "polite")
	g, err := supervise.StartGuarded(c, syscall.SIGTERM, filepath.Join(dir, "scrap"))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(g.PID())
	select {}
}

func command(dir, name, role string, stop ...supervise.Step) supervise.Command {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return supervise.Command{
		Name: name, Path: self, Args: []string{dir}, Log: filepath.Join(dir, "logs", name+".log"),
		Env: append(os.Environ(), roleVariable+"="+role), Stop: stop,
	}
}

// events collects what a supervisor tells.
type events struct {
	mu  sync.Mutex
	all []supervise.Event
}

func (e *events) add(event supervise.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, event)
}

func (e *events) starts() (pids []int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, event := range e.all {
		if event.Record != nil {
			pids = append(pids, event.PID)
		}
	}
	return pids
}

func open(t *testing.T, dir string, observe func(supervise.Event)) *supervise.Supervisor {
	t.Helper()
	s, err := supervise.Open(dir, observe)
	require.NoError(t, err)
	t.Cleanup(func() {
		s.Shutdown(t.Context()) // its context is done: hurry
		require.NoError(t, s.Close())
	})
	return s
}

func soon(t *testing.T, ok func() bool, what string) {
	t.Helper()
	require.Eventually(t, ok, 10*time.Second, 5*time.Millisecond, what)
}

func logHas(dir, name, text string) func() bool {
	return func() bool {
		content, _ := os.ReadFile(filepath.Join(dir, "logs", name+".log"))
		return strings.Contains(string(content), text)
	}
}

func gone(pid int) bool { return syscall.Kill(pid, 0) != nil }

// written are the pids of the state file.
func written(t *testing.T, dir string) (pids []int) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, "processes.json"))
	require.NoError(t, err)
	var st struct {
		Processes []supervise.Record `json:"processes"`
	}
	require.NoError(t, json.Unmarshal(content, &st))
	for _, r := range st.Processes {
		pids = append(pids, r.PID)
	}
	return pids
}

func TestKilledChildIsBackWithinASecond(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var heard events
	s := open(t, dir, heard.add)
	c, err := s.Run(command(dir, "worker", "polite"))
	require.NoError(t, err)
	c.Keep()

	for kill := 1; kill <= 3; kill++ {
		pid := c.PID()
		group, err := syscall.Getpgid(pid)
		require.NoError(t, err)
		require.Equal(t, pid, group, "a group of its own")
		require.Equal(t, []int{pid}, written(t, dir))

		killed := time.Now()
		require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		soon(t, func() bool { return len(heard.starts()) == kill+1 }, "restarted")
		require.Less(t, time.Since(killed), time.Second)
		require.NotEqual(t, pid, c.PID())
	}
}

func TestChildThatMayNotRestartTellsWhy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var heard events
	s := open(t, dir, heard.add)
	c, err := s.Run(command(dir, "api", "broken"))
	require.NoError(t, err)
	<-c.Done()
	require.ErrorContains(t, c.Failure(), "api ended: exit status 3")
	require.ErrorContains(t, c.Failure(), "no such table")
	require.Len(t, heard.starts(), 1)
	require.Empty(t, written(t, dir))
}

func TestStopFollowsTheSteps(t *testing.T) {
	t.Parallel()
	patient := supervise.Step{Signal: syscall.SIGTERM, Wait: time.Minute}
	brief := supervise.Step{Signal: syscall.SIGTERM, Wait: 10 * time.Millisecond}
	quit := supervise.Step{Signal: syscall.SIGQUIT, Wait: time.Minute}
	tests := map[string]struct {
		role    string
		steps   []supervise.Step
		hurry   bool
		drained bool // ended by itself
	}{
		"a polite child ends by itself":            {role: "polite", steps: []supervise.Step{patient}, drained: true},
		"a stubborn one is killed in the end":      {role: "stubborn", steps: []supervise.Step{brief}},
		"or takes the second step":                 {role: "stubborn", steps: []supervise.Step{brief, quit}, drained: true},
		"hurry ends the first step's time":         {role: "stubborn", steps: []supervise.Step{patient}, hurry: true},
		"hurry leaves the second step its own one": {role: "stubborn", steps: []supervise.Step{patient, quit}, hurry: true, drained: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			c, err := supervise.Start(command(dir, "child", tt.role, tt.steps...))
			require.NoError(t, err)
			c.Keep()
			soon(t, logHas(dir, "child", "ready"), "started")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if tt.hurry {
				cancel()
			}
			c.Stop(ctx)
			require.True(t, gone(c.PID()))
			require.Equal(t, tt.drained, logHas(dir, "child", "done")())
		})
	}
}

func TestStopEndsARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ended := make(chan struct{}, 100)
	s := open(t, dir, func(e supervise.Event) {
		if e.Again > 0 {
			ended <- struct{}{}
		}
	})
	c, err := s.Run(command(dir, "worker", "polite"))
	require.NoError(t, err)
	c.Keep()
	require.NoError(t, syscall.Kill(c.PID(), syscall.SIGKILL))
	<-ended
	c.Stop(t.Context()) // in the pause before the restart
	require.Empty(t, written(t, dir))
}

func TestOneSupervisorOfADirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open(t, dir, nil)
	_, err := supervise.Open(dir, nil)
	var held *supervise.HeldError
	require.ErrorAs(t, err, &held)
	require.Equal(t, os.Getpid(), held.PID)
}

// startUp runs an `up` in a process of its own and returns it and the pids of its two processes.
func startUp(t *testing.T, dir string) (*supervise.Child, []int) {
	t.Helper()
	up, err := supervise.Start(command(dir, "up", "up"))
	require.NoError(t, err)
	t.Cleanup(func() { up.Stop(t.Context()) })
	for _, name := range []string{"up", "first", "second"} {
		soon(t, logHas(dir, name, "ready"), name)
	}
	pids := written(t, dir)
	require.Len(t, pids, 2)
	return up, pids
}

func TestOrphansOfAKilledSupervisorAreStopped(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	up, pids := startUp(t, dir)
	require.NoError(t, syscall.Kill(up.PID(), syscall.SIGKILL))
	<-up.Done()

	s := open(t, dir, nil)
	require.Equal(t, pids, written(t, dir), "orphans are not forgotten while they live")
	names, err := s.StopOrphans(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"second", "first"}, names)
	require.True(t, logHas(dir, "first", "done")(), "asked, not killed")
	require.True(t, logHas(dir, "second", "done")(), "asked, not killed")
	require.Empty(t, written(t, dir))
}

func TestAnotherProcessWithTheSamePIDIsLeftAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	stranger, err := supervise.Start(command(dir, "stranger", "polite"))
	require.NoError(t, err)
	t.Cleanup(func() { stranger.Stop(t.Context()) })
	old := fmt.Sprintf(`{"up":{"name":"up","pid":1,"started":"before"},
		"processes":[{"name":"worker","pid":%d,"started":"before"}]}`, stranger.PID())
	require.NoError(t, os.WriteFile(filepath.Join(dir, "processes.json"), []byte(old), 0o600))

	names, err := open(t, dir, nil).StopOrphans(t.Context())
	require.NoError(t, err)
	require.Empty(t, names)
	require.False(t, gone(stranger.PID()))
}

func TestTakedown(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		before func(t *testing.T, up *supervise.Child)
	}{
		"of a living supervisor": {before: func(*testing.T, *supervise.Child) {}},
		"of a killed one": {before: func(t *testing.T, up *supervise.Child) {
			require.NoError(t, syscall.Kill(up.PID(), syscall.SIGKILL))
			<-up.Done()
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			up, pids := startUp(t, dir)
			tt.before(t, up)

			stale := filepath.Join(dir, "up.json")
			require.NoError(t, os.WriteFile(stale, nil, 0o600))
			found, err := supervise.Takedown(t.Context(), dir, "up.json")
			require.NoError(t, err)
			require.True(t, found)
			require.NoFileExists(t, stale)
			<-up.Done()
			require.True(t, logHas(dir, "second", "done")())
			for _, pid := range pids {
				soon(t, func() bool { return gone(pid) }, "reaped")
			}

			found, err = supervise.Takedown(t.Context(), dir)
			require.NoError(t, err)
			require.False(t, found, "nothing is left")
		})
	}
}

func TestGuardedChildDiesWithItsTest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	scrap := filepath.Join(dir, "scrap")
	require.NoError(t, os.Mkdir(scrap, 0o700))
	tester := exec.Command(command(dir, "", "").Path, dir)
	tester.Env = append(os.Environ(), roleVariable+"=tester")
	out, err := tester.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, tester.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	require.NoError(t, err, line)
	soon(t, logHas(dir, "server", "ready"), "started")

	require.NoError(t, tester.Process.Kill())
	require.Error(t, tester.Wait())
	soon(t, func() bool { return gone(pid) }, "the server ends")
	soon(t, func() bool { _, err := os.Stat(scrap); return os.IsNotExist(err) }, "its directory is removed")
}

func TestReplaceIsPrivateAndLeavesNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "up.json")
	require.NoError(t, supervise.Replace(path, []byte("one")))
	require.NoError(t, supervise.Replace(path, []byte("two")))
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "two", string(content))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

func TestTail(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	require.Empty(t, supervise.Tail(path, 10))
	require.NoError(t, os.WriteFile(path, []byte("first\nsecond\nthird\n"), 0o600))
	require.Equal(t, "first\nsecond\nthird", supervise.Tail(path, 100))
	require.Equal(t, "second\nthird", supervise.Tail(path, 15), "from a line's beginning on")
}
