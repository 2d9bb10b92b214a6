package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/domain/campaign"
	"lastcall/domain/contact"
	"lastcall/domain/policy"
	"lastcall/domain/template"
	"lastcall/store"
)

// newSend is a message of promo_generic to a number.
func (b bundle) newSend(t *testing.T, to string) store.NewSend {
	t.Helper()
	template, err := b.NewestTemplate(t.Context(), "promo_generic")
	require.NoError(t, err)
	number, err := contact.ParseNumber(to, "")
	require.NoError(t, err)
	return store.NewSend{Number: number, TemplateID: template.ID}
}

func (b bundle) order(t *testing.T, n store.NewSend) store.Send {
	t.Helper()
	one, err := b.CreateSend(t.Context(), n)
	require.NoError(t, err)
	return one
}

func (b bundle) take(t *testing.T, id uuid.UUID, fence int) store.SendTurn {
	t.Helper()
	turn, err := b.TakeSend(t.Context(), store.SendHolder(id, "run", 1, fence), 0)
	require.NoError(t, err)
	return turn
}

func (b bundle) kinds(t *testing.T, id uuid.UUID) (all []string) {
	t.Helper()
	events, err := b.SendEvents(t.Context(), id)
	require.NoError(t, err)
	for _, e := range events {
		all = append(all, e.Kind)
	}
	return all
}

// checks counts the audit log's blocks of a send for a reason.
func (b bundle) checks(t *testing.T, id uuid.UUID, reason policy.Reason) int {
	return query[int](t, b, `SELECT count(*) FROM audit_log WHERE action = 'outbound_policy_check' AND target = $1 AND diff->>'reason' = $2`, "send/"+id.String(), reason)
}

func TestASingleSendGoesOnceAndItsReceiptsSettleIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	one := b.order(t, b.newSend(t, rw(1)))
	require.Equal(t, campaign.Queued, one.State)
	require.EqualValues(t, 1, outboxed(t, b, store.KindStartSend))

	turn := b.take(t, one.ID, 1)
	require.Len(t, turn.Targets, 1)
	require.Equal(t, one.ID, turn.Targets[0].Single)
	require.Equal(t, 1, turn.Targets[0].Attempt)
	require.EqualValues(t, 1, query[int64](t, b, `SELECT sum(n)::bigint FROM permits`))
	l := store.SendHolder(one.ID, "run", 1, 1)
	require.NoError(t, b.RecordSend(t.Context(), l, store.Result{State: campaign.Sent, ProviderID: "wamid.1"}))

	key := campaign.Attempt{Single: one.ID, N: 1}
	parsed, err := campaign.ParseAttempt(key.Key())
	require.NoError(t, err)
	b.receive(t, store.Receipt{Attempt: parsed, State: campaign.Read, At: time.Now()})
	b.receive(t, store.Receipt{Attempt: parsed, State: campaign.Delivered, At: time.Now()})
	b.receive(t, store.Receipt{Attempt: parsed, State: campaign.Sent, At: time.Now()})
	one, err = b.Send(t.Context(), one.ID)
	require.NoError(t, err)
	require.Equal(t, campaign.Read, one.State)
	require.NotNil(t, one.DeliveredAt)
	require.Equal(t, []string{"requested", "sending", "sent", "read"}, b.kinds(t, one.ID))
	require.True(t, b.take(t, one.ID, 2).Ended, "it is not sent again")
}

func TestABlockedSendFailsOrWaits(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.set(t, "quiet_hours", aroundNow("RW", "Africa/Kigali"))
	blocked := b.order(t, b.newSend(t, rw(1)))
	require.Equal(t, campaign.FailedT, blocked.State)
	require.Equal(t, policy.InQuietHours, blocked.Block.Reason)
	require.Equal(t, "Africa/Kigali", blocked.Block.NextWindow.Zone)
	require.Equal(t, 1, b.checks(t, blocked.ID, policy.InQuietHours))
	require.Zero(t, outboxed(t, b, store.KindStartSend), "nothing looks after it")

	n := b.newSend(t, rw(2))
	n.WhenAllowed = true
	waits := b.order(t, n)
	require.Equal(t, campaign.Queued, waits.State)
	require.EqualValues(t, 1, outboxed(t, b, store.KindStartSend))
	turn := b.take(t, waits.ID, 1)
	require.Empty(t, turn.Targets)
	require.Equal(t, policy.InQuietHours, turn.Waits[0].Reason)
	require.Equal(t, 1, b.checks(t, waits.ID, policy.InQuietHours), "told once")
	require.Equal(t, []string{"requested", "held"}, b.kinds(t, waits.ID))

	b.set(t, "quiet_hours", `{}`)
	require.EqualValues(t, 1, outboxed(t, b, store.KindWakeSend), "those that wait hear of it, and no others")
	require.Len(t, b.take(t, waits.ID, 1).Targets, 1)
	require.EqualValues(t, 1, query[int64](t, b, `SELECT count(*) FROM audit_log WHERE action = 'settings.changed' AND diff->'after' = '{}'`))
}

func TestOptOutGoesBeforeAllElseAndEndsWhatWaits(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.set(t, "quiet_hours", aroundNow("RW", "Africa/Kigali"))
	n := b.newSend(t, rw(1))
	n.WhenAllowed = true
	waits := b.order(t, n)
	_, err := b.AddOptOuts(t.Context(), []contact.MSISDN{msisdn(rw(1)), msisdn(rw(9))}, store.OptOutInbound, "STOP")
	require.NoError(t, err)
	require.EqualValues(t, 1, outboxed(t, b, store.KindWakeSend))
	turn := b.take(t, waits.ID, 1)
	require.True(t, turn.Ended)
	require.Equal(t, campaign.OptedOut, turn.Send.State)

	again := b.order(t, n)
	require.Equal(t, campaign.OptedOut, again.State, "whatever it may wait for")
	require.Equal(t, policy.OptOut, again.Block.Reason)
	require.Equal(t, []policy.Reason{policy.InQuietHours}, again.Block.Also)
	require.Equal(t, 1, b.checks(t, again.ID, policy.OptOut))
}

func TestKilledBetweenPermitAndRecordIsUnknown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	one := b.order(t, b.newSend(t, rw(1)))
	require.Len(t, b.take(t, one.ID, 1).Targets, 1)
	turn := b.take(t, one.ID, 2) // the attempt after
	require.True(t, turn.Ended)
	require.Equal(t, campaign.Unknown, turn.Send.State)
	require.NoError(t, b.RecordSend(t.Context(), store.SendHolder(one.ID, "run", 1, 1), store.Result{State: campaign.Sent}), "fenced out")
	one, err := b.Send(t.Context(), one.ID)
	require.NoError(t, err)
	require.Equal(t, campaign.Unknown, one.State)

	_, err = b.ResendSend(t.Context(), one.ID, store.SendOrder{})
	require.Equal(t, "may_be_duplicate", domain.CodeOf(err))
	b.receive(t, store.Receipt{Attempt: campaign.Attempt{Single: one.ID, N: 1}, State: campaign.Delivered, At: time.Now()})
	one, err = b.Send(t.Context(), one.ID)
	require.NoError(t, err)
	require.Equal(t, campaign.Delivered, one.State, "a receipt settles it")
}

func TestALaterAttemptIsNotTakenFromItsHolder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	one := b.order(t, b.newSend(t, rw(1)))
	require.Len(t, b.take(t, one.ID, 2).Targets, 1)
	_, err := b.TakeSend(t.Context(), store.SendHolder(one.ID, "run", 1, 1), 0)
	require.True(t, errors.Is(err, store.ErrFenced))
}

func TestTheSameKeyOrdersOneSend(t *testing.T) {
	t.Parallel()
	b := setup(t)
	n := b.newSend(t, rw(1))
	n.IdempotencyKey, n.RequestHash = "k", []byte("a")
	first, second := b.order(t, n), b.order(t, n)
	require.Equal(t, first.ID, second.ID)
	require.EqualValues(t, 1, outboxed(t, b, store.KindStartSend))
	n.RequestHash = []byte("b")
	_, err := b.CreateSend(t.Context(), n)
	require.Equal(t, "idempotency_key_reused", domain.CodeOf(err))
}

func TestOnlyAnApprovedTemplateIsSent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.EnsureTemplate(t.Context(), template.Template{Name: "sketch", Version: 1, Category: template.Utility, Status: template.Draft,
		Texts: map[string]string{"en": "Hello"}})
	require.NoError(t, err)
	n := b.newSend(t, rw(1))
	n.TemplateID = query[uuid.UUID](t, b, `SELECT id FROM templates WHERE name = 'sketch'`)
	_, err = b.CreateSend(t.Context(), n)
	require.Equal(t, "template_not_approved", domain.CodeOf(err), "%v", err)
}

func TestCancelAndResend(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.set(t, "quiet_hours", aroundNow("RW", "Africa/Kigali"))
	n := b.newSend(t, rw(1))
	n.WhenAllowed = true
	waits := b.order(t, n)
	one, err := b.CancelSend(t.Context(), waits.ID, store.SendOrder{Reason: "not needed"})
	require.NoError(t, err)
	require.Equal(t, campaign.Cancelled, one.State)
	require.True(t, b.take(t, one.ID, 1).Ended)
	_, err = b.CancelSend(t.Context(), waits.ID, store.SendOrder{})
	require.Equal(t, "wrong_state", domain.CodeOf(err))
	_, err = b.ResendSend(t.Context(), waits.ID, store.SendOrder{})
	require.Equal(t, "wrong_state", domain.CodeOf(err))

	n.WhenAllowed = false
	failed := b.order(t, n)
	b.set(t, "quiet_hours", `{}`)
	one, err = b.ResendSend(t.Context(), failed.ID, store.SendOrder{Reason: "it is morning"})
	require.NoError(t, err)
	require.Equal(t, campaign.Queued, one.State)
	require.Equal(t, 1, one.Run)
	require.Nil(t, one.Block)
	_, err = b.TakeSend(t.Context(), store.SendHolder(one.ID, "run", 1, 1), 0)
	require.Equal(t, "superseded", domain.CodeOf(err), "the first workflow has nothing to do with it any more")
	turn, err := b.TakeSend(t.Context(), store.SendHolder(one.ID, "run", 1, 1), 1)
	require.NoError(t, err)
	require.Len(t, turn.Targets, 1)
	require.Equal(t, []string{"requested", "blocked", "resent", "sending"}, b.kinds(t, one.ID))
}

func TestAThrottledSendIsToldWhenToComeAgainAndGoesBeforeCampaigns(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.set(t, "throttle", `{"whatsapp":{"per_minute":1}}`)
	require.Len(t, b.take(t, b.order(t, b.newSend(t, rw(1))).ID, 1).Targets, 1)
	blocked := b.order(t, b.newSend(t, rw(2)))
	require.Equal(t, campaign.FailedT, blocked.State)
	require.Equal(t, policy.Throttled, blocked.Block.Reason)
	require.WithinDuration(t, time.Now().Add(61*time.Second), *blocked.Block.RetryAfter, 5*time.Second)
	require.Equal(t, 1, b.checks(t, blocked.ID, policy.Throttled))
	require.Zero(t, query[int64](t, b, `SELECT count(*) FROM permit_singles`), "no place is kept for what has ended")

	n := b.newSend(t, rw(3))
	n.WhenAllowed = true
	waits := b.order(t, n)
	require.Equal(t, policy.Throttled, b.take(t, waits.ID, 1).Waits[0].Reason)
	require.EqualValues(t, 1, query[int64](t, b, `SELECT count(*) FROM permit_singles`), "campaigns leave it one")
	_, err := b.CancelSend(t.Context(), waits.ID, store.SendOrder{})
	require.NoError(t, err)
	require.Zero(t, query[int64](t, b, `SELECT count(*) FROM permit_singles`))
}

func TestTheFrequencyCapCountsSingleSends(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.set(t, "frequency_cap", `{"marketing":{"per_day":1}}`)
	id, lane := b.running(t, rw(1))
	require.Len(t, b.take(t, b.order(t, b.newSend(t, rw(1))).ID, 1).Targets, 1)
	require.Equal(t, policy.FrequencyCapped, b.order(t, b.newSend(t, rw(1))).Block.Reason)
	b.claim(t, lane, 1)
	require.EqualValues(t, 1, b.counts(t, id).Queued, "and campaigns count them as well")
}

func TestErasingForgetsSends(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.set(t, "quiet_hours", aroundNow("RW", "Africa/Kigali"))
	n := b.newSend(t, rw(1))
	n.WhenAllowed = true
	one := b.order(t, n)
	e, err := b.Erase(t.Context(), msisdn(rw(1)), "asked for it")
	require.NoError(t, err)
	require.EqualValues(t, 1, e.Sends)
	require.EqualValues(t, 1, e.Queued)
	one, err = b.Send(t.Context(), one.ID)
	require.NoError(t, err)
	require.Equal(t, campaign.Cancelled, one.State)
	require.Equal(t, contact.MSISDN("erased-"+one.ID.String()), one.MSISDN)
	_, err = b.ResendSend(t.Context(), one.ID, store.SendOrder{})
	require.Error(t, err)
}

func TestReceiptsOfSingleSendsTellOfPeopleAndTemplates(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first, second := b.order(t, b.newSend(t, rw(1))), b.order(t, b.newSend(t, rw(2)))
	for _, one := range []store.Send{first, second} {
		require.Len(t, b.take(t, one.ID, 1).Targets, 1)
		require.NoError(t, b.RecordSend(t.Context(), store.SendHolder(one.ID, "run", 1, 1), store.Result{State: campaign.Sent}))
	}
	b.receive(t, store.Receipt{Attempt: campaign.Attempt{Single: first.ID, N: 1}, State: campaign.FailedT, ErrorCode: 131050, At: time.Now()})
	out, err := b.OptedOut(t.Context(), msisdn(rw(1)))
	require.NoError(t, err)
	require.True(t, out)
	b.receive(t, store.Receipt{Attempt: campaign.Attempt{Single: second.ID, N: 1}, State: campaign.FailedT, ErrorCode: 132015, At: time.Now()})
	require.Equal(t, policy.TemplateSuspended, b.order(t, b.newSend(t, rw(3))).Block.Reason)
}
