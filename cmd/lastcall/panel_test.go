package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPanel builds the panel and runs its browser tests against a whole Lastcall. It wants Node 20 and
// Chromium; what npm installs it installs, and Chromium too where it is root.
func TestPanel(t *testing.T) {
	const ui = "../../ui"
	_, err := exec.LookPath("npm")
	require.NoError(t, err, "the panel's tests want Node 20 with npm")
	in := func(env []string, name string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir, cmd.Env = ui, append(os.Environ(), env...)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		t.Logf("%s", out)
	}
	if stale(ui+"/node_modules/.package-lock.json", ui+"/package-lock.json") {
		in(nil, "npm", "ci")
	}
	in(nil, "npm", "run", "build")
	in(nil, "npm", "test")

	w := &whole{dir: dataDir(t), base: portBase(t)}
	w.start(t)
	preview, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := preview.Addr().(*net.TCPAddr).Port
	require.NoError(t, preview.Close())
	in([]string{"LASTCALL_API=" + w.API, "LASTCALL_TOKEN=" + w.Token, "LASTCALL_UP=" + filepath.Join(w.dir, upFileName), "LASTCALL_PREVIEW_PORT=" + strconv.Itoa(port), "CI=1"},
		"npx", "playwright", "test")
}

// stale reports whether the file is missing or older than what it is made from.
func stale(file, source string) bool {
	made, err := os.Stat(file)
	from, _ := os.Stat(source)
	return err != nil || from == nil || made.ModTime().Before(from.ModTime())
}
