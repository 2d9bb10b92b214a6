package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"lastcall/api"
	"lastcall/domain/access"
	"lastcall/domain/campaign"
	"lastcall/domain/rollout"
	"lastcall/store"
)

// pilot has a station of its own take part, a voucher campaign sent to twenty, one of its vouchers redeemed in earnest, and
// an outage drilled.
func (r *rehearsal) pilot() []act {
	return []act{
		r.tooEarly(rollout.Pilot, r.as(access.Ops)),
		{"each day is reviewed", r.reviewsDays},
		{"a station that takes no part is not enrolled", r.outsider},
		{"participants", r.participants},
		{"a sixth station is refused", r.sixth},
		{"a campaign to 21 is refused", r.twentyOne},
		{"dispatcher and real-redemption", r.vouchers},
		r.proves("opt-out-audit", 30*time.Second),
		r.proves("overrides", 30*time.Second),
		{"incident-drill", r.drilled},
		r.proves("daily-review", 3*time.Minute),
		r.opens(rollout.Pilot, r.as(access.ProjectLead)),
	}
}

// outsider makes the pilot's station, and tries to bring a phone to it before it takes part.
func (r *rehearsal) outsider(ctx context.Context) (string, error) {
	b, err := r.smoke.bar(ctx)
	if err != nil {
		return "", err
	}
	r.phone = &counterPhone{}
	if _, err := r.smoke.admin.call(ctx, http.MethodPost, "/stations", api.NewStation{BarID: b.ID, Code: b.Code + "-1", Name: "Counter"}, &r.phone.station); err != nil {
		return "", err
	}
	_, err = r.smoke.admin.call(ctx, http.MethodPost, "/stations/"+r.phone.station.ID.String()+"/enrolments", api.NewDevice{Name: "Rehearsal phone"}, &api.EnrolmentLink{})
	return "the guardrail forbids it", refusedAs(err, rollout.Guardrail)
}

// participants lets the station take part, with a phone and somebody who signs in with their PIN.
func (r *rehearsal) participants(ctx context.Context) (string, error) {
	if err := r.takes(ctx, http.MethodPut, r.phone.station.ID); err != nil {
		return "", err
	}
	p, err := r.smoke.enrolled(ctx, r.phone.station)
	if err != nil {
		return "", err
	}
	if _, err := p.signIn(ctx, p.pin); err != nil {
		return "", err
	}
	r.phone = p
	return r.proved(ctx, "participants", 30*time.Second)
}

// takes lets a station take part, or takes it out.
func (r *rehearsal) takes(ctx context.Context, method string, station uuid.UUID) error {
	_, err := r.as(access.Admin).call(ctx, method, "/rollout/stations/"+station.String(), nil, &api.Rollout{})
	return err
}

// sixth lets stations of the staging set take part until there are as many as may, tries one more, and takes them out again.
func (r *rehearsal) sixth(ctx context.Context) (string, error) {
	var all api.StationPage
	if err := r.as(access.Admin).get(ctx, "/stations", url.Values{"limit": {"200"}}, &all); err != nil {
		return "", err
	}
	b, err := r.board(ctx)
	if err != nil {
		return "", err
	}
	room := 0
	for _, p := range b.Phases {
		if p.Phase == rollout.Pilot {
			room = p.Guardrails.Stations - len(b.Stations)
		}
	}
	if room <= 0 {
		return "the plan has no such limit", nil
	}
	var in []uuid.UUID
	defer func() {
		for _, id := range in {
			_ = r.takes(context.WithoutCancel(ctx), http.MethodDelete, id) // it ends with the rehearsal, else
		}
	}()
	for _, s := range all.Stations {
		if !strings.HasPrefix(s.Code, "ENG-") {
			continue
		}
		err := r.takes(ctx, http.MethodPut, s.ID)
		if len(in) == room {
			return "the guardrail forbids it", refusedAs(err, rollout.Guardrail)
		}
		if err != nil {
			return "", err
		}
		in = append(in, s.ID)
	}
	return "", fmt.Errorf("there are too few stations to try it with: %d", len(in))
}

// twentyOne tries to start a campaign that is larger than the pilot lets.
func (r *rehearsal) twentyOne(ctx context.Context) (string, error) {
	const name = "Rehearsal: one too many" // a draft that stays one: the next rehearsal takes it again
	var page api.CampaignPage
	if err := r.as(access.Ops).get(ctx, "/campaigns", url.Values{"status": {"draft"}, "limit": {"200"}}, &page); err != nil {
		return "", err
	}
	var id string
	for _, c := range page.Campaigns {
		if c.Name == name && c.Targets == 21 {
			id = c.CampaignID.String()
		}
	}
	var err error
	if id == "" {
		if id, err = r.drafted(ctx, api.NewCampaign{Name: name, Template: smokeTemplate}, 640, 21); err != nil {
			return "", err
		}
	}
	_, err = r.as(access.Ops).call(ctx, http.MethodPost, "/campaigns/"+id+"/start", api.StartOrder{}, &api.Campaign{})
	return "the guardrail forbids it", refusedAs(err, rollout.Guardrail)
}

// drafted makes a campaign to so many numbers that nobody has.
func (r *rehearsal) drafted(ctx context.Context, n api.NewCampaign, first, targets int) (string, error) {
	made, err := r.as(access.Ops).create(ctx, n)
	if err != nil {
		return "", err
	}
	id := made.CampaignID.String()
	file := "msisdn\n"
	for i := range targets {
		file += smokeRW(first+i) + "\n"
	}
	var i api.Import
	_, err = r.as(access.Ops).send(ctx, http.MethodPost, "/campaigns/"+id+"/imports", http.Header{"Content-Type": {"text/csv"}}, strings.NewReader(file), &i)
	if err == nil && i.Targets != int64(targets) {
		err = fmt.Errorf("of %d numbers %d are targets", targets, i.Targets)
	}
	return id, err
}

// The pilot's campaigns: each as large as may be, and together enough for their figures to say something.
const (
	pilotCampaigns = 3
	pilotTargets   = 20
)

// vouchers sends vouchers in campaigns of twenty, and redeems one of them at the counter: in earnest, and its way can be followed.
func (r *rehearsal) vouchers(ctx context.Context) (string, error) {
	settings := smokeSettings{admin: r.as(access.Ops), why: "rehearsal", found: map[string]json.RawMessage{}}
	if err := settings.begin(ctx, nil); err != nil { // nothing but the pilot's guardrails is in their way
		return "", err
	}
	var ids []string
	for n := range pilotCampaigns {
		id, err := r.drafted(ctx, api.NewCampaign{Name: fmt.Sprintf("Rehearsal: a drink on us, %d", n+1), Template: giftTemplate,
			Voucher: &api.NewCampaignOffer{Amount: "2000", Currency: "RWF", Stations: []string{r.phone.station.Code}, ValidSeconds: 3600}}, 600+n*pilotTargets, pilotTargets)
		if err != nil {
			return "", err
		}
		if _, err := r.smoke.started(ctx, id); err != nil {
			return "", err
		}
		ids = append(ids, id)
	}
	for _, id := range ids {
		if _, err := r.smoke.campaign(ctx, id, 90*time.Second, "all twenty to have gone", func(c api.Campaign) bool { return c.Accepted() == pilotTargets }); err != nil {
			return "", err
		}
	}
	r.campaigns = ids
	receipt, err := r.redeemed(ctx, ids[0])
	if err != nil {
		return "", err
	}
	if receipt.Mock {
		return "", errors.New("it was only rehearsed")
	}
	for _, id := range ids {
		if _, err := r.smoke.campaign(ctx, id, 90*time.Second, "it to be done", func(c api.Campaign) bool { return c.Status == campaign.Done }); err != nil {
			return "", err
		}
	}
	if err := settings.restore(ctx); err != nil {
		return "", err
	}
	sent, err := r.proved(ctx, "dispatcher", 30*time.Second)
	if err != nil {
		return "", err
	}
	redeemed, err := r.proved(ctx, "real-redemption", 30*time.Second)
	return sent + "; " + redeemed, err
}

// redeemed redeems a voucher of campaigns, whose QR code Support reads to the counter.
func (r *rehearsal) redeemed(ctx context.Context, campaigns ...string) (receipt store.Redeemed, err error) {
	support := r.as(access.Support)
	for _, id := range campaigns {
		var page api.VoucherPage
		if err := support.get(ctx, "/vouchers", url.Values{"campaign": {id}, "outstanding": {"true"}, "limit": {"1"}}, &page); err != nil {
			return receipt, err
		}
		for _, v := range page.Vouchers {
			var whole api.RevealedVoucher
			if _, err := support.call(ctx, http.MethodPost, "/vouchers/"+v.ID.String()+"/reveal", nil, &whole); err != nil {
				return receipt, err
			}
			err = r.smoke.keyed(ctx, r.phone.apiClient, "/station/redemptions", uuid.NewString(), api.NewRedemption{StationVoucher: api.StationVoucher{QR: whole.QR}}, &receipt)
			return receipt, err
		}
	}
	return receipt, errors.New("no voucher is left that could be redeemed")
}

// drilled drills an outage of WhatsApp, fast.
func (r *rehearsal) drilled(ctx context.Context) (string, error) {
	d, err := r.drill(ctx, "messaging-outage")
	if err != nil {
		return "", err
	}
	seen, err := r.proved(ctx, "incident-drill", 30*time.Second)
	return fmt.Sprintf("%s (detected to steady in %.0f s)", seen, d.Duration), err
}

// drill runs a fast drill to its end, and stops it if that is interrupted.
func (r *rehearsal) drill(ctx context.Context, scenario string) (d api.Drill, err error) {
	ops := r.as(access.Ops)
	if _, err := ops.call(ctx, http.MethodPost, "/drills", api.NewDrill{Scenario: scenario, Fast: true, Reason: "rehearsal"}, &d); err != nil {
		return d, err
	}
	for end := time.Now().Add(4 * time.Minute); d.Status.Open(); {
		if err = pause(ctx, 500*time.Millisecond); err == nil && time.Now().After(end) {
			err = errors.New("the drill does not end")
		}
		if err != nil {
			return d, errors.Join(err, errOf(ops.call(context.WithoutCancel(ctx), http.MethodPost, "/drills/"+d.DrillID.String()+"/abort", api.DrillAbort{Reason: "rehearsal"}, &api.Drill{})))
		}
		if err := ops.get(ctx, "/drills/"+d.DrillID.String(), nil, &d); err != nil && !passing(err) {
			return d, err
		}
	}
	return d, drillVerdict(d)
}
