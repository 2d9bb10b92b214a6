package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"lastcall/api"
	"lastcall/domain/campaign"
	"lastcall/domain/policy"
)

// The numbers that the scenarios send to. Nobody has them.
func smokeRW(i int) string { return fmt.Sprintf("+25078%07d", 9900000+i) }
func smokeMT(i int) string { return fmt.Sprintf("+35679%06d", 990000+i) }

func (p *policySmoke) optOutSingle(ctx context.Context) (evidence, error) {
	if err := p.begin(ctx, nil); err != nil {
		return nil, err
	}
	if err := p.optOut(ctx, smokeRW(1)); err != nil {
		return nil, err
	}
	return p.blocked(ctx, p.admin, smokeRW(1), campaign.OptedOut, policy.OptOut)
}

func (p *policySmoke) quietSingle(ctx context.Context) (evidence, error) {
	if err := p.begin(ctx, quietNow("RW", "Africa/Kigali")); err != nil {
		return nil, err
	}
	seen, err := p.blocked(ctx, p.admin, smokeRW(2), campaign.FailedT, policy.InQuietHours)
	if err != nil {
		return seen, err
	}
	if w := p.blocks[len(p.blocks)-1].block.NextWindow; w == nil || w.Zone != "Africa/Kigali" || !w.Opens.After(time.Now()) || !w.Closes.After(w.Opens) {
		return seen, errors.New("the next window is not told")
	}
	return seen, nil
}

func (p *policySmoke) optOutWins(ctx context.Context) (evidence, error) {
	if err := p.begin(ctx, quietNow("RW", "Africa/Kigali")); err != nil {
		return nil, err
	}
	if err := p.optOut(ctx, smokeRW(3)); err != nil {
		return nil, err
	}
	seen, err := p.blocked(ctx, p.admin, smokeRW(3), campaign.OptedOut, policy.OptOut)
	if err == nil && !slices.Contains(p.blocks[len(p.blocks)-1].block.Also, policy.InQuietHours) {
		err = errors.New("the quiet hours are not told beside the opt-out")
	}
	return seen, err
}

// bypass tries as support what could let a message past: to send it all the same, to ask for that, to change the rules, and
// to take a number out of the registry.
func (p *policySmoke) bypass(ctx context.Context) (evidence, error) {
	if err := p.begin(ctx, quietNow("RW", "Africa/Kigali")); err != nil {
		return nil, err
	}
	seen, err := p.blocked(ctx, p.support, smokeRW(4), campaign.FailedT, policy.InQuietHours)
	if err != nil {
		return seen, err
	}
	var one api.Send
	_, err = p.support.call(ctx, http.MethodPost, "/sends", map[string]any{"msisdn": smokeRW(4), "template": p.template, "ignore_policy": true}, &one)
	if problem, ok := errors.AsType[*api.Problem](err); !ok || problem.Status != http.StatusUnprocessableEntity {
		return seen, fmt.Errorf("a message that asks to go past the policy is not refused: %w", orNone(err))
	} else {
		seen["asked_to_ignore_the_policy"] = problem.Code
	}
	for _, try := range []struct {
		what, method, path string
		body               any
	}{
		{"changing_the_rules", http.MethodPut, "/settings/quiet_hours", api.NewSetting{Value: []byte(`{}`), Reason: "smoke: bypass"}},
		{"taking_out_an_opt_out", http.MethodPost, "/opt-outs/remove", api.Numbers{Numbers: []string{smokeRW(4)}, Reason: "smoke: bypass"}},
	} {
		if seen[try.what], err = p.forbidden(ctx, try.method, try.path, try.body); err != nil {
			return seen, fmt.Errorf("support, %s: %w", strings.ReplaceAll(try.what, "_", " "), err)
		}
	}
	return seen, nil
}

// forbidden makes sure that support may not do something, and returns the audit entry of the refusal.
func (p *policySmoke) forbidden(ctx context.Context, method, path string, body any) (entry any, err error) {
	var anything any
	_, err = p.support.call(ctx, method, path, body, &anything)
	problem, ok := errors.AsType[*api.Problem](err)
	if !ok || problem.Status != http.StatusForbidden {
		return nil, fmt.Errorf("not refused: %w", orNone(err))
	}
	var page api.AuditPage
	query := url.Values{"action": {"access.refused"}, "request_id": {problem.RequestID}}
	if err := p.admin.get(ctx, "/audit/entries", query, &page); err != nil {
		return nil, err
	}
	if len(page.Entries) == 0 {
		return nil, errors.New("the refusal is not in the audit log")
	}
	return page.Entries[0].ID, nil
}

func (p *policySmoke) bulkThrottle(ctx context.Context) (evidence, error) {
	if err := p.begin(ctx, nil); err != nil {
		return nil, err
	}
	if err := p.emptyLedger(ctx); err != nil {
		return nil, err
	}
	if err := p.save(ctx, "throttle", perMinute(60)); err != nil {
		return nil, err
	}
	numbers := make([]string, 100)
	for i := range numbers {
		numbers[i] = smokeRW(100 + i)
	}
	id, err := p.launch(ctx, numbers...)
	if err != nil {
		return nil, err
	}
	c, err := p.until(ctx, id, 40*time.Second, "60 to have gone and 40 to wait", func(c api.Campaign) bool {
		return c.Accepted() == 60 && c.Queued == 40 && c.Waits[policy.Throttled] == 40
	})
	if err == nil {
		p.blocks = append(p.blocks, seenBlock{scenario: 10, target: "campaign/" + id, block: policy.Decision{Reason: policy.Throttled}})
	}
	return evidence{"campaign_id": id, "gone": c.Accepted(), "waiting": c.Queued, "waits": c.Waits}, err
}

// bulkRecovers goes on with the campaign of bulkThrottle, the last that was started.
func (p *policySmoke) bulkRecovers(ctx context.Context) (evidence, error) {
	if len(p.campaigns) == 0 {
		return nil, errors.New("there is no throttled campaign")
	}
	id := p.campaigns[len(p.campaigns)-1]
	c, err := p.until(ctx, id, 80*time.Second, "all 100 to have gone", func(c api.Campaign) bool { return c.Accepted() == 100 })
	return evidence{"campaign_id": id, "gone": c.Accepted(), "waiting": c.Queued}, err
}

func (p *policySmoke) throttleHit(ctx context.Context) (evidence, error) {
	if err := p.begin(ctx, nil); err != nil {
		return nil, err
	}
	if err := p.save(ctx, "throttle", perMinute(1)); err != nil {
		return nil, err
	}
	if _, _, err := p.send(ctx, p.admin, smokeMT(1), false); err != nil { // which takes the minute's permit, if it is free
		return nil, err
	}
	seen, err := p.blocked(ctx, p.admin, smokeMT(2), campaign.FailedT, policy.Throttled)
	if err == nil && p.blocks[len(p.blocks)-1].block.RetryAfter == nil {
		err = errors.New("the time to try again is not told")
	}
	return seen, err
}

func (p *policySmoke) throttleRecovers(ctx context.Context) (evidence, error) {
	began := time.Now()
	one, _, err := p.send(ctx, p.admin, smokeMT(3), true)
	if err != nil {
		return nil, err
	}
	if one.State != campaign.Queued || one.Block == nil || one.Block.Reason != policy.Throttled {
		return evidence{"send_id": one.SendID, "state": one.State, "block": one.Block}, errors.New("it does not wait for the throttle")
	}
	p.blocks = append(p.blocks, seenBlock{6, "send/" + one.SendID.String(), *one.Block})
	gone, err := p.untilSent(ctx, one.SendID, 80*time.Second)
	return evidence{"send_id": one.SendID, "state": gone.State, "retry_after": one.Block.RetryAfter, "sent_at": gone.SentAt,
		"waited_seconds": time.Since(began).Round(time.Second).Seconds()}, err
}

func (p *policySmoke) optOutBulk(ctx context.Context) (evidence, error) {
	if err := p.begin(ctx, nil); err != nil {
		return nil, err
	}
	if err := p.optOut(ctx, smokeRW(5)); err != nil {
		return nil, err
	}
	id, err := p.launch(ctx, smokeRW(5), smokeRW(6))
	if err != nil {
		return nil, err
	}
	c, err := p.until(ctx, id, 30*time.Second, "one to have gone and the other to be opted out", func(c api.Campaign) bool { return c.OptedOut == 1 && c.Accepted() == 1 })
	if err == nil {
		p.blocks = append(p.blocks, seenBlock{scenario: 2, target: "campaign/" + id, block: policy.Decision{Reason: policy.OptOut}})
	}
	return evidence{"campaign_id": id, "gone": c.Accepted(), "opted_out": c.OptedOut}, err
}

func (p *policySmoke) quietBulk(ctx context.Context) (evidence, error) {
	if err := p.begin(ctx, quietNow("RW", "Africa/Kigali")); err != nil {
		return nil, err
	}
	id, err := p.launch(ctx, smokeRW(10), smokeRW(11), smokeRW(12), smokeMT(10), smokeMT(11), smokeMT(12))
	if err != nil {
		return nil, err
	}
	c, err := p.until(ctx, id, 30*time.Second, "Malta's to have gone and Rwanda's to wait", func(c api.Campaign) bool {
		return c.Accepted() == 3 && c.Waits[policy.InQuietHours] == 3
	})
	if err == nil {
		p.blocks = append(p.blocks, seenBlock{scenario: 4, target: "campaign/" + id, block: policy.Decision{Reason: policy.InQuietHours}})
		err = p.end(ctx, id)
	}
	return evidence{"campaign_id": id, "gone": c.Accepted(), "waits": c.Waits, "waiting": c.Waiting}, err
}

func (p *policySmoke) changeAtOnce(ctx context.Context) (evidence, error) {
	if err := p.begin(ctx, quietNow("RW", "Africa/Kigali")); err != nil {
		return nil, err
	}
	one, _, err := p.send(ctx, p.admin, smokeRW(7), true)
	if err != nil {
		return nil, err
	}
	if one.State != campaign.Queued || one.Block == nil {
		return evidence{"send_id": one.SendID, "state": one.State}, errors.New("it does not wait for the quiet hours")
	}
	p.blocks = append(p.blocks, seenBlock{9, "send/" + one.SendID.String(), *one.Block})
	if err := p.save(ctx, "quiet_hours", []byte(`{}`)); err != nil {
		return nil, err
	}
	saved := time.Now()
	gone, err := p.untilSent(ctx, one.SendID, 10*time.Second)
	took := time.Since(saved)
	if err == nil && took > 5*time.Second {
		err = fmt.Errorf("it went only after %s", took.Round(time.Millisecond))
	}
	return evidence{"send_id": one.SendID, "state": gone.State, "milliseconds": took.Milliseconds(), "policy_revision_of_the_block": one.Block.Revision}, err
}

// audited looks for each block that the other scenarios saw.
func (p *policySmoke) audited(ctx context.Context) (evidence, error) {
	found := []map[string]any{}
	var missing []string
	for _, b := range p.blocks {
		entry, err := p.entryOf(ctx, b)
		if err != nil {
			return nil, err
		}
		if entry == 0 {
			missing = append(missing, fmt.Sprintf("%s of scenario %d", b.block.Reason, b.scenario))
			continue
		}
		found = append(found, map[string]any{"scenario": b.scenario, "target": b.target, "reason": b.block.Reason, "audit_entry": entry})
	}
	seen := evidence{"blocks": found}
	if len(missing) > 0 {
		return seen, fmt.Errorf("not in the audit log: %s", strings.Join(missing, ", "))
	}
	if want := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}; !slices.Equal(p.blocking(), want) {
		return seen, fmt.Errorf("blocks were seen in scenarios %v only", p.blocking())
	}
	return seen, nil
}

// blocking are the scenarios in which a block was seen, in order.
func (p *policySmoke) blocking() (all []int) {
	for _, b := range p.blocks {
		all = append(all, b.scenario)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// orNone is err, or says that there was none.
func orNone(err error) error {
	if err == nil {
		return errors.New("it was taken")
	}
	return err
}

// quietNow are quiet hours of a country that have begun and end in two hours.
func quietNow(country, zone string) []byte {
	loc, err := time.LoadLocation(zone)
	if err != nil {
		panic(err) // zones are in the binary
	}
	now := time.Now().In(loc)
	return fmt.Appendf(nil, `{%q:{"start":%q,"end":%q}}`, country, now.Add(-time.Hour).Format("15:04"), now.Add(2*time.Hour).Format("15:04"))
}

func perMinute(n int) []byte { return fmt.Appendf(nil, `{"whatsapp":{"per_minute":%d}}`, n) }

// seenBlock is a block that has to be in the audit log.
type seenBlock struct {
	scenario int
	target   string
	block    policy.Decision
}

var scenarioOf = map[string]int{smokeRW(1): 1, smokeRW(2): 3, smokeRW(3): 7, smokeRW(4): 8, smokeMT(2): 5}

// blocked sends to a number and expects it to be blocked for a reason.
func (p *policySmoke) blocked(ctx context.Context, c *apiClient, to string, state campaign.TargetState, reason policy.Reason) (evidence, error) {
	one, status, err := p.send(ctx, c, to, false)
	if err != nil {
		return nil, err
	}
	seen := evidence{"send_id": one.SendID, "state": one.State, "http_status": status, "block": one.Block}
	if one.State != state || one.Block == nil || one.Block.Reason != reason {
		return seen, fmt.Errorf("it is %s, and not blocked by %s", one.State, reason)
	}
	p.blocks = append(p.blocks, seenBlock{scenarioOf[to], "send/" + one.SendID.String(), *one.Block})
	return seen, nil
}

func (p *policySmoke) send(ctx context.Context, c *apiClient, to string, whenAllowed bool) (api.Send, int, error) {
	return c.sendOne(ctx, api.NewSend{MSISDN: to, Template: p.template, WhenAllowed: whenAllowed}, uuid.NewString())
}

// entryOf is the audit log's entry about a block, 0 if there is none.
func (p *policySmoke) entryOf(ctx context.Context, b seenBlock) (int64, error) {
	var page api.AuditPage
	query := url.Values{"action": {"outbound_policy_check"}, "target": {b.target}, "limit": {"200"}}
	if err := p.admin.get(ctx, "/audit/entries", query, &page); err != nil {
		return 0, err
	}
	for _, e := range page.Entries {
		if strings.Contains(string(e.Diff), fmt.Sprintf("%q", b.block.Reason)) {
			return e.ID, nil
		}
	}
	return 0, nil
}
