package worker_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	enums "go.temporal.io/api/enums/v1"

	"lastcall/domain/audience"
	"lastcall/store"
	"lastcall/workflows"
)

// upload uploads a file for a campaign and turns it over to its workflow.
func (b *bundle) upload(t *testing.T, campaign uuid.UUID, file string) uuid.UUID {
	t.Helper()
	up, err := b.StartUpload(t.Context(), campaign)
	require.NoError(t, err)
	parts := 0
	for rest := file; rest != ""; rest = rest[min(100_000, len(rest)):] {
		parts++
		_, err := b.AddPart(t.Context(), up.ID, parts, []byte(rest[:min(100_000, len(rest))]))
		require.NoError(t, err)
	}
	_, err = b.CompleteUpload(t.Context(), up.ID, store.ImportOptions{Parts: parts})
	require.NoError(t, err)
	return up.ID
}

// imported waits for an import to be as asked.
func (b *bundle) imported(t *testing.T, id uuid.UUID, as func(store.Import) bool) store.Import {
	t.Helper()
	var i store.Import
	require.Eventually(t, func() bool {
		var err error
		i, err = b.ImportOf(t.Context(), id)
		require.NoError(t, err)
		return as(i)
	}, time.Minute, 5*time.Millisecond, "%+v", &i)
	return i
}

func importEnded(i store.Import) bool { return i.Phase.Ended() }

// closed waits for an import's workflow to end and its file to be gone, and returns how it ended.
func (b *bundle) closed(t *testing.T, id uuid.UUID) (status enums.WorkflowExecutionStatus) {
	t.Helper()
	require.Eventually(t, func() bool {
		found, err := b.temporal.DescribeWorkflowExecution(t.Context(), workflows.ImportID(id), "")
		if err == nil {
			status = found.WorkflowExecutionInfo.Status
		}
		return err == nil && status != enums.WORKFLOW_EXECUTION_STATUS_RUNNING
	}, 30*time.Second, 20*time.Millisecond)
	parts, err := b.Parts(t.Context(), id)
	require.NoError(t, err)
	require.Empty(t, parts, "the file is gone")
	return status
}

func TestImportOfAnUploadedFile(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var file strings.Builder
	file.WriteString("msisdn,name\nnobody,Bob\n")
	for i := range 60_000 {
		fmt.Fprintf(&file, "%s,Guest\n", rw(i))
	}
	campaign := b.draft(t)
	id := b.upload(t, campaign, file.String())
	done := b.imported(t, id, importEnded)
	require.Equal(t, audience.Done, done.Phase)
	require.EqualValues(t, []int64{60_001, 1, 0, 60_000}, []int64{done.Lines, done.Invalid, done.Duplicates, done.Targets})
	require.EqualValues(t, 60_000, b.progress(t, campaign).Counts.Queued)
	require.Equal(t, enums.WORKFLOW_EXECUTION_STATUS_COMPLETED, b.closed(t, id))
	keepHistory(t, "import", b.historyOf(t, workflows.ImportID(id)), id)
}

// holdMerge keeps the merge of this campaign's imports waiting, until the returned function is called.
func (b *bundle) holdMerge(t *testing.T, campaign uuid.UUID) (hold *pgx.Conn, release func()) {
	t.Helper()
	hold, err := pgx.Connect(t.Context(), b.url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = hold.Close(context.Background()) })
	_, err = hold.Exec(t.Context(), `BEGIN`)
	require.NoError(t, err)
	_, err = hold.Exec(t.Context(), `SELECT FROM cohorts WHERE campaign_id = $1 FOR UPDATE`, campaign)
	require.NoError(t, err)
	return hold, func() {
		t.Helper()
		_, err := hold.Exec(t.Context(), `COMMIT`)
		require.NoError(t, err)
	}
}

// waits returns when the merge waits to go on.
func waits(t *testing.T, hold *pgx.Conn) {
	t.Helper()
	waiting(t, hold, `pid`)
}

// cut ends the connection that waits for the merge to go on, as the end of a worker does.
func cut(t *testing.T, hold *pgx.Conn) {
	t.Helper()
	waiting(t, hold, `pg_terminate_backend(pid)`)
}

func waiting(t *testing.T, hold *pgx.Conn, what string) {
	t.Helper()
	require.Eventually(t, func() bool {
		done, err := hold.Exec(t.Context(), `SELECT `+what+` FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)
		require.NoError(t, err)
		return done.RowsAffected() > 0
	}, 20*time.Second, 10*time.Millisecond)
}

// A cancellation reaches the merge while it waits for something.
func TestImportCancelledWhileMerging(t *testing.T) {
	t.Parallel()
	b := setup(t)
	campaign := b.draft(t, rw(99))
	hold, release := b.holdMerge(t, campaign)
	id := b.upload(t, campaign, "msisdn\n"+rw(1)+"\n"+rw(2))
	waits(t, hold)
	require.Equal(t, audience.Merging, b.imported(t, id, func(store.Import) bool { return true }).Phase)
	got, err := b.CancelImport(t.Context(), id, "wrong file")
	require.NoError(t, err)
	require.Equal(t, audience.Cancelled, got.Phase)
	require.Equal(t, enums.WORKFLOW_EXECUTION_STATUS_CANCELED, b.closed(t, id), "while what it waited for is still held")
	release()
	require.EqualValues(t, 1, b.progress(t, campaign).Counts.Targets)
	require.Equal(t, "cancelled", b.imported(t, id, importEnded).ProblemCode)
	keepHistory(t, "import-cancelled", b.historyOf(t, workflows.ImportID(id)), id)
}

// The merge is cut off, and what was staged is lost with it: the parts are still there, and it is all done again.
func TestImportSurvivesACrashInTheMerge(t *testing.T) {
	t.Parallel()
	b := setup(t)
	campaign := b.draft(t, rw(99))
	hold, release := b.holdMerge(t, campaign)
	id := b.upload(t, campaign, "msisdn\n"+rw(1)+"\n"+rw(2)+"\nnobody\n"+rw(1))
	cut(t, hold)
	_, err := hold.Exec(t.Context(), `TRUNCATE import_rows, import_checkpoints`)
	require.NoError(t, err)
	release()
	done := b.imported(t, id, importEnded)
	require.Equal(t, audience.Done, done.Phase)
	require.EqualValues(t, []int64{4, 1, 1, 2}, []int64{done.Lines, done.Invalid, done.Duplicates, done.Targets})
	require.EqualValues(t, 3, b.progress(t, campaign).Counts.Targets)
	b.closed(t, id)
	keepHistory(t, "import-crashed", b.historyOf(t, workflows.ImportID(id)), id)
}

func TestImportThatCannotGoOn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	campaign := b.draft(t)
	owner, err := pgx.Connect(t.Context(), b.url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = owner.Close(context.Background()) })
	_, err = owner.Exec(t.Context(), `CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.body := 'x'; RETURN NEW; END $$;
		CREATE TRIGGER spoil BEFORE INSERT ON import_parts FOR EACH ROW WHEN (NEW.n = 2) EXECUTE FUNCTION spoil()`)
	require.NoError(t, err)
	id := b.upload(t, campaign, "msisdn\n"+strings.Repeat(rw(1)+"\n", 10_000))
	failed := b.imported(t, id, importEnded)
	require.Equal(t, audience.Failed, failed.Phase)
	require.Equal(t, "part_damaged", failed.ProblemCode)
	require.Equal(t, enums.WORKFLOW_EXECUTION_STATUS_FAILED, b.closed(t, id))
	require.Zero(t, b.progress(t, campaign).Counts.Targets)
	keepHistory(t, "import-failed", b.historyOf(t, workflows.ImportID(id)), id)
}

// Who cancels the workflow in Temporal Web ends the import too: the campaign is free again.
func TestImportCancelledFromOutside(t *testing.T) {
	t.Parallel()
	b := setup(t)
	campaign := b.draft(t, rw(99))
	hold, release := b.holdMerge(t, campaign)
	id := b.upload(t, campaign, "msisdn\n"+rw(1))
	waits(t, hold)
	require.NoError(t, b.temporal.CancelWorkflow(t.Context(), workflows.ImportID(id), ""))
	b.closed(t, id)
	release()
	require.Equal(t, audience.Failed, b.imported(t, id, importEnded).Phase)
	b.start(t, campaign)
	b.until(t, campaign, time.Minute, ended)
}
