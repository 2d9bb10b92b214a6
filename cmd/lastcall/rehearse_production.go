package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"lastcall/api"
	"lastcall/domain/access"
	"lastcall/domain/announce"
	"lastcall/domain/approval"
	"lastcall/domain/payment"
	"lastcall/domain/rollout"
	"lastcall/store"
)

// production proves what must be so before the launch, and launches: it takes the word of a project lead who did not open the
// phase, and of Ops.
func (r *rehearsal) production() []act {
	return []act{
		r.tooEarly(rollout.Production, r.as(access.Ops)),
		{"nobody signs before the rest is so", r.unproven},
		{"ops-channel", r.alerted},
		{"payments", r.paid},
		{"throttle-caps", r.capsReviewed},
		{"rollback-rehearsed", r.rehearsedRollback},
		r.proves("templates", 30*time.Second),
		r.proves("audit-retention", 30*time.Second),
		r.proves("availability", 90*time.Second),
		{"go-no-go", r.goNoGo},
		r.announces(rollout.Production),
		r.opens(rollout.Production, r.as(access.ProjectLead)),
	}
}

// unproven tries to say Go while other items are open.
func (r *rehearsal) unproven(ctx context.Context) (string, error) {
	_, err := r.sign(ctx, r.as(access.Ops), "go-no-go", "go")
	return "there is nothing to sign yet", refusedAs(err, rollout.Unproven)
}

// alerted sends a test alert, which comes to the Ops channel, and acknowledges it.
func (r *rehearsal) alerted(ctx context.Context) (string, error) {
	ops := r.as(access.Ops)
	var a api.Alert
	if _, err := ops.call(ctx, http.MethodPost, "/alerts/test", api.AlertNote{Note: "rehearsal"}, &a); err != nil {
		return "", err
	}
	at := "/alerts/" + a.ID.String()
	err := r.smoke.until(ctx, 30*time.Second, "the test alert to come to the Ops channel", func(ctx context.Context) (bool, error) {
		if err := ops.get(ctx, at, nil, &a); err != nil {
			return false, err
		}
		for _, n := range a.Notices {
			if n.Channel == "ops" && n.Outcome == "delivered" {
				return true, nil
			}
		}
		return false, nil
	})
	if err != nil {
		return "", err
	}
	if err := refusedAs(errOf(r.as(access.Support).call(ctx, http.MethodPost, at+"/acknowledge", api.AlertNote{}, &a)), "role_may_not"); err != nil {
		return "", err
	}
	if _, err := ops.call(ctx, http.MethodPost, at+"/acknowledge", api.AlertNote{Note: "rehearsal: it came"}, &a); err != nil {
		return "", err
	}
	return r.proved(ctx, "ops-channel", 30*time.Second)
}

// paid has Finance sign how they want to be paid: what is in force, else what one of them writes and another confirms.
func (r *rehearsal) paid(ctx context.Context) (string, error) {
	finance, other := r.as(access.Finance), r.as(access.Finance, 1)
	var p api.Payments
	if err := finance.get(ctx, "/payments", nil, &p); err != nil {
		return "", err
	}
	if p.Current == nil && p.Draft == nil {
		n := api.NewPayments{Reason: "rehearsal", Value: payment.Terms{RevolutLink: "https://revolut.me/lastcall",
			Instructions: []payment.Instruction{{Country: "RW", Currency: "RWF", Text: "By the fifth of the month."}}}}
		if _, err := finance.call(ctx, http.MethodPut, "/payments", n, &api.PaymentRevision{}); err != nil {
			return "", err
		}
		if err := finance.get(ctx, "/payments", nil, &p); err != nil {
			return "", err
		}
	}
	if p.Draft != nil {
		if p.Draft.Mine {
			finance, other = other, finance
		}
		at := "/payments/" + strconv.FormatInt(p.Draft.Revision, 10) + "/confirm"
		if p.Draft.Mine { // other wrote it
			if err := refusedAs(errOf(other.call(ctx, http.MethodPost, at, nil, &api.PaymentRevision{})), "four_eyes"); err != nil {
				return "", err
			}
		}
		if _, err := finance.call(ctx, http.MethodPost, at, nil, &api.PaymentRevision{}); err != nil {
			return "", err
		}
	}
	if _, err := r.as(access.Ops).call(ctx, http.MethodPost, "/edge-functions/payments/check", nil, &struct{}{}); err != nil {
		return "", err
	}
	if _, err := r.sign(ctx, r.as(access.Ops), "payments", "seen"); refusedAs(err, approval.WrongRole) != nil {
		return "", refusedAs(err, approval.WrongRole)
	}
	if err := r.attested(ctx, finance, "payments"); err != nil {
		return "", err
	}
	if err := r.signs(ctx, finance, access.Finance, "payments", "Link and instructions are ours"); err != nil {
		return "", err
	}
	return r.proved(ctx, "payments", 30*time.Second)
}

// capsReviewed has Ops look at the caps with what the pilot says about them, and keep them.
func (r *rehearsal) capsReviewed(ctx context.Context) (string, error) {
	var a store.ThrottleAdvice
	if err := r.as(access.Ops).get(ctx, "/settings/throttle/advice", nil, &a); err != nil {
		return "", err
	}
	n := api.ThrottleKept{Advice: a.Digest, Reason: "rehearsal: the caps stay as they are"}
	if err := refusedAs(errOf(r.as(access.Support).call(ctx, http.MethodPost, "/settings/throttle/review", n, &store.ThrottleReview{})), "role_may_not"); err != nil {
		return "", err
	}
	if _, err := r.as(access.Ops).call(ctx, http.MethodPost, "/settings/throttle/review", n, &store.ThrottleReview{}); err != nil {
		return "", err
	}
	return r.proved(ctx, "throttle-caps", 30*time.Second)
}

// attested has an item looked at until whoever is to sign it may.
func (r *rehearsal) attested(ctx context.Context, who *apiClient, id string) error {
	var item api.RolloutItem
	err := r.smoke.until(ctx, 60*time.Second, "somebody to be able to sign "+id, func(ctx context.Context) (bool, error) {
		if _, err := r.as(access.Ops).call(ctx, http.MethodPost, itemPath(id)+"/prove", nil, &item); err != nil {
			return false, err
		}
		err := who.get(ctx, itemPath(id), nil, &item)
		return item.MaySign, err
	})
	if err != nil {
		err = fmt.Errorf("%w: %s %s", err, item.Why, item.WhyNot)
	}
	return err
}

// goNoGo is said by two people who did not open the phase; whoever did, and whoever's role has no seat, are refused.
func (r *rehearsal) goNoGo(ctx context.Context) (string, error) {
	lead, ops := r.as(access.ProjectLead, 1), r.as(access.Ops)
	if err := r.attested(ctx, lead, "go-no-go"); err != nil {
		return "", err
	}
	if _, err := r.sign(ctx, r.as(access.Finance), "go-no-go", "go"); refusedAs(err, approval.WrongRole) != nil {
		return "", refusedAs(err, approval.WrongRole)
	}
	if _, err := r.sign(ctx, r.as(access.ProjectLead), "go-no-go", "go"); refusedAs(err, approval.Own) != nil {
		return "", refusedAs(err, approval.Own)
	}
	if err := r.signs(ctx, lead, access.ProjectLead, "go-no-go", "Go"); err != nil {
		return "", err
	}
	missing, err := missingOf(errOf(r.as(access.ProjectLead).call(ctx, http.MethodPost, "/rollout/advance", api.GateAdvance{From: rollout.Production, Reason: "rehearsal: one has not signed"}, &api.Rollout{})))
	if err != nil {
		return "", err
	}
	for _, o := range missing {
		if o.Code != rollout.IsUnsigned && o.Code != announce.Missing {
			return "", errors.New("before the second signature something else is missing: " + told(missing))
		}
	}
	if err := r.signs(ctx, ops, access.Ops, "go-no-go", "Go"); err != nil {
		return "", err
	}
	return "a second project lead and Ops; whoever opened the phase, and Finance, were refused", nil
}
