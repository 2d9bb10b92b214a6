package main

import (
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestDrill drills the messaging outage on a Lastcall of real processes, as a person does: once as it is, with the worker killed
// in its middle, and once with an Ops channel that takes nothing.
func TestDrill(t *testing.T) {
	w := &whole{dir: dataDir(t), base: portBase(t)}
	w.start(t)
	defer func() { require.NoError(t, w.up.Process.Signal(syscall.SIGTERM)); _ = w.up.Wait() }()
	require.Eventually(t, func() bool { return w.steady(t) }, 2*time.Minute, time.Second, "messaging, the dispatcher and the Ops channel are probed")
	before := w.stats(t)

	run := w.command(t, "drill", "run", "messaging-outage", "--fast", "--output", "json")
	var out, told strings.Builder
	run.Stdout, run.Stderr = &out, &told
	require.NoError(t, run.Start())
	done := make(chan error, 1)
	go func() { done <- run.Wait() }()
	require.Eventually(t, func() bool {
		drill := w.newest(t)
		return drill["status"] == "injected"
	}, time.Minute, 50*time.Millisecond)
	require.NoError(t, syscall.Kill(w.worker(t), syscall.SIGKILL))
	select {
	case err := <-done:
		require.NoError(t, err, "%s%s", told.String(), out.String())
	case <-time.After(3 * time.Minute):
		t.Fatalf("it is not over after three minutes: %s", told.String())
	}
	j := w.newest(t)
	journal := w.cli(t, "drill", "show", j["drill_id"].(string))
	require.Equal(t, "completed", journal["status"])
	require.EqualValues(t, 100, journal["score"], "%v", journal["score_parts"])
	require.Equal(t, false, journal["deviated"])
	for _, after := range []string{"detected_after", "alerted_after", "acknowledged_after", "mitigated_after", "recovered_after"} {
		require.NotNil(t, journal[after], after)
	}
	require.Contains(t, told.String(), "N-", "the alert is told by its message")
	require.Empty(t, w.cli(t, "faults", "list")["faults"], "no fault is left")
	require.Equal(t, before, w.stats(t), "nobody was written to")

	// The same, and nobody hears of it.
	w.tellSandbox(t, http.MethodPut, "/faults", `{"kind":"outage","scope":"ops-channel","for":"5m"}`)
	muted, err := w.command(t, "drill", "run", "messaging-outage", "--fast").CombinedOutput()
	_, failed := err.(*exec.ExitError)
	require.True(t, failed, "%s", muted)
	require.Contains(t, string(muted), "alerted (not seen)")
	worse := w.newest(t)
	require.Less(t, worse["score"], journal["score"])
	require.Equal(t, "completed", worse["status"])
}
