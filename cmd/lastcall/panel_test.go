package main

import (
	"context"
	"errors"
	"flag"
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

// TestPanel builds the panel, a lastcall that carries it, and runs the browser tests against that, whole. It
// wants Node 20 and Chromium; what npm installs it installs, and Chromium too where it is root.
func TestPanel(t *testing.T) {
	const ui = "../../ui"
	_, err := exec.LookPath("npm")
	require.NoError(t, err, "the panel's tests want Node 20 with npm")
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
	if stale(ui+"/node_modules/.package-lock.json", ui+"/package-lock.json") {
		require.NoError(t, in(ui, nil, "npm", "ci"))
	}
	require.NoError(t, in(ui, nil, "npm", "run", "build"))

	program := filepath.Join(t.TempDir(), "lastcall")
	var units sync.WaitGroup
	var failed error
	units.Go(func() { failed = in(ui, nil, "npm", "test") })
	err = in(".", nil, "go", "build", "-o", program, ".")
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
			failures[n] = in(ui, []string{"SCREENSHOTS=" + instead, "RESULTS=test-results/" + strconv.Itoa(n+1), "LASTCALL_PANEL=" + w.API,
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
