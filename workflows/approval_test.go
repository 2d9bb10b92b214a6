package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/activities"
	"lastcall/domain/campaign"
	"lastcall/workflows"
)

// claim sends the message that an approval was given, after a virtual delay.
func (b *bundle) claim(after time.Duration, approval string) {
	b.RegisterDelayedCallback(func() { b.SignalWorkflow(workflows.Approve, workflows.Approved{ApprovalID: approval}) }, after)
}

// lateAfter has the approval "first" hold until two hours after at, as the store has it; "fresh" holds for good.
func (b *bundle) lateAfter(at time.Time) {
	b.approved = func(in activities.VerifyApprovalInput) string {
		switch {
		case in.Approval == "fresh" || in.Approval == "first" && !b.now().After(at.Add(2*time.Hour)):
			return ""
		case in.Approval == "first":
			return "needs approval again: it would begin more than 2h late"
		}
		return "needs approval again: there is no such approval"
	}
}

func TestALateCampaignIsAskedAboutAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	at := start.Add(time.Hour)
	b.lateAfter(at)
	b.order(30*time.Minute, workflows.OrderPause)
	b.order(4*time.Hour, workflows.OrderResume) // three hours late
	b.claim(5*time.Hour, "forged")
	b.claim(6*time.Hour, "first")
	b.claim(7*time.Hour, "fresh")
	b.run(t, workflows.CampaignInput{SendAt: &at, Approval: "first"})
	require.NoError(t, b.GetWorkflowError())
	require.Equal(t, []campaign.Status{campaign.Paused, campaign.Preflight, campaign.Paused, campaign.Preflight, campaign.Running, campaign.Settling}, b.statuses)
	require.Equal(t, "needs approval again: it would begin more than 2h late", b.problems[2])
	require.Equal(t, start.Add(7*time.Hour), b.now(), "neither a forged claim nor an old one wakes it")
}

func TestACampaignInTimeBegins(t *testing.T) {
	t.Parallel()
	b := setup(t)
	at := start.Add(time.Hour)
	b.lateAfter(at)
	b.run(t, workflows.CampaignInput{SendAt: &at, Approval: "first"})
	require.NoError(t, b.GetWorkflowError())
	require.Equal(t, []campaign.Status{campaign.Preflight, campaign.Running, campaign.Settling}, b.statuses)
}

// An approval that comes while somebody has it paused resumes nothing; it is used when they do.
func TestAnApprovalResumesNoPause(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.lateAfter(start)
	b.order(time.Hour, workflows.OrderPause)
	b.claim(2*time.Hour, "fresh")
	resumed := b.order(3*time.Hour, workflows.OrderResume)
	b.run(t, workflows.CampaignInput{Approval: "none"})
	require.NoError(t, b.GetWorkflowError())
	require.NoError(t, resumed.err)
	require.Equal(t, start.Add(3*time.Hour), b.now())
	require.Equal(t, campaign.Done, b.ended)
}

// Once it has begun nobody is asked any more, however often it is paused.
func TestACampaignIsApprovedOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	asked, looked := 0, 0
	b.approved = func(in activities.VerifyApprovalInput) string {
		if in.Claimed {
			looked++
			return "needs approval again: there is no such approval"
		}
		asked++
		return ""
	}
	b.answers = func(n int) (activities.DispatchResult, error) {
		if n == 0 {
			return waits(24 * time.Hour), nil
		}
		return drained, nil
	}
	b.order(time.Hour, workflows.OrderPause)
	b.claim(2*time.Hour, "forged")
	b.order(3*time.Hour, workflows.OrderResume)
	b.run(t, workflows.CampaignInput{Approval: "first"})
	require.NoError(t, b.GetWorkflowError())
	require.Equal(t, 1, asked)
	require.Equal(t, 1, looked, "the forged claim was looked into, and changed nothing")
	require.Equal(t, campaign.Done, b.ended)
}
