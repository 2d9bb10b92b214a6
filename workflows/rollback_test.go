package workflows_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"lastcall/activities"
	"lastcall/domain/rollout"
	"lastcall/workflows"
)

// rollbackBundle is a rollback whose steps are in memory.
type rollbackBundle struct {
	*testsuite.TestWorkflowEnvironment
	id    uuid.UUID
	due   map[rollout.RollbackStep]time.Time
	order []rollout.RollbackStep
	taken []rollout.RollbackStep
	fails map[rollout.RollbackStep]int // how often yet
	over  bool
}

func setupRollback(t *testing.T, steps ...rollout.RollbackStep) *rollbackBundle {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	b := &rollbackBundle{TestWorkflowEnvironment: suite.NewTestWorkflowEnvironment(), id: uuid.New(), due: map[rollout.RollbackStep]time.Time{}, order: steps, fails: map[rollout.RollbackStep]int{}}
	for _, s := range steps {
		b.due[s] = time.Time{}
	}
	b.RegisterWorkflow(workflows.Rollback)
	var acts *activities.Rollbacks
	b.OnActivity(acts.NextRollbackStep, mock.Anything, b.id).Return(func(context.Context, uuid.UUID) (activities.RollbackNext, error) {
		next := activities.RollbackNext{State: rollout.RollbackRunning, Over: b.over}
		for _, s := range b.order {
			at, open := b.due[s]
			if !open {
				continue
			}
			if wait := at.Sub(b.Now()); wait <= 0 {
				return activities.RollbackNext{State: rollout.RollbackRunning, Step: s}, nil
			} else if next.Wait == 0 || wait < next.Wait {
				next.Wait = wait
			}
		}
		if len(b.due) == 0 {
			next.State = rollout.RollbackDone
		}
		return next, nil
	})
	b.OnActivity(acts.TakeRollbackStep, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.RollbackTask) (activities.Nothing, error) {
		b.taken = append(b.taken, in.Step)
		if b.fails[in.Step]--; b.fails[in.Step] >= 0 {
			b.due[in.Step] = b.Now().Add(10 * time.Second)
		} else {
			delete(b.due, in.Step)
		}
		return activities.Nothing{}, nil
	})
	return b
}

// What does not come off keeps no other step waiting, and is tried again; people are waited for, for as long as that takes.
func TestARollbackTakesItsSteps(t *testing.T) {
	t.Parallel()
	b := setupRollback(t, rollout.DispatchOff, rollout.LegacyOn, rollout.Readback)
	b.fails[rollout.LegacyOn] = 2
	began := b.Now()
	b.RegisterDelayedCallback(func() {
		b.due[rollout.Announced], b.order = time.Time{}, append(b.order, rollout.Announced)
		b.SignalWorkflow(workflows.RollbackChanged, "nonsense")
	}, 60*24*time.Hour)
	b.RegisterDelayedCallback(func() {
		b.over = true
		b.SignalWorkflow(workflows.RollbackChanged, nil)
	}, 61*24*time.Hour)
	b.ExecuteWorkflow(workflows.Rollback, workflows.RollbackInput{RollbackID: b.id})
	require.True(t, b.IsWorkflowCompleted())
	require.NoError(t, b.GetWorkflowError())
	require.Equal(t, []rollout.RollbackStep{rollout.DispatchOff, rollout.LegacyOn, rollout.Readback, rollout.LegacyOn, rollout.LegacyOn, rollout.Announced}, b.taken)
	require.Equal(t, 61*24*time.Hour, b.Now().Sub(began).Round(time.Hour))
}

// A full history is followed by a new one.
func TestARollbackContinuesAsNew(t *testing.T) {
	t.Parallel()
	b := setupRollback(t, rollout.DispatchOff)
	b.SetContinueAsNewSuggested(true)
	b.ExecuteWorkflow(workflows.Rollback, workflows.RollbackInput{RollbackID: b.id})
	require.True(t, workflow.IsContinueAsNewError(b.GetWorkflowError()))
}
