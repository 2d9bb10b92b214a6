package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"lastcall/api"
	"lastcall/domain/campaign"
	"lastcall/domain/policy"
	"lastcall/store"
)

// calm are the settings with which every scenario begins, where nothing but what it is about keeps a message back.
var calm = map[string]string{
	"toggles": `{"dispatch":true}`, "missing_zone": `{"policy":"hold"}`, "consent": `{"required":false}`, "frequency_cap": `{"marketing":{"per_day":0,"per_week":0}}`,
	"throttle": `{"whatsapp":{"per_minute":6000000}}`, "quiet_hours": `{}`, "campaigns": `{"approval":"never","max_late":"2h","approval_ttl":"24h"}`,
}

// smokeSettings are settings that a run saves and puts back.
type smokeSettings struct {
	admin *apiClient
	why   string
	found map[string]json.RawMessage // as they were before the run saved them
}

// begin makes the settings those of a scenario: calm, but for its quiet hours.
func (p *smokeSettings) begin(ctx context.Context, quietHours []byte) error {
	for key, value := range calm {
		if key == "quiet_hours" && quietHours != nil {
			value = string(quietHours)
		}
		if err := p.save(ctx, key, []byte(value)); err != nil {
			return err
		}
	}
	return nil
}

// save saves a setting, unless it is like this, and keeps what it was. Whoever runs this knows of its dangers.
func (p *smokeSettings) save(ctx context.Context, key string, value json.RawMessage) error {
	var now store.SettingsRevision
	if err := p.admin.get(ctx, "/settings/"+key, nil, &now); err != nil {
		return err
	}
	if _, kept := p.found[key]; !kept {
		p.found[key] = slices.Clone(now.Value) // now is read into again
	}
	if sameJSON(now.Value, value) {
		return nil
	}
	edit := api.NewSetting{Value: value, Reason: p.why}
	_, err := p.admin.call(ctx, http.MethodPut, "/settings/"+key, edit, &now)
	if problem, ok := errors.AsType[*api.Problem](err); ok && problem.Code == "settings_danger" {
		var imp store.Impact
		if _, err := p.admin.call(ctx, http.MethodPost, "/settings/"+key+"/impact", api.SettingTrial{Value: value}, &imp); err != nil {
			return err
		}
		for _, f := range imp.Findings {
			if !slices.Contains(edit.Acknowledged, f.Code) {
				edit.Acknowledged = append(edit.Acknowledged, f.Code)
			}
		}
		_, err = p.admin.call(ctx, http.MethodPut, "/settings/"+key, edit, &now)
	}
	if err != nil {
		return fmt.Errorf("save the setting %s: %w", key, err)
	}
	return nil
}

// restore puts back what was saved.
func (p *smokeSettings) restore(ctx context.Context) error {
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(p.found)) {
		errs = append(errs, p.save(ctx, key, p.found[key]))
	}
	return errors.Join(errs...)
}

// sameJSON compares values however they are written.
func sameJSON(a, b json.RawMessage) bool {
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	one, _ := json.Marshal(x) // what was read can be written
	other, _ := json.Marshal(y)
	return string(one) == string(other)
}

// undo puts back what the run changed, as far as it can. Interrupted or not, it has half a minute.
func (p *policySmoke) undo(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var errs []error
	for _, id := range p.campaigns {
		errs = append(errs, p.end(ctx, id))
	}
	errs = append(errs, p.restore(ctx), p.optIn(ctx))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("not everything could be put back: %w", err)
	}
	return nil
}

func (p *policySmoke) optOut(ctx context.Context, number string) error {
	p.optedOut = append(p.optedOut, number)
	var done api.OptOutsAdded
	_, err := p.admin.call(ctx, http.MethodPost, "/opt-outs", api.Numbers{Numbers: []string{number}, Reason: "smoke: policy"}, &done)
	return err
}

// optIn takes the run's numbers out of the registry.
func (p *policySmoke) optIn(ctx context.Context) error {
	if len(p.optedOut) == 0 {
		return nil
	}
	var done api.OptOutsRemoved
	_, err := p.admin.call(ctx, http.MethodPost, "/opt-outs/remove", api.Numbers{Numbers: p.optedOut, Reason: "smoke: policy"}, &done)
	if problem, ok := errors.AsType[*api.Problem](err); ok && problem.Code == "opt_out_not_found" {
		return nil
	}
	return err
}

// emptyLedger waits until nothing was sent on the channel for a minute.
func (p *policySmoke) emptyLedger(ctx context.Context) error {
	if err := p.save(ctx, "throttle", perMinute(1)); err != nil {
		return err
	}
	for end := time.Now().Add(3 * time.Minute); time.Now().Before(end); {
		var e api.Explanation
		q := api.Question{MSISDN: smokeRW(0), Channel: policy.ChannelWhatsApp, Kind: "utility"}
		if _, err := p.admin.call(ctx, http.MethodPost, "/policy/explain", q, &e); err != nil {
			return err
		}
		if e.Permitted {
			return nil
		}
		wait := time.Second
		if e.RetryAfter != nil {
			wait = max(time.Until(*e.RetryAfter), 100*time.Millisecond)
		}
		if err := pause(ctx, min(wait, 5*time.Second)); err != nil {
			return err
		}
	}
	return errors.New("others send on the channel: there is no minute without")
}

// launch starts a campaign to these numbers.
func (p *policySmoke) launch(ctx context.Context, numbers ...string) (string, error) {
	made, err := p.admin.create(ctx, api.NewCampaign{Name: "smoke: policy", Template: p.template})
	if err != nil {
		return "", err
	}
	id := made.CampaignID.String()
	var imported api.Import
	header := http.Header{"Content-Type": {"text/csv"}}
	if _, err := p.admin.send(ctx, http.MethodPost, "/campaigns/"+id+"/imports", header, strings.NewReader("msisdn\n"+strings.Join(numbers, "\n")), &imported); err != nil {
		return id, err
	}
	p.campaigns = append(p.campaigns, id)
	var started api.Campaign
	_, err = p.admin.call(ctx, http.MethodPost, "/campaigns/"+id+"/start", api.StartOrder{}, &started)
	return id, err
}

// end stops a campaign that has not ended.
func (p *policySmoke) end(ctx context.Context, id string) error {
	var c api.Campaign
	if err := p.admin.get(ctx, "/campaigns/"+id, nil, &c); err != nil || !c.Status.Active() || c.Status == campaign.Settling {
		return err
	}
	_, err := p.admin.call(ctx, http.MethodPost, "/campaigns/"+id+"/stop", map[string]string{"reason": "smoke: policy"}, &c)
	if problem, ok := errors.AsType[*api.Problem](err); ok && problem.Code == "wrong_state" {
		return nil // it ended by itself
	}
	return err
}

// until waits for a campaign to be as asked.
func (p *policySmoke) until(ctx context.Context, id string, within time.Duration, what string, as func(api.Campaign) bool) (c api.Campaign, err error) {
	for end := time.Now().Add(within); ; {
		if err := p.admin.get(ctx, "/campaigns/"+id, nil, &c); err != nil || as(c) {
			return c, err
		}
		if time.Now().After(end) {
			return c, fmt.Errorf("waited %s for %s in vain: %d gone, %d queued", within, what, c.Accepted(), c.Queued)
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return c, err
		}
	}
}

// untilSent waits for a single message to have gone.
func (p *policySmoke) untilSent(ctx context.Context, id uuid.UUID, within time.Duration) (one api.Send, err error) {
	for end := time.Now().Add(within); ; {
		if err := p.admin.get(ctx, "/sends/"+id.String(), nil, &one); err != nil {
			return one, err
		}
		switch one.State {
		case campaign.Sent, campaign.Delivered, campaign.Read:
			return one, nil
		case campaign.Queued, campaign.Sending:
		default:
			return one, fmt.Errorf("it is %s", one.State)
		}
		if time.Now().After(end) {
			return one, fmt.Errorf("waited %s in vain: it is %s", within, one.State)
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return one, err
		}
	}
}

// pause waits, unless the command is interrupted.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return errInterrupted
	case <-time.After(d):
		return nil
	}
}
