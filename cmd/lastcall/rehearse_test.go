package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/config"
	"lastcall/domain/rollout"
	"lastcall/store"
)

// TestEveryLineOfThePlanHasItsEvidence: what config's tests hold against the agreed plan word by word is also proved, signed,
// told or watched by something that is there.
func TestEveryLineOfThePlanHasItsEvidence(t *testing.T) {
	t.Parallel()
	plan, err := config.Defaults().RolloutPlan(store.KnownCheck)
	require.NoError(t, err)
	items, told := 0, 0
	for _, of := range plan.Phases {
		for _, item := range of.Items {
			items++
			require.True(t, store.KnownCheck(item.Check), "%s: nothing shows how it stands", item.ID)
			require.Equal(t, item.Kind == rollout.SignOff, len(item.Quorum) > 0, item.ID)
		}
		for _, a := range of.Announcements {
			told++
			require.NotEmpty(t, a.Channels, a.ID)
		}
	}
	watched := plan.SignalRules(1)
	for _, s := range plan.Signals {
		require.True(t, slices.ContainsFunc(s.Watch, func(w rollout.Watch) bool { return w.Action == rollout.RollBack || w.Action == rollout.Hold }), s.Name)
	}
	require.Equal(t, []int{23, 3, 4}, []int{items, told, len(plan.Signals)}, "the agreed plan has so many lines")
	require.GreaterOrEqual(t, len(watched), len(plan.Signals))
}

// TestRehearse walks a rollout from staging to live on a Lastcall of real processes, and breaks it, as a person does; one that
// was killed in its middle leaves nothing behind. It wants Node 20: some smoke tests look at the station app.
func TestRehearse(t *testing.T) {
	t.Parallel()
	require.NoError(t, panelBuilt())
	w := &whole{dir: dataDir(t), base: portBase(t)}
	w.program = filepath.Join(filepath.Dir(w.dir), "lastcall")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", w.program, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	w.start(t)
	defer func() { require.NoError(t, w.up.Process.Signal(syscall.SIGTERM)); _ = w.up.Wait() }()
	admin := apiClient{base: w.API, token: w.Token}
	settings := func() map[string]string {
		t.Helper()
		all := map[string]string{}
		for _, key := range store.SettingsKeys {
			var now store.SettingsRevision
			require.NoError(t, admin.get(t.Context(), "/settings/"+key, nil, &now))
			all[key] = string(now.Value)
		}
		return all
	}
	before := settings()

	killed := w.command(t, "rollout", "rehearse")
	events, err := killed.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, killed.Start())
	for lines := bufio.NewScanner(events); lines.Scan(); {
		if strings.Contains(lines.Text(), "rehearsed redemptions stay so") {
			break
		}
	}
	require.NoError(t, killed.Process.Kill())
	require.Error(t, killed.Wait())
	var now api.Rollout
	require.NoError(t, admin.get(t.Context(), "/rollout", nil, &now))
	require.Equal(t, "staging", now.Phase)
	left := now.Name

	var said, told bytes.Buffer
	run := w.command(t, "rollout", "rehearse", "--output", "json")
	run.Stdout, run.Stderr = &said, &told
	require.NoError(t, run.Run(), "%s", &told)
	t.Logf("%s", &told)
	var r rehearsalResult
	require.NoError(t, json.Unmarshal(said.Bytes(), &r))
	require.True(t, r.OK)
	require.Contains(t, r.Steps[0].Seen, left, "what the killed one left is taken away")
	require.Equal(t, "live", r.Phase)
	require.Equal(t, []int{23, 23, 0}, []int{r.Items, r.ItemsPassed, r.ItemsWaived})
	require.Equal(t, 3, r.RefusedOnce)
	for _, g := range r.Gates {
		require.True(t, g.Opened && len(g.Missing) > 0, "%s", g.To)
	}
	require.Equal(t, []int{4, 5, 5}, []int{r.SignalsTripped, r.RolledBack, r.Recovered}, "each signal, and the rollback that the plan wants rehearsed")
	require.Positive(t, r.TimeToSafe)

	now = api.Rollout{}
	require.NoError(t, admin.get(t.Context(), "/rollout", nil, &now))
	require.Equal(t, "none", now.Phase)
	for key, value := range before {
		require.JSONEq(t, value, settings()[key], key)
	}
	require.Equal(t, true, w.cli(t, "fixtures", "verify")["ok"])
}
