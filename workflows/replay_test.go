package workflows_test

import (
	"io"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	tlog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"lastcall/workflows"
)

// TestReplay runs the workflow of today through histories of released code. When it fails, campaigns that
// are running now would get stuck: version the change. `make histories` records anew.
func TestReplay(t *testing.T) {
	t.Parallel()
	histories, err := filepath.Glob("testdata/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, histories)
	for _, history := range histories {
		t.Run(filepath.Base(history), func(t *testing.T) {
			t.Parallel()
			replayer := worker.NewWorkflowReplayer()
			replayer.RegisterWorkflowWithOptions(workflows.Campaign, workflow.RegisterOptions{Name: "Campaign"})
			replayer.RegisterWorkflowWithOptions(workflows.Import, workflow.RegisterOptions{Name: "Import"})
			replayer.RegisterWorkflowWithOptions(workflows.Send, workflow.RegisterOptions{Name: "Send"})
			replayer.RegisterWorkflowWithOptions(workflows.Override, workflow.RegisterOptions{Name: "Override"})
			replayer.RegisterWorkflowWithOptions(workflows.Rollout, workflow.RegisterOptions{Name: "Rollout"})
			replayer.RegisterWorkflowWithOptions(workflows.Announce, workflow.RegisterOptions{Name: "Announce"})
			replayer.RegisterWorkflowWithOptions(workflows.DailyReviews, workflow.RegisterOptions{Name: "DailyReviews"})
			replayer.RegisterWorkflowWithOptions(workflows.Drill, workflow.RegisterOptions{Name: "Drill"})
			replayer.RegisterWorkflowWithOptions(workflows.ScheduledDrill, workflow.RegisterOptions{Name: "ScheduledDrill"})
			replayer.RegisterWorkflowWithOptions(workflows.Rollback, workflow.RegisterOptions{Name: "Rollback"})
			log := tlog.NewStructuredLogger(slog.New(slog.NewTextHandler(io.Discard, nil)))
			require.NoError(t, replayer.ReplayWorkflowHistoryFromJSONFile(log, history))
		})
	}
}
