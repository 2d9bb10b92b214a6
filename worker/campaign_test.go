package worker_test

import (
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	enums "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"lastcall/domain/campaign"
	"lastcall/domain/contact"
	"lastcall/domain/policy"
	"lastcall/store"
)

// record makes the tests leave the histories of their campaigns for the replay test. Record them from a
// commit that is released, never from a change that is to be checked.
var record = flag.Bool("record", false, "write histories to ../workflows/testdata")

func (b *bundle) keep(t *testing.T, name string, id uuid.UUID) {
	t.Helper()
	keepHistory(t, name, b.history(t, id), id)
}

func keepHistory(t *testing.T, name string, history *historypb.History, id uuid.UUID) {
	t.Helper()
	raw, err := proto.Marshal(history) // payloads as they are; JSON would hide them in base 64
	require.NoError(t, err)
	require.Contains(t, string(raw), id.String())
	for _, personal := range []string{"+250", "+356", "25078", "35679", "Hello"} {
		require.False(t, bytes.Contains(raw, []byte(personal)), "a history holds ids, counts and codes only, not %q", personal)
	}
	recordHistory(t, name, history)
}

func recordHistory(t *testing.T, name string, history *historypb.History) {
	t.Helper()
	if *record {
		text, err := protojson.MarshalOptions{Multiline: true}.Marshal(history)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join("..", "workflows", "testdata", name+".json"), text, 0o644))
	}
}

func TestEachPermittedNumberOnceAndNoOther(t *testing.T) {
	t.Parallel()
	b := setup(t)
	optedOut := []contact.MSISDN{contact.MSISDN(rw(7)), contact.MSISDN(mt(8)), contact.MSISDN(mt(9999))}
	_, err := b.AddOptOuts(t.Context(), optedOut, store.OptOutRegistry, "asked")
	require.NoError(t, err)
	id := b.draft(t, append(many(900, rw), many(100, mt)...)...)
	b.start(t, id)
	p := b.until(t, id, time.Minute, ended)
	require.Equal(t, campaign.Done, p.Status)
	require.EqualValues(t, 2, p.Counts.OptedOut)
	require.EqualValues(t, 998, p.Counts.Delivered+p.Counts.Read)

	got := map[contact.MSISDN]int{}
	for _, m := range b.inbox(t) {
		got[m.To]++
	}
	require.Len(t, got, 998)
	for number, n := range got {
		require.Equal(t, 1, n, "%v", number.Masked())
	}
	for _, number := range optedOut {
		require.NotContains(t, got, number)
	}
	b.keep(t, "done", id)
}

// A history does not grow for ever: the next run goes on where the last one was, in the middle of the dispatch.
func TestALongHistoryBeginsAnew(t *testing.T) {
	t.Parallel()
	const targets = 20_000
	b := setup(t)
	id := b.draft(t, many(targets, rw)...)
	b.start(t, id)
	p := b.until(t, id, 2*time.Minute, ended)
	require.EqualValues(t, targets, p.Counts.Accepted())
	inbox := map[contact.MSISDN]int{}
	for _, m := range b.inbox(t) {
		inbox[m.To]++
	}
	require.Len(t, inbox, targets)

	last := b.history(t, id)
	before := last.Events[0].GetWorkflowExecutionStartedEventAttributes().GetContinuedExecutionRunId()
	require.NotEmpty(t, before, "it was done in one run of %d events", len(last.Events))
	first := b.historyOf(t, b.workflow(t, id), before)
	require.Equal(t, enums.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW, first.Events[len(first.Events)-1].EventType)
	keepHistory(t, "continued-as-new", first, id)
	keepHistory(t, "carried-on", last, id)
}

func TestSixtyAMinute(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.set(t, "throttle", `{"whatsapp":{"per_minute":60}}`)
	id := b.draft(t, many(100, rw)...)
	b.start(t, id)
	p := b.until(t, id, 20*time.Second, func(p store.Progress) bool { return p.Counts.Accepted() == 60 })
	require.Equal(t, policy.Throttled, p.Waits[0].Reason)
	require.EqualValues(t, 40, p.Waits[0].Targets)
	b.until(t, id, 2*time.Minute, ended)
	inbox := b.inbox(t)
	require.Len(t, inbox, 100)
	for i := range inbox[:40] {
		apart := inbox[i+60].ReceivedAt.Sub(inbox[i].ReceivedAt)
		require.Greater(t, apart, time.Minute, "61 within a minute, from message %d on", i)
	}
	require.Less(t, inbox[60].ReceivedAt.Sub(inbox[0].ReceivedAt), 63*time.Second, "the others go as soon as they may")
	b.keep(t, "throttled", id)
}

func TestQuietHoursWaitOnATimerThatTellsAndWakeWithinASecond(t *testing.T) {
	t.Parallel()
	b := setup(t)
	kigali := time.Now().In(time.FixedZone("CAT", 2*60*60))
	until := kigali.Add(2 * time.Hour)
	b.set(t, "quiet_hours", fmt.Sprintf(`{"RW":{"start":"%s","end":"%s"}}`, kigali.Add(-time.Hour).Format("15:04"), until.Format("15:04")))
	id := b.draft(t, append(many(50, rw), many(50, mt)...)...)
	b.start(t, id)
	p := b.until(t, id, 20*time.Second, func(p store.Progress) bool { return p.Counts.Accepted() == 50 })
	require.EqualValues(t, 50, p.Counts.Queued)
	require.Equal(t, policy.InQuietHours, p.Waits[0].Reason)
	for _, m := range b.inbox(t) {
		require.True(t, strings.HasPrefix(string(m.To), "+356"))
	}
	require.Eventually(t, func() bool {
		for _, e := range b.history(t, id).Events {
			if e.EventType == enums.EVENT_TYPE_TIMER_STARTED && strings.Contains(string(e.UserMetadata.GetSummary().GetData()),
				"quiet hours RW until "+until.Format("15:04")) {
				return true
			}
		}
		return false
	}, 5*time.Second, 50*time.Millisecond, "Temporal Web shows why it waits")

	saved := time.Now()
	b.set(t, "quiet_hours", `{}`)
	b.until(t, id, 10*time.Second, func(p store.Progress) bool { return p.Counts.Accepted() > 50 })
	first := b.inbox(t)[50].ReceivedAt
	require.Less(t, first.Sub(saved), time.Second)
	b.until(t, id, 30*time.Second, ended)
	require.Len(t, b.inbox(t), 100)
	b.keep(t, "quiet-hours", id)
}

func TestPauseAnswersWithTheExactBoundary(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.draft(t, many(5000, rw)...)
	b.start(t, id)
	b.until(t, id, 30*time.Second, func(p store.Progress) bool { return p.Counts.Accepted() > 500 })
	p := b.order(t, id, campaign.GatePaused)
	require.Equal(t, campaign.Paused, p.Status)
	require.Zero(t, p.Counts.Sending)
	boundary := p.Counts.Accepted()
	require.Less(t, boundary, int64(5000), "paused in the middle")
	require.Len(t, b.inbox(t), int(boundary), "the answer is exact")
	_, err := b.Order(t.Context(), id, campaign.GatePaused, "again")
	require.ErrorContains(t, err, "paused already")

	b.order(t, id, campaign.GateOpen)
	b.until(t, id, time.Minute, ended)
	inbox := b.inbox(t)
	require.Len(t, inbox, 5000)
	seen := map[contact.MSISDN]bool{}
	for _, m := range inbox {
		require.False(t, seen[m.To], "resume repeats nothing")
		seen[m.To] = true
	}
	b.keep(t, "paused", id)
}

func TestStopCancelsTheRest(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.set(t, "throttle", `{"whatsapp":{"per_minute":10}}`)
	id := b.draft(t, many(30, rw)...)
	b.start(t, id)
	b.until(t, id, 20*time.Second, func(p store.Progress) bool { return p.Counts.Accepted() == 10 })
	b.order(t, id, campaign.GateStopped)
	p := b.until(t, id, 30*time.Second, ended)
	require.Equal(t, campaign.Stopped, p.Status)
	require.EqualValues(t, 20, p.Counts.Cancelled)
	require.Len(t, b.inbox(t), 10)
	b.keep(t, "stopped", id)
}

func TestFindableInTemporalWeb(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.set(t, "toggles", `{"dispatch":false}`)
	id := b.draft(t, rw(1))
	b.start(t, id)
	query := fmt.Sprintf(`CampaignId = '%s' AND State = 'running' AND Blocker = 'dispatch_disabled' AND NeedsHuman = false AND Channel = 'whatsapp'`, id)
	require.Eventually(t, func() bool { return b.found(t, query) == 1 }, 15*time.Second, 100*time.Millisecond)
	b.set(t, "toggles", `{"dispatch":true}`)
	b.until(t, id, 30*time.Second, ended)
}

// TestLostAnswersAreUnknownUntilReceiptsTell: the provider takes a message and its answer never comes.
func TestLostAnswersAreUnknownUntilReceiptsTell(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.fault(t, http.MethodPut, `{"kind":"wrong_body","share":0.3,"for":"10m"}`)
	id := b.draft(t, many(200, rw)...)
	b.start(t, id)
	p := b.until(t, id, time.Minute, ended)
	require.EqualValues(t, 200, p.Counts.Accepted(), "the attempt's key came back with the receipts")
	require.Len(t, b.inbox(t), 200, "and nothing was sent twice")
	settled := 0
	targets, err := b.Targets(t.Context(), id, "", 0, 1000)
	require.NoError(t, err)
	for _, target := range targets {
		story, err := b.Timeline(t.Context(), id, target.ID)
		require.NoError(t, err)
		if strings.Contains(fmt.Sprintf("%+v", story), "settled") {
			settled++
		}
	}
	require.Positive(t, settled)
}
