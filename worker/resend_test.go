package worker_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"

	"lastcall/domain"
	"lastcall/domain/campaign"
	"lastcall/domain/contact"
	"lastcall/store"
	"lastcall/workflows"
)

func (b *bundle) resend(t *testing.T, id uuid.UUID, states ...campaign.TargetState) store.Resent {
	t.Helper()
	done, message, err := b.Resend(t.Context(), id, store.ResendOrder{ResendChoice: store.ResendChoice{States: states}, Reason: "test", AcceptDuplicates: true})
	require.NoError(t, err)
	b.delivered(t, message)
	return done
}

// received counts the messages that each number got.
func (b *bundle) received(t *testing.T) map[contact.MSISDN]int {
	t.Helper()
	got := map[contact.MSISDN]int{}
	for _, m := range b.inbox(t) {
		got[m.To]++
	}
	return got
}

func (b *bundle) settings(t *testing.T, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, b.provider.URL+"/settings", strings.NewReader(body))
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusOK, res.StatusCode)
}

// TestResendOfWhatFailed: those and no others, in a workflow of its own, which obeys orders and settings.
func TestResendOfWhatFailed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.fault(t, http.MethodPut, `{"kind":"error","code":131026,"share":0.3,"for":"10m"}`)
	id := b.draft(t, many(200, rw)...)
	b.start(t, id)
	p := b.until(t, id, time.Minute, ended)
	missed := p.Counts.Failed
	require.Positive(t, missed)
	require.EqualValues(t, 200-missed, len(b.inbox(t)))

	b.fault(t, http.MethodDelete, ``)
	b.set(t, "toggles", `{"dispatch":false}`)
	done := b.resend(t, id, campaign.FailedT)
	require.Equal(t, missed, done.Targets)
	query := fmt.Sprintf(`WorkflowId = 'campaign/%s/resend/1' AND Blocker = 'dispatch_disabled'`, id)
	require.Eventually(t, func() bool { return b.found(t, query) == 1 }, 15*time.Second, 100*time.Millisecond)
	run := b.reset(t, id)
	require.ErrorContains(t, b.temporal.GetWorkflow(t.Context(), workflows.CampaignID(id), run).Get(t.Context(), nil),
		"another workflow looks after the campaign", "the first one, which somebody reset")
	require.Equal(t, campaign.Running, b.progress(t, id).Status)
	p = b.order(t, id, campaign.GatePaused)
	require.Equal(t, campaign.Paused, p.Status)
	b.set(t, "toggles", `{"dispatch":true}`)
	b.order(t, id, campaign.GateOpen)
	p = b.until(t, id, time.Minute, ended)
	require.Equal(t, campaign.Done, p.Status)
	require.EqualValues(t, 200, p.Counts.Accepted())
	got := b.received(t)
	require.Len(t, got, 200)
	for number, n := range got {
		require.Equal(t, 1, n, "%v", number.Masked())
	}
	b.keep(t, "resent", id)
}

// TestResendOfTheUnknownMayDuplicate, which is why somebody must accept it: the provider had taken them.
func TestResendOfTheUnknownMayDuplicate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.settings(t, `{"sent_delay_ms":3600000,"delivered_delay_ms":3600000,"read_delay_ms":3600000}`) // no receipts for now
	b.fault(t, http.MethodPut, `{"kind":"accept_then_timeout","share":0.2,"for":"10m"}`)
	id := b.draft(t, many(60, rw)...)
	b.start(t, id)
	p := b.until(t, id, 2*time.Minute, ended)
	lost := p.Counts.Unknown
	require.Positive(t, lost)
	require.Len(t, b.inbox(t), 60, "the provider has them all")

	b.fault(t, http.MethodDelete, ``)
	b.resend(t, id, campaign.Unknown)
	p = b.until(t, id, 2*time.Minute, ended)
	require.EqualValues(t, 60, p.Counts.Accepted())
	twice := int64(0)
	for _, n := range b.received(t) {
		require.LessOrEqual(t, n, 2)
		if n == 2 {
			twice++
		}
	}
	require.Equal(t, lost, twice)
	keys := map[string]bool{}
	for _, m := range b.inbox(t) {
		require.False(t, keys[m.Key], "each attempt has a key of its own")
		keys[m.Key] = true
	}
}

// running starts a campaign of n and waits until some of it has gone.
func (b *bundle) running(t *testing.T, n int) uuid.UUID {
	t.Helper()
	id := b.draft(t, many(n, rw)...)
	b.start(t, id)
	b.until(t, id, 30*time.Second, func(p store.Progress) bool { return p.Counts.Accepted() > int64(n/20) })
	return id
}

// nobodyTwice waits for the end and holds the inbox against Postgres.
func (b *bundle) nobodyTwice(t *testing.T, id uuid.UUID, n int) {
	t.Helper()
	p := b.until(t, id, 2*time.Minute, ended)
	require.Equal(t, campaign.Done, p.Status, p.NeedsHuman)
	require.EqualValues(t, n, p.Counts.Accepted()+p.Counts.Unknown)
	got := b.received(t)
	require.EqualValues(t, p.Counts.Accepted(), len(got))
	for number, n := range got {
		require.Equal(t, 1, n, "%v", number.Masked())
	}
}

// TestTerminatedIsNoticedAndRecovered: somebody terminates the workflow in Temporal in the middle of sending.
func TestTerminatedIsNoticedAndRecovered(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const n = 6000
	id := b.running(t, n)
	require.NoError(t, b.sweeper.Sweep(t.Context()))
	require.Empty(t, b.progress(t, id).NeedsHuman, "its workflow is at work")
	message, err := b.Recover(t.Context(), id, "too early") // the API would have looked
	require.NoError(t, err)
	_, err = b.AwaitDelivery(t.Context(), message)
	require.Equal(t, "workflow_open", domain.CodeOf(err), "none is started beside another")

	require.NoError(t, b.temporal.TerminateWorkflow(t.Context(), workflows.CampaignID(id), "", "test"))
	b.sweeper.Every = 50 * time.Millisecond
	ctx, stop := context.WithCancel(t.Context())
	swept := make(chan struct{})
	go func() { defer close(swept); b.sweeper.Run(ctx) }()
	p := b.until(t, id, 20*time.Second, func(p store.Progress) bool { return p.NeedsHuman != "" })
	stop()
	<-swept
	require.Contains(t, p.NeedsHuman, "campaigns recover")
	message, err = b.Recover(t.Context(), id, "terminated by mistake")
	require.NoError(t, err)
	b.delivered(t, message)
	b.nobodyTwice(t, id, n)
	require.Less(t, b.progress(t, id).Counts.Unknown, int64(n/10))
	b.keep(t, "recovered", id)
}

// TestRecoveredUnderItsStandingOrder: a campaign that was paused stays so.
func TestRecoveredUnderItsStandingOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const n = 3000
	id := b.running(t, n)
	b.order(t, id, campaign.GatePaused)
	require.NoError(t, b.temporal.TerminateWorkflow(t.Context(), workflows.CampaignID(id), "", "test"))
	message, err := b.Recover(t.Context(), id, "terminated by mistake")
	require.NoError(t, err)
	b.delivered(t, message)
	p := b.until(t, id, 20*time.Second, func(p store.Progress) bool { return p.Status == campaign.Paused })
	for _, e := range b.history(t, id).Events {
		require.NotEqual(t, "DispatchBatch", e.GetActivityTaskScheduledEventAttributes().GetActivityType().GetName(), "it does not even try")
	}
	b.order(t, id, campaign.GateOpen)
	require.Less(t, p.Counts.Accepted(), int64(n), "in the middle")
	b.nobodyTwice(t, id, n)
}

// TestResetJustWorks: Ops reset the workflow in Temporal to its beginning, in the middle of sending.
func TestResetJustWorks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const n = 6000
	id := b.running(t, n)
	require.Less(t, b.progress(t, id).Counts.Accepted(), int64(n), "in the middle")
	b.reset(t, id)
	b.nobodyTwice(t, id, n)
	require.Less(t, b.progress(t, id).Counts.Unknown, int64(n/10))

	run := b.reset(t, id)
	require.ErrorContains(t, b.temporal.GetWorkflow(t.Context(), workflows.CampaignID(id), run).Get(t.Context(), nil),
		"a campaign that is done cannot become preflight")
	b.nobodyTwice(t, id, n)
}

// reset resets a campaign's first workflow to its beginning and returns the new run.
func (b *bundle) reset(t *testing.T, id uuid.UUID) (run string) {
	t.Helper()
	d, err := b.temporal.DescribeWorkflowExecution(t.Context(), workflows.CampaignID(id), "")
	require.NoError(t, err)
	old := d.WorkflowExecutionInfo.Execution
	done, err := b.temporal.ResetWorkflowExecution(t.Context(), &workflowservice.ResetWorkflowExecutionRequest{
		Namespace: strings.ToLower(t.Name()), WorkflowExecution: old, Reason: "test", RequestId: uuid.NewString(),
		WorkflowTaskFinishEventId: b.firstTask(t, id, old.RunId)})
	require.NoError(t, err)
	return done.RunId
}

// firstTask is the event with which the first workflow task of a run ended.
func (b *bundle) firstTask(t *testing.T, id uuid.UUID, run string) int64 {
	t.Helper()
	events := b.temporal.GetWorkflowHistory(t.Context(), workflows.CampaignID(id), run, false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		e, err := events.Next()
		require.NoError(t, err)
		if e.EventType == enums.EVENT_TYPE_WORKFLOW_TASK_COMPLETED {
			return e.EventId
		}
	}
	require.Fail(t, "no workflow task has ended")
	return 0
}
