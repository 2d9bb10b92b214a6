package workflows_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"lastcall/activities"
	"lastcall/domain/override"
	"lastcall/workflows"
)

var overrides *activities.Overrides

// overrideBundle is an override's workflow in virtual time, over a database that is a few fields.
type overrideBundle struct {
	*testsuite.TestWorkflowEnvironment
	row    override.Override
	good   string   // the id of the one decision that holds
	claims []string // that were looked into
	states []override.State
	at     []time.Duration // of the states, since the start
}

func setupOverride(t *testing.T, row override.Override) *overrideBundle {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	b := &overrideBundle{TestWorkflowEnvironment: suite.NewTestWorkflowEnvironment(), row: row, good: uuid.NewString()}
	b.SetStartTime(start)
	b.SetTestTimeout(20 * time.Second)
	b.SetWorkerOptions(worker.Options{DisableRegistrationAliasing: true})
	b.RegisterActivity(overrides)
	step := func() activities.OverrideStep {
		state, wait := b.row.Due(b.Now())
		if b.row.State = state; len(b.states) == 0 || b.states[len(b.states)-1] != state {
			b.states, b.at = append(b.states, state), append(b.at, b.Now().Sub(start))
		}
		return activities.OverrideStep{State: state, Wait: wait, Why: "test"}
	}
	b.OnActivity(overrides.StepOverride, mock.Anything, id).Return(func(context.Context, uuid.UUID) (activities.OverrideStep, error) { return step(), nil })
	b.OnActivity(overrides.DecidedOverride, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.DecidedInput) (activities.OverrideStep, error) {
		b.claims = append(b.claims, in.Approval)
		if in.Approval != b.good || !b.row.State.Open() {
			s := step()
			s.Problem = "there is no such approval"
			return s, nil
		}
		if b.row.State == override.Requested {
			b.row.State = override.Approved
		}
		return step(), nil
	}).Maybe()
	return b
}

func (b *overrideBundle) signal(after time.Duration, name string, payload any) {
	b.RegisterDelayedCallback(func() { b.SignalWorkflow(name, payload) }, after)
}

func (b *overrideBundle) decide(after time.Duration, approval string) {
	b.signal(after, workflows.Decide, workflows.Decided{ApprovalID: approval})
}

func (b *overrideBundle) run(t *testing.T) {
	t.Helper()
	b.ExecuteWorkflow(workflows.Override, workflows.OverrideInput{OverrideID: id})
	require.True(t, b.IsWorkflowCompleted())
	require.NoError(t, b.GetWorkflowError())
}

// asked is a request for the hour from so long after the start on.
func asked(from time.Duration) override.Override {
	return override.Override{State: override.Requested, Window: override.Window{Start: start.Add(from), End: start.Add(from + time.Hour)}, AskUntil: start.Add(30 * time.Minute)}
}

func TestAnOverrideBeginsAndEndsAtItsTimes(t *testing.T) {
	t.Parallel()
	b := setupOverride(t, asked(2*time.Hour))
	b.decide(10*time.Minute, b.good)
	b.run(t)
	require.Equal(t, []override.State{override.Requested, override.Approved, override.Active, override.Ended}, b.states)
	require.Equal(t, []time.Duration{0, 10 * time.Minute, 2 * time.Hour, 3 * time.Hour}, b.at)
}

func TestAnOverrideOfNowIsActiveWithItsDecision(t *testing.T) {
	t.Parallel()
	b := setupOverride(t, asked(0))
	b.decide(time.Minute, b.good)
	b.run(t)
	require.Equal(t, []time.Duration{0, time.Minute, time.Hour}, b.at)
	require.Equal(t, []override.State{override.Requested, override.Active, override.Ended}, b.states)
}

// Whatever somebody sends: each claim is looked into, and only the decision changes anything.
func TestForgedDecisionsChangeNothing(t *testing.T) {
	t.Parallel()
	b := setupOverride(t, asked(2*time.Hour))
	forged := uuid.NewString()
	b.decide(time.Minute, forged)
	b.signal(2*time.Minute, workflows.Decide, "nonsense")
	b.signal(3*time.Minute, workflows.Decide, nil)
	b.signal(4*time.Minute, workflows.Decide, map[string]int{"approval_id": 7})
	b.decide(10*time.Minute, b.good)
	b.decide(20*time.Minute, forged)         // it waits for its start
	b.decide(150*time.Minute, forged)        // it is active
	b.decide(3*time.Hour, uuid.Nil.String()) // it ends this very moment
	b.run(t)
	require.Equal(t, []string{forged, "", "", "", b.good, forged, forged, uuid.Nil.String()}, b.claims)
	require.Equal(t, []override.State{override.Requested, override.Approved, override.Active, override.Ended}, b.states)
	require.Equal(t, []time.Duration{0, 10 * time.Minute, 2 * time.Hour, 3 * time.Hour}, b.at)
}

func TestNobodyDecidesInTime(t *testing.T) {
	t.Parallel()
	b := setupOverride(t, asked(2*time.Hour))
	b.decide(20*time.Minute, uuid.NewString())
	b.run(t)
	require.Equal(t, []override.State{override.Requested, override.Expired}, b.states)
	require.Equal(t, 30*time.Minute, b.at[1])
}

func TestAnOverrideIsCancelledAtOnce(t *testing.T) {
	t.Parallel()
	b := setupOverride(t, asked(0))
	b.decide(time.Minute, b.good)
	b.RegisterDelayedCallback(func() {
		b.row.State = override.Cancelled
		b.SignalWorkflow(workflows.OverrideChanged, nil)
	}, 5*time.Minute)
	b.run(t)
	require.Equal(t, []time.Duration{0, time.Minute, 5 * time.Minute}, b.at)
	require.Equal(t, override.Cancelled, b.states[2])
}

// Very many messages begin a new history, and lose none.
func TestAnOverrideContinuesAsNew(t *testing.T) {
	t.Parallel()
	b := setupOverride(t, asked(2*time.Hour))
	b.SetContinueAsNewSuggested(true)
	b.RegisterDelayedCallback(func() { b.SignalWorkflow(workflows.Decide, workflows.Decided{ApprovalID: b.good}) }, 0)
	b.ExecuteWorkflow(workflows.Override, workflows.OverrideInput{OverrideID: id})
	require.True(t, workflow.IsContinueAsNewError(b.GetWorkflowError()))
	require.Equal(t, []string{b.good}, b.claims)
}
