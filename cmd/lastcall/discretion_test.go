package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/proto"
)

// TestNothingPersonalLeavesTheDatabase runs campaigns that go well and badly, and looks for every number, name, text
// and secret of theirs in what Temporal keeps, in the logs and in the audit log.
func TestNothingPersonalLeavesTheDatabase(t *testing.T) {
	w := &whole{dir: dataDir(t), base: portBase(t)}
	w.start(t)
	var file strings.Builder
	file.WriteString("msisdn,name,locale\nno number at all,Nshimiyimana,en\n")
	secrets := []string{"Nshimiyimana", w.Token}
	for i := range 40 {
		number, name := fmt.Sprintf("78817%04d", i*37), fmt.Sprintf("Mukamana%02d", i)
		fmt.Fprintf(&file, "+250%s,%s,en\n", number, name)
		secrets = append(secrets, number, name)
	}
	for _, a := range w.Accounts {
		secrets = append(secrets, a.Password)
	}
	csv := filepath.Join(filepath.Dir(w.dir), "guests.csv")
	require.NoError(t, os.WriteFile(csv, []byte(file.String()), 0o600))
	fault := func(body string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, w.Sandbox+"/faults", strings.NewReader(body))
		require.NoError(t, err)
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Less(t, res.StatusCode, 300)
	}
	launch := func(name string) {
		t.Helper()
		id := w.cli(t, "campaigns", "launch", csv, "--template", "promo_generic", "--name", name)["campaign_id"]
		require.Eventually(t, func() bool {
			figures, status := w.campaign(t, id)
			return status == "done" && figures["targets"] == 40
		}, 2*time.Minute, 200*time.Millisecond, name)
	}
	launch("well")
	fault(`{"kind":"error","code":131026,"share":1,"for":"5m"}`)
	launch("refused")
	fault(`{"kind":"wrong_body","share":0.5,"for":"5m"}`)
	launch("answered with rubbish")
	w.cli(t, "contacts", "add", "+250788170999", "--name", "Mukamana99")
	require.Error(t, w.command(t, "contacts", "add", "+250788170999").Run(), "twice")
	require.Error(t, w.command(t, "contacts", "add", "+25078817099912345", "--name", "Mukamana99").Run(), "no number")
	w.cli(t, "optouts", "add", "+250788170037", "--reason", "asked to")
	w.cli(t, "policy", "explain", "+250788170074")
	secrets = append(secrets, "788170999")

	clean := func(what string, content []byte) {
		t.Helper()
		for _, s := range secrets {
			if at := bytes.Index(content, []byte(s)); at >= 0 {
				require.Fail(t, "it got out", "%s holds %q: …%s…", what, s, content[max(0, at-200):min(len(content), at+200)])
			}
		}
	}
	c, err := client.DialContext(t.Context(), client.Options{HostPort: w.TemporalAddress})
	require.NoError(t, err)
	defer c.Close()
	seen := 0
	require.Eventually(t, func() bool { // visibility comes a moment later
		seen = 0
		listed, err := c.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{PageSize: 1000})
		require.NoError(t, err)
		for _, one := range listed.Executions {
			raw, err := proto.Marshal(one)
			require.NoError(t, err)
			clean("the search attributes of "+one.Execution.WorkflowId, raw)
			for events := c.GetWorkflowHistory(t.Context(), one.Execution.WorkflowId, one.Execution.RunId, false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT); events.HasNext(); {
				e, err := events.Next()
				require.NoError(t, err)
				raw, err := proto.Marshal(e)
				require.NoError(t, err)
				clean("the history of "+one.Execution.WorkflowId, raw)
				seen++
			}
		}
		return len(listed.Executions) >= 3
	}, time.Minute, time.Second)
	require.Greater(t, seen, 60)

	logs := 0
	require.NoError(t, filepath.WalkDir(w.dir, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".log") {
			content, err := os.ReadFile(path)
			require.NoError(t, err)
			logs += min(1, len(content))
			clean(filepath.Base(path), content)
		}
		return cmp.Or(err, nil)
	}))
	require.GreaterOrEqual(t, logs, 2, "there are logs to look into")

	db, err := pgx.Connect(t.Context(), w.DatabaseURL)
	require.NoError(t, err)
	defer func() { _ = db.Close(context.WithoutCancel(t.Context())) }()
	rows, err := db.Query(t.Context(), `SELECT a::text FROM audit_log a`)
	require.NoError(t, err)
	entries, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Greater(t, len(entries), 10)
	clean("the audit log", []byte(strings.Join(entries, "\n")))
}
