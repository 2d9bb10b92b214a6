package workflows_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"lastcall/activities"
	"lastcall/domain/campaign"
	"lastcall/domain/policy"
	"lastcall/workflows"
)

var sends *activities.Sends

// single is a single send's workflow in virtual time. The policy is the real one, by the virtual clock.
type single struct {
	*testsuite.TestWorkflowEnvironment
	settings  policy.Settings
	subject   policy.Subject
	cancelled bool
	tries     []time.Time
	sentAt    time.Time
	failed    string
	fault     error // of every try
}

func setupSend(t *testing.T, at time.Time, quietHours string, zone string) *single {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	s := &single{TestWorkflowEnvironment: suite.NewTestWorkflowEnvironment(), settings: policy.Defaults()}
	s.subject = policy.Subject{Channel: policy.ChannelWhatsApp, Country: "MT", Zone: zone}
	s.quiet(t, quietHours)
	s.SetStartTime(at)
	s.SetTestTimeout(20 * time.Second)
	s.SetWorkerOptions(worker.Options{DisableRegistrationAliasing: true})
	s.RegisterActivity(sends)
	s.OnActivity(sends.TrySend, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.TrySendInput) (activities.TrySendResult, error) {
		require.Equal(t, len(s.tries)+1, in.Try, "no try is given out twice")
		now := s.now()
		s.tries = append(s.tries, now)
		if s.fault != nil {
			return activities.TrySendResult{}, s.fault
		}
		if s.cancelled {
			return activities.TrySendResult{State: campaign.Cancelled}, nil
		}
		d := s.settings.Evaluate(s.subject, policy.Budget{Available: 1}, now)
		switch {
		case d.Permitted:
			s.sentAt = now
			return activities.TrySendResult{State: campaign.Sent}, nil
		case d.Reason == policy.OptOut:
			return activities.TrySendResult{State: campaign.OptedOut, Why: string(d.Reason)}, nil
		}
		out := activities.TrySendResult{State: campaign.Queued, Wait: activities.Wait{Reason: string(d.Reason), Why: d.Why}}
		if d.RetryAfter != nil {
			out.Wait.For = d.RetryAfter.Sub(now)
		}
		return out, nil
	})
	s.OnActivity(sends.FailSend, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.FailSendInput) (activities.Nothing, error) {
		s.failed = in.Reason
		return activities.Nothing{}, nil
	}).Maybe()
	return s
}

func (s *single) now() time.Time { return s.TestWorkflowEnvironment.Now().UTC() }

func (s *single) quiet(t *testing.T, hours string) {
	t.Helper()
	parsed, err := policy.ParseQuietHours([]byte(hours))
	require.NoError(t, err)
	s.settings.QuietHours = parsed
}

// then does something after a virtual delay and tells the workflow to look again.
func (s *single) then(after time.Duration, do func()) {
	s.RegisterDelayedCallback(func() {
		do()
		s.SignalWorkflow(workflows.LookAgain, nil)
	}, after)
}

func (s *single) run(t *testing.T) {
	t.Helper()
	s.ExecuteWorkflow(workflows.Send, workflows.SendInput{SendID: id})
	require.True(t, s.IsWorkflowCompleted())
}

// On the nights when Malta changes its clocks, and when quiet hours cross midnight or end in the hour that is left out, or
// come twice, a message goes at the right moment.
func TestASendWaitsOutQuietHours(t *testing.T) {
	t.Parallel()
	const crossing = `{"MT":{"start":"22:00","end":"06:00"}}`
	for name, c := range map[string]struct {
		hours     string
		at, wants time.Time
	}{
		"summer begins":   {crossing, utc(2027, 3, 27, 22, 30), utc(2027, 3, 28, 4, 0)},                                    // 06:00 CEST
		"the hour lost":   {`{"MT":{"start":"22:00","end":"02:30"}}`, utc(2027, 3, 27, 22, 30), utc(2027, 3, 28, 1, 0)},    // 03:00 CEST
		"winter begins":   {crossing, utc(2027, 10, 30, 20, 30), utc(2027, 10, 31, 5, 0)},                                  // 06:00 CET
		"the hour twice":  {`{"MT":{"start":"22:00","end":"02:30"}}`, utc(2027, 10, 30, 20, 30), utc(2027, 10, 31, 1, 30)}, // its second time
		"before midnight": {crossing, utc(2027, 6, 1, 20, 30), utc(2027, 6, 2, 4, 0)},                                      // 22:30 CEST
		"after midnight":  {crossing, utc(2027, 6, 2, 1, 0), utc(2027, 6, 2, 4, 0)},                                        // 03:00 CEST
		"one after other": {`{"MT":{"windows":[{"start":"22:00","end":"03:00"},{"start":"03:00","end":"07:00"}]}}`, utc(2027, 6, 1, 23, 0), utc(2027, 6, 2, 5, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setupSend(t, c.at, c.hours, "Europe/Malta")
			s.run(t)
			require.NoError(t, s.GetWorkflowError())
			require.Equal(t, c.wants, s.sentAt)
			require.Len(t, s.tries, 2, "one timer, and no looking in between")
		})
	}
}

func utc(year int, month time.Month, day, hour, minute int) time.Time {
	return time.Date(year, month, day, hour, minute, 0, 0, time.UTC)
}

func TestASendLooksAgainWhenItIsTold(t *testing.T) {
	t.Parallel()
	begins := utc(2027, 6, 1, 20, 30)
	const night = `{"MT":{"start":"22:00","end":"06:00"}}`
	t.Run("settings changed", func(t *testing.T) {
		t.Parallel()
		s := setupSend(t, begins, night, "Europe/Malta")
		s.then(time.Hour, func() { s.quiet(t, `{"MT":{"start":"22:00","end":"05:00"}}`) })
		s.then(2*time.Hour, func() { s.quiet(t, `{}`) })
		s.run(t)
		require.Equal(t, begins.Add(2*time.Hour), s.sentAt)
		require.Len(t, s.tries, 3)
	})
	t.Run("STOP", func(t *testing.T) {
		t.Parallel()
		s := setupSend(t, begins, night, "Europe/Malta")
		s.then(time.Hour, func() { s.subject.OptedOut = true })
		s.run(t)
		require.NoError(t, s.GetWorkflowError())
		require.Zero(t, s.sentAt)
		require.Equal(t, begins.Add(time.Hour), s.now(), "at once")
	})
	t.Run("cancelled", func(t *testing.T) {
		t.Parallel()
		s := setupSend(t, begins, night, "Europe/Malta")
		s.then(time.Hour, func() { s.cancelled = true })
		s.run(t)
		require.Zero(t, s.sentAt)
	})
	t.Run("held without an end", func(t *testing.T) {
		t.Parallel()
		s := setupSend(t, begins, night, "") // nobody knows the zone
		s.then(30*24*time.Hour, func() { s.settings.MissingZone.Policy = policy.Send })
		s.run(t)
		require.Equal(t, begins.Add(30*24*time.Hour), s.sentAt)
	})
}

func TestASendThatCannotGoOnFails(t *testing.T) {
	t.Parallel()
	s := setupSend(t, start, `{}`, "Europe/Malta")
	s.fault = temporal.NewNonRetryableApplicationError("gone", "send_not_found", nil)
	s.run(t)
	require.Error(t, s.GetWorkflowError())
	require.Equal(t, "send_not_found", s.failed)

	s = setupSend(t, utc(2027, 6, 1, 20, 30), `{"MT":{"start":"22:00","end":"06:00"}}`, "Europe/Malta")
	s.RegisterDelayedCallback(s.CancelWorkflow, time.Hour)
	s.run(t)
	require.Equal(t, "workflow_cancelled", s.failed)
}
