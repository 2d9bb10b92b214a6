package main

import (
	"bytes"
	"encoding/json"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestDrill drills the messaging outage on a Lastcall of real processes, as a person does: once with the worker killed in its
// middle, and once with an Ops channel that takes nothing.
func TestDrill(t *testing.T) {
	w := &whole{dir: dataDir(t), base: portBase(t)}
	w.start(t)
	defer func() { require.NoError(t, w.up.Process.Signal(syscall.SIGTERM)); _ = w.up.Wait() }()
	require.Eventually(t, func() bool {
		green := 0
		for _, f := range w.cli(t, "probes", "list")["edge_functions"].([]any) {
			f := f.(map[string]any)
			if f["state"] == "green" && slices.Contains([]any{"messaging", "dispatcher", "ops-channel"}, f["name"]) {
				green++
			}
		}
		return green == 3
	}, 2*time.Minute, time.Second)
	before := w.stats(t)

	journal, told, err := w.drill(t, func() { require.NoError(t, syscall.Kill(w.PIDs["worker"], syscall.SIGKILL)) })
	require.NoError(t, err, told)
	require.Equal(t, "completed", journal["status"])
	require.EqualValues(t, 100, journal["score"], "%v", journal["score_parts"])
	require.Equal(t, false, journal["deviated"])
	for _, after := range []string{"detected_after", "alerted_after", "acknowledged_after", "mitigated_after", "recovered_after"} {
		require.NotNil(t, journal[after], after)
	}
	require.Contains(t, told, "(N-", "the alert is known by its message")
	require.Equal(t, before, w.stats(t), "nobody was written to")

	// The same, and nobody hears of it.
	muted, told, err := w.drill(t, func() {
		w.cli(t, "faults", "inject", "ops-channel", "reset", "--for", "10m", "--reason", "mute")
	})
	require.Error(t, err)
	require.Contains(t, told, "alerted (not seen)")
	require.Equal(t, "completed", muted["status"])
	require.Less(t, muted["score"], journal["score"])
	for _, fault := range w.cli(t, "faults", "list")["faults"].([]any) {
		require.False(t, fault.(map[string]any)["active"].(bool) && fault.(map[string]any)["drill_id"] != nil, "no drill's fault is left")
	}
}

// drill runs a fast drill with something that happens in its middle, and returns its journal, what was told meanwhile, and how
// the command ended. It must be over within three minutes.
func (w *whole) drill(t *testing.T, meanwhile func()) (journal map[string]any, told string, err error) {
	t.Helper()
	run := w.command(t, "drill", "run", "messaging-outage", "--fast", "--output", "json")
	var out, events bytes.Buffer
	run.Stdout, run.Stderr = &out, &events
	began := time.Now()
	require.NoError(t, run.Start())
	require.Eventually(t, func() bool {
		all := w.cli(t, "drill", "history", "--limit", "1")["drills"].([]any)
		return len(all) == 1 && all[0].(map[string]any)["status"] == "injected"
	}, time.Minute, 200*time.Millisecond)
	meanwhile()
	err = run.Wait()
	require.Less(t, time.Since(began), 3*time.Minute)
	require.NoError(t, json.Unmarshal(out.Bytes(), &journal), "%s%s", &out, &events)
	return journal, events.String(), err
}
