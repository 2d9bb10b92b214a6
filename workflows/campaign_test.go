package workflows_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"lastcall/activities"
	"lastcall/domain/campaign"
	"lastcall/workflows"
)

var (
	acts  *activities.Campaigns
	id    = uuid.MustParse("01890a5d-ac96-774b-bcce-b302099a8057")
	start = time.Date(2026, 3, 28, 20, 0, 0, 0, time.UTC) // the night Malta changes its clocks
)

// bundle is a campaign's workflow in virtual time, with activities that say what the test wants.
type bundle struct {
	*testsuite.TestWorkflowEnvironment
	statuses []campaign.Status // as they reached Postgres
	problems []string
	ended    campaign.Status
	batches  []activities.DispatchInput
	answers  func(n int) (activities.DispatchResult, error) // to the nth batch, 0 first
	check    func() activities.PreflightResult
	advance  func(activities.AdvanceInput) error
	approved func(activities.VerifyApprovalInput) string // what the problem is

	advanceTakes time.Duration
}

func setup(t *testing.T) *bundle {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	b := &bundle{TestWorkflowEnvironment: suite.NewTestWorkflowEnvironment()}
	b.SetStartTime(start)
	b.SetTestTimeout(20 * time.Second)
	b.SetWorkerOptions(worker.Options{DisableRegistrationAliasing: true})
	b.RegisterActivity(acts)
	b.check = func() activities.PreflightResult { return activities.PreflightResult{Lanes: 3} }
	b.advance = func(activities.AdvanceInput) error { return nil }
	b.OnActivity(acts.Preflight, mock.Anything, id).Return(func(context.Context, uuid.UUID) (activities.PreflightResult, error) {
		return b.check(), nil
	}).Maybe()
	b.approved = func(activities.VerifyApprovalInput) string { return "" }
	b.OnActivity(acts.VerifyApproval, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.VerifyApprovalInput) (activities.VerifyApprovalResult, error) {
		return activities.VerifyApprovalResult{Problem: b.approved(in)}, nil
	}).Maybe()
	b.OnActivity(acts.Advance, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.AdvanceInput) (activities.Nothing, error) {
		if err := b.advance(in); err != nil {
			return activities.Nothing{}, err
		}
		b.statuses, b.problems = append(b.statuses, in.Status), append(b.problems, in.NeedsHuman)
		return activities.Nothing{}, nil
	}).AfterFn(func() time.Duration { return b.advanceTakes })
	b.OnActivity(acts.DispatchBatch, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.DispatchInput) (activities.DispatchResult, error) {
		b.batches = append(b.batches, in)
		return b.answers(len(b.batches) - 1)
	}).Maybe()
	b.OnActivity(acts.CancelQueued, mock.Anything, id).Return(int64(7), nil).Maybe()
	b.OnActivity(acts.Settle, mock.Anything, mock.Anything).Return(true, nil).Maybe()
	b.OnActivity(acts.Finish, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.FinishInput) (activities.Nothing, error) {
		b.ended = in.Status
		return activities.Nothing{}, nil
	}).Maybe()
	b.answers = func(int) (activities.DispatchResult, error) { return drained, nil }
	return b
}

func (b *bundle) run(t *testing.T, in workflows.CampaignInput) {
	t.Helper()
	in.CampaignID = id
	b.ExecuteWorkflow(workflows.Campaign, in)
	require.True(t, b.IsWorkflowCompleted())
}

var (
	drained = activities.DispatchResult{Drained: true, Gate: campaign.GateOpen}
	more    = activities.DispatchResult{More: true, Handled: 2000, Gate: campaign.GateOpen}
)

func waits(long time.Duration) activities.DispatchResult {
	return activities.DispatchResult{Gate: campaign.GateOpen, Wait: activities.Wait{Reason: "quiet_hours", For: long, Why: "quiet hours RW until 06:00 CAT"}}
}

// now is the virtual time.
func (b *bundle) now() time.Time { return b.TestWorkflowEnvironment.Now().UTC() }

// answer is what came of an order: the virtual time and the status it came with.
type answer struct {
	at     time.Time
	status any
	err    error
}

// order sends an Update after a virtual delay.
func (b *bundle) order(after time.Duration, name string) *answer {
	a := &answer{}
	b.RegisterDelayedCallback(func() {
		b.UpdateWorkflow(name, uuid.NewString(), &testsuite.TestUpdateCallback{
			OnAccept:   func() {},
			OnReject:   func(err error) { a.err = err },
			OnComplete: func(v any, err error) { a.at, a.status, a.err = b.now(), v, err },
		})
	}, after)
	return a
}

func TestCampaignRunsThrough(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.run(t, workflows.CampaignInput{})
	require.NoError(t, b.GetWorkflowError())
	require.Equal(t, []campaign.Status{campaign.Preflight, campaign.Running, campaign.Settling}, b.statuses)
	require.Equal(t, campaign.Done, b.ended)
	require.Equal(t, start, b.now())
}

func TestCampaignWaitsForItsTime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	at := start.Add(72 * time.Hour)
	b.answers = func(int) (activities.DispatchResult, error) {
		require.False(t, b.now().Before(at))
		return drained, nil
	}
	b.run(t, workflows.CampaignInput{SendAt: &at})
	require.NoError(t, b.GetWorkflowError())
	require.Len(t, b.batches, 1)
}

func TestOneLaneFirstThenAll(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.answers = func(n int) (activities.DispatchResult, error) {
		if n < 6 {
			return more, nil
		}
		return drained, nil
	}
	b.run(t, workflows.CampaignInput{})
	require.NoError(t, b.GetWorkflowError())
	lanes, batches := map[int]bool{}, map[int]bool{}
	for _, in := range b.batches {
		lanes[in.Lane] = true
		require.False(t, batches[in.Batch], "a batch number names an owner and is never given out twice")
		batches[in.Batch] = true
	}
	require.Zero(t, b.batches[0].Lane)
	require.Len(t, lanes, 3)
}

func TestQuietHoursEndByThemselves(t *testing.T) {
	t.Parallel()
	b := setup(t)
	morning := start.Add(8 * time.Hour)
	b.answers = func(n int) (activities.DispatchResult, error) {
		if n == 0 {
			return waits(8 * time.Hour), nil
		}
		require.Equal(t, morning, b.now())
		return drained, nil
	}
	b.run(t, workflows.CampaignInput{})
	require.NoError(t, b.GetWorkflowError())
	require.Len(t, b.batches, 2)
}

func TestSettingsWakeAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var woken time.Time
	b.answers = func(n int) (activities.DispatchResult, error) {
		if n == 0 {
			return waits(8 * time.Hour), nil
		}
		woken = b.now()
		return drained, nil
	}
	b.RegisterDelayedCallback(func() { b.SignalWorkflow(workflows.SettingsChanged, int64(2)) }, time.Hour)
	b.run(t, workflows.CampaignInput{})
	require.NoError(t, b.GetWorkflowError())
	require.Equal(t, start.Add(time.Hour), woken)
}

func TestHeldUntilSomebodyChangesSomething(t *testing.T) {
	t.Parallel()
	b := setup(t)
	held := activities.DispatchResult{Gate: campaign.GateOpen, Wait: activities.Wait{Reason: "throttled", Why: "whatsapp is stopped"}}
	b.answers = func(n int) (activities.DispatchResult, error) {
		if n == 0 {
			return held, nil
		}
		return drained, nil
	}
	b.RegisterDelayedCallback(func() { b.SignalWorkflow(workflows.SettingsChanged, int64(2)) }, 1000*time.Hour)
	b.run(t, workflows.CampaignInput{})
	require.NoError(t, b.GetWorkflowError())
	require.Equal(t, start.Add(1000*time.Hour), b.now())
}

func TestPauseAnswersWhenDrainedAndResumeGoesOn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.answers = func(n int) (activities.DispatchResult, error) {
		if n == 0 {
			return waits(8 * time.Hour), nil
		}
		return drained, nil
	}
	pause, resume := b.order(time.Hour, workflows.OrderPause), b.order(10*time.Hour, workflows.OrderResume)
	b.run(t, workflows.CampaignInput{})
	require.NoError(t, b.GetWorkflowError())
	require.Equal(t, campaign.Paused, pause.status)
	require.Equal(t, start.Add(time.Hour), pause.at)
	require.NoError(t, resume.err)
	require.Equal(t, start.Add(10*time.Hour), resume.at)
	require.Equal(t, []campaign.Status{campaign.Preflight, campaign.Running, campaign.Paused, campaign.Preflight, campaign.Running, campaign.Settling}, b.statuses)
	require.Len(t, b.batches, 2, "nothing is dispatched while it is paused, not even when the quiet hours end")
}

func TestPauseBeforeTheSendTimeGoesBackToWaiting(t *testing.T) {
	t.Parallel()
	b := setup(t)
	at := start.Add(24 * time.Hour)
	b.order(time.Hour, workflows.OrderPause)
	b.order(2*time.Hour, workflows.OrderResume)
	b.run(t, workflows.CampaignInput{SendAt: &at})
	require.NoError(t, b.GetWorkflowError())
	require.Equal(t, []campaign.Status{campaign.Paused, campaign.Scheduled, campaign.Preflight, campaign.Running, campaign.Settling}, b.statuses)
	require.Equal(t, at, b.now())
}

func TestStopCancelsAndEnds(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]workflows.CampaignInput{"waiting": {}, "scheduled": {SendAt: new(start.Add(100 * time.Hour))}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.answers = func(int) (activities.DispatchResult, error) { return waits(50 * time.Hour), nil }
			stop := b.order(time.Hour, workflows.OrderStop)
			late := b.order(2*time.Hour, workflows.OrderPause)
			b.run(t, after)
			require.NoError(t, b.GetWorkflowError())
			require.NoError(t, stop.err)
			require.Equal(t, campaign.Stopped, b.ended)
			require.Equal(t, start.Add(time.Hour), b.now())
			require.Nil(t, late.status)
			b.AssertCalled(t, "CancelQueued", mock.Anything, id)
		})
	}
}

func TestProblemPausesForAHuman(t *testing.T) {
	t.Parallel()
	b := setup(t)
	checks := 0
	b.check = func() activities.PreflightResult {
		if checks++; checks == 1 {
			return activities.PreflightResult{Problem: "template promo is retired", Lanes: 3}
		}
		return activities.PreflightResult{Lanes: 3}
	}
	b.order(5*time.Hour, workflows.OrderResume)
	b.run(t, workflows.CampaignInput{})
	require.NoError(t, b.GetWorkflowError())
	require.Equal(t, []campaign.Status{campaign.Preflight, campaign.Paused, campaign.Preflight, campaign.Running, campaign.Settling}, b.statuses)
	require.Equal(t, []string{"", "template promo is retired", "", "", ""}, b.problems)
}

func TestClosedGateWaitsForItsOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.answers = func(n int) (activities.DispatchResult, error) {
		if n == 0 {
			return activities.DispatchResult{Gate: campaign.GatePaused}, nil
		}
		return drained, nil
	}
	b.order(3*time.Second, workflows.OrderPause)
	b.order(time.Minute, workflows.OrderResume)
	b.run(t, workflows.CampaignInput{})
	require.NoError(t, b.GetWorkflowError())
	require.Len(t, b.batches, 2)
}

func TestLongHistoryGoesOnInANewRun(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.answers = func(n int) (activities.DispatchResult, error) {
		b.SetContinueAsNewSuggested(n >= 2)
		return more, nil
	}
	b.run(t, workflows.CampaignInput{})
	require.True(t, workflow.IsContinueAsNewError(b.GetWorkflowError()), "%v", b.GetWorkflowError())
	require.Empty(t, b.ended)

	next := setup(t)
	next.run(t, workflows.CampaignInput{State: workflows.CampaignState{Status: campaign.Running, Batches: len(b.batches), Lanes: 3, Wide: true}})
	require.NoError(t, next.GetWorkflowError())
	require.Equal(t, campaign.Done, next.ended)
	require.Equal(t, []campaign.Status{campaign.Settling}, next.statuses)
}

func TestFailureIsToldAndEnds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.answers = func(int) (activities.DispatchResult, error) {
		return activities.DispatchResult{}, temporal.NewNonRetryableApplicationError("another attempt has the lane", "fenced", nil)
	}
	b.run(t, workflows.CampaignInput{})
	require.ErrorContains(t, b.GetWorkflowError(), "another attempt has the lane")
	require.Equal(t, campaign.Failed, b.ended)
}

func TestPauseThatMeetsTheEndIsTooLate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.advanceTakes = 10 * time.Second
	pause := b.order(25*time.Second, workflows.OrderPause) // while settling is being written
	b.run(t, workflows.CampaignInput{})
	require.NoError(t, b.GetWorkflowError())
	require.ErrorContains(t, pause.err, "too late: the campaign is settling")
	require.Equal(t, start.Add(30*time.Second), pause.at, "it had been accepted, and answers when it knows")
	require.Equal(t, campaign.Done, b.ended)
}

func TestNotDrainedGoesOn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	refusals := 1
	b.advance = func(in activities.AdvanceInput) error {
		if in.Status == campaign.Settling && refusals > 0 {
			refusals--
			return temporal.NewNonRetryableApplicationError("3 targets are still queued", "not_drained", nil)
		}
		return nil
	}
	b.run(t, workflows.CampaignInput{})
	require.NoError(t, b.GetWorkflowError())
	require.Equal(t, campaign.Done, b.ended)
	require.Len(t, b.batches, 2)
}

func TestProvidersRefusalOfAllPausesForAHuman(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.answers = func(n int) (activities.DispatchResult, error) {
		if n == 0 {
			return activities.DispatchResult{Gate: campaign.GateOpen, Problem: "WhatsApp 190: our access token has expired"}, nil
		}
		return drained, nil
	}
	b.order(time.Hour, workflows.OrderResume)
	b.run(t, workflows.CampaignInput{})
	require.NoError(t, b.GetWorkflowError())
	require.Contains(t, b.problems, "WhatsApp 190: our access token has expired")
	require.Equal(t, []campaign.Status{campaign.Preflight, campaign.Running, campaign.Paused, campaign.Preflight, campaign.Running, campaign.Settling}, b.statuses)
}

// A wait that needs a human goes on by itself once it is mended: the campaign is not paused for it.
func TestWaitThatNeedsAHumanIsNoPause(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var human []bool
	b.OnUpsertTypedSearchAttributes(mock.Anything).Return(nil).Run(func(args mock.Arguments) {
		if needs, ok := args.Get(0).(temporal.SearchAttributes).GetBool(workflows.AttrNeedsHuman); ok {
			human = append(human, needs)
		}
	})
	b.answers = func(n int) (activities.DispatchResult, error) {
		if n < 2 {
			return activities.DispatchResult{Gate: campaign.GateOpen, Wait: activities.Wait{Reason: "template_suspended", Why: "template promo is paused", NeedsHuman: true}}, nil
		}
		return drained, nil
	}
	b.RegisterDelayedCallback(func() { b.SignalWorkflow(workflows.SettingsChanged, int64(0)) }, time.Hour)
	b.RegisterDelayedCallback(func() { b.SignalWorkflow(workflows.SettingsChanged, int64(0)) }, 2*time.Hour)
	b.run(t, workflows.CampaignInput{})
	require.NoError(t, b.GetWorkflowError())
	require.Equal(t, start.Add(2*time.Hour), b.now())
	require.Equal(t, []campaign.Status{campaign.Preflight, campaign.Running, campaign.Settling}, b.statuses)
	require.Equal(t, []bool{false, false, true, false, false, false}, human, "preflight, running, stuck, going on, settling, done")
}
