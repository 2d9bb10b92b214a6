package delivery_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/domain/campaign"
	"lastcall/domain/delivery"
	"lastcall/domain/policy"
)

var start = time.Date(2026, 11, 23, 20, 0, 0, 0, time.UTC)

// at is the instant some seconds after start.
func at(seconds float64) *time.Time {
	t := start.Add(time.Duration(seconds * float64(time.Second)))
	return &t
}

func kinds(t delivery.Timeline) (all []delivery.Kind) {
	for _, m := range t.Moments {
		all = append(all, m.Kind)
	}
	return all
}

// The provider's clock tells whole seconds: what it tells is never shown before the step that it followed.
func TestReceiptsFollowWhatTheyAreAbout(t *testing.T) {
	t.Parallel()
	told := delivery.Tell(delivery.Facts{State: campaign.Read, Attempt: 1,
		SendingAt: at(1.2), SentAt: at(1.7), DeliveredAt: at(1), ReadAt: at(2)})
	require.Equal(t, []delivery.Kind{delivery.Sending, delivery.Sent, delivery.Delivered, delivery.Read}, kinds(told))
	require.Equal(t, *at(1.7), told.Moments[2].At)
	require.Equal(t, *at(2), told.Moments[3].At)
}

// What holds a cohort concerns a target only while it is in the queue.
func TestOnlyWhatHeldThisTarget(t *testing.T) {
	t.Parallel()
	held := func(seconds float64) delivery.Moment {
		return delivery.Moment{At: *at(seconds), Kind: delivery.Held, What: "held"}
	}
	event := func(seconds float64, k delivery.Kind, attempt int) delivery.Event {
		return delivery.Event{At: *at(seconds), Kind: k, Attempt: attempt, Reason: "no_answer"}
	}
	shared := []delivery.Moment{held(1), held(3), held(5), held(7)}
	for name, tt := range map[string]struct {
		facts delivery.Facts
		held  []float64
	}{
		"queued":          {delivery.Facts{State: campaign.Queued}, []float64{1, 3, 5, 7}},
		"sent at 2":       {delivery.Facts{State: campaign.Sent, SendingAt: at(2), SentAt: at(2.1)}, []float64{1}},
		"cancelled at 4":  {delivery.Facts{State: campaign.Cancelled, EndedAt: at(4)}, []float64{1, 3}},
		"left out at 6":   {delivery.Facts{State: campaign.OptedOut, EndedAt: at(6)}, []float64{1, 3, 5}},
		"requeued at 4":   {delivery.Facts{State: campaign.Queued, SendingAt: at(2), Events: []delivery.Event{event(4, delivery.Requeued, 1)}}, []float64{1, 5, 7}},
		"unknown, resent": {delivery.Facts{State: campaign.Sent, SendingAt: at(6), SentAt: at(6.1), Events: []delivery.Event{event(2, delivery.Unknown, 1), event(4, delivery.Requeued, 1)}}, []float64{1, 5}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.facts.Shared = shared
			var got []float64
			for _, m := range delivery.Tell(tt.facts).Moments {
				if m.Kind == delivery.Held {
					got = append(got, m.At.Sub(start).Seconds())
				}
			}
			require.Equal(t, tt.held, got)
		})
	}
}

// The first obstacle is the answer, the others stand beside it.
func TestObstaclesInOrder(t *testing.T) {
	t.Parallel()
	blocked := policy.Decision{Reason: policy.InQuietHours, Also: []policy.Reason{policy.Throttled}, Why: "quiet hours RW until 06:00 CAT", RetryAfter: at(60)}
	running := delivery.Campaign{Status: campaign.Running, Gate: campaign.GateOpen}
	for name, tt := range map[string]struct {
		facts    delivery.Facts
		waitsFor string
		until    *time.Time
		also     []string
	}{
		"everything": {delivery.Facts{NotBefore: at(9), Campaign: delivery.Campaign{Status: campaign.Running, Gate: campaign.GatePaused}, Live: delivery.Live{At: start, Decision: blocked}},
			"resume", nil, []string{"quiet_hours", "throttled", "provider_retry"}},
		"scheduled": {delivery.Facts{Campaign: delivery.Campaign{Status: campaign.Scheduled, Gate: campaign.GateOpen, SendAt: at(5)}, Live: delivery.Live{At: start, Decision: blocked}},
			"send_at", at(5), []string{"quiet_hours", "throttled"}},
		"policy": {delivery.Facts{Campaign: running, Live: delivery.Live{At: start, Decision: blocked}}, "quiet_hours", at(60), []string{"throttled"}},
		"retry": {delivery.Facts{NotBefore: at(9), Reason: "provider_busy", Campaign: running, Live: delivery.Live{At: start, Decision: policy.Decision{Permitted: true}}},
			"provider_retry", at(9), nil},
		"retry is due": {delivery.Facts{NotBefore: at(9), Campaign: running, Live: delivery.Live{At: *at(10), Decision: policy.Decision{Permitted: true}}},
			"turn", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.facts.State = campaign.Queued
			now := delivery.Tell(tt.facts).Now
			require.Equal(t, tt.waitsFor, now.WaitsFor)
			require.Equal(t, tt.until, now.Until)
			require.Equal(t, tt.also, now.Also)
			require.NotNil(t, now.Decision)
		})
	}
}

// The provider may be the one that knows of an opt-out.
func TestOptOutThatTheProviderTold(t *testing.T) {
	t.Parallel()
	told := delivery.Tell(delivery.Facts{State: campaign.OptedOut, Attempt: 1, Reason: "provider_opt_out", ErrorCode: 131050,
		SendingAt: at(1), EndedAt: at(2), OptOut: &delivery.OptOut{At: *at(2), Source: "provider"},
		Events: []delivery.Event{{At: *at(2), Kind: delivery.OptedOut, Attempt: 1, Reason: "provider_opt_out", ErrorCode: 131050}},
		Shared: []delivery.Moment{{At: *at(3), Kind: delivery.Held}}})
	require.Equal(t, []delivery.Kind{delivery.Sending, delivery.OptedOut, delivery.OptedOut}, kinds(told))
	require.Equal(t, "attempt 1 was refused: the recipient opted out (WhatsApp's code 131050)", told.Moments[1].What)
	require.Equal(t, "Not sent: the recipient has opted out of marketing messages from us (WhatsApp's code 131050). Do not send again: the opt-out is final.", told.Now.Answer)
}
