package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/domain/audit"
	"lastcall/domain/voucher"
	"lastcall/store"
	"lastcall/store/storetest"
)

// outcome is what one of many got.
type outcome struct {
	receipt  store.Redeemed
	repeated bool
	err      error
}

// together lets n redeem at once.
func (b bundle) together(t *testing.T, n int, request func(i int) store.Redemption) []outcome {
	t.Helper()
	got := make([]outcome, n)
	ready := make(chan struct{})
	var all sync.WaitGroup
	for i := range got {
		all.Go(func() {
			<-ready
			o := &got[i]
			o.receipt, o.repeated, o.err = b.Redeem(context.Background(), request(i))
		})
	}
	close(ready)
	all.Wait()
	return got
}

// The goal of the whole: 64 devices at one voucher at once, exactly one success, and 63 who are told when and where.
func TestSixtyFourAtOneVoucher(t *testing.T) {
	t.Parallel()
	c := openTaproom(t)
	for round := range 3 {
		v := c.issue(t)
		var won int
		var receipt store.Redeemed
		got := c.together(t, 64, func(i int) store.Redemption {
			return store.Redemption{By: []store.StationSession{c.here, c.there}[i%2], Voucher: v.ID, Key: fmt.Sprint(round, "-", i), RequestHash: hash(fmt.Sprint(i))}
		})
		for _, o := range got {
			if o.err == nil {
				won++
				receipt = o.receipt
				require.False(t, o.repeated)
			}
		}
		require.Equal(t, 1, won)
		require.Equal(t, "2000", receipt.Amount)
		require.Equal(t, "+250 78• ••• 012", receipt.MSISDN)
		kigali, err := time.LoadLocation("Africa/Kigali")
		require.NoError(t, err)
		for _, o := range got {
			if o.err == nil {
				continue
			}
			refusal, ok := errors.AsType[*store.Refusal](o.err)
			require.True(t, ok, "%v", o.err)
			require.Equal(t, "already_redeemed", domain.CodeOf(o.err))
			require.Equal(t, domain.Conflict, domain.KindOf(o.err))
			require.True(t, receipt.RedeemedAt.Equal(*refusal.RedeemedAt))
			require.Equal(t, receipt.StationCode+", "+receipt.StationName, refusal.Station)
			require.Equal(t, "+250 78• ••• 012", refusal.MSISDN)
			require.Contains(t, o.err.Error(), receipt.RedeemedAt.In(kigali).Format("02 Jan, 15:04 (CAT)"))
		}
		events, entries := c.told(t, v.ID)
		require.Equal(t, []voucher.Status{voucher.Issued, voucher.Redeemed}, events)
		require.Len(t, entries, 1+1+63, "each refusal is in the audit log, too")
	}
	require.EqualValues(t, 3*63, query[int64](t, c.bundle, `SELECT count(*) FROM redemption_refusals WHERE kind = 'business' AND code = 'already_redeemed'`))
	rate, err := c.RedemptionRate(t.Context(), time.Minute)
	require.NoError(t, err)
	require.Equal(t, store.RedemptionRate{Redeemed: 3}, rate)
}

// One request, sent 64 times at once: one redemption, and the same answer for all of them.
func TestAStormOfOneRequest(t *testing.T) {
	t.Parallel()
	c := openTaproom(t)
	v := c.issue(t)
	first := 0
	got := c.together(t, 64, func(int) store.Redemption { return byCode(c.here, v, "one key") })
	for _, o := range got {
		require.NoError(t, o.err)
		require.Equal(t, got[0].receipt, o.receipt)
		if !o.repeated {
			first++
		}
	}
	require.Equal(t, 1, first)
	require.EqualValues(t, 1, query[int64](t, c.bundle, `SELECT count(*) FROM redemptions`))
	require.Zero(t, query[int64](t, c.bundle, `SELECT count(*) FROM redemption_refusals`))
	_, entries := c.told(t, v.ID)
	require.Equal(t, []string{"voucher.issued", "voucher.redeemed"}, entries)
}

// One key for 64 vouchers at once redeems one of them: the others are other requests.
func TestOneKeyRedeemsOneVoucher(t *testing.T) {
	t.Parallel()
	c := openTaproom(t)
	all := make([]store.Voucher, 64)
	for i := range all {
		all[i] = c.issue(t)
	}
	won := 0
	for _, o := range c.together(t, 64, func(i int) store.Redemption {
		return store.Redemption{By: c.here, Voucher: all[i].ID, Key: "one key", RequestHash: hash(all[i].ID.String())}
	}) {
		if o.err == nil {
			won++
			continue
		}
		require.Equal(t, "idempotency_key_reused", domain.CodeOf(o.err), "%v", o.err)
	}
	require.Equal(t, 1, won)
	require.EqualValues(t, 1, query[int64](t, c.bundle, `SELECT count(*) FROM vouchers WHERE status = 'redeemed'`), "what waited for the key was undone")
}

// 64 at 64 vouchers, by code and by QR, hinder nobody.
func TestSixtyFourAtAsManyVouchers(t *testing.T) {
	t.Parallel()
	c := openTaproom(t)
	all := make([]store.Voucher, 64)
	for i := range all {
		all[i] = c.issue(t)
	}
	before := query[int64](t, c.bundle, `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`)
	for _, o := range c.together(t, 64, func(i int) store.Redemption {
		if i%2 == 0 {
			return byCode(c.there, all[i], fmt.Sprint("k", i))
		}
		return store.Redemption{By: c.here, Voucher: all[i].ID, Key: fmt.Sprint("k", i), RequestHash: hash("x")}
	}) {
		require.NoError(t, o.err)
	}
	require.Equal(t, before, query[int64](t, c.bundle, `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`))
}

// Killed between commit and answer: whoever asks again, of a process that knows nothing of it, gets the answer of then,
// also when the voucher's time has passed, redemption is switched off or the device's code entry is locked meanwhile.
func TestTheAnswerThatWasLostIsGivenAgain(t *testing.T) {
	t.Parallel()
	c := openTaproom(t)
	v := c.issue(t)
	lost, _, err := c.Redeem(t.Context(), byCode(c.here, v, "k"))
	require.NoError(t, err)
	c.pass(t, v.ID)
	c.guess(t, c.here, voucher.FreeGuesses)
	c.set(t, "toggles", `{"dispatch":true,"station_redeem":false}`)
	another := storetest.Open(t, c.url)
	again, repeated, err := another.Redeem(t.Context(), byCode(c.here, v, "k"))
	require.NoError(t, err)
	require.True(t, repeated)
	require.Equal(t, lost, again)
	_, _, err = another.Redeem(t.Context(), store.Redemption{By: c.here, Voucher: v.ID, Key: "k", RequestHash: hash("another body")})
	require.Equal(t, "idempotency_key_reused", domain.CodeOf(err))
	require.Equal(t, domain.Invalid, domain.KindOf(err))
}

// A voucher that was scanned goes a shorter way, which leaves the same traces, and gives way to the other when anything is
// out of the ordinary.
func TestAScannedVoucher(t *testing.T) {
	t.Parallel()
	c := openTaproom(t)
	ctx := audit.WithActor(audit.WithRequestID(t.Context(), "request-1"), c.here.Actor())
	scan := func(v store.Voucher, key string) (store.Redeemed, bool, error) {
		return c.Redeem(ctx, store.Redemption{By: c.here, Voucher: v.ID, Key: key, RequestHash: hash(v.ID.String())})
	}
	v := c.issue(t)
	first, repeated, err := scan(v, "k")
	require.NoError(t, err)
	require.False(t, repeated)
	events, entries := c.told(t, v.ID)
	require.Equal(t, []voucher.Status{voucher.Issued, voucher.Redeemed}, events)
	require.Equal(t, []string{"voucher.issued", "voucher.redeemed"}, entries)
	require.Equal(t, "station "+c.here.Actor().Name+" request-1 "+first.ID.String(), query[string](t, c.bundle, `SELECT concat_ws(' ', actor_kind, actor, request_id,
		diff->>'redemption_id') FROM audit_log WHERE action = 'voucher.redeemed'`))

	again, repeated, err := scan(v, "k")
	require.NoError(t, err)
	require.True(t, repeated)
	require.Equal(t, first, again)
	_, _, err = scan(v, "another")
	require.Equal(t, "already_redeemed", domain.CodeOf(err))
	v = c.issue(t)
	_, _, err = scan(v, "k")
	require.Equal(t, "idempotency_key_reused", domain.CodeOf(err))
	_, _, err = scan(c.issue(t, c.there.StationID), "elsewhere")
	require.Equal(t, "wrong_station", domain.CodeOf(err))
	_, _, err = scan(store.Voucher{ID: uuid.New()}, "unknown")
	require.Equal(t, "wrong_qr", domain.CodeOf(err))

	c.set(t, "toggles", `{"dispatch":true,"mock_redemptions":true}`)
	mock, _, err := scan(v, "mock")
	require.NoError(t, err)
	require.True(t, mock.Mock)
	c.set(t, "toggles", `{"dispatch":true,"mock_redemptions":false,"station_redeem":false}`)
	_, _, err = scan(v, "off")
	require.Equal(t, "station_redeem_off", domain.CodeOf(err))
	c.set(t, "toggles", `{"dispatch":true,"station_redeem":true}`)
	_, _, err = scan(v, "on")
	require.NoError(t, err)
}

// What is undone before its commit leaves the voucher for the next.
func TestKilledBeforeTheCommit(t *testing.T) {
	t.Parallel()
	c := openTaproom(t)
	v := c.issue(t)
	tx, err := c.owner.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `UPDATE vouchers SET status = 'redeemed', redeemed_at = now(), redeemed_station_id = $2 WHERE id = $1`, v.ID, c.there.StationID)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		_, _, err := c.Redeem(context.Background(), byCode(c.here, v, "k"))
		done <- err
	}()
	watch := connect(t, c.url)
	require.Eventually(t, func() bool {
		var waiting int
		err := watch.QueryRow(t.Context(), `SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) OR NOT granted AND locktype = 'transactionid'`).Scan(&waiting)
		return err == nil && waiting > 0
	}, 10*time.Second, 10*time.Millisecond, "it waits for the other's end")
	require.NoError(t, tx.Rollback(t.Context()))
	require.NoError(t, <-done)
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	c := openTaproom(t)
	elsewhere, late, gone := c.issue(t, c.there.StationID), c.issue(t), c.issue(t)
	c.pass(t, late.ID)
	c.pass(t, gone.ID)
	_, err := c.owner.Exec(t.Context(), `UPDATE vouchers SET status = 'expired', expired_at = now() WHERE id = $1`, gone.ID)
	require.NoError(t, err)
	for i, tt := range []struct {
		request store.Redemption
		code    string
		kind    domain.Kind
	}{
		{store.Redemption{Voucher: elsewhere.ID}, "wrong_station", domain.Conflict},
		{store.Redemption{Voucher: late.ID}, "voucher_expired", domain.Conflict},
		{store.Redemption{Voucher: gone.ID}, "voucher_expired", domain.Conflict},
		{store.Redemption{Voucher: uuid.New()}, "wrong_qr", domain.NotFound},
		{store.Redemption{Code: string(voucher.NewCode())}, "wrong_code", domain.NotFound},
		{store.Redemption{Code: "rubbish"}, "wrong_code", domain.NotFound},
	} {
		tt.request.By, tt.request.Key, tt.request.RequestHash = c.here, fmt.Sprint("k", i), hash("x")
		_, _, err := c.Redeem(t.Context(), tt.request)
		require.Equal(t, tt.code, domain.CodeOf(err), "%d: %v", i, err)
		require.Equal(t, tt.kind, domain.KindOf(err))
		require.EqualValues(t, i+1, query[int64](t, c.bundle, `SELECT count(*) FROM redemption_refusals WHERE kind = 'business'`))
		require.EqualValues(t, i+1, query[int64](t, c.bundle, `SELECT count(*) FROM audit_log WHERE action = 'voucher.redemption_refused'`))
	}
	unknown, malformed := c.refusalOf(t, string(voucher.NewCode())), c.refusalOf(t, "rubbish")
	require.Equal(t, unknown, malformed, "nobody learns what is wrong with a code")
	_, _, err = c.Redeem(t.Context(), byCode(c.there, elsewhere, "kk"))
	require.NoError(t, err)

	c.set(t, "toggles", `{"dispatch":true,"station_redeem":false}`)
	_, _, err = c.Redeem(t.Context(), byCode(c.here, c.issue(t), "off"))
	require.Equal(t, "station_redeem_off", domain.CodeOf(err))
	require.Equal(t, domain.Unavailable, domain.KindOf(err))
	c.set(t, "toggles", `{"dispatch":false}`)
	set, err := c.Settings(t.Context())
	require.NoError(t, err)
	require.False(t, set.Toggles.StationRedeem, "what a change does not name stays as it is")
	rate, err := c.RedemptionRate(t.Context(), time.Minute)
	require.NoError(t, err)
	require.Zero(t, rate.Failed, "none of them is a failure of ours")
}

func (b bundle) refusalOf(t *testing.T, code string) string {
	t.Helper()
	return refusal(b.Redeem(t.Context(), store.Redemption{By: store.StationSession{StationID: query[uuid.UUID](t, b, `SELECT id FROM stations ORDER BY id LIMIT 1`),
		DeviceID: uuid.New()}, Code: code, Key: uuid.NewString(), RequestHash: hash("x")}))
}

func refusal(_ store.Redeemed, _ bool, err error) string {
	return fmt.Sprintf("%+v", *err.(*store.Refusal).Why)
}

// A failure of ours is told apart from the business at work.
func TestAFailureOfOursCounts(t *testing.T) {
	t.Parallel()
	c := openTaproom(t)
	v := c.issue(t)
	_, err := c.owner.Exec(t.Context(), `ALTER TABLE voucher_events RENAME TO mislaid`)
	require.NoError(t, err)
	_, _, err = c.Redeem(t.Context(), byCode(c.here, v, "k"))
	require.Equal(t, domain.Internal, domain.KindOf(err))
	_, err = c.owner.Exec(t.Context(), `ALTER TABLE mislaid RENAME TO voucher_events`)
	require.NoError(t, err)
	rate, err := c.RedemptionRate(t.Context(), time.Minute)
	require.NoError(t, err)
	require.Equal(t, store.RedemptionRate{Failed: 1}, rate)
	_, _, err = c.Redeem(t.Context(), byCode(c.here, v, "k"))
	require.NoError(t, err, "nothing was left of the failed one")
}

// guess sends so many wrong codes from a device.
func (b bundle) guess(t *testing.T, at store.StationSession, n int) {
	t.Helper()
	for range n {
		_, _, err := b.Redeem(t.Context(), store.Redemption{By: at, Code: string(voucher.NewCode()), Key: uuid.NewString(), RequestHash: hash("x")})
		require.Equal(t, "wrong_code", domain.CodeOf(err))
	}
}

func TestFiveWrongCodesLockTheDevice(t *testing.T) {
	t.Parallel()
	c := openTaproom(t)
	v := c.issue(t)
	c.guess(t, c.here, 3)
	_, err := c.LookAtVoucher(t.Context(), c.here, "rubbish", uuid.Nil)
	require.Equal(t, "wrong_code", domain.CodeOf(err), "looking is guessing, too")
	// Many at once count as many: one is wrong, the others find the lock.
	wrong := 0
	for _, o := range c.together(t, 64, func(i int) store.Redemption {
		return store.Redemption{By: c.here, Code: string(voucher.NewCode()), Key: fmt.Sprint("g", i), RequestHash: hash("x")}
	}) {
		if domain.CodeOf(o.err) == "wrong_code" {
			wrong++
			continue
		}
		require.Equal(t, "code_entry_locked", domain.CodeOf(o.err))
		e, _ := errors.AsType[*domain.Error](o.err)
		require.InDelta(t, (15 * time.Minute).Seconds(), e.RetryIn.Seconds(), 60)
	}
	require.Equal(t, 1, wrong)
	require.EqualValues(t, 5, query[int64](t, c.bundle, `SELECT count(*) FROM redemption_refusals WHERE code = 'wrong_code'`))
	require.EqualValues(t, 1, query[int64](t, c.bundle, `SELECT count(*) FROM audit_log WHERE action = 'station.code_entry_locked'`))
	_, _, err = c.Redeem(t.Context(), byCode(c.here, v, "k"))
	require.Equal(t, "code_entry_locked", domain.CodeOf(err), "a right code does not help either")
	_, err = c.LookAtVoucher(t.Context(), c.here, v.Code.String(), uuid.Nil)
	require.Equal(t, "code_entry_locked", domain.CodeOf(err))
	_, err = c.LookAtVoucher(t.Context(), c.there, v.Code.String(), uuid.Nil)
	require.NoError(t, err, "another device is not concerned")
	_, _, err = c.Redeem(t.Context(), store.Redemption{By: c.here, Voucher: v.ID, Key: "qr", RequestHash: hash("x")})
	require.NoError(t, err, "the QR code still works")
}

func TestAStationHasADailyCapAndOpsHearOfStorms(t *testing.T) {
	t.Parallel()
	c := openTaproom(t)
	notices := func() int64 {
		return query[int64](t, c.bundle, `SELECT count(*) FROM outbox WHERE kind = 'ops.notice' AND payload->>'title' LIKE 'Somebody guesses%'`)
	}
	at := c.here
	for n := range voucher.StationGuesses {
		if n%(voucher.FreeGuesses-1) == 0 {
			at.DeviceID = uuid.New()
		}
		c.guess(t, at, 1)
		require.Equal(t, map[bool]int64{true: 1, false: 0}[n+1 >= voucher.StormGuesses], notices(), "after %d", n+1)
	}
	at.DeviceID = uuid.New()
	_, _, err := c.Redeem(t.Context(), byCode(at, c.issue(t), "k"))
	require.Equal(t, "code_entry_locked", domain.CodeOf(err))
	_, _, err = c.Redeem(t.Context(), byCode(c.there, c.issue(t), "k"))
	require.NoError(t, err, "the other station goes on")
	require.NotContains(t, query[string](t, c.bundle, `SELECT string_agg(diff::text || target, '') FROM audit_log`), "+250")
}

func TestLookingRedeemsNothing(t *testing.T) {
	t.Parallel()
	c := openTaproom(t)
	v := c.issue(t)
	look, err := c.LookAtVoucher(t.Context(), c.here, v.Code.String(), uuid.Nil)
	require.NoError(t, err)
	require.Equal(t, "2,000 RWF", look.Money.String())
	require.Equal(t, "+250 78• ••• 012", look.MSISDN)
	_, _, err = c.Redeem(t.Context(), byCode(c.there, v, "k"))
	require.NoError(t, err)
	_, err = c.LookAtVoucher(t.Context(), c.here, "", v.ID)
	require.Equal(t, "already_redeemed", domain.CodeOf(err))
	require.Contains(t, err.Error(), "ENG-002, Terrace")
}

// A rehearsal looks like the real thing, and never stands in its way.
func TestARehearsalBlocksNothing(t *testing.T) {
	t.Parallel()
	c := openTaproom(t)
	v, other := c.issue(t), c.issue(t, c.there.StationID)
	c.set(t, "toggles", `{"dispatch":true,"mock_redemptions":true}`)
	got := c.together(t, 16, func(i int) store.Redemption {
		return store.Redemption{By: c.here, Voucher: v.ID, Key: fmt.Sprint("m", i), RequestHash: hash("x")}
	})
	var receipt store.Redeemed
	won := 0
	for _, o := range got {
		if o.err == nil {
			won++
			receipt = o.receipt
		} else {
			require.Equal(t, "already_redeemed", domain.CodeOf(o.err))
		}
	}
	require.Equal(t, 1, won)
	require.True(t, receipt.Mock)
	for i, o := range got {
		if o.err == nil {
			again, repeated, err := c.Redeem(t.Context(), store.Redemption{By: c.here, Voucher: v.ID, Key: fmt.Sprint("m", i), RequestHash: hash("x")})
			require.NoError(t, err)
			require.True(t, repeated)
			require.Equal(t, receipt, again)
		}
	}
	_, _, err := c.Redeem(t.Context(), byCode(c.here, other, "w"))
	require.Equal(t, "wrong_station", domain.CodeOf(err))
	now, err := c.Voucher(t.Context(), v.ID)
	require.NoError(t, err)
	require.Equal(t, voucher.Issued, now.Status)
	rate, err := c.RedemptionRate(t.Context(), time.Minute)
	require.NoError(t, err)
	require.Zero(t, rate)

	c.set(t, "toggles", `{"dispatch":true,"mock_redemptions":false}`)
	real, repeated, err := c.Redeem(t.Context(), byCode(c.here, v, "m0"))
	require.NoError(t, err)
	require.False(t, repeated)
	require.False(t, real.Mock)
}

func TestOffline(t *testing.T) {
	t.Parallel()
	c := openTaproom(t)
	here, set, n := c.issue(t, c.here.StationID), c.issue(t), 0
	redeem := func(v store.Voucher, ago time.Duration) (store.Redeemed, string) {
		n++
		at := time.Now().Add(-ago)
		receipt, _, err := c.Redeem(t.Context(), store.Redemption{By: c.here, Voucher: v.ID, Key: fmt.Sprint("o", n), RequestHash: hash("x"), OfflineAt: &at})
		if err == nil {
			return receipt, ""
		}
		return receipt, domain.CodeOf(err)
	}
	code := func(v store.Voucher, ago time.Duration) string { _, code := redeem(v, ago); return code }
	require.Equal(t, "offline_off", code(here, 0))
	c.set(t, "offline_redemptions", `{"mode":"on","max_age_minutes":60}`)
	require.Equal(t, "offline_lease", code(here, 0))
	_, err := c.TakeLease(t.Context(), c.here, false, "")
	require.NoError(t, err)
	require.Equal(t, "offline_too_old", code(here, 61*time.Minute))
	require.Equal(t, "offline_clock", code(here, -6*time.Minute))
	require.Equal(t, "offline_scope", code(set, 0))
	require.Equal(t, "offline_lease", code(here, 20*time.Minute), "before this device had the lease")
	at := time.Now()
	_, _, err = c.Redeem(t.Context(), store.Redemption{By: c.here, Code: here.Code.String(), Key: "typed", RequestHash: hash("x"), OfflineAt: &at})
	require.Equal(t, "offline_code", domain.CodeOf(err))
	receipt, refused := redeem(here, time.Minute)
	require.Empty(t, refused)
	require.WithinDuration(t, time.Now().Add(-time.Minute), *receipt.OfflineAt, 10*time.Second)
	require.WithinDuration(t, time.Now(), receipt.RedeemedAt, 10*time.Second, "what counts is the database's time")
	require.Equal(t, "already_redeemed", code(here, time.Minute))
	late := c.issue(t, c.here.StationID)
	c.pass(t, late.ID)
	require.Equal(t, "voucher_expired", code(late, time.Minute), "by the database's time")
	require.NoError(t, c.GiveUpLease(t.Context(), c.here))
	require.Empty(t, code(c.issue(t, c.here.StationID), time.Second), "it had the lease then")

	// What was refused is Support's, once a request.
	_, _, err = c.Redeem(t.Context(), store.Redemption{By: c.here, Code: here.Code.String(), Key: "typed", RequestHash: hash("x"), OfflineAt: &at})
	require.Equal(t, "offline_code", domain.CodeOf(err))
	tasks, err := c.SupportTasks(t.Context(), false, uuid.Nil, 100)
	require.NoError(t, err)
	told := []string{}
	for _, task := range tasks {
		told = append(told, task.Code)
		require.Equal(t, "ENG-001", task.StationCode)
		require.Equal(t, "Jeanne Example", task.Operator)
	}
	require.Equal(t, []string{"offline_off", "offline_lease", "offline_too_old", "offline_clock", "offline_scope", "offline_lease", "offline_code", "already_redeemed",
		"voucher_expired"}, told)
	_, err = c.ResolveSupportTask(t.Context(), tasks[0].ID, "")
	require.Equal(t, "no_reason", domain.CodeOf(err))
	task, err := c.ResolveSupportTask(t.Context(), tasks[0].ID, "issued another one")
	require.NoError(t, err)
	require.Equal(t, "issued another one", task.Note)
	_, err = c.ResolveSupportTask(t.Context(), tasks[0].ID, "again")
	require.Equal(t, "task_resolved", domain.CodeOf(err))
	_, err = c.ResolveSupportTask(t.Context(), uuid.New(), "x")
	require.Equal(t, "support_task_not_found", domain.CodeOf(err))
	open, err := c.SupportTasks(t.Context(), false, uuid.Nil, 100)
	require.NoError(t, err)
	require.Len(t, open, len(tasks)-1)
	all, err := c.SupportTasks(t.Context(), true, uuid.Nil, 100)
	require.NoError(t, err)
	require.Len(t, all, len(tasks))
}
