package store_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/domain/approval"
	"lastcall/domain/contact"
	"lastcall/domain/delivery"
	"lastcall/domain/override"
	"lastcall/domain/policy"
	"lastcall/store"
)

// nightShift is a running campaign that waits for quiet hours to end, in a house of people.
func nightShift(t *testing.T, targets int) (house, uuid.UUID, store.Lane) {
	t.Helper()
	h := approvals(t)
	h.set(t, "campaigns", `{"approval":"never","max_late":"2h","approval_ttl":"24h"}`)
	h.set(t, "quiet_hours", aroundNow("RW", "Africa/Kigali"))
	id, lane := h.running(t, many(targets, rw)...)
	return h, id, lane
}

func (h house) request(t *testing.T, id uuid.UUID, from *time.Time, end time.Time) store.Override {
	t.Helper()
	o, err := h.RequestOverride(h.ops, store.NewOverride{Kind: override.QuietHours, CampaignID: &id, StartsAt: from, EndsAt: end, Reason: "the concert is late"})
	require.NoError(t, err)
	return o
}

// decide decides as the lead and does what the message tells the workflow.
func (h house) decide(t *testing.T, id uuid.UUID, verdict approval.Verdict) store.OverrideStep {
	t.Helper()
	message, err := h.DecideOverride(h.lead, id, verdict, "because")
	require.NoError(t, err)
	step, err := h.DecidedOverride(t.Context(), id, h.claimOf(t, message))
	require.NoError(t, err)
	require.Empty(t, step.Problem)
	return step
}

// claimOf is what an outbox message says was decided.
func (h house) claimOf(t *testing.T, message int64) string {
	return query[string](t, h.bundle, `SELECT payload->>'approval_id' FROM outbox WHERE id = $1`, message)
}

func (h house) audited(t *testing.T, action string) []string {
	t.Helper()
	return query[[]string](t, h.bundle, `SELECT coalesce(array_agg(coalesce(diff->>'code', '') ORDER BY id), '{}') FROM audit_log WHERE action = $1`, action)
}

func (h house) overrideState(t *testing.T, id uuid.UUID) override.State {
	return query[override.State](t, h.bundle, `SELECT state FROM overrides WHERE id = $1`, id)
}

func TestAnOverrideLetsItsCampaignGoAndNoOther(t *testing.T) {
	t.Parallel()
	h, id, lane := nightShift(t, 5)
	_, other := h.running(t, many(3, rw)...)
	c := h.claim(t, lane, 10)
	require.Len(t, c.Waits, 1)
	require.Equal(t, policy.InQuietHours, c.Waits[0].Reason)

	o := h.request(t, id, nil, time.Now().Add(time.Hour))
	require.Equal(t, []string{"ops.notice", "override.start"}, query[[]string](t, h.bundle, `SELECT array_agg(kind ORDER BY kind) FROM outbox WHERE key LIKE 'override/%' AND kind <> 'mail.override'`))
	require.EqualValues(t, 2, query[int](t, h.bundle, `SELECT count(*) FROM outbox WHERE kind = 'mail.override'`), "both leads hear of it")
	require.NotEmpty(t, h.claim(t, lane, 10).Waits, "asking lifts nothing")
	before := query[int64](t, h.bundle, `SELECT max(id) FROM outbox`)
	step := h.decide(t, o.ID, approval.Approved)
	require.Equal(t, override.Active, step.State)
	require.InDelta(t, time.Hour, step.Wait, float64(time.Minute))
	require.EqualValues(t, 1, query[int](t, h.bundle, `SELECT count(*) FROM outbox WHERE kind = 'settings.changed' AND key = $1 AND id > $2`, "campaign/"+id.String(), before))

	require.NotEmpty(t, h.claim(t, other, 10).Waits, "another campaign waits")
	got := h.claim(t, lane, 10)
	require.Len(t, got.Targets, 5)
	require.Equal(t, o.ID.String(), query[string](t, h.bundle, `SELECT diff->>'override_id' FROM audit_log WHERE action = 'outbound_policy_check' AND diff->>'lifts' = 'quiet_hours'`))
	require.Equal(t, []string{""}, h.audited(t, "override.active"))
	tl, err := h.Timeline(t.Context(), id, got.Targets[0].ID)
	require.NoError(t, err)
	require.Contains(t, kinds(tl), delivery.Lifted)
	v, history, err := h.OverrideOf(h.support, o.ID)
	require.NoError(t, err)
	require.Equal(t, "lead@example.test", v.Decision.Actor.Email)
	require.Equal(t, "ops@example.test", v.Requester.Email)
	require.Len(t, history, 4, "requested, decided, took effect, active: %v", history)
}

// Of all rules an override lifts one.
func TestAnOverrideLiftsQuietHoursOnly(t *testing.T) {
	t.Parallel()
	h, id, lane := nightShift(t, 5)
	h.decide(t, h.request(t, id, nil, time.Now().Add(time.Hour)).ID, approval.Approved)
	_, err := h.AddOptOuts(t.Context(), []contact.MSISDN{msisdn(rw(0)), msisdn(rw(1))}, store.OptOutRegistry, "test")
	require.NoError(t, err)
	h.set(t, "throttle", `{"whatsapp":{"per_minute":2}}`)
	got := h.claim(t, lane, 10)
	for got.Again {
		got = h.claim(t, lane, 10)
	}
	require.Len(t, got.Targets, 2, "the throttle holds")
	require.EqualValues(t, 2, h.counts(t, id).OptedOut)
	require.Equal(t, policy.Throttled, h.claim(t, lane, 10).Waits[0].Reason)
	h.set(t, "toggles", `{"dispatch":false}`)
	require.Equal(t, policy.DispatchDisabled, h.claim(t, lane, 10).Waits[0].Reason)
}

// At its end nothing more is claimed by it, and what was claimed just before does not start after it.
func TestNothingStartsAfterAnOverride(t *testing.T) {
	t.Parallel()
	h, id, lane := nightShift(t, 500)
	end := time.Now().Add(time.Minute)
	o := h.request(t, id, nil, end)
	h.decide(t, o.ID, approval.Approved)
	h.exec(t, `ALTER TABLE overrides DISABLE TRIGGER USER`)
	ends := query[time.Time](t, h.bundle, `UPDATE overrides SET ends_at = clock_timestamp() + interval '400 milliseconds', ask_until = created_at + interval '1 millisecond' WHERE id = $1 RETURNING ends_at`, o.ID)
	got := h.claim(t, lane, 2)
	require.Len(t, got.Targets, 2)
	require.False(t, got.Deadline.After(ends), "the permit lasts 500 ms, the override less: %s > %s", got.Deadline, ends)
	var late store.Claim
	require.Eventually(t, func() bool { late = h.claim(t, lane, 1); return len(late.Waits) > 0 }, 10*time.Second, 10*time.Millisecond)
	require.Equal(t, policy.InQuietHours, late.Waits[0].Reason)
	require.False(t, late.Now.Before(ends))
	require.Equal(t, override.Active, h.overrideState(t, o.ID), "whether or not its workflow was there")
	step, err := h.StepOverride(t.Context(), o.ID)
	require.NoError(t, err)
	require.Equal(t, override.Ended, step.State)
}

// One that begins later is when to ask again, before quiet hours end.
func TestAnOverrideToComeIsTheHorizon(t *testing.T) {
	t.Parallel()
	h, id, lane := nightShift(t, 5)
	from := time.Now().Add(30 * time.Minute).Truncate(time.Microsecond)
	o := h.request(t, id, &from, from.Add(time.Hour))
	require.Equal(t, override.Approved, h.decide(t, o.ID, approval.Approved).State)
	w := h.claim(t, lane, 5).Waits
	require.Len(t, w, 1)
	require.True(t, w[0].Until.Equal(from), "%s", w[0].Until)
	f, err := h.Forecast(t.Context(), id, nil)
	require.NoError(t, err)
	require.NotNil(t, f.FinishesAt)
	require.WithinDuration(t, from, *f.FinishesAt, time.Minute, "the forecast knows it")
	require.NotEmpty(t, f.Assumes)
	check, err := h.Preflight(t.Context(), id)
	require.NoError(t, err)
	require.Contains(t, codes(check.Warnings), "quiet_hours_lifted")
	p, err := h.Progress(t.Context(), id)
	require.NoError(t, err)
	require.True(t, p.Waits[0].Until.Equal(from))
	// Its time has come and its workflow has not yet looked whether the approval still holds.
	h.exec(t, `ALTER TABLE overrides DISABLE TRIGGER USER`)
	h.exec(t, `UPDATE overrides SET starts_at = created_at WHERE id = $1`, o.ID)
	require.NotEmpty(t, h.claim(t, lane, 5).Waits)
	h.exec(t, `UPDATE accounts SET role = 'viewer' WHERE email = 'lead@example.test'`)
	step, err := h.StepOverride(t.Context(), o.ID)
	require.NoError(t, err)
	require.Equal(t, override.Cancelled, step.State, "whoever approved may not any more")
	require.Equal(t, []string{approval.Changed}, h.audited(t, "approval.refused")[:1])
	require.NotEmpty(t, h.claim(t, lane, 5).Waits)
}

func codes(all []store.Finding) (found []string) {
	for _, f := range all {
		found = append(found, f.Code)
	}
	return found
}

func TestWhatNobodyMayAskFor(t *testing.T) {
	t.Parallel()
	h, id, _ := nightShift(t, 5)
	now := time.Now()
	past, later := now.Add(-2*time.Minute), now.Add(time.Hour)
	far := now.AddDate(0, 2, 0)
	draft := h.draft(t, rw(1))
	stopped, _ := h.running(t, rw(2))
	_, err := h.Order(t.Context(), stopped, "stopped", "test")
	require.NoError(t, err)
	good := store.NewOverride{Kind: override.QuietHours, CampaignID: &draft, EndsAt: later, Reason: "x"}
	var want []string
	for _, c := range []struct {
		code   string
		ctx    context.Context
		change func(n *store.NewOverride)
	}{
		{override.Past, h.ops, func(n *store.NewOverride) { n.StartsAt = &past }},
		{override.Past, h.ops, func(n *store.NewOverride) {
			n.StartsAt = new(now.Add(-30 * time.Second))
			n.EndsAt = now.Add(-time.Second)
		}},
		{override.Empty, h.ops, func(n *store.NewOverride) { n.StartsAt = &later }},
		{override.TooLong, h.ops, func(n *store.NewOverride) { n.EndsAt = now.Add(5 * time.Hour) }},
		{override.TooFar, h.ops, func(n *store.NewOverride) { n.StartsAt, n.EndsAt = &far, far.Add(time.Hour) }},
		{override.BadScope, h.ops, func(n *store.NewOverride) { n.CampaignID = nil }},
		{override.BadScope, h.ops, func(n *store.NewOverride) { n.Kind = override.ProductionDrill }},
		{override.Over, h.ops, func(n *store.NewOverride) { n.CampaignID = &stopped }},
		{"campaign_not_found", h.ops, func(n *store.NewOverride) { n.CampaignID = new(uuid.New()) }},
		{approval.NoAccount, t.Context(), func(*store.NewOverride) {}},
	} {
		n := good
		c.change(&n)
		_, err := h.RequestOverride(c.ctx, n)
		require.Equal(t, c.code, domain.CodeOf(err), "%v", err)
		if c.code != "campaign_not_found" && c.code != approval.NoAccount {
			want = append(want, c.code)
		}
	}
	require.Equal(t, want, h.audited(t, "override.refused"))
	require.Equal(t, []string{approval.NoAccount}, h.audited(t, "approval.refused"))

	h.request(t, id, nil, later)
	_, err = h.RequestOverride(h.admin, store.NewOverride{Kind: override.QuietHours, CampaignID: &id, EndsAt: later, Reason: "me too"})
	require.Equal(t, override.AlreadyOne, domain.CodeOf(err))
	good.IdempotencyKey, good.RequestHash = "key", []byte("a")
	first, err := h.RequestOverride(h.ops, good)
	require.NoError(t, err)
	again, err := h.RequestOverride(h.ops, good)
	require.NoError(t, err)
	require.Equal(t, first.ID, again.ID)
	good.RequestHash = []byte("b")
	_, err = h.RequestOverride(h.ops, good)
	require.Equal(t, "idempotency_key_reused", domain.CodeOf(err))
}

func TestWhoDecidesAndWhen(t *testing.T) {
	t.Parallel()
	h, id, _ := nightShift(t, 5)
	o := h.request(t, id, nil, time.Now().Add(time.Hour))
	h.exec(t, `UPDATE accounts SET role = 'project_lead' WHERE email = 'ops@example.test'`)
	for ctx, code := range map[context.Context]string{h.ops: approval.Own, h.admin: approval.WrongRole, h.support: approval.WrongRole, t.Context(): approval.NoAccount} {
		_, err := h.DecideOverride(ctx, o.ID, approval.Approved, "")
		require.Equal(t, code, domain.CodeOf(err))
	}
	_, err := h.DecideOverride(h.lead, o.ID, approval.Rejected, "")
	require.Equal(t, "no_reason", domain.CodeOf(err))
	require.Len(t, h.audited(t, "approval.refused"), 4)

	// Two leads at once: one of them decides.
	var wg sync.WaitGroup
	errs := make([]error, 2)
	messages := make([]int64, 2)
	for i, ctx := range []context.Context{h.lead, h.lead2} {
		wg.Go(func() { messages[i], errs[i] = h.DecideOverride(ctx, o.ID, approval.Approved, "") })
	}
	wg.Wait()
	require.True(t, (errs[0] == nil) != (errs[1] == nil), "%v", errs)
	won := 0
	if errs[0] != nil {
		won = 1
	}
	require.Equal(t, approval.NotAsked, domain.CodeOf(errs[1-won]))
	require.Len(t, h.audited(t, "approval.refused"), 5)
	claim := h.claimOf(t, messages[won])

	// Only the decision itself makes it active, and only once, whatever else a message names.
	foreign := h.request(t, h.draft(t, rw(8)), nil, time.Now().Add(time.Hour))
	message, err := h.DecideOverride(h.lead, foreign.ID, approval.Approved, "")
	require.NoError(t, err)
	for forged, code := range map[string]string{"": approval.Unknown, "nonsense": approval.Unknown, uuid.NewString(): approval.Unknown, h.claimOf(t, message): approval.Foreign} {
		step, err := h.DecidedOverride(t.Context(), o.ID, forged)
		require.NoError(t, err)
		require.NotEmpty(t, step.Problem)
		require.Equal(t, override.Requested, step.State)
		refused := h.audited(t, "approval.refused")
		require.Equal(t, code, refused[len(refused)-1])
	}
	for range 2 { // the message comes twice
		step, err := h.DecidedOverride(t.Context(), o.ID, claim)
		require.NoError(t, err)
		require.Empty(t, step.Problem)
		require.Equal(t, override.Active, step.State)
	}
	require.Len(t, h.audited(t, "approval.refused"), 9)
	_, err = h.DecideOverride(h.lead2, o.ID, approval.Rejected, "too late")
	require.Equal(t, override.WrongState, domain.CodeOf(err))
	require.Equal(t, []string{"no_reason", override.WrongState}, h.audited(t, "override.refused"))
}

func TestARequestExpires(t *testing.T) {
	t.Parallel()
	h, id, lane := nightShift(t, 5)
	o := h.request(t, id, nil, time.Now().Add(time.Hour))
	h.exec(t, `UPDATE overrides SET ask_until = created_at + interval '1 millisecond' WHERE id = $1`, o.ID)
	_, err := h.DecideOverride(h.lead, o.ID, approval.Approved, "")
	require.Equal(t, override.TooLate, domain.CodeOf(err))
	step, err := h.StepOverride(t.Context(), o.ID)
	require.NoError(t, err)
	require.Equal(t, override.Expired, step.State)
	_, err = h.DecideOverride(h.lead, o.ID, approval.Approved, "")
	require.Equal(t, override.TooLate, domain.CodeOf(err))
	require.Equal(t, []string{override.TooLate, override.TooLate}, h.audited(t, "override.refused"))
	require.NotEmpty(t, h.claim(t, lane, 5).Waits)
	asked, err := h.ApprovalsAsked(h.lead, uuid.Nil, 10)
	require.NoError(t, err)
	require.Empty(t, asked)

	// A decision in time counts, however late its message comes.
	o = h.request(t, id, nil, time.Now().Add(time.Hour))
	message, err := h.DecideOverride(h.lead, o.ID, approval.Approved, "")
	require.NoError(t, err)
	h.exec(t, `UPDATE overrides SET ask_until = created_at + interval '1 millisecond' WHERE id = $1`, o.ID)
	step, err = h.StepOverride(t.Context(), o.ID)
	require.NoError(t, err)
	require.Equal(t, override.Requested, step.State)
	step, err = h.DecidedOverride(t.Context(), o.ID, h.claimOf(t, message))
	require.NoError(t, err)
	require.Equal(t, override.Active, step.State)
}

func TestAnOverrideIsRejectedOrCancelled(t *testing.T) {
	t.Parallel()
	h, id, lane := nightShift(t, 5)
	o := h.request(t, id, nil, time.Now().Add(time.Hour))
	require.Equal(t, override.Rejected, h.decide(t, o.ID, approval.Rejected).State)
	require.NotEmpty(t, h.claim(t, lane, 1).Waits)

	o = h.request(t, id, nil, time.Now().Add(time.Hour))
	h.decide(t, o.ID, approval.Approved)
	require.Len(t, h.claim(t, lane, 1).Targets, 1)
	_, err := h.CancelOverride(h.support, o.ID, "")
	require.Equal(t, override.NotYours, domain.CodeOf(err))
	_, err = h.CancelOverride(h.ops, o.ID, "the concert is over")
	require.NoError(t, err)
	require.NotEmpty(t, h.claim(t, lane, 1).Waits, "at once")
	_, err = h.CancelOverride(h.lead, o.ID, "")
	require.Equal(t, override.WrongState, domain.CodeOf(err))
	require.Equal(t, []string{override.NotYours, override.WrongState}, h.audited(t, "override.refused"))
	step, err := h.StepOverride(t.Context(), o.ID)
	require.NoError(t, err)
	require.Equal(t, override.Cancelled, step.State)
	all, err := h.Overrides(h.lead, store.OverrideFilter{Campaign: id, Limit: 10})
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.True(t, all[0].ID == o.ID && !all[0].MayCancel)
	all, err = h.Overrides(h.lead, store.OverrideFilter{States: []override.State{override.Rejected}, Limit: 10})
	require.NoError(t, err)
	require.Len(t, all, 1)
}
