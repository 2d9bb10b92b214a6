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

	"lastcall/activities"
	"lastcall/domain/drill"
	"lastcall/workflows"
)

var drills *activities.Drills

// drillBundle is a drill's workflow in virtual time, over a database that is a few fields.
type drillBundle struct {
	*testsuite.TestWorkflowEnvironment
	problem string // what is not steady before
	fault   bool   // it is there
	did     []string
	watched int // how often somebody looked
	ended   activities.EndDrillInput

	// What a look finds: the nth, counted from 1 since the fault came or went.
	watch func(ctx context.Context, n int, gone bool) (activities.DrillSeen, error)
}

func setupDrill(t *testing.T) *drillBundle {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	b := &drillBundle{TestWorkflowEnvironment: suite.NewTestWorkflowEnvironment()}
	b.SetStartTime(start)
	b.SetTestTimeout(20 * time.Second)
	b.SetWorkerOptions(worker.Options{DisableRegistrationAliasing: true})
	b.RegisterActivity(drills)
	b.watch = func(_ context.Context, n int, gone bool) (activities.DrillSeen, error) {
		all := []drill.Event{drill.Detected, drill.Alerted, drill.Acknowledged, drill.Mitigated}
		if gone {
			all = []drill.Event{drill.Recovered, drill.Steady}
		}
		return activities.DrillSeen{New: all[n-1 : n], Over: n == len(all)}, nil
	}
	did := func(what string) { b.did = append(b.did, what) }
	b.OnActivity(drills.CheckDrill, mock.Anything, id).Return(func(context.Context, uuid.UUID) (activities.DrillSteady, error) {
		did("check")
		return activities.DrillSteady{Problem: b.problem}, nil
	}).After(30 * time.Second).Maybe()
	b.OnActivity(drills.InjectDrill, mock.Anything, id).Return(func(context.Context, uuid.UUID) (activities.Nothing, error) {
		did("inject")
		b.fault, b.watched = true, 0
		return activities.Nothing{}, nil
	}).Maybe()
	b.OnActivity(drills.WatchDrill, mock.Anything, id).Return(func(ctx context.Context, _ uuid.UUID) (activities.DrillSeen, error) {
		b.watched++
		return b.watch(ctx, b.watched, !b.fault)
	}).After(30 * time.Second).Maybe()
	b.OnActivity(drills.RevertDrill, mock.Anything, id).Return(func(context.Context, uuid.UUID) (activities.Nothing, error) {
		did("revert")
		b.fault, b.watched = false, 0
		return activities.Nothing{}, nil
	})
	b.OnActivity(drills.EndDrill, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.EndDrillInput) (activities.Nothing, error) {
		require.False(t, b.fault, "the fault is gone before it ends")
		did("end")
		b.ended = in
		return activities.Nothing{}, nil
	})
	return b
}

func (b *drillBundle) run(t *testing.T) {
	t.Helper()
	b.ExecuteWorkflow(workflows.Drill, workflows.DrillInput{DrillID: id})
	require.True(t, b.IsWorkflowCompleted())
	require.NoError(t, b.GetWorkflowError())
	require.False(t, b.fault, "whatever happens, no fault is left")
	require.Equal(t, id, b.ended.DrillID)
}

func TestADrillGoesRound(t *testing.T) {
	t.Parallel()
	b := setupDrill(t)
	b.run(t)
	require.Equal(t, []string{"check", "inject", "revert", "end"}, b.did)
	require.Equal(t, activities.EndDrillInput{DrillID: id, State: drill.Completed}, b.ended)
}

func TestADrillThatIsNotSteadyInjectsNothing(t *testing.T) {
	t.Parallel()
	b := setupDrill(t)
	b.problem = "not steady: messaging is red"
	b.run(t)
	require.NotContains(t, b.did, "inject")
	require.Equal(t, drill.Failed, b.ended.State)
	require.Equal(t, b.problem, b.ended.Why)
	require.Zero(t, b.watched)
}

// What never comes is not waited for: the watching says when it is over, and the drill is scored all the same.
func TestADrillWhoseAlertNeverComes(t *testing.T) {
	t.Parallel()
	b := setupDrill(t)
	b.watch = func(_ context.Context, n int, gone bool) (activities.DrillSeen, error) {
		return activities.DrillSeen{Over: n == 5}, nil
	}
	b.run(t)
	require.Equal(t, drill.Completed, b.ended.State)
}

func TestADrillStopsForSomethingReal(t *testing.T) {
	t.Parallel()
	b := setupDrill(t)
	looked := false
	b.watch = func(_ context.Context, n int, gone bool) (activities.DrillSeen, error) {
		if gone {
			looked = true
			return activities.DrillSeen{Over: true}, nil
		}
		return activities.DrillSeen{Stop: "a real alert fires: dispatcher-silent"}, nil
	}
	b.run(t)
	require.Equal(t, activities.EndDrillInput{DrillID: id, State: drill.Aborted, Why: "a real alert fires: dispatcher-silent"}, b.ended)
	require.True(t, looked, "it sees that all is steady again")
}

func TestADrillIsStoppedByHand(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		at  time.Duration // it checks for 30 s, and then looks for as long each time
		did []string
	}{
		"while it checks":           {10 * time.Second, []string{"revert", "end"}},
		"while the fault is there":  {50 * time.Second, []string{"check", "inject", "revert", "end"}},
		"while all becomes steady":  {200 * time.Second, []string{"check", "inject", "revert", "end"}},
		"before it has even begun":  {0, []string{"revert", "end"}},
		"when it looks a last time": {149 * time.Second, []string{"check", "inject", "revert", "end"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setupDrill(t)
			b.RegisterDelayedCallback(b.CancelWorkflow, c.at)
			b.run(t)
			if c.at < 150*time.Second {
				require.Equal(t, drill.Aborted, b.ended.State)
				require.Equal(t, "stopped by hand", b.ended.Why)
			} else {
				require.Equal(t, drill.Completed, b.ended.State, "there was nothing left to stop")
			}
			require.Equal(t, c.did, b.did)
		})
	}
}
