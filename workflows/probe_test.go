package workflows_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"lastcall/activities"
	"lastcall/domain/probe"
	"lastcall/workflows"
)

// probing runs a round in which these functions cannot even be asked; all others answer at once, and mail only late.
func probing(t *testing.T, in workflows.ProbeInput, lost ...probe.Name) (kept []probe.Finding, took time.Duration, err error) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	acts := &activities.Probes{}
	env.SetWorkerOptions(worker.Options{DeadlockDetectionTimeout: 20 * time.Second}) // a busy machine is no deadlock
	env.RegisterActivity(acts)
	env.OnActivity(acts.ProbeFunction, mock.Anything, mock.Anything).Return(func(_ context.Context, name probe.Name) (probe.Finding, error) {
		for _, n := range lost {
			if n == name {
				return probe.Finding{}, errors.New("the worker was lost")
			}
		}
		return probe.Finding{Name: name, Outcome: probe.Answered}, nil
	}).After(4 * time.Second)
	env.OnActivity(acts.RecordProbes, mock.Anything, mock.Anything).Return(func(_ context.Context, round []probe.Finding) error {
		kept = round
		return nil
	})
	began := env.Now()
	env.ExecuteWorkflow(workflows.Probe, in)
	require.True(t, env.IsWorkflowCompleted())
	return kept, env.Now().Sub(began), env.GetWorkflowError()
}

func TestProbeAsksAllSideBySide(t *testing.T) {
	t.Parallel()
	kept, took, err := probing(t, workflows.ProbeInput{})
	require.NoError(t, err)
	require.Len(t, kept, len(probe.Functions))
	require.Less(t, took, 8*time.Second, "side by side")
	for i, f := range probe.Functions {
		require.Equal(t, f.Name, kept[i].Name)
	}
}

func TestProbeAsksOne(t *testing.T) {
	t.Parallel()
	kept, _, err := probing(t, workflows.ProbeInput{Only: probe.Mail})
	require.NoError(t, err)
	require.Len(t, kept, 1)
	require.Equal(t, probe.Mail, kept[0].Name)
}

func TestProbeKeepsWhatItHas(t *testing.T) {
	t.Parallel()
	kept, _, err := probing(t, workflows.ProbeInput{}, probe.Panel)
	require.NoError(t, err)
	require.Len(t, kept, len(probe.Functions)-1, "a lost worker says nothing about the panel")
	kept, _, err = probing(t, workflows.ProbeInput{Only: probe.Panel}, probe.Panel)
	require.Error(t, err)
	require.Empty(t, kept)
}
