package worker_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"lastcall/domain/approval"
	"lastcall/domain/audit"
	"lastcall/domain/campaign"
	"lastcall/store"
	"lastcall/workflows"
)

// colleague is the context of requests of a new account.
func (b *bundle) colleague(t *testing.T, role string) context.Context {
	t.Helper()
	a, err := b.AddAccount(t.Context(), store.NewAccount{Email: role + "@example.test", Name: role, Role: role, Password: "a long password"})
	require.NoError(t, err)
	return audit.WithActor(t.Context(), a.Actor())
}

// approve asks for and gives the approval of a campaign.
func (b *bundle) approve(t *testing.T, ops, lead context.Context, id uuid.UUID, at *time.Time) store.Approval {
	t.Helper()
	r, err := b.RequestCampaignApproval(ops, id, at, "")
	require.NoError(t, err)
	a, _, err := b.DecideCampaign(lead, id, approval.Approved, "", r.Digest)
	require.NoError(t, err)
	return a
}

// A campaign whose approval does not hold any more when its time has come sends nothing, whatever somebody tells its
// workflow, until somebody approves it anew.
func TestNothingIsSentWithoutAnApproval(t *testing.T) {
	b := setup(t)
	b.set(t, "campaigns", `{"approval":"always","max_late":"2h","approval_ttl":"24h"}`)
	ops, lead := b.colleague(t, "ops"), b.colleague(t, "project_lead")
	foreign := b.approve(t, ops, lead, b.draft(t, rw(7)), nil)

	id, at := b.draft(t, many(20, rw)...), time.Now().Add(4*time.Second)
	first := b.approve(t, ops, lead, id, &at)
	b.start(t, id)
	b.set(t, "toggles", `{"dispatch":true}`) // the rules are others
	b.until(t, id, 30*time.Second, func(p store.Progress) bool { return p.Status == campaign.Paused })
	require.Equal(t, "needs approval again: what was approved has been changed since", b.progress(t, id).NeedsHuman)
	require.Eventually(t, func() bool { return b.found(t, `NeedsHuman = true AND State = "paused"`) == 1 }, 20*time.Second, 100*time.Millisecond)

	owner, err := pgx.Connect(t.Context(), b.url)
	require.NoError(t, err)
	defer func() { _ = owner.Close(context.Background()) }()
	refused := func(code string) (n int) {
		require.NoError(t, owner.QueryRow(t.Context(), `SELECT count(*) FROM audit_log WHERE action = 'approval.refused' AND target = $1 AND diff->>'code' = $2`,
			"campaign/"+id.String(), code).Scan(&n))
		return n
	}
	require.Equal(t, 1, refused(approval.Changed))
	for _, forged := range []struct{ approval, code string }{{uuid.NewString(), approval.Unknown}, {"nonsense", approval.Unknown},
		{foreign.ID.String(), approval.Foreign}, {first.ID.String(), approval.Void}} {
		before := refused(forged.code)
		require.NoError(t, b.temporal.SignalWorkflow(t.Context(), workflows.CampaignID(id), "", "approve", map[string]string{"approval_id": forged.approval}))
		require.Eventually(t, func() bool { return refused(forged.code) == before+1 }, 20*time.Second, 20*time.Millisecond, forged.code)
	}
	require.Equal(t, campaign.Paused, b.order(t, id, campaign.GatePaused).Status)
	b.order(t, id, campaign.GateOpen) // whoever resumes it does not approve it
	b.until(t, id, 30*time.Second, func(p store.Progress) bool { return p.Status == campaign.Paused })
	require.Empty(t, b.inbox(t))

	b.approve(t, ops, lead, id, nil)
	require.Equal(t, campaign.Done, b.until(t, id, 60*time.Second, ended).Status)
	require.Len(t, b.inbox(t), 20)
	b.keep(t, "unapproved", id)
}
