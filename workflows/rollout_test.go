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
	"lastcall/domain/rollout"
	"lastcall/workflows"
)

var rollouts *activities.Rollouts

// rolloutBundle is a rollout's workflow in virtual time, over a database that is a few fields: two items, looked at each six
// hours, of which one becomes true after a time.
type rolloutBundle struct {
	*testsuite.TestWorkflowEnvironment
	phase    rollout.Phase
	over     bool
	gate     string // an order that waits
	asked    time.Time
	proved   map[string]time.Time
	trueFrom time.Duration // of the second item
	proofs   int
	claims   []string
	good     string
	opened   []time.Duration // phases, since the start
	refused  int
}

func setupRollout(t *testing.T) *rolloutBundle {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	b := &rolloutBundle{TestWorkflowEnvironment: suite.NewTestWorkflowEnvironment(), phase: rollout.Staging, proved: map[string]time.Time{}, good: uuid.NewString()}
	b.SetStartTime(start)
	b.SetTestTimeout(30 * time.Second)
	b.SetWorkerOptions(worker.Options{DisableRegistrationAliasing: true})
	b.RegisterActivity(rollouts)
	b.OnActivity(rollouts.StepRollout, mock.Anything, "kigali").Return(func(context.Context, string) (activities.RolloutStep, error) { return b.step(), nil })
	b.OnActivity(rollouts.ProveItem, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.RolloutItem) (rollout.Outcome, error) {
		b.proofs++
		b.proved[in.Item] = b.Now()
		return rollout.Passed, nil
	}).Maybe()
	b.OnActivity(rollouts.DecidedRollout, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.RolloutClaim) (string, error) {
		b.claims = append(b.claims, in.Approval)
		if in.Approval != b.good {
			return "there is no such approval", nil
		}
		return "", nil
	}).Maybe()
	b.OnActivity(rollouts.OpenGate, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.RolloutGate) (bool, error) {
		require.Equal(t, b.gate, in.Gate)
		for item, at := range b.proved {
			require.False(t, at.Before(b.asked), "%s was not looked at anew", item)
		}
		b.gate = ""
		if b.Now().Sub(start) < b.trueFrom {
			b.refused++
			return false, nil
		}
		b.phase = b.phase.Next()
		b.opened = append(b.opened, b.Now().Sub(start).Round(time.Minute))
		return true, nil
	}).Maybe()
	return b
}

func (b *rolloutBundle) step() activities.RolloutStep {
	s := activities.RolloutStep{Phase: b.phase, Over: b.over, Gate: b.gate}
	for _, item := range []string{"one", "two"} {
		at, looked := b.proved[item]
		next := at.Add(6 * time.Hour).Sub(b.Now())
		switch {
		case b.phase == rollout.Live:
		case !looked || next <= 0 || b.gate != "" && at.Before(b.asked):
			s.Due = append(s.Due, item)
		case s.Wait == 0 || next < s.Wait:
			s.Wait = next
		}
	}
	return s
}

// order orders to open the next phase after a time.
func (b *rolloutBundle) order(after time.Duration) {
	b.RegisterDelayedCallback(func() {
		b.gate, b.asked = uuid.NewString(), b.Now()
		b.SignalWorkflow(workflows.RolloutChanged, nil)
	}, after)
}

func (b *rolloutBundle) end(after time.Duration) {
	b.RegisterDelayedCallback(func() {
		b.over = true
		b.SignalWorkflow(workflows.RolloutChanged, nil)
	}, after)
}

func (b *rolloutBundle) run(t *testing.T) {
	t.Helper()
	b.ExecuteWorkflow(workflows.Rollout, workflows.RolloutInput{Name: "kigali"})
	require.True(t, b.IsWorkflowCompleted())
	require.NoError(t, b.GetWorkflowError())
}

const day = 24 * time.Hour

// A gate waits for months; what is so is looked at all the while, and anew before a gate opens.
func TestARolloutTakesMonths(t *testing.T) {
	t.Parallel()
	b := setupRollout(t)
	b.trueFrom = 40 * day
	b.order(30 * day)
	b.order(100 * day)
	b.order(160 * day)
	b.order(170 * day)
	b.end(200 * day)
	b.run(t)
	require.Equal(t, 1, b.refused, "what is not so is refused, and may be ordered again")
	require.Equal(t, []time.Duration{100 * day, 160 * day, 170 * day}, b.opened)
	require.Equal(t, rollout.Live, b.phase)
	require.InDelta(t, 2*4*170, b.proofs, 20, "both items, four times a day")
}

// Whatever somebody sends: each claim is looked into, and a message opens nothing.
func TestForgedMessagesChangeNothingOfARollout(t *testing.T) {
	t.Parallel()
	b := setupRollout(t)
	forged := uuid.NewString()
	for i, payload := range []any{workflows.Decided{ApprovalID: forged}, "nonsense", nil, map[string]int{"approval_id": 7}, workflows.Decided{ApprovalID: b.good}} {
		b.RegisterDelayedCallback(func() { b.SignalWorkflow(workflows.Decide, payload) }, time.Duration(i+1)*time.Hour)
	}
	b.RegisterDelayedCallback(func() { b.SignalWorkflow(workflows.RolloutChanged, "open everything") }, 10*time.Hour)
	b.end(2 * day)
	b.RegisterDelayedCallback(func() { b.SignalWorkflow(workflows.Decide, workflows.Decided{ApprovalID: forged}) }, 2*day) // together with its end
	b.run(t)
	require.Equal(t, []string{forged, "", "", "", b.good, forged}, b.claims)
	require.Equal(t, rollout.Staging, b.phase)
	require.Empty(t, b.opened)
}

// A full history is followed by a new one, and what came meanwhile is not lost.
func TestARolloutContinuesAsNew(t *testing.T) {
	t.Parallel()
	b := setupRollout(t)
	b.SetContinueAsNewSuggested(true)
	b.RegisterDelayedCallback(func() { b.SignalWorkflow(workflows.Decide, workflows.Decided{ApprovalID: b.good}) }, 0)
	b.ExecuteWorkflow(workflows.Rollout, workflows.RolloutInput{Name: "kigali"})
	require.True(t, workflow.IsContinueAsNewError(b.GetWorkflowError()))
	require.Equal(t, []string{b.good}, b.claims)
}
