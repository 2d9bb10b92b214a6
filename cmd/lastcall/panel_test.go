package main

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var screenshots = flag.Bool("screenshots", false, "TestPanel makes the pictures of docs/screenshots instead of testing")

// TestPanel builds the panel, a lastcall that carries it, and runs the browser tests against that one, whole. It
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

	w := &whole{dir: dataDir(t), base: portBase(t)}
	w.program = filepath.Join(filepath.Dir(w.dir), "lastcall")
	var units sync.WaitGroup
	var failed error
	units.Go(func() { failed = in(ui, nil, "npm", "test") })
	err = in(".", nil, "go", "build", "-o", w.program, ".")
	if err == nil {
		w.start(t)
	}
	units.Wait()
	require.NoError(t, failed)
	require.NoError(t, err)
	require.Empty(t, w.smoke(t, "22,29,30").problems(), "what of the smoke tests wants the station app in the binary")
	var instead string
	if *screenshots {
		instead = "1"
	}
	require.NoError(t, in(ui, []string{"SCREENSHOTS=" + instead, "LASTCALL_PANEL=" + w.API, "LASTCALL_EMAIL=" + w.Accounts[0].Email,
		"LASTCALL_PASSWORD=" + w.Accounts[0].Password, "LASTCALL_UP=" + filepath.Join(w.dir, upFileName)}, "npm", "run", "e2e"))
}

// stale reports whether the file is missing or older than what it is made from.
func stale(file, source string) bool {
	made, err := os.Stat(file)
	from, _ := os.Stat(source)
	return err != nil || from == nil || made.ModTime().Before(from.ModTime())
}
