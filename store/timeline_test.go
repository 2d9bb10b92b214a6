package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/domain/audit"
	"lastcall/domain/campaign"
	"lastcall/domain/contact"
	"lastcall/domain/delivery"
	"lastcall/store"
)

func (b bundle) timeline(t *testing.T, id uuid.UUID, number string) store.TargetTimeline {
	t.Helper()
	target, err := b.FindTarget(t.Context(), id, msisdn(number))
	require.NoError(t, err)
	told, err := b.Timeline(t.Context(), id, target.ID)
	require.NoError(t, err)
	for i := range told.Moments[1:] {
		require.False(t, told.Moments[i+1].At.Before(told.Moments[i].At), "oldest first")
	}
	return told
}

func kinds(t store.TargetTimeline) (all []delivery.Kind) {
	for _, m := range t.Moments {
		all = append(all, m.Kind)
	}
	return all
}

// record ends the attempt at the lane's only target.
func (b bundle) record(t *testing.T, l store.Lane, r store.Result) {
	t.Helper()
	changed, err := b.Record(t.Context(), l, []store.Result{r})
	require.NoError(t, err)
	require.EqualValues(t, 1, changed)
}

// receive applies one receipt by way of the inbox.
func (b bundle) receive(t *testing.T, r store.Receipt) {
	t.Helper()
	a := &store.Applier{Store: b.Store, Log: quiet, Parse: func([]byte) (store.Inbound, error) { return store.Inbound{Receipts: []store.Receipt{r}}, nil }}
	require.NoError(t, b.KeepWebhook(t.Context(), []byte("x")))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); a.Run(ctx) }()
	require.Eventually(t, func() bool { return query[int64](t, b, `SELECT count(*) FROM webhook_inbox`) == 0 }, 10*time.Second, 10*time.Millisecond)
	stop()
	<-done
}

// A target that met everything: held, paused, tried twice, accepted, and failed by a receipt.
func TestTimelineOfAHardLife(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, lane := b.running(t, rw(1), mt(1))
	b.set(t, "quiet_hours", aroundNow("RW", "Africa/Kigali"))
	first := b.claim(t, lane, 10)
	require.Len(t, first.Targets, 1, "Malta's")
	b.record(t, lane, store.Result{Target: first.Targets[0].ID, State: campaign.Sent})
	require.NotEmpty(t, b.claim(t, lane, 10).Waits)

	waiting := b.timeline(t, id, rw(1))
	require.Equal(t, []delivery.Kind{delivery.CampaignStarted, delivery.Held}, kinds(waiting))
	held := waiting.Moments[1]
	require.Equal(t, "quiet_hours", held.Reason)
	require.Regexp(t, `^held: quiet hours RW until \d\d:\d\d CAT$`, held.What)
	require.True(t, held.Until.After(time.Now().Add(time.Hour)))
	require.EqualValues(t, 1, held.PolicyRevision)
	require.Equal(t, "quiet_hours", waiting.Now.WaitsFor)
	require.Regexp(t, `^Not sent yet: quiet hours RW until \d\d:\d\d CAT\.$`, waiting.Now.Answer)
	require.Equal(t, held.Until.Unix(), waiting.Now.Until.Unix())
	require.EqualValues(t, 1, waiting.Now.Decision.Revision)

	ops := audit.WithActor(t.Context(), audit.Actor{Kind: "token", Name: "ops"})
	_, err := b.Order(ops, id, campaign.GatePaused, "wrong price")
	require.NoError(t, err)
	paused := b.timeline(t, id, rw(1)).Now
	require.Equal(t, "resume", paused.WaitsFor)
	require.Equal(t, "Not sent yet: the campaign is paused by ops (wrong price).", paused.Answer)
	require.Equal(t, []string{"quiet_hours"}, paused.Also)
	require.NoError(t, b.Advance(t.Context(), id, campaign.Paused, ""))
	_, err = b.Order(ops, id, campaign.GateOpen, "")
	require.NoError(t, err)
	require.NoError(t, b.Advance(t.Context(), id, campaign.Running, ""))

	b.set(t, "quiet_hours", `{}`)
	require.Equal(t, "turn", b.timeline(t, id, rw(1)).Now.WaitsFor)
	c := b.claim(t, lane, 10)
	require.Equal(t, "answer", b.timeline(t, id, rw(1)).Now.WaitsFor)
	b.record(t, lane, store.Result{Target: c.Targets[0].ID, State: campaign.Queued, Reason: "provider_busy", ErrorCode: 131056, After: time.Hour})
	retried := b.timeline(t, id, rw(1)).Now
	require.Equal(t, "provider_retry", retried.WaitsFor)
	require.Equal(t, "Not sent yet: too many messages to this one recipient in a short time (WhatsApp's code 131056); it is tried again.", retried.Answer)
	require.WithinDuration(t, time.Now().Add(time.Hour), *retried.Until, time.Minute)

	_, err = b.owner.Exec(t.Context(), `UPDATE targets SET not_before = now() - interval '1 s' WHERE id = $1`, c.Targets[0].ID)
	require.NoError(t, err)
	c = b.claim(t, lane, 10)
	b.record(t, lane, store.Result{Target: c.Targets[0].ID, State: campaign.Sent, ProviderID: "wamid.1"})
	require.Equal(t, "receipt", b.timeline(t, id, rw(1)).Now.WaitsFor)
	b.receive(t, store.Receipt{Attempt: campaign.Attempt{Campaign: id, Target: c.Targets[0].ID, N: 2}, State: campaign.FailedT,
		At: time.Now().Truncate(time.Second), ErrorCode: 131026})
	_, err = b.Order(ops, id, campaign.GatePaused, "after its end")
	require.NoError(t, err)

	end := b.timeline(t, id, rw(1))
	require.Equal(t, []delivery.Kind{delivery.CampaignStarted, delivery.Held, delivery.CampaignPaused, delivery.CampaignResumed,
		delivery.Requeued, delivery.Sending, delivery.Sent, delivery.Failed}, kinds(end), "nothing of what came after its end")
	require.Equal(t, "wrong price", end.Moments[2].Note)
	require.Equal(t, "ops", end.Moments[3].By)
	require.Equal(t, delivery.Pair, end.Moments[4].Diagnosis.Scope)
	require.Equal(t, 1, end.Moments[4].Attempt)
	require.Equal(t, 2, end.Moments[5].Attempt)
	require.Equal(t, "attempt 2 failed (WhatsApp's code 131026)", end.Moments[7].What)
	require.Contains(t, end.Moments[7].Diagnosis.Advice, "Do not send again.")
	require.Regexp(t, `^Sent but not delivered: .*not on WhatsApp.* \(WhatsApp's code 131026\)\. Do not send again\.`, end.Now.Answer)
	require.Empty(t, end.Now.WaitsFor)

	malta := b.timeline(t, id, mt(1))
	require.Equal(t, []delivery.Kind{delivery.CampaignStarted, delivery.Sending, delivery.Sent}, kinds(malta), "Rwanda's night is not its own")
	require.EqualValues(t, 2, query[int64](t, b, `SELECT count(*) FROM target_events`), "what targets share is written once")
}

// Each other way in which a target may not have been sent, and the answer.
func TestTimelineAnswers(t *testing.T) {
	t.Parallel()
	type life struct {
		b    bundle
		id   uuid.UUID
		lane store.Lane
	}
	order := func(t *testing.T, l life, gate campaign.Gate) {
		_, err := l.b.Order(t.Context(), l.id, gate, "rain")
		require.NoError(t, err)
	}
	end := func(t *testing.T, l life, r store.Result) {
		r.Target = l.b.claim(t, l.lane, 1).Targets[0].ID
		l.b.record(t, l.lane, r)
	}
	for name, tt := range map[string]struct {
		live     func(t *testing.T, l life)
		state    campaign.TargetState
		waitsFor string
		answer   string
		kinds    []delivery.Kind
	}{
		"dispatch off": {func(t *testing.T, l life) { l.b.set(t, "toggles", `{"dispatch":false}`) }, campaign.Queued,
			"dispatch_disabled", "Not sent yet: dispatch is switched off.", nil},
		"stopped channel": {func(t *testing.T, l life) { l.b.set(t, "throttle", `{"whatsapp":{"per_minute":0}}`) }, campaign.Queued,
			"throttled", "Not sent yet: whatsapp is stopped: its throttle is 0 a minute.", nil},
		"opt-out while queued": {func(t *testing.T, l life) {
			_, err := l.b.AddOptOuts(t.Context(), []contact.MSISDN{msisdn(rw(1))}, store.OptOutRegistry, "asked at the bar")
			require.NoError(t, err)
		}, campaign.Queued, "", "Not sent, and it will not be: the number has opted out, so it is left out when its turn comes.",
			[]delivery.Kind{delivery.OptedOut}},
		"opt-out": {func(t *testing.T, l life) {
			_, err := l.b.AddOptOuts(t.Context(), []contact.MSISDN{msisdn(rw(1))}, store.OptOutProvider, "")
			require.NoError(t, err)
			require.Equal(t, 1, l.b.claim(t, l.lane, 1).OptedOut)
		}, campaign.OptedOut, "", "Not sent: the number had opted out when its turn came.", []delivery.Kind{delivery.OptedOut, delivery.TakenOut}},
		"needs a human": {func(t *testing.T, l life) {
			require.NoError(t, l.b.Advance(t.Context(), l.id, campaign.Paused, "the template was retired"))
			require.EqualValues(t, 1, query[int64](t, l.b, `SELECT count(*) FROM outbox WHERE kind = 'ops.notice' AND payload->>'text' = 'the template was retired'`))
		}, campaign.Queued, "resume", "Not sent yet: the campaign is paused until somebody resumes it; it needs a human: the template was retired.",
			[]delivery.Kind{delivery.CampaignPaused}},
		"went on by itself": {func(t *testing.T, l life) {
			require.NoError(t, l.b.Advance(t.Context(), l.id, campaign.Paused, "the template was retired"))
			require.NoError(t, l.b.Advance(t.Context(), l.id, campaign.Paused, "the template was retired"))
			require.NoError(t, l.b.Advance(t.Context(), l.id, campaign.Running, ""))
		}, campaign.Queued, "turn", "Not sent yet: nothing stands in its way; its turn comes next in its campaign.",
			[]delivery.Kind{delivery.CampaignPaused, delivery.CampaignResumed}},
		"being stopped": {func(t *testing.T, l life) { order(t, l, campaign.GateStopped) }, campaign.Queued, "",
			"Not sent, and it will not be: the campaign is being stopped (rain).", []delivery.Kind{delivery.CampaignStopped}},
		"stopped": {func(t *testing.T, l life) {
			order(t, l, campaign.GateStopped)
			_, err := l.b.CancelQueued(t.Context(), l.id, 10)
			require.NoError(t, err)
			require.NoError(t, l.b.Advance(t.Context(), l.id, campaign.Settling, ""))
			require.NoError(t, l.b.Finish(t.Context(), l.id, campaign.Stopped, ""))
		}, campaign.Cancelled, "", "Not sent: the campaign was stopped (rain) before its turn came.",
			[]delivery.Kind{delivery.CampaignStopped, delivery.Cancelled}},
		"failed campaign": {func(t *testing.T, l life) {
			require.NoError(t, l.b.Finish(t.Context(), l.id, campaign.Failed, "no report"))
		}, campaign.Queued, "", "Not sent, and it will not be: the campaign is failed; it needs a human: no report.",
			[]delivery.Kind{delivery.CampaignEnded}},
		"value missing": {func(t *testing.T, l life) {
			end(t, l, store.Result{State: campaign.FailedT, Reason: "missing_variable"})
		},
			campaign.FailedT, "", "Not sent: a value that the template needs is missing. Add the value to the file or give it for all targets, then send what failed again.",
			[]delivery.Kind{delivery.Sending, delivery.Failed}},
		"unknown": {func(t *testing.T, l life) { end(t, l, store.Result{State: campaign.Unknown, Reason: "no_answer"}) },
			campaign.Unknown, "receipt", "Perhaps sent: WhatsApp gave no usable answer after the message may have left. Wait for the receipt, which may come days later. Sending again may make it arrive twice.",
			[]delivery.Kind{delivery.Sending, delivery.Unknown}},
		"settled": {func(t *testing.T, l life) {
			end(t, l, store.Result{State: campaign.Unknown, Reason: "no_answer"})
			target, err := l.b.FindTarget(t.Context(), l.id, msisdn(rw(1)))
			require.NoError(t, err)
			l.b.receive(t, store.Receipt{Attempt: campaign.Attempt{Campaign: l.id, Target: target.ID, N: 1}, State: campaign.Read, At: time.Now().Add(-time.Hour)})
		}, campaign.Read, "", "It was sent, delivered and read.",
			[]delivery.Kind{delivery.Sending, delivery.Sent, delivery.Read, delivery.Unknown, delivery.Settled}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := life{b: setup(t)}
			l.id, l.lane = l.b.running(t, rw(1))
			tt.live(t, l)
			got := l.b.timeline(t, l.id, rw(1))
			require.Equal(t, tt.state, got.Now.State)
			require.Equal(t, tt.answer, got.Now.Answer)
			require.Equal(t, tt.waitsFor, got.Now.WaitsFor)
			if tt.kinds != nil {
				require.Equal(t, append([]delivery.Kind{delivery.CampaignStarted}, tt.kinds...), kinds(got))
			}
		})
	}
}

// Where nobody knows the zone, one country's hold is not another's.
func TestTimelineTellsOwnCohortOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const us, ca = "+12025550123", "+14165550123"
	id, lane := b.running(t, us, ca)
	b.set(t, "throttle", `{"whatsapp":{"per_minute":0}}`)
	b.set(t, "quiet_hours", `{"US":{"start":"22:00","end":"06:00"}}`)
	require.NotEmpty(t, b.claim(t, lane, 10).Waits)
	require.Equal(t, []delivery.Kind{delivery.CampaignStarted, delivery.Held}, kinds(b.timeline(t, id, us)))
	require.Equal(t, []delivery.Kind{delivery.CampaignStarted}, kinds(b.timeline(t, id, ca)))
}
