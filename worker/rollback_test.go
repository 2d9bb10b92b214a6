package worker_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"lastcall/domain/access"
	"lastcall/domain/approval"
	"lastcall/domain/campaign"
	"lastcall/domain/rollout"
	"lastcall/store"
	"lastcall/workflows"
)

// A rollback in the middle of a campaign, whose workflow is killed while the legacy tooling does not answer, goes on, is safe, and is
// recovered from.
func TestARollbackThatIsKilledGoesOn(t *testing.T) {
	b := setup(t)
	admin, ops, lead := b.colleague(t, "admin"), b.colleague(t, "ops"), b.colleague(t, "project_lead")
	item := rollout.Item{ID: "go", Text: "go", Kind: rollout.Check, Owner: access.Ops, Check: "overrides", Every: time.Minute, StaleAfter: time.Hour}
	plan := rollout.Plan{Phases: []rollout.PhasePlan{{Phase: rollout.Staging, Items: []rollout.Item{item}}, {Phase: rollout.Pilot}, {Phase: rollout.Production}, {Phase: rollout.Live}}}
	require.NoError(t, b.StartRollout(admin, "kigali", plan, "Kigali opens"))
	conn, err := pgx.Connect(t.Context(), b.url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	_, err = conn.Exec(t.Context(), `UPDATE rollouts SET phase = 'live'`)
	require.NoError(t, err)

	b.set(t, "throttle", `{"whatsapp":{"per_minute":6000,"per_second":50}}`)
	running := b.draft(t, many(2000, rw)...)
	b.start(t, running)
	b.until(t, running, 60*time.Second, func(p store.Progress) bool { return p.Counts.Sent+p.Counts.Delivered+p.Counts.Read > 20 })
	b.noLegacy.Store(true)
	id, err := b.RollBack(ops, "kigali", store.NewRollback{Reason: "wrong vouchers for everybody"})
	require.NoError(t, err)
	is := func(what string, fits func(store.Rollback) bool) (last store.Rollback) {
		t.Helper()
		require.Eventually(t, func() bool {
			var err error
			last, err = b.RollbackOf(t.Context(), id)
			require.NoError(t, err)
			return fits(last)
		}, 60*time.Second, 20*time.Millisecond, what)
		return last
	}
	safe := is("safe, and legacy tried", func(r store.Rollback) bool { return r.SafeAt != nil && r.Step(rollout.LegacyOn).Tries > 0 })
	require.Equal(t, rollout.RollbackRunning, safe.State)
	require.Contains(t, safe.Step(rollout.LegacyOn).Detail, "legacy_refuses")
	require.Less(t, safe.TimeToSafe(), 30*time.Second)
	paused := b.until(t, running, 30*time.Second, func(p store.Progress) bool { return p.Status == campaign.Paused })
	require.Positive(t, paused.Counts.Queued)

	require.NoError(t, b.temporal.TerminateWorkflow(t.Context(), workflows.RollbackID(id), "", "killed"))
	b.noLegacy.Store(false)
	_, err = conn.Exec(t.Context(), `UPDATE rollback_steps SET due_at = clock_timestamp() - interval '1 minute' WHERE done_at IS NULL`)
	require.NoError(t, err)
	require.NoError(t, b.sweeper.Sweep(t.Context()))
	done := is("done", func(r store.Rollback) bool { return r.State == rollout.RollbackDone })
	require.Equal(t, "it says that it is on", done.Step(rollout.LegacyOn).Detail)
	require.Equal(t, 1, done.Step(rollout.PauseCampaigns).Tries, "what was done is not done again")
	after, err := b.Progress(t.Context(), running)
	require.NoError(t, err)
	require.Equal(t, paused.Counts.Queued, after.Counts.Queued, "nothing went any more")

	require.NoError(t, b.RecoverRollback(ops, id, "the vouchers are right"))
	recovering := is("recovering", func(r store.Rollback) bool { return r.State == rollout.RollbackRecovering })
	require.NoError(t, b.SignRecovery(lead, id, approval.Rejected, "not yet", recovering.RecoveryDigest()))
	is("off again", func(r store.Rollback) bool { return r.State == rollout.RollbackDone })
	require.NoError(t, b.EndRollout(lead, "another time"))
	require.Eventually(t, func() bool {
		d, err := b.temporal.DescribeWorkflowExecution(t.Context(), workflows.RollbackID(id), "")
		return err == nil && d.GetWorkflowExecutionInfo().GetCloseTime() != nil
	}, 30*time.Second, 50*time.Millisecond, "its workflow ends with it")

	history := b.historyOf(t, workflows.RollbackID(id))
	raw, err := proto.Marshal(history)
	require.NoError(t, err)
	require.NotContains(t, string(raw), "wrong vouchers", "what people write stays in Postgres")
	keepHistory(t, "rollback", history, id)
}
