package worker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"lastcall/domain/approval"
	"lastcall/domain/campaign"
	"lastcall/domain/contact"
	"lastcall/domain/override"
	"lastcall/domain/policy"
	"lastcall/store"
	"lastcall/workflows"
)

// A campaign that waits for quiet hours goes on within a moment of the approval, whatever was forged before, and nothing of
// it starts after the override ends.
func TestAnOverrideReleasesACampaign(t *testing.T) {
	b := setup(t)
	ops, lead := b.colleague(t, "ops"), b.colleague(t, "project_lead")
	kigali, err := time.LoadLocation("Africa/Kigali")
	require.NoError(t, err)
	now := time.Now().In(kigali)
	b.set(t, "quiet_hours", fmt.Sprintf(`{"RW":{"start":"%s","end":"%s"}}`, now.Add(-time.Hour).Format("15:04"), now.Add(2*time.Hour).Format("15:04")))
	b.set(t, "throttle", `{"whatsapp":{"per_minute":100000,"per_second":40}}`)
	id := b.draft(t, many(3000, rw)...)
	b.start(t, id)
	quiet := func(p store.Progress) bool { return len(p.Waits) > 0 && p.Waits[0].Reason == policy.InQuietHours }
	b.until(t, id, 30*time.Second, quiet)
	// Its workflow waits with a timer that says why.
	require.Eventually(t, func() bool { return b.found(t, `Blocker = "quiet_hours"`) == 1 }, 20*time.Second, 50*time.Millisecond)

	conn, err := pgx.Connect(t.Context(), b.url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	one := func(into any, sql string, args ...any) {
		t.Helper()
		require.NoError(t, conn.QueryRow(t.Context(), sql, args...).Scan(into))
	}
	request := func(campaign uuid.UUID, lasts time.Duration) store.Override {
		t.Helper()
		o, err := b.RequestOverride(ops, store.NewOverride{Kind: override.QuietHours, CampaignID: &campaign, EndsAt: time.Now().Add(lasts), Reason: "the concert is late"})
		require.NoError(t, err)
		return o
	}
	foreign := request(b.draft(t, rw(9999)), time.Hour)
	_, err = b.DecideOverride(lead, foreign.ID, approval.Approved, "")
	require.NoError(t, err)
	var foreignApproval string
	one(&foreignApproval, `SELECT id FROM approvals WHERE subject_id = $1`, foreign.ID.String())

	o := request(id, 25*time.Second)
	running := fmt.Sprintf(`WorkflowId = %q AND ExecutionStatus = "Running" AND NeedsHuman = true`, workflows.OverrideID(o.ID))
	require.Eventually(t, func() bool { return b.found(t, running) == 1 }, 20*time.Second, 50*time.Millisecond)
	refused := 0
	for _, forged := range []struct {
		payload any
		code    string
	}{{workflows.Decided{ApprovalID: uuid.NewString()}, approval.Unknown}, {"nonsense", approval.Unknown}, {nil, approval.Unknown},
		{workflows.Decided{ApprovalID: foreignApproval}, approval.Foreign}} {
		require.NoError(t, b.temporal.SignalWorkflow(t.Context(), workflows.OverrideID(o.ID), "", workflows.Decide, forged.payload))
		refused++
		require.Eventually(t, func() bool {
			var n int
			var code string
			one(&n, `SELECT count(*) FROM audit_log WHERE action = 'approval.refused' AND target = 'override/' || $1::text`, o.ID.String())
			one(&code, `SELECT coalesce((SELECT diff->>'code' FROM audit_log WHERE action = 'approval.refused' AND target = 'override/' || $1::text ORDER BY id DESC LIMIT 1), '')`, o.ID.String())
			return n == refused && code == forged.code
		}, 20*time.Second, 20*time.Millisecond, "%v", forged)
	}
	require.Empty(t, b.inbox(t))
	_, err = b.DecideOverride(ops, o.ID, approval.Approved, "")
	require.Error(t, err, "not by who asked")
	require.True(t, quiet(b.progress(t, id)))

	_, err = b.DecideOverride(lead, o.ID, approval.Approved, "as agreed")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(b.inbox(t)) > 0 }, 20*time.Second, 10*time.Millisecond)
	var latency time.Duration
	one(&latency, `SELECT min(t.sending_at) - max(a.created_at) FROM targets t, approvals a WHERE t.campaign_id = $1 AND a.subject_id = $2`, id, o.ID.String())
	t.Logf("from the approval to the first released send: %s", latency)
	require.Less(t, latency, 4*time.Second, "it is a third of a second where nobody else works")

	b.until(t, id, 60*time.Second, quiet)
	p := b.progress(t, id)
	require.Positive(t, p.Counts.Queued)
	require.Positive(t, p.Counts.Accepted())
	require.Eventually(t, func() bool { v, _, err := b.OverrideOf(lead, o.ID); return err == nil && v.State == override.Ended }, 20*time.Second, 50*time.Millisecond)
	var ends time.Time
	one(&ends, `SELECT ends_at FROM overrides WHERE id = $1`, o.ID)
	for _, m := range b.inbox(t) {
		require.Less(t, m.ReceivedAt.Sub(ends), store.StartWithin, "it may be under way for a moment, but starts before the end")
	}
	var late int
	one(&late, `SELECT count(*) FROM targets WHERE campaign_id = $1 AND sending_at >= $2`, id, ends)
	require.Zero(t, late)
	require.Equal(t, campaign.Running, b.progress(t, id).Status)
	require.Eventually(t, func() bool {
		return b.found(t, fmt.Sprintf(`WorkflowId = %q AND ExecutionStatus = "Completed" AND State = "ended"`, workflows.OverrideID(o.ID))) == 1
	}, 20*time.Second, 50*time.Millisecond)
	require.Error(t, b.temporal.SignalWorkflow(t.Context(), workflows.OverrideID(o.ID), "", workflows.Decide, workflows.Decided{ApprovalID: foreignApproval}),
		"Temporal takes no message for what is over")
	keepHistory(t, "override", b.historyOf(t, workflows.OverrideID(o.ID)), o.ID)
	b.order(t, id, campaign.GateStopped)
	require.Contains(t, b.notices.titles(), "Override for campaign Jazz night: approved")
}

// A message that waits goes within a moment of the approval; what is stopped stays stopped.
func TestAnOverrideReleasesASingleSend(t *testing.T) {
	t.Parallel()
	b := setup(t)
	support, lead := b.colleague(t, "support"), b.colleague(t, "project_lead")
	b.set(t, "quiet_hours", quietNow("RW", "Africa/Kigali"))
	goes, stops, waits := b.single(t, rw(1), true), b.single(t, rw(2), true), b.single(t, rw(3), true)
	request := func(id uuid.UUID, lasts time.Duration) store.Override {
		t.Helper()
		o, err := b.RequestOverride(support, store.NewOverride{Kind: override.QuietHours, SendID: &id, EndsAt: time.Now().Add(lasts), Reason: "their table is ready"})
		require.NoError(t, err)
		return o
	}
	approve := func(o store.Override) {
		t.Helper()
		_, err := b.DecideOverride(lead, o.ID, approval.Approved, "as agreed")
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return b.found(t, `Blocker = "quiet_hours"`) == 3 }, 30*time.Second, 50*time.Millisecond)
	_, err := b.AddOptOuts(t.Context(), []contact.MSISDN{contact.MSISDN(rw(2))}, store.OptOutInbound, "STOP")
	require.NoError(t, err)
	b.becomes(t, stops.ID, 20*time.Second, campaign.OptedOut)

	o := request(goes.ID, 20*time.Second)
	require.Eventually(t, func() bool {
		return b.found(t, fmt.Sprintf(`WorkflowId = %q AND ExecutionStatus = "Running"`, workflows.OverrideID(o.ID))) == 1
	}, 20*time.Second, 50*time.Millisecond)
	require.NoError(t, b.temporal.SignalWorkflow(t.Context(), workflows.OverrideID(o.ID), "", workflows.Decide, workflows.Decided{ApprovalID: uuid.NewString()}))
	require.NoError(t, b.temporal.SignalWorkflow(t.Context(), workflows.SendID(goes.ID, 0), "", workflows.LookAgain, nil))
	conn, err := pgx.Connect(t.Context(), b.url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	require.Eventually(t, func() bool {
		var refused int
		require.NoError(t, conn.QueryRow(t.Context(), `SELECT count(*) FROM audit_log WHERE action = 'approval.refused' AND target = 'override/' || $1::text`, o.ID.String()).Scan(&refused))
		return refused == 1
	}, 20*time.Second, 20*time.Millisecond, "what is forged is told, and changes nothing")
	require.Empty(t, b.inbox(t))

	approve(o)
	b.becomes(t, goes.ID, 20*time.Second, campaign.Sent, campaign.Delivered, campaign.Read)
	var latency time.Duration
	require.NoError(t, conn.QueryRow(t.Context(), `SELECT s.sending_at - a.created_at FROM sends s, approvals a WHERE s.id = $1 AND a.subject_id = $2`,
		goes.ID, o.ID.String()).Scan(&latency))
	t.Logf("from the approval to the send: %s", latency)
	require.Less(t, latency, 4*time.Second, "it is a third of a second where nobody else works")
	require.Len(t, b.inbox(t), 1, "nothing to who wrote STOP, nor to who waits")

	// Throttled for as long as its override lasts, a message waits for quiet hours again when that has ended.
	b.set(t, "throttle", `{"whatsapp":{"per_minute":0}}`)
	late := request(waits.ID, 8*time.Second)
	approve(late)
	blocked := func(reason policy.Reason) func() bool {
		return func() bool {
			one, err := b.Send(t.Context(), waits.ID)
			return err == nil && one.State == campaign.Queued && one.Block != nil && one.Block.Reason == reason
		}
	}
	require.Eventually(t, blocked(policy.Throttled), 20*time.Second, 20*time.Millisecond)
	require.Eventually(t, blocked(policy.InQuietHours), 30*time.Second, 50*time.Millisecond)
	v, _, err := b.OverrideOf(lead, late.ID)
	require.NoError(t, err)
	require.Equal(t, override.Ended, v.State)
	require.Len(t, b.inbox(t), 1)
}
