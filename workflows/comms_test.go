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
	"lastcall/domain/review"
	"lastcall/workflows"
)

var comms *activities.Comms

func commsEnv(t *testing.T, begin time.Time) *testsuite.TestWorkflowEnvironment {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.SetStartTime(begin)
	env.SetTestTimeout(30 * time.Second)
	env.SetWorkerOptions(worker.Options{DisableRegistrationAliasing: true})
	env.RegisterActivity(comms)
	return env
}

// Links are looked at before anything goes; a preview looks at them, and lets nothing go.
func TestLinksComeBeforeAnAnnouncement(t *testing.T) {
	t.Parallel()
	for _, id := range []uuid.UUID{uuid.Nil, uuid.New()} {
		env := commsEnv(t, start)
		var did []string
		env.OnActivity(comms.CheckLinks, mock.Anything, activities.AnnouncementLinks{Rollout: "kigali", Announcement: "ready"}).
			Return(func(context.Context, activities.AnnouncementLinks) (int, error) {
				did = append(did, "looked")
				return 1, nil
			})
		env.OnActivity(comms.SendAnnouncement, mock.Anything, id).
			Return(func(context.Context, uuid.UUID) (bool, error) { did = append(did, "sent"); return false, nil }).Maybe()
		env.ExecuteWorkflow(workflows.Announce, workflows.AnnounceInput{Rollout: "kigali", Announcement: "ready", ID: id})
		require.NoError(t, env.GetWorkflowError())
		if id == uuid.Nil {
			require.Equal(t, []string{"looked"}, did)
		} else {
			require.Equal(t, []string{"looked", "sent"}, did)
		}
	}
}

// reviewDesk is the reviews of a phase in virtual time, by Malta's clocks.
type reviewDesk struct {
	*testsuite.TestWorkflowEnvironment
	since    time.Time
	hours    review.Hours
	opened   map[string]time.Time
	reminded map[string]time.Time
	over     bool
	steps    int
}

func openDesk(t *testing.T, since time.Time) *reviewDesk {
	t.Helper()
	d := &reviewDesk{TestWorkflowEnvironment: commsEnv(t, since), since: since, hours: review.Hours{Zone: "Europe/Malta", At: "09:00", RemindAt: "12:00"},
		opened: map[string]time.Time{}, reminded: map[string]time.Time{}}
	d.OnActivity(comms.StepReviews, mock.Anything, "malta").Return(func(context.Context, string) (activities.ReviewsStep, error) { return d.step(t), nil })
	return d
}

func (d *reviewDesk) step(t *testing.T) (s activities.ReviewsStep) {
	d.steps++
	if s.Over = d.over; s.Over {
		return s
	}
	due, next, err := d.hours.Due(d.since, d.Now(), 1)
	require.NoError(t, err)
	s.Wait = next.Opens.Sub(d.Now())
	for _, day := range due {
		if _, there := d.opened[day.Name]; !there {
			d.opened[day.Name] = d.Now()
		}
		if _, there := d.reminded[day.Name]; there {
			continue
		}
		if wait := day.Reminds.Sub(d.Now()); wait > 0 {
			s.Wait = min(s.Wait, wait)
		} else {
			d.reminded[day.Name] = d.Now()
		}
	}
	return s
}

func (d *reviewDesk) end(after time.Duration) {
	d.RegisterDelayedCallback(func() {
		d.over = true
		d.SignalWorkflow(workflows.ReviewsChanged, nil)
	}, after)
}

// Reviews open at nine and are reminded of at noon by Malta's clocks, in the nights in which those move, too, and the workflow
// looks no more often than it must.
func TestReviewsOpenAtNineWhateverTheClocksDo(t *testing.T) {
	t.Parallel()
	for _, begin := range []time.Time{time.Date(2026, 10, 22, 15, 0, 0, 0, time.UTC), time.Date(2027, 3, 25, 15, 0, 0, 0, time.UTC)} {
		d := openDesk(t, begin)
		d.end(6 * day)
		d.ExecuteWorkflow(workflows.DailyReviews, workflows.DailyReviewsInput{Rollout: "malta"})
		require.NoError(t, d.GetWorkflowError())
		require.Len(t, d.opened, 6)
		require.Len(t, d.reminded, 6)
		for name, at := range d.opened {
			require.Equal(t, name+" 09:00", at.In(d.hours.Location()).Format("2006-01-02 15:04"))
			require.Equal(t, name+" 12:00", d.reminded[name].In(d.hours.Location()).Format("2006-01-02 15:04"))
		}
		require.LessOrEqual(t, d.steps, 15)
	}
}

// Other hours count at once, and a message that comes together with the end begins it anew.
func TestReviewsHearOfOtherHours(t *testing.T) {
	t.Parallel()
	d := openDesk(t, time.Date(2026, 11, 23, 15, 0, 0, 0, time.UTC))
	d.RegisterDelayedCallback(func() {
		d.hours.At = "07:00"
		d.SignalWorkflow(workflows.ReviewsChanged, nil)
	}, time.Hour)
	d.end(day)
	d.ExecuteWorkflow(workflows.DailyReviews, workflows.DailyReviewsInput{Rollout: "malta"})
	require.NoError(t, d.GetWorkflowError())
	require.Equal(t, "07:00", d.opened["2026-11-24"].In(d.hours.Location()).Format("15:04"))
}

func TestReviewsContinueAsNew(t *testing.T) {
	t.Parallel()
	d := openDesk(t, start)
	d.SetContinueAsNewSuggested(true)
	d.ExecuteWorkflow(workflows.DailyReviews, workflows.DailyReviewsInput{Rollout: "malta"})
	require.True(t, workflow.IsContinueAsNewError(d.GetWorkflowError()))
}
