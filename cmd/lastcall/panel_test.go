package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var screenshots = flag.Bool("screenshots", false, "TestPanel makes the pictures of docs/screenshots instead of testing")

// panelDir is where the panel's sources are.
const panelDir = "../../ui"

// panelBuilt installs what the panel is made with, if that has changed, and builds it: once for all tests. It wants Node 20.
var panelBuilt = sync.OnceValue(func() error {
	steps := [][]string{{"run", "build"}}
	if stale(panelDir+"/node_modules/.package-lock.json", panelDir+"/package-lock.json") {
		steps = [][]string{{"ci"}, {"run", "build"}}
	}
	for _, args := range steps {
		cmd := exec.Command("npm", args...)
		cmd.Dir = panelDir
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("npm %v: %w\n%s", args, err, out)
		}
	}
	return nil
})

// TestPanel builds the panel, a lastcall that carries it, and runs the browser tests against that, whole. It
// wants Node 20 and Chromium; what npm installs it installs, and Chromium too where it is root.
func TestPanel(t *testing.T) {
	t.Parallel() // beside the rehearsal: both mostly wait
	require.NoError(t, panelBuilt())
	ctx := t.Context()
	if deadline, ok := t.Deadline(); ok { // a test that is out of time cleans nothing up: this one ends before
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-15*time.Second))
		defer cancel()
	}
	in := func(dir string, env []string, name string, args ...string) error {
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
		// npm starts node, which starts a browser, which starts more: they go together.
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
		began := time.Now()
		out, err := cmd.CombinedOutput()
		t.Logf("%v (%v)\n%s", cmd.Args, time.Since(began).Round(100*time.Millisecond), out)
		return err
	}
	program := filepath.Join(t.TempDir(), "lastcall")
	var units sync.WaitGroup
	var failed error
	units.Go(func() { failed = in(panelDir, nil, "npm", "test") })
	err := in(".", nil, "go", "build", "-o", program, ".")
	units.Wait()
	require.NoError(t, failed)
	require.NoError(t, err)
	// Half of the stories each, side by side on a Lastcall of their own: a browser mostly waits.
	halves := []string{"1/2", "2/2"}
	var instead string
	if *screenshots {
		halves, instead = []string{"1/1"}, "1"
	}
	var stories sync.WaitGroup
	failures := make([]error, len(halves))
	for n, half := range halves {
		w := &whole{dir: dataDir(t), base: portBase(t), program: program}
		w.start(t)
		if n == 0 {
			require.Empty(t, w.smoke(t, "22,29,30").problems(), "what of the smoke tests wants the station app in the binary")
		}
		stories.Go(func() {
			failures[n] = in(panelDir, []string{"SCREENSHOTS=" + instead, "RESULTS=test-results/" + strconv.Itoa(n+1), "LASTCALL_PANEL=" + w.API,
				"LASTCALL_EMAIL=" + w.Accounts[0].Email, "LASTCALL_PASSWORD=" + w.Accounts[0].Password, "LASTCALL_UP=" + filepath.Join(w.dir, upFileName)},
				"npm", "run", "e2e", "--", "--shard="+half)
		})
	}
	stories.Wait()
	require.NoError(t, errors.Join(failures...))
}

// stale reports whether the file is missing or older than what it is made from.
func stale(file, source string) bool {
	made, err := os.Stat(file)
	from, _ := os.Stat(source)
	return err != nil || from == nil || made.ModTime().Before(from.ModTime())
}
