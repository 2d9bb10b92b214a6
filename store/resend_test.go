package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/domain/audit"
	"lastcall/domain/campaign"
	"lastcall/domain/contact"
	"lastcall/domain/delivery"
	"lastcall/store"
)

// resends is a campaign that has ended: two of its targets are unknown, two failed with a code, one without.
type resends struct {
	bundle
	id      uuid.UUID
	targets []store.ClaimedTarget // by number: 0 sent, 1 and 2 unknown, 3 and 4 failed with 131042, 5 with 131026
}

func setupResends(t *testing.T) *resends {
	t.Helper()
	b := setup(t)
	r := &resends{bundle: b}
	id, lane := b.running(t, many(6, rw)...)
	r.id, r.targets = id, b.claim(t, lane, 10).Targets
	require.Len(t, r.targets, 6)
	var results []store.Result
	for i, target := range r.targets {
		results = append(results, []store.Result{{State: campaign.Sent}, {State: campaign.Unknown, Reason: "no_answer"},
			{State: campaign.Unknown, Reason: "no_answer"}, {State: campaign.FailedT, Reason: "provider_refused", ErrorCode: 131042},
			{State: campaign.FailedT, Reason: "provider_refused", ErrorCode: 131042}, {State: campaign.FailedT, Reason: "provider_refused", ErrorCode: 131026}}[i])
		results[i].Target, results[i].ProviderID = target.ID, fmt.Sprint("wamid.", i)
	}
	_, err := b.Record(t.Context(), lane, results)
	require.NoError(t, err)
	r.end(t)
	return r
}

// end ends the campaign.
func (r *resends) end(t *testing.T) {
	t.Helper()
	require.NoError(t, r.Advance(t.Context(), r.id, campaign.Settling, ""))
	require.NoError(t, r.Finish(t.Context(), r.id, campaign.Done, ""))
}

func failed(codes ...int) store.ResendOrder {
	return store.ResendOrder{ResendChoice: store.ResendChoice{States: []campaign.TargetState{campaign.FailedT}, Codes: codes}, Reason: "payment mended"}
}

func unknown() store.ResendOrder {
	return store.ResendOrder{ResendChoice: store.ResendChoice{States: []campaign.TargetState{campaign.Unknown}}, Reason: "it matters", AcceptDuplicates: true}
}

// state is that of the nth target.
func (r *resends) state(t *testing.T, n int) campaign.TargetState {
	t.Helper()
	return campaign.TargetState(query[string](t, r.bundle, `SELECT state FROM targets WHERE id = $1`, r.targets[n].ID))
}

// again begins the resend's sending and returns whom it claims, by number.
func (r *resends) again(t *testing.T) (store.Lane, []int) {
	t.Helper()
	for _, to := range []campaign.Status{campaign.Preflight, campaign.Running} {
		require.NoError(t, r.Advance(t.Context(), r.id, to, ""))
	}
	lane := store.Lane{Campaign: r.id, Run: "another run", Batch: 1, Fence: 1}
	_, err := r.TakeLane(t.Context(), lane)
	require.NoError(t, err)
	var all []int
	for _, c := range r.claim(t, lane, 10).Targets {
		for n, known := range r.targets {
			if known.ID == c.ID {
				all = append(all, n)
				require.Equal(t, known.Attempt+1, c.Attempt, "the attempt has a key of its own")
			}
		}
	}
	return lane, all
}

// receipt applies receipts for an attempt at the nth target.
func (r *resends) receipt(t *testing.T, n, attempt int, states ...campaign.TargetState) {
	t.Helper()
	for _, state := range states {
		r.receive(t, r.told(n, attempt, state))
	}
}

func (r *resends) told(n, attempt int, state campaign.TargetState) store.Receipt {
	return store.Receipt{Attempt: campaign.Attempt{Campaign: r.id, Target: r.targets[n].ID, N: attempt}, State: state, At: time.Now(), ProviderID: "wamid.late"}
}

// story is what is told of the nth target's own events: kind and reason.
func (r *resends) story(t *testing.T, n int) (all []string) {
	t.Helper()
	told, err := r.Timeline(t.Context(), r.id, r.targets[n].ID)
	require.NoError(t, err)
	for _, m := range told.Moments {
		if m.Kind == delivery.LateReceipt || m.Kind == delivery.Requeued || m.Kind == delivery.Settled || m.Kind == delivery.CampaignResent {
			all = append(all, fmt.Sprint(m.Kind, " ", m.Reason))
		}
	}
	return all
}

func TestResendTakesUpWhatWasChosen(t *testing.T) {
	t.Parallel()
	r := setupResends(t)
	ops := audit.WithActor(t.Context(), audit.Actor{Kind: "token", Name: "ops"})
	done, message, err := r.Resend(ops, r.id, failed(131042))
	require.NoError(t, err)
	require.Equal(t, 1, done.N)
	require.EqualValues(t, 2, done.Targets)
	require.Len(t, done.By, 1)
	require.Equal(t, 131042, done.By[0].ErrorCode)
	require.NotEmpty(t, done.By[0].Advice)

	p, err := r.Progress(t.Context(), r.id)
	require.NoError(t, err)
	require.Equal(t, campaign.Scheduled, p.Status)
	require.Equal(t, 1, p.Resend)
	require.Nil(t, p.FinishedAt)
	require.Empty(t, p.Report)
	require.Equal(t, campaign.Counts{Targets: 6, Queued: 2, Sent: 1, Unknown: 2, Failed: 1}, p.Counts)
	var start store.StartCampaign
	require.NoError(t, json.Unmarshal(query[json.RawMessage](t, r.bundle, `SELECT payload FROM outbox WHERE id = $1 AND kind = 'campaign.start'`, message), &start))
	require.Equal(t, store.StartCampaign{CampaignID: r.id, Name: p.Name, Targets: 2, Resend: 1}, start)
	require.Equal(t, "ops payment mended", query[string](t, r.bundle, `SELECT actor || ' ' || reason FROM audit_log WHERE action = 'campaign.resent'
		AND diff->>'targets' = '2' AND diff->'by'->0->>'targets' = '2' AND diff->'by'->0->>'error_code' = '131042'`))
	require.Equal(t, []string{"requeued resend", "campaign_resent "}, r.story(t, 3))
	require.Empty(t, r.story(t, 5), "another code")
	require.EqualValues(t, 2, query[int](t, r.bundle, `SELECT count(*) FROM targets WHERE state = 'queued'
		AND num_nulls(provider_id, error_code, reason, not_before, sent_at, ended_at) = 6`), "nothing of the last attempt is left")

	_, _, err = r.Resend(t.Context(), r.id, failed())
	require.Equal(t, "wrong_state", domain.CodeOf(err), "it runs again")
	require.Equal(t, domain.Conflict, domain.KindOf(err))

	lane, who := r.again(t)
	require.ElementsMatch(t, []int{3, 4}, who)
	_, err = r.Record(t.Context(), lane, []store.Result{{Target: r.targets[3].ID, State: campaign.Sent}, {Target: r.targets[4].ID, State: campaign.Sent}})
	require.NoError(t, err)
	r.end(t)
	done, _, err = r.Resend(t.Context(), r.id, unknown())
	require.NoError(t, err)
	require.Equal(t, 2, done.N)
	require.EqualValues(t, 2, done.Targets)
}

func TestResendRefuses(t *testing.T) {
	t.Parallel()
	r := setupResends(t)
	noDuplicates := unknown()
	noDuplicates.AcceptDuplicates = false
	codes := unknown()
	codes.Codes = []int{1}
	cancelled := failed()
	cancelled.States = []campaign.TargetState{campaign.Cancelled}
	for code, o := range map[string]store.ResendOrder{"accept_duplicates": noDuplicates, "codes_without_failed": codes, "bad_state": cancelled,
		"no_states": {}, "nothing_to_resend": failed(190)} {
		_, _, err := r.Resend(t.Context(), r.id, o)
		require.Equal(t, code, domain.CodeOf(err))
	}
	_, _, err := r.Resend(t.Context(), uuid.New(), failed())
	require.Equal(t, domain.NotFound, domain.KindOf(err))
	draft := r.draft(t, rw(1))
	_, _, err = r.Resend(t.Context(), draft, failed())
	require.ErrorContains(t, err, "has not been started")
	_, err = r.owner.Exec(t.Context(), `UPDATE templates SET status = 'retired'`)
	require.NoError(t, err)
	_, _, err = r.Resend(t.Context(), r.id, failed())
	require.Equal(t, "template_not_approved", domain.CodeOf(err))
	require.EqualValues(t, 0, query[int](t, r.bundle, `SELECT count(*) FROM audit_log WHERE action = 'campaign.resent'`))
	require.Equal(t, campaign.Counts{Targets: 6, Sent: 1, Unknown: 2, Failed: 3}, r.counts(t, r.id), "nothing has changed")
}

func TestResendOnceForADoubleClick(t *testing.T) {
	t.Parallel()
	r := setupResends(t)
	o := failed()
	o.IdempotencyKey, o.RequestHash = "click", []byte("hash")
	done := make([]store.Resent, 5)
	var all sync.WaitGroup
	for i := range done {
		all.Go(func() {
			var err error
			if done[i], _, err = r.Resend(t.Context(), r.id, o); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, d := range done {
		require.Equal(t, done[0], d)
	}
	require.EqualValues(t, 3, done[0].Targets)
	require.EqualValues(t, 1, query[int](t, r.bundle, `SELECT count(*) FROM outbox WHERE kind = 'campaign.start' AND payload->>'resend' = '1'`))
	o.RequestHash = []byte("other")
	_, _, err := r.Resend(t.Context(), r.id, o)
	require.Equal(t, "idempotency_key_reused", domain.CodeOf(err))
}

func TestResendNeverReachesWhoOptedOut(t *testing.T) {
	t.Parallel()
	r := setupResends(t)
	_, err := r.AddOptOuts(t.Context(), []contact.MSISDN{r.targets[3].MSISDN}, store.OptOutRegistry, "asked")
	require.NoError(t, err)
	p, err := r.PreviewResend(t.Context(), r.id, failed().ResendChoice)
	require.NoError(t, err)
	require.EqualValues(t, 2, p.Targets)
	require.EqualValues(t, 1, p.OptedOut)
	done, _, err := r.Resend(t.Context(), r.id, failed())
	require.NoError(t, err)
	require.Equal(t, p.Resent, done, "the preview told the truth")
	require.Equal(t, campaign.FailedT, r.state(t, 3))
}

func TestPreviewOfAResendWarns(t *testing.T) {
	t.Parallel()
	r := setupResends(t)
	c := store.ResendChoice{States: campaign.Resendable}
	p, err := r.PreviewResend(t.Context(), r.id, c)
	require.NoError(t, err)
	require.Empty(t, p.Problems)
	require.EqualValues(t, 5, p.Targets)
	require.Len(t, p.By, 3)
	require.Len(t, p.Warnings, 2)
	require.Equal(t, "may_duplicate", p.Warnings[0].Code)
	require.Contains(t, p.Warnings[0].Message, "2 of 5")
	require.Equal(t, "will_fail", p.Warnings[1].Code)
	require.Contains(t, p.Warnings[1].Message, "1 of 5")
	require.Equal(t, campaign.Counts{Targets: 6, Sent: 1, Unknown: 2, Failed: 3}, r.counts(t, r.id), "it changes nothing")

	_, _, err = r.Resend(t.Context(), r.id, failed())
	require.NoError(t, err)
	p, err = r.PreviewResend(t.Context(), r.id, c)
	require.NoError(t, err)
	require.Equal(t, "wrong_state", p.Problems[0].Code)
}

// TestAReceiptBeforeTheTurnSettles is what waiting gains: who turns out to have the message is not sent to again.
func TestAReceiptBeforeTheTurnSettles(t *testing.T) {
	t.Parallel()
	r := setupResends(t)
	_, _, err := r.Resend(t.Context(), r.id, unknown())
	require.NoError(t, err)
	r.receipt(t, 1, 1, campaign.Delivered)
	require.Equal(t, campaign.Delivered, r.state(t, 1))
	require.Equal(t, []string{"requeued resend", "campaign_resent ", "settled receipt"}, r.story(t, 1))
	r.receipt(t, 2, 1, campaign.FailedT)
	require.Equal(t, campaign.Queued, r.state(t, 2), "it failed indeed, so sending again is right")
	r.receipt(t, 2, 1, campaign.Sent)
	require.Equal(t, campaign.Queued, r.state(t, 2), "that was before it failed")
	require.Equal(t, []string{"requeued resend", "campaign_resent ", "late_receipt failed", "late_receipt sent"}, r.story(t, 2))
	_, who := r.again(t)
	require.Equal(t, []int{2}, who)
}

// TestRepeatedReceiptsDoNotUndoAResend: webhooks come twice and in any order.
func TestRepeatedReceiptsDoNotUndoAResend(t *testing.T) {
	t.Parallel()
	r := setupResends(t)
	_, _, err := r.Resend(t.Context(), r.id, failed())
	require.NoError(t, err)
	r.receipt(t, 3, 1, campaign.FailedT)
	r.receipt(t, 4, 1, campaign.Sent)
	r.receipt(t, 5, 1, campaign.Sent, campaign.Delivered)
	require.Equal(t, campaign.Queued, r.state(t, 3))
	require.Equal(t, campaign.Queued, r.state(t, 4))
	require.Equal(t, campaign.Delivered, r.state(t, 5), "it arrived after all")
}

// TestALateReceiptIsToldAndDecidesNothing: it is of an attempt before the last.
func TestALateReceiptIsToldAndDecidesNothing(t *testing.T) {
	t.Parallel()
	r := setupResends(t)
	_, _, err := r.Resend(t.Context(), r.id, unknown())
	require.NoError(t, err)
	lane, who := r.again(t)
	require.Len(t, who, 2)
	r.receipt(t, 1, 1, campaign.Delivered)
	r.receipt(t, 1, 1, campaign.Delivered)
	require.Equal(t, campaign.Sending, r.state(t, 1))
	_, err = r.Record(t.Context(), lane, []store.Result{{Target: r.targets[1].ID, State: campaign.Sent, ProviderID: "wamid.2"}})
	require.NoError(t, err)
	r.receipt(t, 1, 1, campaign.Read)
	require.Equal(t, campaign.Sent, r.state(t, 1))
	r.receipt(t, 1, 2, campaign.Delivered)
	require.Equal(t, campaign.Delivered, r.state(t, 1))
	require.Equal(t, []string{"requeued resend", "campaign_resent ", "late_receipt delivered", "late_receipt read"}, r.story(t, 1))
	require.Equal(t, "wamid.2", query[string](t, r.bundle, `SELECT provider_id FROM targets WHERE id = $1`, r.targets[1].ID))
}

// TestResendAndReceiptsAtOnce: whoever is settled is not in the queue, whichever came first.
func TestResendAndReceiptsAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, lane := b.running(t, many(400, rw)...)
	r := &resends{bundle: b, id: id}
	var results []store.Result
	for len(r.targets) < 400 {
		for _, c := range b.claim(t, lane, 400).Targets {
			r.targets = append(r.targets, c)
			results = append(results, store.Result{Target: c.ID, State: campaign.Unknown, Reason: "no_answer"})
		}
	}
	_, err := b.Record(t.Context(), lane, results)
	require.NoError(t, err)
	r.end(t)
	for n := len(r.targets) - 1; n >= 0; n -= 2 {
		require.NoError(t, b.KeepWebhook(t.Context(), []byte(strconv.Itoa(n))))
	}
	applier := &store.Applier{Store: b.Store, Log: quiet, Parse: func(body []byte) (store.Inbound, error) {
		n, err := strconv.Atoi(string(body))
		return store.Inbound{Receipts: []store.Receipt{r.told(n, 1, campaign.Delivered)}}, err
	}}
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() { applier.Run(ctx) })
	_, _, err = b.Resend(t.Context(), id, unknown())
	require.NoError(t, err)
	require.Eventually(t, func() bool { return query[int64](t, b, `SELECT count(*) FROM webhook_inbox`) == 0 }, 20*time.Second, 10*time.Millisecond)
	stop()
	all.Wait()
	require.Equal(t, campaign.Counts{Targets: 400, Queued: 200, Delivered: 200}, b.counts(t, id))
}

func TestRecover(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, _ := b.running(t, many(3, rw)...)
	deliverAll := func() {
		_, err := b.owner.Exec(t.Context(), `UPDATE outbox SET delivered_at = clock_timestamp() WHERE delivered_at IS NULL`)
		require.NoError(t, err)
	}
	_, err := b.Recover(t.Context(), id, "gone")
	require.Equal(t, "order_pending", domain.CodeOf(err), "the start is on its way")
	deliverAll()
	_, err = b.Order(t.Context(), id, campaign.GatePaused, "wait")
	require.NoError(t, err)
	deliverAll()
	message, err := b.Recover(t.Context(), id, "terminated by mistake")
	require.NoError(t, err)
	var got store.RecoverCampaign
	require.NoError(t, json.Unmarshal(query[json.RawMessage](t, b, `SELECT payload FROM outbox WHERE id = $1 AND kind = 'campaign.recover'`, message), &got))
	require.Equal(t, store.RecoverCampaign{StartCampaign: store.StartCampaign{CampaignID: id, Name: t.Name(), Targets: 3}, Paused: true}, got)
	require.EqualValues(t, 1, query[int](t, b, `SELECT count(*) FROM audit_log WHERE action = 'campaign.recovered' AND reason = 'terminated by mistake'`))
	p, err := b.Progress(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, campaign.Scheduled, p.Status)
	deliverAll()

	require.NoError(t, b.Finish(t.Context(), id, campaign.Failed, "a fault of ours"))
	_, _, err = b.Resend(t.Context(), id, failed())
	require.ErrorContains(t, err, "3 targets were never tried")
	_, err = b.Recover(t.Context(), id, "mended")
	require.NoError(t, err, "one that failed in its middle goes on, too")
	for _, to := range []campaign.Status{campaign.Preflight, campaign.Running} {
		require.NoError(t, b.Advance(t.Context(), id, to, ""))
	}
	_, err = b.Recover(t.Context(), b.draft(t, rw(9)), "x")
	require.Equal(t, "wrong_state", domain.CodeOf(err))
}

func TestSweeper(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, lane := b.running(t, many(3, rw)...)
	old := b.claim(t, lane, 2).Targets
	require.Len(t, old, 2)
	_, err := b.owner.Exec(t.Context(), `UPDATE targets SET sending_at = sending_at - $2::interval WHERE id = $1`, old[0].ID, store.Abandoned)
	require.NoError(t, err)
	open := map[uuid.UUID]bool{}
	w := store.Sweeper{Store: b.Store, Log: slog.New(slog.DiscardHandler), Open: func(_ context.Context, id uuid.UUID, _ int) (bool, error) { return open[id], nil }}
	require.NoError(t, w.Sweep(t.Context()))
	require.Equal(t, campaign.Counts{Targets: 3, Queued: 1, Sending: 1, Unknown: 1}, b.counts(t, id), "only what nobody can still be sending")
	needs := func() string { return query[string](t, b, `SELECT needs_human FROM campaigns WHERE id = $1`, id) }
	require.Empty(t, needs(), "the message that starts its workflow is on its way")

	_, err = b.owner.Exec(t.Context(), `UPDATE outbox SET delivered_at = clock_timestamp()`)
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, w.Sweep(t.Context()))
	}
	require.Contains(t, needs(), "lastcall campaigns recover "+id.String())
	waiting, err := b.Timeline(t.Context(), id, query[int64](t, b, `SELECT id FROM targets WHERE state = 'queued'`))
	require.NoError(t, err)
	require.Equal(t, "recover", waiting.Now.WaitsFor)
	require.EqualValues(t, 1, query[int](t, b, `SELECT count(*) FROM outbox WHERE kind = 'ops.notice' AND payload->>'level' = 'critical'`), "Ops are told once")
	require.EqualValues(t, 1, query[int](t, b, `SELECT count(*) FROM audit_log WHERE action = 'campaign.workflow_gone' AND actor = 'sweeper'`))
	open[id] = true
	require.NoError(t, w.Sweep(t.Context()))
	require.Empty(t, needs(), "somebody reset it in Temporal")

	open[id] = false
	w.Open = func(context.Context, uuid.UUID, int) (bool, error) {
		return false, domain.E(domain.Unavailable, "temporal_unavailable", "away")
	}
	require.Error(t, w.Sweep(t.Context()))
	require.Empty(t, needs(), "Temporal is away: nobody knows")
	w.Open = func(context.Context, uuid.UUID, int) (bool, error) {
		if status := query[string](t, b, `SELECT status FROM campaigns WHERE id = $1`, id); status == "running" {
			require.NoError(t, b.Finish(t.Context(), id, campaign.Failed, "")) // between the two looks
		}
		return false, nil
	}
	require.NoError(t, w.Sweep(t.Context()))
	require.Empty(t, needs(), "it has ended")
}
