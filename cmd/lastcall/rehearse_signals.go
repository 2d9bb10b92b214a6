package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"lastcall/api"
	"lastcall/domain/access"
	"lastcall/domain/rollout"
	"lastcall/store"
)

// live breaks it after the launch: each signal is tripped for real, by faults and by a rule that holds everybody back. What
// Lastcall does by itself is waited for, the rest Ops do; nothing goes any more, and is recovered from.
func (r *rehearsal) live() []act {
	return []act{
		r.trips("critical-outage", r.outage("messaging", "reset")),
		r.trips("panel-unreachable", r.outage("panel", "reset")),
		r.trips("policy-misconfiguration", r.misruled),
		r.trips("redemption-failures", r.failing),
		{"it ends, and nothing is held back", r.finish},
	}
}

// breaking makes a signal hold, and returns what ends that.
type breaking func(ctx context.Context) (mend func(ctx context.Context) error, err error)

// trips makes a signal trip, sees that nothing goes any more, mends what was broken and recovers.
func (r *rehearsal) trips(signal string, breaks breaking) act {
	return act{signal, func(ctx context.Context) (seen string, err error) {
		began := time.Now()
		known, err := r.rollbacks(ctx)
		if err != nil {
			return "", err
		}
		mend, err := breaks(ctx)
		if mend != nil {
			mended := false
			whole := mend
			mend = func(ctx context.Context) error {
				if mended {
					return nil
				}
				mended = true
				return whole(ctx)
			}
			defer func() {
				if err != nil {
					err = errors.Join(err, mend(context.WithoutCancel(ctx)))
				}
			}()
		}
		if err != nil {
			return "", err
		}
		s, err := r.tripped(ctx, signal)
		if err != nil {
			return "", err
		}
		r.result.SignalsTripped++
		seen = fmt.Sprintf("tripped after %.1f s (%s, n %d)", seconds(time.Since(began)), s.Shown, s.N)
		b, err := r.rolledBack(ctx, s, len(known))
		if err != nil {
			return "", err
		}
		if err := mend(ctx); err != nil {
			return "", err
		}
		if err := r.recovers(ctx, b.ID); err != nil {
			return "", err
		}
		return fmt.Sprintf("%s, rolled back %s, safe within %.1f s, recovered %.1f s after", seen, map[bool]string{true: "by itself", false: "by Ops"}[b.Automatic], *b.TimeToSafe,
			seconds(time.Since(b.StartedAt))), nil
	}}
}

// signal is how it stands about a signal.
func (r *rehearsal) signal(ctx context.Context, name string) (s api.RolloutSignal, err error) {
	var all api.RolloutSignals
	if err := r.as(access.Viewer).get(ctx, "/rollouts/"+r.name+"/signals", nil, &all); err != nil {
		return s, err
	}
	i := slices.IndexFunc(all.Signals, func(s api.RolloutSignal) bool { return s.Name == name })
	if i < 0 {
		return s, fmt.Errorf("the plan has no signal %s", name)
	}
	return all.Signals[i], nil
}

// tripped waits until a signal has tripped.
func (r *rehearsal) tripped(ctx context.Context, name string) (s api.RolloutSignal, err error) {
	err = r.smoke.until(ctx, 60*time.Second, name+" to trip", func(ctx context.Context) (bool, error) {
		s, err = r.signal(ctx, name)
		return s.State == rollout.SignalTripped, err
	})
	switch {
	case err != nil:
		err = fmt.Errorf("%w: it is %s, %s (%s, n %d)", err, s.State, s.Detail, s.Shown, s.N)
	case len(s.Evidence) == 0:
		err = errors.New("it has tripped, and there is no evidence of it")
	}
	return s, err
}

// rolledBack waits for the rollback that a signal ordered; where it only stops new sends, Ops order one. Ops sign about the
// legacy tooling, which no webhook switches here, and nobody recovers before everything was read back.
func (r *rehearsal) rolledBack(ctx context.Context, s api.RolloutSignal, known int) (b api.Rollback, err error) {
	if s.Action == rollout.Hold {
		if err := r.held(ctx); err != nil {
			return b, err
		}
		if b, err = r.rollBack(ctx, "rehearsal: "+s.Title); err != nil {
			return b, err
		}
	} else if err := r.smoke.until(ctx, 30*time.Second, "a rollback by itself", func(ctx context.Context) (bool, error) {
		all, err := r.rollbacks(ctx)
		if err != nil || len(all) <= known {
			return false, err
		}
		b = all[0]
		return b.Automatic && b.Signal == s.Name, nil
	}); err != nil {
		return b, err
	}
	return r.safe(ctx, b.ID)
}

// held makes sure that nothing new is sent.
func (r *rehearsal) held(ctx context.Context) error {
	return r.smoke.until(ctx, 20*time.Second, "dispatch to be off", func(ctx context.Context) (bool, error) {
		var now store.SettingsRevision
		if err := r.as(access.Viewer).get(ctx, "/settings/toggles", nil, &now); err != nil {
			return false, err
		}
		var t struct{ Dispatch bool }
		return json.Unmarshal(now.Value, &t) == nil && !t.Dispatch, nil
	})
}

func (r *rehearsal) rollbacks(ctx context.Context) ([]api.Rollback, error) {
	var all api.Rollbacks
	err := r.as(access.Viewer).get(ctx, "/rollouts/"+r.name+"/rollbacks", nil, &all)
	return all.Rollbacks, err
}

// rollBack orders a rollback, which takes one of those who may.
func (r *rehearsal) rollBack(ctx context.Context, reason string) (b api.Rollback, err error) {
	n := api.NewRollback{Reason: reason, RedemptionsOff: true, Rehearsal: true}
	at := "/rollouts/" + r.name + "/rollbacks"
	if err := refusedAs(errOf(r.as(access.Support).call(ctx, http.MethodPost, at, n, &b)), "role_may_not"); err != nil {
		return b, err
	}
	if _, err := r.as(access.Ops).call(ctx, http.MethodPost, at, n, &b); err != nil {
		return b, err
	}
	_, err = r.as(access.Admin).call(ctx, http.MethodPost, at, n, &api.Rollback{})
	return b, refusedAs(err, rollout.RollbackOpen) // one at a time
}

// safe waits until a rollback was read back, with the word of Ops about the legacy tooling.
func (r *rehearsal) safe(ctx context.Context, id uuid.UUID) (b api.Rollback, err error) {
	at := "/rollbacks/" + id.String()
	early := false
	err = r.smoke.until(ctx, 60*time.Second, "everything to be read back", func(ctx context.Context) (bool, error) {
		if err := r.as(access.Viewer).get(ctx, at, nil, &b); err != nil {
			return false, err
		}
		if b.State == rollout.RollbackRunning && b.LegacyAsked {
			if !early { // nobody recovers from what is not done
				if err := refusedAs(errOf(r.as(access.Ops).call(ctx, http.MethodPost, at+"/recovery", api.RolloutReason{Reason: "rehearsal: too early"}, &b)), rollout.RollbackNotDone); err != nil {
					return false, err
				}
				early = true
			}
			return false, r.legacy(ctx, id)
		}
		return b.State == rollout.RollbackDone && b.TimeToSafe != nil, nil
	})
	if err != nil {
		return b, fmt.Errorf("%w: %s", err, stepsOf(b))
	}
	r.result.RolledBack++
	r.result.TimeToSafe = max(r.result.TimeToSafe, *b.TimeToSafe)
	return b, nil
}

// stepsOf are the steps that are not done, for people.
func stepsOf(b api.Rollback) string {
	var left []string
	for _, s := range b.Steps {
		if s.State != "done" {
			left = append(left, fmt.Sprintf("%s (%s)", s.Title, s.Detail))
		}
	}
	return fmt.Sprintf("it is %s; %s", b.State, strings.Join(left, ", "))
}

// legacy has Ops sign about the legacy tooling, and nobody else.
func (r *rehearsal) legacy(ctx context.Context, id uuid.UUID) error {
	at, n := "/rollbacks/"+id.String()+"/legacy", api.LegacySignature{Note: "rehearsal: switched by hand, and it answers"}
	if err := refusedAs(errOf(r.as(access.Compliance).call(ctx, http.MethodPost, at, n, &api.Rollback{})), "approval_role"); err != nil {
		return err
	}
	_, err := r.as(access.Ops).call(ctx, http.MethodPost, at, n, &api.Rollback{})
	return err
}

// recovers asks to recover once no signal holds, proves that messages leave and vouchers are redeemed, and has another person
// sign; before the smoke tests nobody may, nor whoever asked.
func (r *rehearsal) recovers(ctx context.Context, id uuid.UUID) error {
	at := "/rollbacks/" + id.String()
	ops, lead := r.as(access.Ops), r.as(access.ProjectLead)
	var b api.Rollback
	if err := r.smoke.until(ctx, 2*time.Minute, "no signal to hold", func(ctx context.Context) (bool, error) {
		_, err := ops.call(ctx, http.MethodPost, at+"/recovery", api.RolloutReason{Reason: "rehearsal: mended"}, &b)
		if problem, ok := errors.AsType[*api.Problem](err); ok && problem.Code == rollout.RollbackBurns {
			return false, nil
		}
		return err == nil, err
	}); err != nil {
		return err
	}
	n := api.RecoverySignature{Note: "rehearsal: it works again", Digest: b.Digest}
	if err := refusedAs(errOf(lead.call(ctx, http.MethodPost, at+"/recovery/sign-off", n, &b)), rollout.RollbackSmoke); err != nil {
		return err
	}
	if err := r.subset(ctx); err != nil {
		return err
	}
	if err := refusedAs(errOf(ops.call(ctx, http.MethodPost, at+"/recovery/sign-off", n, &b)), "approval_own"); err != nil {
		return err
	}
	if _, err := lead.call(ctx, http.MethodPost, at+"/recovery/sign-off", n, &b); err != nil {
		return err
	}
	err := r.smoke.until(ctx, 60*time.Second, "the recovery", func(ctx context.Context) (bool, error) {
		if err := r.as(access.Viewer).get(ctx, at, nil, &b); err != nil {
			return false, err
		}
		if b.LegacyAsked {
			return false, r.legacy(ctx, id)
		}
		return b.State == rollout.RollbackRecovered, nil
	})
	if err != nil {
		return fmt.Errorf("%w: %s", err, stepsOf(b))
	}
	r.result.Recovered++
	return r.resumed(ctx)
}

// subset runs the smoke tests that a recovery asks for; those of the station at the counter that takes part, where they are
// rehearsed.
func (r *rehearsal) subset(ctx context.Context) error {
	for _, kind := range []string{store.SmokeAdmin, store.SmokeStation} {
		s := r.another()
		s.station = r.phone.station.Code
		if err := r.ran(ctx, s, rollout.RecoverySmoke[kind]); err != nil {
			return err
		}
	}
	return nil
}

// resumed lets the staging set's campaign go on, which a rollback pauses as any other.
func (r *rehearsal) resumed(ctx context.Context) error {
	at := "/campaigns/" + store.FixtureCampaignID("Example: a drink on us").String()
	var c api.Campaign
	if err := r.as(access.Ops).get(ctx, at, nil, &c); err != nil || c.Gate != "paused" {
		return err
	}
	_, err := r.as(access.Ops).call(ctx, http.MethodPost, at+"/resume", api.Order{Reason: "rehearsal: recovered"}, &c)
	return err
}

// rehearsedRollback is the rollback that the plan wants rehearsed, by hand, before the launch.
func (r *rehearsal) rehearsedRollback(ctx context.Context) (string, error) {
	b, err := r.rollBack(ctx, "rehearsal")
	if err == nil {
		b, err = r.safe(ctx, b.ID)
	}
	if err == nil {
		err = r.recovers(ctx, b.ID)
	}
	if err != nil {
		return "", err
	}
	return r.proved(ctx, "rollback-rehearsed", 30*time.Second)
}

// outage makes an edge function red by a fault.
func (r *rehearsal) outage(function, kind string) breaking {
	return func(ctx context.Context) (func(context.Context) error, error) {
		ops := r.as(access.Ops)
		end, err := r.fault(ctx, function, kind)
		if err != nil {
			return nil, err
		}
		k := claims{evidence: evidence{}}
		return func(ctx context.Context) error {
			if err := end(ctx); err != nil {
				return err
			}
			return (&panelSmoke{output: r.smoke.output, smokeSettings: smokeSettings{admin: ops}}).probed(ctx, &k, function, "green", 60*time.Second)
		}, (&panelSmoke{output: r.smoke.output, smokeSettings: smokeSettings{admin: ops}}).probed(ctx, &k, function, "red", 60*time.Second)
	}
}

// fault puts a fault in the way, and returns what ends it; it would end by itself after two minutes.
func (r *rehearsal) fault(ctx context.Context, function, kind string) (end func(context.Context) error, err error) {
	ops := r.as(access.Ops)
	var fault api.InjectedFault
	if _, err := ops.call(ctx, http.MethodPost, "/faults", api.NewFault{EdgeFunction: function, Kind: kind, Share: 1, Seconds: 120, Reason: "rehearsal"}, &fault); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		_, err := ops.call(ctx, http.MethodDelete, "/faults/"+fault.ID.String()+"?reason=rehearsal", nil, &struct{}{})
		if problem, ok := errors.AsType[*api.Problem](err); ok && problem.Status == http.StatusConflict {
			return nil // it ended by itself
		}
		return errors.Join(err, pause(ctx, faultsKnown))
	}, nil
}

// failing has the counter try to redeem while redemptions fail: more often than is needed to judge by.
func (r *rehearsal) failing(ctx context.Context) (func(context.Context) error, error) {
	v, err := r.smoke.shown(ctx, "1000", r.phone.station.Code)
	if err != nil {
		return nil, err
	}
	end, err := r.fault(ctx, "redemptions", "server_error")
	if err != nil {
		return nil, err
	}
	mend := func(ctx context.Context) error {
		if err := end(ctx); err != nil {
			return err
		}
		return r.redeemsAgain(ctx)
	}
	const attempts, atOnce = 60, 6
	var counting sync.Mutex
	failed := 0
	tries := func() {
		for range attempts / atOnce {
			var receipt store.Redeemed
			err := r.smoke.keyed(ctx, r.phone.apiClient, "/station/redemptions", uuid.NewString(), api.NewRedemption{StationVoucher: api.StationVoucher{QR: v.QR}}, &receipt)
			if refusedAs(err, store.RedemptionsDown) == nil {
				counting.Lock()
				failed++
				counting.Unlock()
			}
		}
	}
	err = r.smoke.until(ctx, 10*time.Second, "redemptions to fail", func(ctx context.Context) (bool, error) {
		var look store.Redeemed
		err := r.smoke.keyed(ctx, r.phone.apiClient, "/station/redemptions", uuid.NewString(), api.NewRedemption{StationVoucher: api.StationVoucher{Code: "WRNG-C0DE"}}, &look)
		return refusedAs(err, store.RedemptionsDown) == nil, nil
	})
	if err != nil {
		return mend, err
	}
	var all sync.WaitGroup
	for range atOnce {
		all.Go(tries)
	}
	all.Wait()
	if failed < 50 {
		err = fmt.Errorf("of %d redemptions %d failed of the fault", attempts, failed)
	}
	return mend, err
}

// redeemsAgain redeems vouchers of the pilot's campaigns until the signal is over: what nobody tries, nobody knows about. What has
// failed counts for a minute.
func (r *rehearsal) redeemsAgain(ctx context.Context) error {
	for end := time.Now().Add(90 * time.Second); ; {
		receipt, err := r.redeemed(ctx, r.campaigns...)
		if err == nil && receipt.Mock {
			err = errors.New("it was only rehearsed")
		}
		if err != nil {
			return err
		}
		if err := pause(ctx, 6*time.Second); err != nil {
			return err
		}
		s, err := r.signal(ctx, "redemption-failures")
		if err != nil || s.State == rollout.SignalOK {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("the signal is still %s: %s", s.State, s.Detail)
		}
	}
}

// misruled saves a rule that was told to hold nobody back, and then has a campaign that it holds back whole.
func (r *rehearsal) misruled(ctx context.Context) (func(context.Context) error, error) {
	const targets = 400
	settings := &smokeSettings{admin: r.as(access.Ops), why: "rehearsal", found: map[string]json.RawMessage{}}
	if err := settings.save(ctx, "quiet_hours", quietNow("RW", "Africa/Kigali")); err != nil {
		return nil, err
	}
	var id string
	mend := func(ctx context.Context) error {
		err := settings.restore(ctx)
		if id != "" {
			err = errors.Join(err, (&policySmoke{smokeSettings: smokeSettings{admin: r.as(access.Ops)}}).end(ctx, id))
		}
		return err
	}
	id, err := r.drafted(ctx, api.NewCampaign{Name: "Rehearsal: nobody may have it", Template: smokeTemplate}, 2000, targets)
	if err == nil {
		_, err = r.as(access.Ops).call(ctx, http.MethodPost, "/campaigns/"+id+"/start", api.StartOrder{}, &api.Campaign{})
	}
	return mend, err
}

// finish ends the rehearsal: no guardrail holds, and the settings are as they were.
func (r *rehearsal) finish(ctx context.Context) (string, error) {
	if err := r.end(ctx, "the rehearsal is over"); err != nil {
		return "", err
	}
	b, err := r.board(ctx)
	if err == nil && b.Phase != "none" {
		err = fmt.Errorf("%s is in %s", b.Name, b.Phase)
	}
	return "settings are as they were", err
}
