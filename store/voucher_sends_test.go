package store_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/domain/campaign"
	"lastcall/domain/voucher"
	"lastcall/store"
)

// failed is a voucher of a campaign whose message failed, and its target.
func (b bundle) failed(t *testing.T, number string) (store.Voucher, uuid.UUID, int64) {
	t.Helper()
	id, lane := b.giving(t, week(), number)
	claim := b.claim(t, lane, 1)
	_, err := b.Record(t.Context(), lane, []store.Result{{Target: claim.Targets[0].ID, State: campaign.FailedT, Reason: "provider_refused", ErrorCode: 131026}})
	require.NoError(t, err)
	v, err := b.Voucher(t.Context(), claim.Targets[0].Voucher.ID)
	require.NoError(t, err)
	return v, id, claim.Targets[0].ID
}

func (b bundle) unsentIDs(t *testing.T) (ids []uuid.UUID) {
	t.Helper()
	all, err := b.UnsentVouchers(t.Context(), uuid.Nil, uuid.Nil, 100)
	require.NoError(t, err)
	for _, u := range all {
		ids = append(ids, u.Voucher.ID)
	}
	return ids
}

// endTry ends the try that take began.
func (b bundle) endTry(t *testing.T, send uuid.UUID, r store.Result) {
	t.Helper()
	require.NoError(t, b.RecordSend(t.Context(), store.SendHolder(send, "run", 1, 1), r))
}

// A voucher whose message failed goes again as it is: the same voucher, the same code, in a message of its own.
func TestAVoucherIsSentAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	v, id, target := b.failed(t, rw(1))
	require.Equal(t, []uuid.UUID{v.ID}, b.unsentIDs(t))
	order := store.VoucherOrder{Voucher: v.ID, Reason: "has another phone", IdempotencyKey: "k", RequestHash: hash("x")}

	// However many order it at once, with one key one message comes of it.
	var mu sync.Mutex
	ids := map[uuid.UUID]int{}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			one, err := b.SendVoucher(t.Context(), order)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				ids[one.ID]++
			}
		})
	}
	all.Wait()
	require.Len(t, ids, 1)
	var send uuid.UUID
	for one, n := range ids {
		require.Equal(t, 8, n)
		send = one
	}
	order.RequestHash = hash("y")
	_, err := b.SendVoucher(t.Context(), order)
	require.Equal(t, "idempotency_key_reused", domain.CodeOf(err))
	_, err = b.SendVoucher(t.Context(), store.VoucherOrder{Voucher: v.ID})
	require.Equal(t, "still_sending", domain.CodeOf(err))
	require.Empty(t, b.unsentIDs(t), "something is tried")
	require.Equal(t, "has another phone", query[string](t, b, `SELECT reason FROM audit_log WHERE action = 'voucher.resent' AND target = $1`, "voucher/"+v.ID.String()))
	require.NotContains(t, query[string](t, b, `SELECT string_agg(coalesce(variables::text, ''), '') FROM sends`), string(v.Code), "the code is the voucher's")

	require.Len(t, b.take(t, send, 1).Targets, 1)
	b.endTry(t, send, store.Result{State: campaign.Sent, ProviderID: "wamid.1", Form: voucher.Texted})
	now, err := b.Voucher(t.Context(), v.ID)
	require.NoError(t, err)
	require.Equal(t, voucher.Sent, now.Status)
	require.Equal(t, v.Code, now.Code)
	events, entries := b.told(t, v.ID)
	require.Equal(t, []voucher.Status{voucher.Issued, voucher.Sent}, events)
	require.Contains(t, entries, "voucher.sent")
	require.Empty(t, b.unsentIDs(t))
	require.Zero(t, b.figures(t, id).Unsent)

	// Its target has failed, and yet the campaign's resend leaves it alone: its guest has the voucher.
	require.NoError(t, b.Advance(t.Context(), id, campaign.Settling, ""))
	require.NoError(t, b.Finish(t.Context(), id, campaign.Done, ""))
	_, _, err = b.Resend(t.Context(), id, store.ResendOrder{ResendChoice: store.ResendChoice{States: []campaign.TargetState{campaign.FailedT}}, Reason: "x"})
	require.Equal(t, "nothing_to_resend", domain.CodeOf(err))
	require.Equal(t, "failed", query[string](t, b, `SELECT state FROM targets WHERE id = $1`, target))

	// The provider tells late that it did not arrive: it is listed again, and told to its guest by somebody.
	key := campaign.Attempt{Single: send, N: 1}
	b.receive(t, store.Receipt{Attempt: key, State: campaign.FailedT, At: time.Now(), ErrorCode: 131026})
	require.Equal(t, []uuid.UUID{v.ID}, b.unsentIDs(t))
	now, err = b.MarkVoucherSent(t.Context(), v.ID, "called them")
	require.NoError(t, err)
	require.Nil(t, now.UndeliveredAt)
	require.Empty(t, b.unsentIDs(t))
	require.Equal(t, "called them", query[string](t, b, `SELECT reason FROM audit_log WHERE action = 'voucher.told' AND target = $1`, "voucher/"+v.ID.String()))
	_, err = b.MarkVoucherSent(t.Context(), v.ID, "again")
	require.Equal(t, "wrong_state", domain.CodeOf(err))
}

// A voucher that was never a campaign's is sent by a template that says its code, and listed if that fails.
func TestAVoucherIsSentByItself(t *testing.T) {
	t.Parallel()
	c := openTaproom(t)
	v := c.issue(t)
	gift, err := c.NewestTemplate(t.Context(), "voucher_gift")
	require.NoError(t, err)
	promo, err := c.NewestTemplate(t.Context(), "promo_generic")
	require.NoError(t, err)
	for code, o := range map[string]store.VoucherOrder{
		"no_template":       {},
		"no_code":           {TemplateID: promo.ID},
		"filled_by_voucher": {TemplateID: gift.ID, Variables: map[string]string{"code": "MINE"}},
		"voucher_not_found": {Voucher: uuid.New(), TemplateID: gift.ID},
	} {
		if o.Voucher == uuid.Nil {
			o.Voucher = v.ID
		}
		_, err := c.SendVoucher(t.Context(), o)
		require.Equal(t, code, domain.CodeOf(err), "%v", err)
	}
	one, err := c.SendVoucher(t.Context(), store.VoucherOrder{Voucher: v.ID, TemplateID: gift.ID})
	require.NoError(t, err)
	require.Equal(t, v.ID, *one.VoucherID)
	require.Len(t, c.take(t, one.ID, 1).Targets, 1)
	c.endTry(t, one.ID, store.Result{State: campaign.FailedT, Reason: "provider_refused", ErrorCode: 131026})
	all, err := c.UnsentVouchers(t.Context(), uuid.Nil, uuid.Nil, 10)
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Equal(t, campaign.FailedT, all[0].State)
	require.Equal(t, 131026, all[0].ErrorCode)

	// Once it may have arrived, a second one wants somebody who accepts that.
	one, err = c.SendVoucher(t.Context(), store.VoucherOrder{Voucher: v.ID, TemplateID: gift.ID})
	require.NoError(t, err)
	c.take(t, one.ID, 1)
	c.endTry(t, one.ID, store.Result{State: campaign.Sent, ProviderID: "p", Form: voucher.Carded})
	_, err = c.SendVoucher(t.Context(), store.VoucherOrder{Voucher: v.ID, TemplateID: gift.ID})
	require.Equal(t, "may_be_duplicate", domain.CodeOf(err))
	one, err = c.SendVoucher(t.Context(), store.VoucherOrder{Voucher: v.ID, TemplateID: gift.ID, AcceptDuplicate: true})
	require.NoError(t, err)
	_, err = c.CancelSend(t.Context(), one.ID, store.SendOrder{})
	require.NoError(t, err)

	// What cannot be redeemed is not sent.
	_, _, err = c.Redeem(t.Context(), byCode(c.here, v, "k"))
	require.NoError(t, err)
	late := c.issue(t)
	c.pass(t, late.ID)
	for _, over := range []uuid.UUID{v.ID, late.ID} {
		_, err = c.SendVoucher(t.Context(), store.VoucherOrder{Voucher: over, TemplateID: gift.ID, AcceptDuplicate: true})
		require.Equal(t, "wrong_state", domain.CodeOf(err))
	}
}

// Whoever's message nobody knows about may have the voucher.
func TestAVoucherOfAnUnknownMessage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, lane := b.giving(t, week(), rw(1))
	claim := b.claim(t, lane, 1)
	order := store.VoucherOrder{Voucher: claim.Targets[0].Voucher.ID}
	_, err := b.SendVoucher(t.Context(), order)
	require.Equal(t, "still_sending", domain.CodeOf(err), "by its campaign")
	_, err = b.Record(t.Context(), lane, []store.Result{{Target: claim.Targets[0].ID, State: campaign.Unknown, Reason: "timeout"}})
	require.NoError(t, err)
	_, err = b.SendVoucher(t.Context(), order)
	require.Equal(t, "may_be_duplicate", domain.CodeOf(err))
	order.AcceptDuplicate = true
	_, err = b.SendVoucher(t.Context(), order)
	require.NoError(t, err)
}

func TestVoucherKeysAreEnteredOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	old, next := voucher.NewKey(time.Now().Add(-time.Hour)), voucher.NewKey(time.Now().Add(time.Hour))
	note := func(keys ...voucher.Key) {
		t.Helper()
		all, err := voucher.NewKeys(time.Now(), keys...)
		require.NoError(t, err)
		var working sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs { // as many processes do
			working.Go(func() { errs[i] = b.NoteVoucherKeys(t.Context(), all) })
		}
		working.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
	}
	entries := func() string {
		return query[string](t, b, `SELECT coalesce(string_agg(action || ' ' || target, ', ' ORDER BY id), '') FROM audit_log WHERE action LIKE 'voucher_key.%'`)
	}
	note(old)
	told := fmt.Sprintf("voucher_key.added voucher_key/%s", old.ID())
	require.Equal(t, told, entries())
	note(old, next)
	told += fmt.Sprintf(", voucher_key.added voucher_key/%s", next.ID())
	require.Equal(t, told, entries())
	note(next)
	require.Equal(t, told, entries(), "somebody may have an older file")
	_, err := b.owner.Exec(t.Context(), `UPDATE voucher_keys SET seen_at = now() - interval '11 minutes' WHERE id = $1`, old.ID().String())
	require.NoError(t, err)
	note(next)
	told += fmt.Sprintf(", voucher_key.retired voucher_key/%s", old.ID())
	require.Equal(t, told, entries())
	note(next)
	require.Equal(t, told, entries())
	note(old, next)
	require.Equal(t, told+fmt.Sprintf(", voucher_key.added voucher_key/%s", old.ID()), entries(), "it is back")
}
