package worker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	enums "go.temporal.io/api/enums/v1"
	"google.golang.org/protobuf/proto"

	"lastcall/domain/access"
	"lastcall/domain/approval"
	"lastcall/domain/rollout"
	"lastcall/store"
	"lastcall/workflows"
)

// A rollout begins, is proved, signed and advanced, with its workflow lost in the middle and forged messages on the way.
func TestARolloutOpensItsGate(t *testing.T) {
	b := setup(t)
	admin, ops, lead := b.colleague(t, "admin"), b.colleague(t, "ops"), b.colleague(t, "project_lead")
	item := func(id, check string, kind rollout.Kind, seats ...access.Role) rollout.Item {
		return rollout.Item{ID: id, Text: id, Kind: kind, Owner: access.Ops, Check: check, Every: time.Minute, StaleAfter: time.Hour, Quorum: seats}
	}
	plan := rollout.Plan{Phases: []rollout.PhasePlan{
		{Phase: rollout.Staging, Guardrails: rollout.Guardrails{Provider: rollout.Sandbox, Redemptions: rollout.Mocked},
			Items: []rollout.Item{item("overrides", "overrides", rollout.Check), item("go", "everything_else", rollout.SignOff, access.ProjectLead, access.Ops)}},
		{Phase: rollout.Pilot, Guardrails: rollout.Guardrails{Targets: 20}, Items: []rollout.Item{item("dispatcher", "dispatcher_tested", rollout.Check)}},
		{Phase: rollout.Production, Items: []rollout.Item{item("retention", "audit_retention", rollout.Check)}}, {Phase: rollout.Live}}}
	require.NoError(t, b.StartRollout(admin, "kigali", plan, "Kigali opens"))
	standing := func(id string) (v store.ItemStanding) {
		t.Helper()
		board, err := b.RolloutBoard(lead)
		require.NoError(t, err)
		for _, v := range board.Items {
			if v.Item.ID == id {
				return v
			}
		}
		return v
	}
	outcome := func(id string, want rollout.Outcome) {
		t.Helper()
		require.Eventually(t, func() bool { return standing(id).Outcome == want }, 30*time.Second, 50*time.Millisecond, "%s: %v", id, standing(id).Open)
	}
	outcome("overrides", rollout.Passed)
	require.Eventually(t, func() bool { e := standing("go").Evidence; return e != nil && e.Outcome == rollout.Passed }, 30*time.Second, 50*time.Millisecond)
	running := fmt.Sprintf(`WorkflowId = %q AND ExecutionStatus = "Running" AND State = "staging"`, workflows.RolloutID("kigali"))
	require.Eventually(t, func() bool { return b.found(t, running) == 1 }, 20*time.Second, 50*time.Millisecond)

	require.NoError(t, b.temporal.SignalWorkflow(t.Context(), workflows.RolloutID("kigali"), "", workflows.Decide, workflows.Decided{ApprovalID: uuid.NewString()}))
	conn, err := pgx.Connect(t.Context(), b.url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	require.Eventually(t, func() bool {
		var n int
		require.NoError(t, conn.QueryRow(t.Context(), `SELECT count(*) FROM audit_log WHERE action = 'approval.refused' AND target = 'rollout/kigali'`).Scan(&n))
		return n == 1
	}, 20*time.Second, 50*time.Millisecond)

	_, err = b.SignItem(lead, store.SignOff{Item: "go", Seen: standing("go").Digest, Verdict: approval.Approved, Note: "yes"})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(standing("go").Signed) == 1 }, 20*time.Second, 50*time.Millisecond)
	// Its workflow is lost: the next message has another one, which goes on where it was.
	require.NoError(t, b.temporal.TerminateWorkflow(t.Context(), workflows.RolloutID("kigali"), "", "lost"))
	_, err = b.SignItem(ops, store.SignOff{Item: "go", Seen: standing("go").Digest, Verdict: approval.Approved, Note: "yes"})
	require.NoError(t, err)
	outcome("go", rollout.Passed)

	gate, _, err := b.AdvanceRollout(lead, rollout.Staging, "as agreed")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		done, err := b.GateDecided(t.Context(), gate)
		require.NoError(t, err)
		return done
	}, 30*time.Second, 50*time.Millisecond)
	r, err := b.Rollout(t.Context())
	require.NoError(t, err)
	require.Equal(t, rollout.Pilot, r.Phase)
	outcome("dispatcher", rollout.Inconclusive)

	// A campaign within the pilot's limits proves its item.
	id := b.draft(t, many(5, rw)...)
	b.start(t, id)
	b.until(t, id, 60*time.Second, ended)
	require.NoError(t, b.ProveNow(ops, "dispatcher"))
	outcome("dispatcher", rollout.Passed)
	require.Contains(t, b.notices.titles(), "Rollout kigali: pilot is open")

	history := b.historyOf(t, workflows.RolloutID("kigali"))
	raw, err := proto.Marshal(history)
	require.NoError(t, err)
	require.NotContains(t, string(raw), "as agreed", "what people write stays in Postgres")
	require.Positive(t, len(history.Events))
	require.Equal(t, enums.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED, history.Events[0].EventType)
	keepHistory(t, "rollout", history, gate)
}
