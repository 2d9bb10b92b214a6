package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	enums "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/encoding/protojson"

	"lastcall/workflows"
)

// whole is a Lastcall of real processes, used as a person uses it: by the command line.
type whole struct {
	dir     string
	base    int
	program string // "" for this one
	up      *exec.Cmd
	out     *bytes.Buffer
	upFile
}

func (w *whole) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(cmp.Or(w.program, self), append(args, "--data-dir", w.dir)...)
	cmd.Env = append(os.Environ(), programVariable+"=1")
	cmd.Dir = filepath.Dir(w.dir)
	return cmd
}

// start brings everything up and waits until a campaign could start.
func (w *whole) start(t *testing.T) {
	t.Helper()
	w.up, w.out = w.command(t, "up", "--port-base", strconv.Itoa(w.base)), &bytes.Buffer{}
	w.up.Stdout, w.up.Stderr = w.out, w.out
	require.NoError(t, w.up.Start())
	require.Eventually(t, func() bool {
		content, err := os.ReadFile(filepath.Join(w.dir, upFileName))
		return err == nil && json.Unmarshal(content, &w.upFile) == nil && w.PIDs["up"] == w.up.Process.Pid
	}, time.Minute, 20*time.Millisecond, "%v", w.out)
}

// cli runs a command and reads the one JSON object it prints.
func (w *whole) cli(t *testing.T, args ...string) (result map[string]any) {
	t.Helper()
	out, err := w.command(t, append(args, "--output", "json")...).Output()
	if failed, ok := err.(*exec.ExitError); ok {
		require.NoError(t, err, "%s", failed.Stderr)
	}
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(out, &result), "%s", out)
	return result
}

func (w *whole) campaign(t *testing.T, id any) (figures map[string]float64, status string) {
	t.Helper()
	figures = map[string]float64{}
	all := w.cli(t, "campaigns", "get", fmt.Sprint(id))
	for name, v := range all {
		if n, ok := v.(float64); ok {
			figures[name] = n
		}
	}
	var sum float64
	for _, state := range []string{"queued", "sending", "sent", "delivered", "read", "failed", "opted_out", "unknown", "cancelled"} {
		require.Contains(t, figures, state)
		sum += figures[state]
	}
	require.Equal(t, figures["targets"], sum, "the states are exclusive")
	return figures, all["status"].(string)
}

func (w *whole) stats(t *testing.T) (s struct {
	Received, Duplicates int
	Unique               int `json:"unique_recipients"`
}) {
	t.Helper()
	res, err := http.Get(w.Sandbox + "/stats.json")
	require.NoError(t, err)
	defer func() { require.NoError(t, res.Body.Close()) }()
	require.NoError(t, json.NewDecoder(res.Body).Decode(&s))
	return s
}

// record makes TestKilledInMidCampaign and TestDrill leave their histories for the replay test; see worker's tests.
var record = flag.Bool("record", false, "write a history to ../../workflows/testdata")

// keepHistory keeps the history of a workflow, if asked to.
func (w *whole) keepHistory(t *testing.T, name, workflow string) {
	t.Helper()
	if !*record {
		return
	}
	c, err := client.DialContext(t.Context(), client.Options{HostPort: w.TemporalAddress})
	require.NoError(t, err)
	defer c.Close()
	var history historypb.History
	for events := c.GetWorkflowHistory(t.Context(), workflow, "", false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT); events.HasNext(); {
		e, err := events.Next()
		require.NoError(t, err)
		history.Events = append(history.Events, e)
	}
	text, err := protojson.MarshalOptions{Multiline: true}.Marshal(&history)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join("..", "..", "workflows", "testdata", name+".json"), text, 0o644))
}

// TestKilledInMidCampaign kills the worker and then everything, as hard as can be, while a campaign runs:
// it goes on, nobody is written to twice, and what nobody can know is said to be unknown.
func TestKilledInMidCampaign(t *testing.T) {
	w := &whole{dir: dataDir(t), base: portBase(t)}
	w.start(t)
	const targets = 12_000
	var file strings.Builder
	file.WriteString("msisdn\n")
	for i := range targets {
		fmt.Fprintf(&file, "+25078%07d\n", i)
	}
	csv := filepath.Join(filepath.Dir(w.dir), "numbers.csv")
	require.NoError(t, os.WriteFile(csv, []byte(file.String()), 0o600))
	id := w.cli(t, "campaigns", "launch", csv, "--template", "promo_generic", "--name", "killed")["campaign_id"]
	reached := func(n int) {
		t.Helper()
		require.Eventually(t, func() bool { return w.stats(t).Received >= n }, time.Minute, 5*time.Millisecond)
	}

	reached(500)
	require.NoError(t, syscall.Kill(w.PIDs["worker"], syscall.SIGKILL))
	reached(3000)
	content, err := os.ReadFile(filepath.Join(w.dir, upFileName))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(content, &w.upFile))
	for _, pid := range w.PIDs {
		_ = syscall.Kill(pid, syscall.SIGKILL) // one that has just ended is as dead as it can be
	}
	require.Error(t, w.up.Wait())

	w.start(t)
	var figures map[string]float64
	var status string
	require.Eventually(t, func() bool {
		figures, status = w.campaign(t, id)
		return status == "done"
	}, 3*time.Minute, 500*time.Millisecond, "%v", &status)
	got := w.stats(t)
	require.Zero(t, got.Duplicates)
	require.Equal(t, got.Received, got.Unique)
	accepted := int(figures["sent"] + figures["delivered"] + figures["read"])
	require.Equal(t, targets, accepted+int(figures["unknown"]), "nothing is lost")
	require.Equal(t, got.Received, accepted, "each that reached the provider is known to have")
	const inFlight = 4 * 8 * 64 // lanes, each with a chunk of at most eight times what it sends at once
	require.LessOrEqual(t, int(figures["unknown"]), 2*inFlight, "more than two kills can have caught on its way")
	t.Logf("%d received, %v unknown", got.Received, figures["unknown"])
	w.keepHistory(t, "killed", workflows.CampaignID(uuid.MustParse(fmt.Sprint(id))))
}
