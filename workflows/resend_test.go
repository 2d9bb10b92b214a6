package workflows_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"

	"lastcall/activities"
	"lastcall/domain/campaign"
	"lastcall/workflows"
)

func TestWorkflowIDs(t *testing.T) {
	t.Parallel()
	id := uuid.MustParse("01890a5d-ac96-774b-bcce-b302099a8057")
	require.Equal(t, "campaign/01890a5d-ac96-774b-bcce-b302099a8057", workflows.ResendID(id, 0))
	require.Equal(t, "campaign/01890a5d-ac96-774b-bcce-b302099a8057/resend/2", workflows.ResendID(id, 2))
}

func TestAResendSaysWhichItIs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.advance = func(in activities.AdvanceInput) error { require.Equal(t, 2, in.Resend); return nil }
	b.run(t, workflows.CampaignInput{Resend: 2})
	require.NoError(t, b.GetWorkflowError())
	require.Equal(t, campaign.Done, b.ended)
	require.Equal(t, 2, b.batches[0].Resend)
	b.AssertCalled(t, "Finish", mock.Anything, activities.FinishInput{CampaignID: id, Resend: 2, Status: campaign.Done})
}

// TestAResetRunObeysTheGate: the order was given to the run before it, at a point that was reset away.
func TestAResetRunObeysTheGate(t *testing.T) {
	t.Parallel()
	for gate, want := range map[campaign.Gate]campaign.Status{campaign.GatePaused: campaign.Done, campaign.GateStopped: campaign.Stopped} {
		b := setup(t)
		b.answers = func(n int) (activities.DispatchResult, error) {
			if n == 0 {
				return activities.DispatchResult{Gate: gate}, nil
			}
			return drained, nil
		}
		if gate == campaign.GatePaused {
			b.order(time.Hour, workflows.OrderResume)
		}
		b.run(t, workflows.CampaignInput{})
		require.NoError(t, b.GetWorkflowError())
		require.Equal(t, want, b.ended)
		require.Equal(t, gate == campaign.GatePaused, b.now().Sub(start) >= time.Hour, "paused until somebody resumes it")
	}
}

// TestRecoveredRunsObeyStandingOrders: a new run begins under the orders that stand.
func TestRecoveredRunsObeyStandingOrders(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.run(t, workflows.CampaignInput{State: workflows.CampaignState{Status: campaign.Scheduled, Stopped: true}})
	require.NoError(t, b.GetWorkflowError())
	require.Equal(t, campaign.Stopped, b.ended)
	require.Empty(t, b.batches)

	b = setup(t)
	b.order(time.Hour, workflows.OrderResume)
	b.run(t, workflows.CampaignInput{State: workflows.CampaignState{Status: campaign.Scheduled, Paused: true}})
	require.NoError(t, b.GetWorkflowError())
	require.Equal(t, []campaign.Status{campaign.Paused, campaign.Preflight, campaign.Running, campaign.Settling}, b.statuses)
}
