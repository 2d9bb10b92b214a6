package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/domain"
	"lastcall/domain/approval"
	"lastcall/domain/campaign"
	"lastcall/domain/rollout"
	"lastcall/store"
	"lastcall/store/storetest"
)

// steps does what the workflow does, with a legacy tooling that answers, until nothing is due; at most so many steps.
func (p pilot) steps(t *testing.T, id uuid.UUID, most int) (taken []rollout.RollbackStep) {
	t.Helper()
	for range most {
		next, err := p.city.NextRollbackStep(t.Context(), id)
		require.NoError(t, err)
		if next.Step == "" {
			break
		}
		if next.Step == rollout.LegacyOn || next.Step == rollout.LegacyOff {
			require.NoError(t, p.city.LegacyTold(t.Context(), id, next.Step, true, "it answers"))
		} else {
			require.NoError(t, p.city.TakeRollbackStep(t.Context(), id, next.Step))
		}
		taken = append(taken, next.Step)
	}
	return taken
}

func (p pilot) rollback(t *testing.T, id uuid.UUID) store.Rollback {
	t.Helper()
	b, err := p.city.RollbackOf(t.Context(), id)
	require.NoError(t, err)
	return b
}

// smoke keeps runs of all smoke tests on a build, in which some items failed.
func (p pilot) smoke(t *testing.T, build string, failed ...int) {
	t.Helper()
	for kind, from := range map[string]int{store.SmokeAdmin: 1, store.SmokeStation: 21} {
		r := store.SmokeRun{Kind: kind, Build: build, StartedAt: time.Now(), FinishedAt: time.Now()}
		for i := from; i < from+20 && i <= 30; i++ {
			item := store.SmokeItem{ID: i, Name: "item", Outcome: store.SmokePassed, Evidence: []byte(`{}`)}
			for _, f := range failed {
				if f == i {
					item.Outcome = store.SmokeFailed
				}
			}
			r.Items = append(r.Items, item)
		}
		_, err := p.city.KeepSmokeRun(p.ops, r)
		require.NoError(t, err)
	}
}

func (p pilot) back(t *testing.T, who context.Context, n store.NewRollback) uuid.UUID {
	t.Helper()
	if n.Reason == "" {
		n.Reason = "wrong vouchers"
	}
	id, err := p.city.RollBack(who, "kigali", n)
	require.NoError(t, err)
	return id
}

func TestARollbackAndTheRecovery(t *testing.T) {
	t.Parallel()
	p := openPilot(t)
	built, err := store.Open(t.Context(), store.Config{URL: p.city.url, Pepper: storetest.Pepper, AppName: "built", Sandbox: true, Build: "abc123"})
	require.NoError(t, err)
	t.Cleanup(built.Close)
	p.city.Store = built
	_, err = p.city.RollBack(p.lead, "kigali", store.NewRollback{Reason: "too early"})
	require.Equal(t, rollout.RollbackPhase, domain.CodeOf(err), "in staging nothing goes to people")
	p.opens(t, rollout.Pilot)
	_, err = p.city.RollBack(p.lead, "elsewhere", store.NewRollback{Reason: "typo"})
	require.Equal(t, rollout.NotBegun, domain.CodeOf(err))
	_, err = p.city.RollBack(p.lead, "kigali", store.NewRollback{Reason: " "})
	require.Equal(t, domain.Invalid, domain.KindOf(err))

	running, lane := p.running(t, many(5, rw)...)
	claimed := p.claim(t, lane, 5)
	require.Len(t, claimed.Targets, 5)
	id := p.back(t, p.ops, store.NewRollback{RedemptionsOff: true})
	_, err = p.city.RollBack(p.lead, "kigali", store.NewRollback{Reason: "me too"})
	require.Equal(t, rollout.RollbackOpen, domain.CodeOf(err))
	require.Positive(t, query[int](t, p.city.bundle, `SELECT count(*) FROM audit_log WHERE action = 'rollout.refused' AND diff->>'code' = $1`, rollout.RollbackOpen))

	// Killed after any step it goes on: a step that is taken again changes nothing.
	require.Equal(t, []rollout.RollbackStep{rollout.PauseCampaigns, rollout.DispatchOff}, p.steps(t, id, 2))
	require.NoError(t, p.city.TakeRollbackStep(t.Context(), id, rollout.PauseCampaigns))
	require.Equal(t, 1, p.rollback(t, id).Step(rollout.PauseCampaigns).Tries)
	require.EqualValues(t, campaign.GatePaused, query[string](t, p.city.bundle, `SELECT gate FROM campaigns WHERE id = $1`, running))
	require.False(t, p.dispatches(t))
	p.steps(t, id, 10)
	b := p.rollback(t, id)
	require.Equal(t, rollout.RollbackRunning, b.State, "five messages are in flight")
	require.Contains(t, b.Step(rollout.Readback).Detail, "5 messages are in flight")
	require.Equal(t, domain.Conflict, domain.KindOf(p.city.RecoverRollback(p.lead, id, "already")))
	require.ErrorContains(t, p.city.RecoverRollback(p.lead, id, "already"), "not safe yet")
	require.Error(t, p.city.EndRollout(p.lead, "it is being rolled back"))

	p.city.exec(t, `UPDATE targets SET state = 'failed', reason = 'x', owner = NULL, fence = NULL WHERE state = 'sending'`)
	p.city.exec(t, `UPDATE rollback_steps SET due_at = clock_timestamp() WHERE done_at IS NULL`)
	p.steps(t, id, 10)
	b = p.rollback(t, id)
	require.Equal(t, rollout.RollbackDone, b.State)
	require.Positive(t, b.TimeToSafe())
	require.NotNil(t, b.IncidentID)
	require.Equal(t, 1, query[int](t, p.city.bundle, `SELECT count(*) FROM outbox WHERE kind = 'ops.notice' AND payload->>'title' = 'Rollout kigali: rolled back'`))
	next, err := p.city.NextRollbackStep(t.Context(), id)
	require.NoError(t, err)
	require.Empty(t, next.Step)
	require.False(t, next.Over)

	// What it switched off stays off, and no gate opens.
	_, err = p.city.SaveSetting(p.admin, "toggles", []byte(`{"dispatch":true}`), "on again")
	require.Equal(t, rollout.RollbackToggles, domain.CodeOf(err))
	_, err = p.city.SaveSetting(p.admin, "toggles", []byte(`{"dispatch":false,"station_redeem":true}`), "on again")
	require.Equal(t, rollout.RollbackToggles, domain.CodeOf(err))
	_, _, err = p.AdvanceRollout(p.lead, rollout.Pilot, "now")
	require.ErrorContains(t, err, "a rollback is open")

	// A signal still burns.
	p.probed(t, "panel", "red")
	p.look(t)
	err = p.city.RecoverRollback(p.ops, id, "mended")
	require.Equal(t, rollout.RollbackBurns, domain.CodeOf(err))
	require.ErrorContains(t, err, "panel-unreachable")
	p.probed(t, "panel", "green")
	p.look(t)
	p.smoke(t, "abc123") // before it: that says nothing
	require.NoError(t, p.city.RecoverRollback(p.ops, id, "mended"))
	require.True(t, p.dispatches(t), "toggles are as they were")
	b = p.rollback(t, id)
	require.Equal(t, rollout.RollbackRecovering, b.State)
	require.EqualValues(t, campaign.GatePaused, query[string](t, p.city.bundle, `SELECT gate FROM campaigns WHERE id = $1`, running), "campaigns stay paused")

	signs := func(who context.Context) error {
		return p.city.SignRecovery(who, id, approval.Approved, "seen", b.RecoveryDigest())
	}
	require.Equal(t, rollout.RollbackSmoke, domain.CodeOf(signs(p.lead)), "no smoke tests since")
	p.smoke(t, "other")
	require.ErrorContains(t, signs(p.lead), "another build")
	p.smoke(t, "abc123", 15)
	require.ErrorContains(t, signs(p.lead), "item 15 of the newest run was failed")
	p.smoke(t, "abc123", 26)
	require.ErrorContains(t, signs(p.lead), "item 26")
	p.smoke(t, "abc123", 2) // not of the subset
	require.Equal(t, approval.Own, domain.CodeOf(signs(p.ops)), "nobody signs what they asked for")
	require.Equal(t, approval.WrongRole, domain.CodeOf(signs(p.admin)))
	require.Equal(t, approval.Changed, domain.CodeOf(p.city.SignRecovery(p.lead, id, approval.Approved, "seen", []byte("another"))))

	// Rejected, everything is off again, and somebody may ask anew.
	require.NoError(t, p.city.SignRecovery(p.lead, id, approval.Rejected, "not yet", b.RecoveryDigest()))
	require.False(t, p.dispatches(t))
	require.Equal(t, rollout.RollbackDone, p.rollback(t, id).State)
	require.NoError(t, p.city.RecoverRollback(p.ops, id, "now it is"))
	require.Equal(t, rollout.RollbackSmoke, domain.CodeOf(p.city.SignRecovery(p.lead, id, approval.Approved, "seen", p.rollback(t, id).RecoveryDigest())))
	p.smoke(t, "abc123")
	b = p.rollback(t, id)
	require.NoError(t, signs(p.lead))
	require.Equal(t, []rollout.RollbackStep{rollout.LegacyOff, rollout.Announced}, p.steps(t, id, 10))
	b = p.rollback(t, id)
	require.Equal(t, rollout.RollbackRecovered, b.State)
	for _, s := range b.Steps {
		require.NotNil(t, s.DoneAt, s.Step)
	}
	require.Equal(t, 1, query[int](t, p.city.bundle, `SELECT count(*) FROM outbox WHERE kind = 'ops.notice' AND payload->>'title' = 'Rollout kigali: recovered'`))
	next, err = p.city.NextRollbackStep(t.Context(), id)
	require.NoError(t, err)
	require.True(t, next.Over)
	require.NotEmpty(t, p.back(t, p.lead, store.NewRollback{}), "another one may be ordered")
}

// A signal that trips while somebody recovers begins anew, and toggles are to be as they were before the first.
func TestASignalInTheMiddleOfARecovery(t *testing.T) {
	t.Parallel()
	p := openPilot(t).opens(t, rollout.Live)
	first := p.back(t, p.ops, store.NewRollback{})
	p.steps(t, first, 10)
	require.NoError(t, p.city.RecoverRollback(p.ops, first, "mended"))
	p.redeemed(t, 40)
	p.refused(t, "system", "database_unavailable", 10)
	p.look(t)
	require.Equal(t, rollout.RollbackAbandoned, p.rollback(t, first).State)
	all := p.rollbacks(t)
	require.Len(t, all, 2)
	require.Equal(t, rollout.RollbackRunning, all[0].State)
	require.JSONEq(t, string(p.rollback(t, first).Toggles), string(all[0].Toggles))
	require.Zero(t, query[int](t, p.city.bundle, `SELECT count(*) FROM approval_requests WHERE closed_at IS NULL`))
	// While a rollback is done, the same signal has nothing to do.
	p.steps(t, all[0].ID, 10)
	p.look(t)
	require.Len(t, p.rollbacks(t), 2)
	// It may be given up; what is off stays off.
	require.NoError(t, p.city.EndRollout(p.lead, "another time"))
	require.Equal(t, rollout.RollbackAbandoned, p.rollback(t, all[0].ID).State)
	require.False(t, p.dispatches(t))
	_, err := p.city.SaveSetting(p.admin, "toggles", []byte(`{"dispatch":true}`), "on again")
	require.NoError(t, err)
}

// Without a webhook Ops switch the legacy tooling by hand, and sign.
func TestLegacyToolingByHand(t *testing.T) {
	t.Parallel()
	p := openPilot(t).opens(t, rollout.Production)
	id := p.back(t, p.lead, store.NewRollback{Rehearsal: true})
	require.Equal(t, rollout.RollbackLegacy, domain.CodeOf(p.city.SignLegacy(p.ops, id, "it answers")), "nobody asks yet")
	require.NoError(t, p.city.LegacyByHand(t.Context(), id, rollout.LegacyOn))
	p.steps(t, id, 10)
	b := p.rollback(t, id)
	require.Equal(t, rollout.RollbackRunning, b.State)
	require.NotNil(t, b.SafeAt, "nothing goes any more: that does not wait for people")
	require.True(t, b.LegacyAsked())
	require.Equal(t, approval.WrongRole, domain.CodeOf(p.city.SignLegacy(p.lead, id, "it answers")))
	require.NoError(t, p.city.SignLegacy(p.ops, id, "sent one, it arrived"))
	b = p.rollback(t, id)
	require.Equal(t, rollout.RollbackDone, b.State)
	require.Equal(t, "signed by ops@example.test", b.Step(rollout.LegacyOn).Detail)
	require.True(t, query[bool](t, p.city.bundle, `SELECT is_drill FROM incidents WHERE id = $1`, *b.IncidentID), "a rehearsal's incident is no real one")
}

func TestTwoWantToRollBackAtOnce(t *testing.T) {
	t.Parallel()
	p := openPilot(t).opens(t, rollout.Live)
	came := make(chan error, 8)
	for range cap(came) {
		go func() {
			_, err := p.city.RollBack(p.lead, "kigali", store.NewRollback{Reason: "all at once"})
			came <- err
		}()
	}
	var won int
	for range cap(came) {
		if err := <-came; err == nil {
			won++
		} else {
			require.Equal(t, rollout.RollbackOpen, domain.CodeOf(err))
		}
	}
	require.Equal(t, 1, won)
	require.Len(t, p.rollbacks(t), 1)
}

func TestARehearsedRollbackProvesItsItem(t *testing.T) {
	t.Parallel()
	c := proofs(t, rollout.Production, "rollback_rehearsed")
	p := pilot{city: c}
	p.city.exec(t, `UPDATE rollouts SET guardrails = '{}'`)
	p.watched = watched{p.city.bundle, nil}
	c.finds(t, "rollback_rehearsed", rollout.Inconclusive, "no rollback was rehearsed")
	real := p.back(t, p.lead, store.NewRollback{})
	p.steps(t, real, 10)
	c.finds(t, "rollback_rehearsed", rollout.Inconclusive, "no rollback was rehearsed")
	p.city.exec(t, `UPDATE rollbacks SET state = 'abandoned'`)
	id := p.back(t, p.lead, store.NewRollback{Rehearsal: true})
	p.steps(t, id, 10)
	c.finds(t, "rollback_rehearsed", rollout.Inconclusive, "the newest rehearsal is done")
	p.city.exec(t, `UPDATE rollbacks SET state = 'recovered', recovered_at = clock_timestamp() WHERE id = $1`, id)
	c.finds(t, "rollback_rehearsed", rollout.Passed, "nothing went any more after")
	p.city.exec(t, `UPDATE rollbacks SET started_at = started_at - interval '400 days'`)
	c.finds(t, "rollback_rehearsed", rollout.Inconclusive, "no rollback was rehearsed")
}
