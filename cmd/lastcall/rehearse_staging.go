package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"lastcall/api"
	"lastcall/domain/access"
	"lastcall/domain/approval"
	"lastcall/domain/rollout"
	"lastcall/domain/template"
	"lastcall/store"
)

// beforehand is what must be so before a rehearsal begins: nothing of another is left, templates are approved and locked, and
// the staging set is there.
func (r *rehearsal) beforehand() []act {
	return []act{
		{"what a killed rehearsal left", r.leftovers},
		{"everybody signs in", r.everybody},
		{"templates are written, approved and locked", r.templates},
		{"fixtures are loaded", r.loaded},
		{"only who may begins a rollout", r.begin},
	}
}

// leftovers ends a rehearsal that was killed. Of a rollout that is none it keeps its hands off, which then refuses ours.
func (r *rehearsal) leftovers(ctx context.Context) (string, error) {
	b, err := r.board(ctx)
	if err != nil || b.Factor <= 1 {
		return "nothing", err
	}
	return b.Name + ", in " + b.Phase, r.end(ctx, "what a killed rehearsal left")
}

// everybody signs in, as the people who take part do.
func (r *rehearsal) everybody(ctx context.Context) (string, error) {
	n := 0
	for _, all := range r.people {
		for _, c := range all {
			var me struct{}
			if err := c.get(ctx, "/session", nil, &me); err != nil {
				return "", err
			}
			n++
		}
	}
	return fmt.Sprintf("%d people in %d roles", n, len(r.people)), nil
}

// templates has Compliance approve and lock what is sent. What an installation begins with nobody has approved.
func (r *rehearsal) templates(ctx context.Context) (string, error) {
	var seen []string
	for _, name := range []string{smokeTemplate, giftTemplate} {
		t, err := r.locked(ctx, name)
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		seen = append(seen, fmt.Sprintf("%s v%d", t.Name, t.Version))
	}
	return strings.Join(seen, ", "), nil
}

// The template of vouchers, and the picture that it begins with in a fresh installation, which no review lets pass.
const (
	giftTemplate   = "voucher_gift"
	starterPicture = "voucher_gift"
)

// locked brings the newest version of a template to where it is approved by Compliance and locked, step by step.
func (r *rehearsal) locked(ctx context.Context, name string) (store.Template, error) {
	ops, compliance := r.as(access.Ops), r.as(access.Compliance)
	for range 8 {
		t, err := ops.version(ctx, name)
		if err != nil {
			return t, err
		}
		at := "/templates/" + t.ID.String()
		var review api.TemplateReview
		if err := ops.get(ctx, at+"/review", nil, &review); err != nil {
			return t, err
		}
		approved := false
		for _, d := range review.Decisions {
			approved = approved || d.Verdict == approval.Approved && d.Role == access.Compliance && d.VoidedAt == nil
		}
		switch {
		case t.Status == template.Locked && approved:
			return t, nil
		case t.Status == template.Draft && t.HeaderMedia == starterPicture:
			content := api.TemplateContent{Category: t.Category, Variables: t.Variables, Texts: t.Texts, Headers: t.Headers, Footers: t.Footers, HeaderMedia: "https://example.com/" + starterPicture + ".png"}
			_, err = ops.call(ctx, http.MethodPut, at, content, &t)
		case t.Status == template.Draft:
			_, err = ops.call(ctx, http.MethodPost, at+"/submit", api.TemplateReason{Reason: "rehearsal"}, &t)
		case t.Status == template.Submitted:
			if err = refusedAs(errOf(ops.call(ctx, http.MethodPost, at+"/review", api.TemplateVerdict{Verdict: "approved", Digest: review.Digest}, &t)), "role_may_not"); err == nil {
				_, err = compliance.call(ctx, http.MethodPost, at+"/review", api.TemplateVerdict{Verdict: "approved", Digest: review.Digest, Reason: "rehearsal"}, &t)
			}
		case t.Status == template.Approved && approved:
			_, err = compliance.call(ctx, http.MethodPost, at+"/lock", api.TemplateReason{Reason: "rehearsal"}, &t)
		default:
			_, err = ops.call(ctx, http.MethodPost, at+"/versions", nil, &t)
		}
		if err != nil {
			return t, err
		}
	}
	return store.Template{}, errors.New("it does not come to be locked")
}

// errOf is the error of a call whose status nobody wants.
func errOf(_ int, err error) error { return err }

// loaded makes sure of the staging set, whose campaigns are of the locked versions too: else it is taken out and loaded anew.
func (r *rehearsal) loaded(ctx context.Context) (string, error) {
	quiet := *r.output
	quiet.sh = r.smoke.sh
	w, err := quiet.fixtures(ctx)
	if err != nil {
		return "", err
	}
	defer w.Close()
	v, err := w.VerifyFixtures(ctx, w.set)
	if err != nil {
		return "", err
	}
	stale, err := r.unlocked(ctx)
	if err != nil {
		return "", err
	}
	if v.OK && !stale {
		return "it is there", nil
	}
	if _, err := w.teardown(ctx, stopWithin); err != nil {
		return "", err
	}
	if _, err := w.LoadFixtures(ctx, w.set); err != nil {
		return "", err
	}
	if v, err = w.VerifyFixtures(ctx, w.set); err != nil {
		return "", err
	}
	if !v.OK {
		return "", fmt.Errorf("loaded anew, it deviates: %s, %s: %s", v.Deviations[0].Check, v.Deviations[0].What, v.Deviations[0].Detail)
	}
	return "loaded anew, and as it should be", nil
}

// unlocked reports whether a campaign of the set uses a version that nobody has locked.
func (r *rehearsal) unlocked(ctx context.Context) (bool, error) {
	var all api.Templates
	if err := r.as(access.Viewer).get(ctx, "/templates", nil, &all); err != nil {
		return false, err
	}
	newest := map[string]int{}
	for _, t := range all.Templates {
		newest[t.Name] = max(newest[t.Name], t.Version)
	}
	for _, name := range []string{"Example: two for one", "Example: a drink on us"} {
		var c api.Campaign
		if err := r.as(access.Viewer).get(ctx, "/campaigns/"+store.FixtureCampaignID(name).String(), nil, &c); err != nil {
			return true, nil //nolint:nilerr // one that is not there is loaded
		}
		if c.TemplateVersion != newest[c.Template] {
			return true, nil
		}
	}
	return false, nil
}

// begin begins the rollout, which takes somebody who may.
func (r *rehearsal) begin(ctx context.Context) (string, error) {
	n := api.NewRollout{Name: r.name, Factor: r.factor, Reason: "rehearsal"}
	var b api.Rollout
	if err := refusedAs(errOf(r.as(access.Support).call(ctx, http.MethodPost, "/rollout", n, &b)), "role_may_not"); err != nil {
		return "", err
	}
	if _, err := r.as(access.Admin).call(ctx, http.MethodPost, "/rollout", n, &b); err != nil {
		return "", err
	}
	r.begun, r.result.Phase = true, b.Phase
	return fmt.Sprintf("%s, %d times as fast", b.Name, b.Factor), nil
}

// staging proves each item of staging. The policy's scenarios take minutes, since their throttles are real: what does not touch
// their settings goes on beside them.
func (r *rehearsal) staging() []act {
	var beside chan error
	return []act{
		r.tooEarly(rollout.Staging, r.as(access.ProjectLead)),
		{"who is told, and who is on call", r.directory},
		{"toggles are switched off and on", r.toggled},
		{"rehearsed redemptions stay so", r.mocked},
		{"the policy's scenarios begin", func(ctx context.Context) (string, error) {
			beside = make(chan error, 1)
			r.beside.Go(func() { beside <- r.act(ctx, act{"policies (12 scenarios)", r.policies}) })
			return "beside what follows", nil
		}},
		r.proves("fixtures", 30*time.Second),
		{"edge-functions", r.edgeFunctions},
		r.proves("rollback-toggles", 30*time.Second),
		{"runbooks", r.runbooks},
		{"station-smoke (21–30)", func(ctx context.Context) (string, error) { return r.smokes(ctx, 21, 30, "station-smoke") }},
		{"the policy's scenarios have ended", func(context.Context) (string, error) { return "", <-beside }},
		{"admin-smoke (1–20)", func(ctx context.Context) (string, error) { return r.smokes(ctx, 1, 20, "admin-smoke") }},
		r.proves("policies", 30*time.Second),
		r.proves("audit-capture", time.Minute),
		{"edge-functions, after the faults of the smoke tests", r.edgeFunctions},
		r.announces(rollout.Staging),
		r.opens(rollout.Staging, r.as(access.Admin)),
	}
}

// toggled switches each toggle with which one rolls back off and on again, as Ops does.
func (r *rehearsal) toggled(ctx context.Context) (string, error) {
	ops := r.as(access.Ops)
	for _, value := range []string{`{"dispatch":false,"station_redeem":false}`, `{"dispatch":true,"station_redeem":true}`} {
		if err := (&smokeSettings{admin: ops, why: "rehearsal", found: map[string]json.RawMessage{}}).save(ctx, "toggles", []byte(value)); err != nil {
			return "", err
		}
	}
	return "dispatch, station_redeem", nil
}

// mocked tries to have stations redeem in earnest, which staging forbids.
func (r *rehearsal) mocked(ctx context.Context) (string, error) {
	_, err := r.as(access.Ops).call(ctx, http.MethodPut, "/settings/toggles", api.NewSetting{Value: []byte(`{"dispatch":true,"mock_redemptions":false}`), Reason: "rehearsal"}, &store.SettingsRevision{})
	return "the guardrail forbids it", refusedAs(err, rollout.Guardrail)
}

// policies runs the policy's scenarios.
func (r *rehearsal) policies(ctx context.Context) (string, error) {
	p := policySmoke{output: r.smoke.output, template: smokeTemplate}
	if err := p.run(ctx); err != nil {
		return "", errors.Join(err, p.problems())
	}
	return fmt.Sprintf("%d passed", len(p.items)), nil
}

// problems are what has not passed of a run.
func (p *policySmoke) problems() error { return problemsOf(p.items) }

func problemsOf(all []store.SmokeItem) error {
	var errs []error
	for _, item := range all {
		if item.Outcome != store.SmokePassed {
			var seen struct{ Problem string }
			_ = json.Unmarshal(item.Evidence, &seen) // our own
			errs = append(errs, fmt.Errorf("%d %s: %s", item.ID, item.Name, seen.Problem))
		}
	}
	return errors.Join(errs...)
}

// smokes runs numbered smoke tests, as `lastcall smoke` does, and proves the item that is about them.
func (r *rehearsal) smokes(ctx context.Context, first, last int, item string) (string, error) {
	var wanted []int
	for n := first; n <= last; n++ {
		wanted = append(wanted, n)
	}
	before := ""
	if err := r.ran(ctx, r.another(), wanted); err != nil {
		if ctx.Err() != nil {
			return "", err
		}
		// A machine that is busy may be late once. Both runs are kept; the newest counts.
		if again := r.ran(ctx, r.another(), wanted); again != nil {
			return "", errors.Join(err, again)
		}
		before = fmt.Sprintf("run twice (%s); ", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	seen, err := r.proved(ctx, item, 30*time.Second)
	return before + seen, err
}

// another is a run of smoke tests of its own.
func (r *rehearsal) another() *panelSmoke {
	s := *r.smoke
	s.smokeSettings = smokeSettings{admin: r.smoke.admin, why: "smoke", found: map[string]json.RawMessage{}}
	s.cleanups, s.phone, s.draft = nil, nil, nil
	return &s
}

// ran runs items and tells which have not passed.
func (r *rehearsal) ran(ctx context.Context, s *panelSmoke, wanted []int) error {
	var kept keptItems
	s.output = &output{sh: &shell{stdout: &kept, stderr: s.sh.stderr, configFile: s.sh.configFile, dataDir: s.sh.dataDir}, format: formatJSON}
	if err := s.run(ctx, wanted); err != nil {
		return errors.Join(err, kept.problems())
	}
	return nil
}

// keptItems takes what a smoke test prints.
type keptItems []byte

func (k *keptItems) Write(p []byte) (int, error) { *k = append(*k, p...); return len(p), nil }

func (k *keptItems) problems() error {
	var out panelSmokeResult
	_ = json.Unmarshal(*k, &out) // nothing was printed, then
	return problemsOf(out.Items)
}

// edgeFunctions has every edge function probed now.
func (r *rehearsal) edgeFunctions(ctx context.Context) (string, error) {
	var all api.EdgeFunctions
	if err := r.as(access.Ops).get(ctx, "/edge-functions", nil, &all); err != nil {
		return "", err
	}
	for _, f := range all.Functions {
		if _, err := r.as(access.Ops).call(ctx, http.MethodPost, "/edge-functions/"+string(f.Name)+"/check", nil, &struct{}{}); err != nil {
			return "", fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	return r.proved(ctx, "edge-functions", 30*time.Second)
}

// runbooks are signed by Ops, and by nobody else.
func (r *rehearsal) runbooks(ctx context.Context) (string, error) {
	if _, err := r.sign(ctx, r.as(access.Ops), "rollback-toggles", "they work"); refusedAs(err, rollout.NoSignature) != nil {
		return "", refusedAs(err, rollout.NoSignature)
	}
	for end := time.Now().Add(20 * time.Second); ; { // there is nothing to sign before somebody has looked
		_, err := r.sign(ctx, r.as(access.Compliance), "runbooks", "read them")
		if err := refusedAs(err, approval.WrongRole); err != nil {
			return "", err
		}
		var item api.RolloutItem
		if err := r.as(access.Ops).get(ctx, itemPath("runbooks"), nil, &item); err != nil {
			return "", err
		}
		if item.MaySign {
			break
		}
		if time.Now().After(end) {
			return "", fmt.Errorf("ops may not sign the runbooks: %s", item.WhyNot)
		}
		if err := pause(ctx, 300*time.Millisecond); err != nil {
			return "", err
		}
	}
	if _, err := r.sign(ctx, r.as(access.Support), "runbooks", "read them"); refusedAs(err, "role_may_not") != nil {
		return "", refusedAs(err, "role_may_not")
	}
	if err := r.signs(ctx, r.as(access.Ops), access.Ops, "runbooks", "Read and tried, all of them"); err != nil {
		return "", err
	}
	_, err := r.proved(ctx, "runbooks", 20*time.Second)
	return "signed by Ops; Compliance and Support were refused", err
}
