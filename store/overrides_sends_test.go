package store_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/domain/approval"
	"lastcall/domain/campaign"
	"lastcall/domain/contact"
	"lastcall/domain/override"
	"lastcall/domain/policy"
	"lastcall/store"
)

// lateTable is a message that waits for quiet hours to end, in a house of people.
func lateTable(t *testing.T) (house, store.Send) {
	t.Helper()
	h := approvals(t)
	h.set(t, "quiet_hours", aroundNow("RW", "Africa/Kigali"))
	return h, h.waiting(t, rw(1))
}

// waiting is a message that goes when it is allowed.
func (h house) waiting(t *testing.T, to string) store.Send {
	t.Helper()
	n := h.newSend(t, to)
	n.WhenAllowed = true
	one := h.order(t, n)
	require.Equal(t, campaign.Queued, one.State)
	return one
}

func (h house) requestSend(t *testing.T, id uuid.UUID, from *time.Time, end time.Time) store.Override {
	t.Helper()
	o, err := h.RequestOverride(h.support, store.NewOverride{Kind: override.QuietHours, SendID: &id, StartsAt: from, EndsAt: end, Reason: "their table is ready"})
	require.NoError(t, err)
	return o
}

func (h house) wakes(t *testing.T, id uuid.UUID) int {
	return query[int](t, h.bundle, `SELECT count(*) FROM outbox WHERE kind = 'send.wake' AND key = $1`, "send/"+id.String())
}

func TestAnOverrideLetsItsSendGoAndNoOther(t *testing.T) {
	t.Parallel()
	h, one := lateTable(t)
	other := h.waiting(t, rw(2))
	o := h.requestSend(t, one.ID, nil, time.Now().Add(time.Hour))
	require.Equal(t, policy.InQuietHours, h.take(t, one.ID, 1).Waits[0].Reason, "asking lifts nothing")
	require.Zero(t, h.wakes(t, one.ID))
	facts := query[string](t, h.bundle, `SELECT facts::text FROM approval_requests WHERE subject_id = $1`, o.ID.String())
	require.Contains(t, facts, `"template": "promo_generic"`)
	require.NotContains(t, facts, string(one.MSISDN[4:]), "whoever decides is not told the number")
	require.Contains(t, query[string](t, h.bundle, `SELECT payload->>'title' FROM outbox WHERE kind = 'ops.notice' AND key LIKE 'override/%'`), "a single message (promo_generic)")

	require.Equal(t, override.Active, h.decide(t, o.ID, approval.Approved).State)
	require.Equal(t, 1, h.wakes(t, one.ID), "it looks again at once")
	require.Zero(t, h.wakes(t, other.ID))
	require.Equal(t, policy.InQuietHours, h.take(t, other.ID, 1).Waits[0].Reason, "another message waits")
	require.Len(t, h.take(t, one.ID, 1).Targets, 1)
	require.Equal(t, []string{"requested", "held", "lifted", "sending"}, h.kinds(t, one.ID))
	require.Equal(t, o.ID.String(), query[string](t, h.bundle, `SELECT diff->>'override_id' FROM audit_log WHERE action = 'outbound_policy_check' AND target = $1
		AND diff->>'lifts' = 'quiet_hours'`, "send/"+one.ID.String()))

	v, history, err := h.OverrideOf(h.lead, o.ID)
	require.NoError(t, err)
	require.Equal(t, "promo_generic", v.Send.Template)
	require.Len(t, history, 4, "requested, decided, took effect, active: %v", history)
	all, err := h.Overrides(h.lead, store.OverrideFilter{Send: one.ID, Limit: 10})
	require.NoError(t, err)
	require.Len(t, all, 1)
	all, err = h.Overrides(h.lead, store.OverrideFilter{Send: other.ID, Limit: 10})
	require.NoError(t, err)
	require.Empty(t, all)
}

// Of all rules an override lifts one, for a single message too.
func TestAnOverrideLetsNoSendPastAnotherRule(t *testing.T) {
	t.Parallel()
	h, one := lateTable(t)
	h.decide(t, h.requestSend(t, one.ID, nil, time.Now().Add(time.Hour)).ID, approval.Approved)
	for _, c := range []struct {
		key, value, back string
		reason           policy.Reason
	}{
		{"toggles", `{"dispatch":false}`, `{"dispatch":true}`, policy.DispatchDisabled},
		{"throttle", `{"whatsapp":{"per_minute":0}}`, `{"whatsapp":{"per_minute":600}}`, policy.Throttled},
	} {
		h.set(t, c.key, c.value)
		turn := h.take(t, one.ID, 1)
		require.Empty(t, turn.Targets, c.key)
		require.Equal(t, c.reason, turn.Waits[0].Reason)
		h.set(t, c.key, c.back)
	}
	_, err := h.AddOptOuts(t.Context(), []contact.MSISDN{one.MSISDN}, store.OptOutInbound, "STOP")
	require.NoError(t, err)
	turn := h.take(t, one.ID, 1)
	require.True(t, turn.Ended)
	require.Equal(t, campaign.OptedOut, turn.Send.State, "STOP is final, whatever a lead says")

	second := h.waiting(t, rw(2))
	h.decide(t, h.requestSend(t, second.ID, nil, time.Now().Add(time.Hour)).ID, approval.Approved)
	h.set(t, "consent", `{"required":true}`)
	turn = h.take(t, second.ID, 1)
	require.True(t, turn.Ended)
	require.Equal(t, policy.NoConsent, turn.Send.Block.Reason)
}

// At its end, or once it is cancelled, the message waits as before; what was permitted just before does not start later.
func TestNoSendStartsAfterItsOverride(t *testing.T) {
	t.Parallel()
	h, one := lateTable(t)
	end := time.Now().Add(time.Minute)
	o := h.requestSend(t, one.ID, nil, end)
	h.decide(t, o.ID, approval.Approved)
	h.exec(t, `ALTER TABLE overrides DISABLE TRIGGER USER`)
	ends := query[time.Time](t, h.bundle, `UPDATE overrides SET ends_at = clock_timestamp() + interval '300 milliseconds', ask_until = created_at + interval '1 millisecond' WHERE id = $1 RETURNING ends_at`, o.ID)
	turn := h.take(t, one.ID, 1)
	if len(turn.Targets) > 0 { // else this machine took longer than that to get here
		require.False(t, turn.Deadline.After(ends), "the permit lasts 500 ms, the override less: %s > %s", turn.Deadline, ends)
		require.NoError(t, h.RecordSend(t.Context(), store.SendHolder(one.ID, "run", 1, 1), store.Result{State: campaign.Queued, Reason: "permit_void"}))
	}
	require.Eventually(t, func() bool {
		turn = h.take(t, one.ID, 1)
		if len(turn.Targets) == 1 {
			require.NoError(t, h.RecordSend(t.Context(), store.SendHolder(one.ID, "run", 1, 1), store.Result{State: campaign.Queued, Reason: "permit_void"}))
		}
		return len(turn.Waits) > 0
	}, 10*time.Second, 10*time.Millisecond)
	require.Equal(t, policy.InQuietHours, turn.Waits[0].Reason)
	require.False(t, turn.Now.Before(ends))
	require.Equal(t, override.Active, h.overrideState(t, o.ID), "whether or not its workflow was there")
	before := h.wakes(t, one.ID)
	step, err := h.StepOverride(t.Context(), o.ID)
	require.NoError(t, err)
	require.Equal(t, override.Ended, step.State)
	require.Equal(t, before+1, h.wakes(t, one.ID), "it looks again at the end, too")

	second := h.waiting(t, rw(2))
	o = h.requestSend(t, second.ID, nil, time.Now().Add(time.Hour))
	h.decide(t, o.ID, approval.Approved)
	_, err = h.CancelOverride(h.ops, o.ID, "")
	require.Equal(t, override.NotYours, domain.CodeOf(err))
	_, err = h.CancelOverride(h.support, o.ID, "they left")
	require.NoError(t, err)
	require.Equal(t, policy.InQuietHours, h.take(t, second.ID, 1).Waits[0].Reason, "at once")
}

// One that begins later is when to ask again, before quiet hours end.
func TestASendWaitsForAnOverrideToCome(t *testing.T) {
	t.Parallel()
	h, one := lateTable(t)
	from := time.Now().Add(30 * time.Minute).Truncate(time.Microsecond)
	o := h.requestSend(t, one.ID, &from, from.Add(time.Hour))
	require.Equal(t, override.Approved, h.decide(t, o.ID, approval.Approved).State)
	require.Equal(t, 1, h.wakes(t, one.ID))
	w := h.take(t, one.ID, 1).Waits
	require.True(t, w[0].Until.Equal(from), "%s", w[0].Until)
	// The message goes meanwhile: there is nothing to let go on any more.
	h.set(t, "quiet_hours", `{}`)
	require.Len(t, h.take(t, one.ID, 1).Targets, 1)
	require.NoError(t, h.RecordSend(t.Context(), store.SendHolder(one.ID, "run", 1, 1), store.Result{State: campaign.Sent, ProviderID: "wamid.1"}))
	h.exec(t, `ALTER TABLE overrides DISABLE TRIGGER USER`)
	h.exec(t, `UPDATE overrides SET starts_at = created_at WHERE id = $1`, o.ID)
	step, err := h.StepOverride(t.Context(), o.ID)
	require.NoError(t, err)
	require.Equal(t, override.Cancelled, step.State)
}

func TestOnlyASendThatWaitsCanHaveAnOverride(t *testing.T) {
	t.Parallel()
	h, one := lateTable(t)
	later := time.Now().Add(time.Hour)
	blocked := h.order(t, h.newSend(t, rw(2)))
	require.Equal(t, campaign.FailedT, blocked.State)
	draft := h.draft(t, rw(3))
	good := store.NewOverride{Kind: override.QuietHours, SendID: &one.ID, EndsAt: later, Reason: "x"}
	var want []string
	for code, change := range map[string]func(n *store.NewOverride){
		override.SendOver: func(n *store.NewOverride) { n.SendID = &blocked.ID },
		override.BadScope: func(n *store.NewOverride) { n.CampaignID = &draft },
		override.TooLong:  func(n *store.NewOverride) { n.EndsAt = time.Now().Add(5 * time.Hour) },
	} {
		n := good
		change(&n)
		_, err := h.RequestOverride(h.support, n)
		require.Equal(t, code, domain.CodeOf(err), "%v", err)
		want = append(want, code)
	}
	drill := good
	drill.Kind = override.ProductionDrill
	_, err := h.RequestOverride(h.support, drill)
	require.Equal(t, override.BadScope, domain.CodeOf(err))
	require.ElementsMatch(t, append(want, override.BadScope), h.audited(t, "override.refused"))
	missing := good
	missing.SendID = new(uuid.New())
	_, err = h.RequestOverride(h.support, missing)
	require.Equal(t, domain.NotFound, domain.KindOf(err), "%v", err)

	// One at a time of each: another message's is no matter of this one's.
	o := h.requestSend(t, one.ID, nil, later)
	_, err = h.RequestOverride(h.admin, good)
	require.Equal(t, override.AlreadyOne, domain.CodeOf(err))
	h.requestSend(t, h.waiting(t, rw(4)).ID, nil, later)

	// Nobody decides what they asked for, whatever they have become; and nobody about what has ended.
	h.exec(t, `UPDATE accounts SET role = 'project_lead' WHERE email = 'support@example.test'`)
	_, err = h.DecideOverride(h.support, o.ID, approval.Approved, "")
	require.Equal(t, approval.Own, domain.CodeOf(err))
	_, err = h.CancelSend(h.admin, one.ID, store.SendOrder{Reason: "told on the phone"})
	require.NoError(t, err)
	_, err = h.DecideOverride(h.lead, o.ID, approval.Approved, "")
	require.Equal(t, override.SendOver, domain.CodeOf(err))
	require.Equal(t, override.Rejected, h.decide(t, o.ID, approval.Rejected).State)
	_, err = h.owner.Exec(t.Context(), `UPDATE overrides SET send_id = $1 WHERE campaign_id IS NULL AND id = $2`, blocked.ID, o.ID)
	require.ErrorContains(t, err, "is over")
}

// The digest of what was asked about holds the message: a decision about one is not one about another.
func TestADecisionIsAboutOneSend(t *testing.T) {
	t.Parallel()
	h, one := lateTable(t)
	other := h.waiting(t, rw(2))
	o := h.requestSend(t, one.ID, nil, time.Now().Add(time.Hour))
	message, err := h.DecideOverride(h.lead, o.ID, approval.Approved, "")
	require.NoError(t, err)
	h.exec(t, `UPDATE overrides SET send_id = $2 WHERE id = $1`, o.ID, other.ID)
	step, err := h.DecidedOverride(t.Context(), o.ID, h.claimOf(t, message))
	require.NoError(t, err)
	require.NotEmpty(t, step.Problem)
	require.Equal(t, override.Requested, step.State)
	require.Equal(t, []string{approval.Changed}, h.audited(t, "approval.refused"))
	require.NotEmpty(t, h.take(t, other.ID, 1).Waits)
}

// Who may decide hears of a request, but not who asked; who asked hears of the decision. What is mailed is looked up then.
func TestWhoIsMailedAboutAnOverride(t *testing.T) {
	t.Parallel()
	h, one := lateTable(t)
	h.exec(t, `UPDATE accounts SET disabled_at = now() WHERE email = 'lead2@example.test'`)
	mailed := func(what string) []string {
		return query[[]string](t, h.bundle, `SELECT coalesce(array_agg(a.email ORDER BY a.email), '{}') FROM outbox o JOIN accounts a ON a.id::text = o.payload->>'account_id'
			WHERE o.kind = 'mail.override' AND o.payload->>'what' = $1`, what)
	}
	byLead, err := h.RequestOverride(h.lead, store.NewOverride{Kind: override.QuietHours, SendID: &one.ID, EndsAt: time.Now().Add(time.Hour), Reason: "x"})
	require.NoError(t, err)
	require.Empty(t, mailed("asked for"), "the only other lead is gone")
	_, err = h.CancelOverride(h.lead, byLead.ID, "")
	require.NoError(t, err)
	o := h.requestSend(t, one.ID, nil, time.Now().Add(time.Hour))
	require.Equal(t, []string{"lead@example.test"}, mailed("asked for"))
	h.decide(t, o.ID, approval.Approved)
	require.Equal(t, []string{"support@example.test"}, mailed("approved"))
	require.NotContains(t, query[string](t, h.bundle, `SELECT string_agg(payload::text, ' ') FROM outbox WHERE kind IN ('mail.override', 'override.start', 'ops.notice')`), string(one.MSISDN))

	account := query[uuid.UUID](t, h.bundle, `SELECT id FROM accounts WHERE email = 'support@example.test'`)
	l, err := h.OverrideLetter(t.Context(), store.MailOverride{OverrideID: o.ID, AccountID: account, What: "approved"})
	require.NoError(t, err)
	require.Equal(t, "support@example.test", l.To.Email)
	require.Equal(t, "because", l.Override.Decision.Reason)
	h.exec(t, `UPDATE accounts SET disabled_at = now() WHERE id = $1`, account)
	_, err = h.OverrideLetter(t.Context(), store.MailOverride{OverrideID: o.ID, AccountID: account, What: "approved"})
	require.Equal(t, domain.NotFound, domain.KindOf(err))
}

// Between the answer of the rules and the permit somebody opts out, or the override is cancelled: the permit is not given.
func TestWhatIsCommittedBeforeThePermitHolds(t *testing.T) {
	t.Parallel()
	h, one := lateTable(t)
	h.decide(t, h.requestSend(t, one.ID, nil, time.Now().Add(time.Hour)).ID, approval.Approved)
	second := h.waiting(t, rw(2))
	o := h.requestSend(t, second.ID, nil, time.Now().Add(time.Hour))
	h.decide(t, o.ID, approval.Approved)
	between := func(id uuid.UUID, sql string, args ...any) store.SendTurn {
		t.Helper()
		tx, err := h.owner.Begin(t.Context())
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), `SELECT FROM sends WHERE id = $1 FOR UPDATE`, id)
		require.NoError(t, err)
		turns := make(chan store.SendTurn, 1)
		go func() {
			turn, err := h.TakeSend(t.Context(), store.SendHolder(id, "run", 1, 1), 0)
			if err != nil {
				t.Error(err)
			}
			turns <- turn
		}()
		require.Eventually(t, func() bool { // the rules have said yes, and the permit waits for the send
			var waits bool
			require.NoError(t, tx.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted
				AND transactionid = pg_current_xact_id_if_assigned()::xid)`).Scan(&waits))
			return waits
		}, 10*time.Second, 5*time.Millisecond)
		_, err = tx.Exec(t.Context(), sql, args...)
		require.NoError(t, err)
		require.NoError(t, tx.Commit(t.Context()))
		return <-turns
	}
	turn := between(one.ID, `INSERT INTO opt_outs (msisdn_hash, source, reason) SELECT msisdn_hash, 'inbound', 'STOP' FROM sends WHERE id = $1`, one.ID)
	require.True(t, turn.Ended)
	require.Equal(t, campaign.OptedOut, turn.Send.State)
	turn = between(second.ID, `UPDATE overrides SET state = 'cancelled', ended_at = clock_timestamp() WHERE id = $1`, o.ID)
	require.Empty(t, turn.Targets)
	require.Equal(t, policy.InQuietHours, turn.Waits[0].Reason)
}
