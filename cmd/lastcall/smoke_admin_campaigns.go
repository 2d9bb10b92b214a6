package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"lastcall/api"
	"lastcall/domain/campaign"
	"lastcall/domain/policy"
	"lastcall/store"
)

// Items 12 to 20: sending, campaigns, bars and what leaves the house.

const smokeTemplate = "promo_generic" // wants no values

func (s *panelSmoke) sendBlocked(ctx context.Context) (evidence, error) {
	if err := s.begin(ctx, quietNow("RW", "Africa/Kigali")); err != nil {
		return nil, err
	}
	one, status, err := s.admin.sendOne(ctx, api.NewSend{MSISDN: smokeRW(530), Template: smokeTemplate}, uuid.NewString())
	if err != nil {
		return nil, err
	}
	k := claims{evidence: evidence{"send_id": one.SendID, "http_status": status, "state": one.State}}
	k.that(one.Block != nil && one.Block.Reason == policy.InQuietHours && one.SentAt == nil, "it is %s, and not blocked by quiet hours", one.State)
	if one.Block != nil {
		k.evidence["next_window"] = one.Block.NextWindow
		w := one.Block.NextWindow
		k.that(w != nil && w.Zone == "Africa/Kigali" && w.Opens.After(time.Now()), "when it may go is not told")
	}
	s.audited(ctx, &k, "outbound_policy_check", "send/"+one.SendID.String())
	return k.evidence, errors.Join(k.err, s.begin(ctx, nil))
}

// wizardDraft saves a draft, as the wizard does step by step. The items after it go on with it.
func (s *panelSmoke) wizardDraft(ctx context.Context) (evidence, error) {
	key, n := uuid.NewString(), api.NewCampaign{Name: "Smoke " + smokeTag(), Template: smokeTemplate}
	var made, again, changed, kept api.Campaign
	for _, into := range []*api.Campaign{&made, &again} { // clicked twice
		if err := s.keyed(ctx, s.admin, "/campaigns", key, n, into); err != nil {
			return nil, err
		}
	}
	path := "/campaigns/" + made.CampaignID.String()
	name := n.Name + ", changed"
	if _, err := s.admin.call(ctx, http.MethodPatch, path, api.CampaignChange{Name: name, Variables: map[string]string{"name": "guest"}}, &changed); err != nil {
		return nil, err
	}
	if err := s.admin.get(ctx, path, nil, &kept); err != nil {
		return nil, err
	}
	k := claims{evidence: evidence{"campaign_id": made.CampaignID}}
	k.that(made.CampaignID == again.CampaignID, "clicked twice, it is two drafts")
	k.that(kept.Status == campaign.Draft && kept.Name == name && kept.Variables["name"] == "guest", "what was typed is not kept")
	_, err := s.admin.call(ctx, http.MethodPatch, path, api.CampaignChange{Variables: map[string]string{"nonsense": "x"}}, &changed)
	problem, refused := errors.AsType[*api.Problem](err)
	k.that(refused && problem.Status == http.StatusUnprocessableEntity, "a value that the template does not have is taken: %w", orNone(err))
	s.draft = &kept
	return k.evidence, k.err
}

// drafted is the draft of the item before, or one of its own.
func (s *panelSmoke) drafted(ctx context.Context) (string, error) {
	if s.draft == nil {
		var made api.Campaign
		if _, err := s.admin.call(ctx, http.MethodPost, "/campaigns", api.NewCampaign{Name: "Smoke " + smokeTag(), Template: smokeTemplate}, &made); err != nil {
			return "", err
		}
		s.draft = &made
	}
	return s.draft.CampaignID.String(), nil
}

func (s *panelSmoke) targetsImport(ctx context.Context) (evidence, error) {
	id, err := s.drafted(ctx)
	if err != nil {
		return nil, err
	}
	file := "Mobile no,First name,Since\n" + smokeRW(540) + ",Aline,2019\nnobody,Bob,2020\n" + smokeRW(541) + ",Carine,2021\n" + smokeRW(540) + ",Aline,2019\n"
	put := func(query url.Values) (i api.Import, err error) {
		_, err = s.admin.send(ctx, http.MethodPost, "/campaigns/"+id+"/imports?"+query.Encode(), http.Header{"Content-Type": {"text/csv"}}, strings.NewReader(file), &i)
		return i, err
	}
	k := claims{evidence: evidence{"campaign_id": id}}
	_, err = put(nil)
	problem, refused := errors.AsType[*api.Problem](err)
	k.that(refused && problem.Status == http.StatusUnprocessableEntity, "without a mapping it is taken: %w", orNone(err))
	i, err := put(url.Values{"map": {"msisdn:Mobile no", "name:First name"}})
	if err != nil {
		return k.evidence, err
	}
	k.that(i.Lines == 4 && i.Targets == 2 && i.Invalid == 1 && i.Duplicates == 1, "of 4 lines %d are targets, %d invalid and %d duplicates", i.Targets, i.Invalid, i.Duplicates)
	k.that(len(i.BadLines) == 1 && i.BadLines[0].Line == 3, "the bad line is not told")
	k.that(len(i.IgnoredColumns) == 1 && i.IgnoredColumns[0] == "Since", "the column that nothing uses is not told")
	var c api.Campaign
	if err := s.admin.get(ctx, "/campaigns/"+id, nil, &c); err != nil {
		return k.evidence, err
	}
	k.that(c.Targets == 2 && c.Queued == 2, "the draft has %d targets", c.Targets)
	k.evidence["targets"] = c.Targets
	return k.evidence, k.err
}

// started starts a campaign to numbers that nobody has, and has it stopped when the run is over.
func (s *panelSmoke) started(ctx context.Context, id string) (c api.Campaign, err error) {
	s.later("stop the campaign", func(ctx context.Context) error {
		return (&policySmoke{smokeSettings: smokeSettings{admin: s.admin}}).end(ctx, id)
	})
	_, err = s.admin.call(ctx, http.MethodPost, "/campaigns/"+id+"/start", api.StartOrder{}, &c)
	return c, err
}

func (s *panelSmoke) campaignStart(ctx context.Context) (evidence, error) {
	if err := s.begin(ctx, nil); err != nil {
		return nil, err
	}
	id, err := s.drafted(ctx)
	if err != nil {
		return nil, err
	}
	if s.draft.Targets == 0 {
		var i api.Import
		if _, err := s.admin.send(ctx, http.MethodPost, "/campaigns/"+id+"/imports", http.Header{"Content-Type": {"text/csv"}},
			strings.NewReader("msisdn\n"+smokeRW(542)+"\n"), &i); err != nil {
			return nil, err
		}
	}
	if _, err := s.started(ctx, id); err != nil {
		return nil, err
	}
	c, err := s.campaign(ctx, id, 60*time.Second, "all to have gone", func(c api.Campaign) bool { return c.Targets > 0 && c.Accepted() == c.Targets })
	k := claims{evidence: evidence{"campaign_id": id, "targets": c.Targets, "gone": c.Accepted()}}
	s.audited(ctx, &k, "campaign.started", "campaign/"+id)
	_, again := s.admin.call(ctx, http.MethodPost, "/campaigns/"+id+"/start", api.StartOrder{}, &c)
	k.refused(again, "wrong_state") // it is started once
	s.draft = nil
	return k.evidence, errors.Join(err, k.err)
}

func (s *panelSmoke) campaign(ctx context.Context, id string, within time.Duration, what string, as func(api.Campaign) bool) (api.Campaign, error) {
	return (&policySmoke{smokeSettings: smokeSettings{admin: s.admin}}).until(ctx, id, within, what, as)
}

// startWithoutDispatcher starts a campaign while nobody dispatches: nothing goes, nothing is lost, and it goes on by itself.
func (s *panelSmoke) startWithoutDispatcher(ctx context.Context) (evidence, error) {
	if err := s.begin(ctx, nil); err != nil {
		return nil, err
	}
	var made api.Campaign
	if _, err := s.admin.call(ctx, http.MethodPost, "/campaigns", api.NewCampaign{Name: "Smoke " + smokeTag(), Template: smokeTemplate}, &made); err != nil {
		return nil, err
	}
	id := made.CampaignID.String()
	var i api.Import
	if _, err := s.admin.send(ctx, http.MethodPost, "/campaigns/"+id+"/imports", http.Header{"Content-Type": {"text/csv"}}, strings.NewReader("msisdn\n"+smokeRW(543)+"\n"), &i); err != nil {
		return nil, err
	}
	k := claims{evidence: evidence{"campaign_id": id}}
	err := s.withFault(ctx, "dispatcher", "stop_polling", func(ctx context.Context) error {
		if err := s.probed(ctx, &k, "dispatcher", "red", 60*time.Second); err != nil {
			return err
		}
		var check store.Check
		if err := s.admin.get(ctx, "/campaigns/"+id+"/preflight", nil, &check); err != nil {
			return err
		}
		k.that(len(check.Warnings) > 0, "nobody is told before the start")
		k.evidence["warnings"] = check.Warnings
		_, err := s.started(ctx, id)
		if problem, refused := errors.AsType[*api.Problem](err); refused { // it may be refused, if it says why
			k.evidence["start"] = problem.Code
			k.that(problem.Status == http.StatusServiceUnavailable || problem.Status == http.StatusConflict, "it is refused as %s, %d", problem.Code, problem.Status)
			return nil
		}
		if err != nil {
			return err
		}
		k.evidence["start"] = "taken"
		if err := pause(ctx, 5*time.Second); err != nil {
			return err
		}
		var c api.Campaign
		if err := s.admin.get(ctx, "/campaigns/"+id, nil, &c); err != nil {
			return err
		}
		k.that(c.Accepted() == 0 && c.Queued == 1, "%d have gone although nobody dispatches", c.Accepted())
		return nil
	})
	if err != nil {
		return k.evidence, err
	}
	if k.evidence["start"] != "taken" {
		if err := s.probed(ctx, &k, "dispatcher", "green", 60*time.Second); err != nil {
			return k.evidence, err
		}
		if _, err := s.started(ctx, id); err != nil {
			return k.evidence, err
		}
	}
	c, err := s.campaign(ctx, id, 90*time.Second, "it to go on by itself", func(c api.Campaign) bool { return c.Accepted() == 1 })
	k.evidence["gone"] = c.Accepted()
	return k.evidence, errors.Join(k.err, err)
}

// place makes a bar, deleted with its stations when the run is over.
func (s *panelSmoke) bar(ctx context.Context) (b api.Bar, err error) {
	n := api.NewBar{Code: "SMOKE-" + strings.TrimPrefix(smokeTag(), "smoke-"), BarFacts: api.BarFacts{Name: "Smoke Example", Country: "RW", Address: "1 Example Street"}}
	if _, err = s.admin.call(ctx, http.MethodPost, "/bars", n, &b); err == nil {
		s.later("delete the bar", func(ctx context.Context) error {
			err := s.admin.discard(ctx, http.MethodDelete, "/bars/"+b.ID.String(), api.BarDeletion{Deletion: api.Deletion{Reason: "smoke test"}, WithStations: true})
			if problem, ok := errors.AsType[*api.Problem](err); ok && problem.Status == http.StatusNotFound {
				return nil // an item did
			}
			return err
		})
	}
	return b, err
}

func (s *panelSmoke) stationsCare(ctx context.Context) (evidence, error) {
	b, err := s.bar(ctx)
	if err != nil {
		return nil, err
	}
	n := api.NewStation{BarID: b.ID, Code: b.Code + "-1", Name: "Counter"}
	var made, changed api.Station
	if _, err := s.admin.call(ctx, http.MethodPost, "/stations", n, &made); err != nil {
		return nil, err
	}
	path := "/stations/" + made.ID.String()
	k := claims{evidence: evidence{"station_id": made.ID, "code": made.Code}}
	_, err = s.admin.call(ctx, http.MethodPost, "/stations", n, &changed)
	k.refused(err, "station_exists")
	put := func(match, name string) error {
		raw, err := json.Marshal(api.StationFacts{Name: name})
		if err != nil {
			return err
		}
		_, err = s.admin.send(ctx, http.MethodPut, path, http.Header{"Content-Type": {"application/json"}, "If-Match": {match}}, bytes.NewReader(raw), &changed)
		return err
	}
	if err := put(`"1"`, "Long counter"); err != nil {
		return k.evidence, err
	}
	k.that(changed.Name == "Long counter" && changed.Version == 2, "its name is not changed")
	k.refused(put(`"1"`, "Short counter"), "station_changed") // who knew an older one overwrites nothing
	if err := s.admin.discard(ctx, http.MethodDelete, path, api.Deletion{Reason: "smoke test"}); err != nil {
		return k.evidence, err
	}
	k.refused(s.admin.get(ctx, path, nil, &changed), "station_not_found")
	_, err = s.admin.call(ctx, http.MethodPost, "/stations", n, &changed)
	k.refused(err, "station_exists") // what is printed with its code never means another
	for _, action := range []string{"station.added", "station.changed", "station.deleted"} {
		s.audited(ctx, &k, action, "station/"+made.ID.String())
	}
	return k.evidence, k.err
}

// exportsAndLinks takes files home and asks for them without a sign-in; and follows a link that is good once and for
// a quarter of an hour.
func (s *panelSmoke) exportsAndLinks(ctx context.Context) (evidence, error) {
	k := claims{evidence: evidence{}}
	stranger := &apiClient{base: s.base}
	sizes := map[string]int{}
	for _, path := range []string{"/contacts.csv?tag=" + smokeTag(), "/vouchers/export.csv?status=void", "/audit/export?format=csv&action=smoke.recorded"} {
		name, _, _ := strings.Cut(path, "?")
		body, err := s.text(ctx, s.admin, path)
		if err != nil {
			return k.evidence, err
		}
		reader := csv.NewReader(strings.NewReader(body))
		reader.FieldsPerRecord = -1
		header, err := reader.Read()
		k.that(err == nil && len(header) > 3, "%s is no CSV with a header", name)
		sizes[name] = len(body)
		_, err = s.text(ctx, stranger, path)
		problem, refused := errors.AsType[*api.Problem](err)
		k.that(refused && problem.Status == http.StatusUnauthorized, "%s is given to anybody: %w", name, orNone(err))
	}
	k.evidence["exported_bytes"] = sizes
	s.audited(ctx, &k, "contacts.exported", "contacts")

	b, err := s.bar(ctx)
	if err != nil {
		return k.evidence, err
	}
	var at api.Station
	if _, err := s.admin.call(ctx, http.MethodPost, "/stations", api.NewStation{BarID: b.ID, Code: b.Code + "-1", Name: "Counter"}, &at); err != nil {
		return k.evidence, err
	}
	var link api.EnrolmentLink
	if _, err := s.admin.call(ctx, http.MethodPost, "/stations/"+at.ID.String()+"/enrolments", api.NewDevice{Name: "Smoke phone"}, &link); err != nil {
		return k.evidence, err
	}
	left := time.Until(link.ExpiresAt)
	k.evidence["link_ends_in_seconds"] = int(left.Seconds())
	k.that(left > 10*time.Minute && left < 16*time.Minute, "the link ends in %s, not in a quarter of an hour", left.Round(time.Second))
	address, token, _ := strings.Cut(link.Link, "#enrol=")
	k.that(token != "" && !strings.Contains(address, token), "the link's token is sent to servers")
	for _, want := range []string{"", "enrolment_invalid"} {
		jar, err := cookiejar.New(nil)
		if err != nil {
			return k.evidence, err
		}
		phone := &apiClient{base: s.base, http: http.Client{Jar: jar}}
		_, err = phone.call(ctx, http.MethodPost, "/station/device", api.StationEnrolment{Token: token}, &api.StationDevice{})
		if want == "" && err != nil {
			return k.evidence, err
		}
		if want != "" {
			k.refused(err, want)
		}
	}
	return k.evidence, k.err
}

func (s *panelSmoke) quietHoursAtOnce(ctx context.Context) (evidence, error) {
	if err := s.begin(ctx, nil); err != nil {
		return nil, err
	}
	ask := func() (e api.Explanation, err error) {
		_, err = s.admin.call(ctx, http.MethodPost, "/policy/explain", api.Question{MSISDN: smokeRW(550), Channel: policy.ChannelWhatsApp, Kind: "utility"}, &e)
		return e, err
	}
	before, err := ask()
	if err != nil {
		return nil, err
	}
	saved := time.Now()
	if err := s.save(ctx, "quiet_hours", quietNow("RW", "Africa/Kigali")); err != nil {
		return nil, err
	}
	during, err := ask()
	if err != nil {
		return nil, err
	}
	took := time.Since(saved)
	if err := s.save(ctx, "quiet_hours", []byte(`{}`)); err != nil {
		return nil, err
	}
	after, err := ask()
	k := claims{evidence: evidence{"before": before.Reason, "during": during.Reason, "after": after.Reason, "milliseconds": took.Milliseconds(), "policy_revision": during.Revision}}
	k.that(before.Permitted && after.Permitted, "it may not go outside of the quiet hours: %s, %s", before.Reason, after.Reason)
	k.that(!during.Permitted && during.Reason == policy.InQuietHours && during.Revision > before.Revision, "with the very next question the quiet hours do not hold: %s", during.Reason)
	s.audited(ctx, &k, "settings.changed", "settings/quiet_hours")
	return k.evidence, errors.Join(err, k.err)
}

func (s *panelSmoke) tableCodes(ctx context.Context) (evidence, error) {
	b, err := s.bar(ctx)
	if err != nil {
		return nil, err
	}
	path := "/bars/" + b.ID.String() + "/tables"
	var made, left api.TableCodes
	if _, err := s.admin.call(ctx, http.MethodPost, path, api.MoreTables{Tables: 2}, &made); err != nil {
		return nil, err
	}
	k := claims{evidence: evidence{"bar_id": b.ID, "tables": len(made.Tables)}}
	k.that(len(made.Tables) == 2 && made.Tables[0].Token != made.Tables[1].Token, "two tables have %d codes", len(made.Tables))
	if k.err != nil {
		return k.evidence, k.err
	}
	if !made.Number {
		return k.evidence, cannotProve("whatsapp.number is not set here, so that there is nothing to print")
	}
	link, err := url.Parse(made.Tables[0].Link)
	k.that(err == nil && link.Host == "wa.me" && link.Query().Get("text") == "JOIN "+made.Tables[0].Token, "its link does not open a chat that says JOIN and the token")
	picture, err := s.text(ctx, s.admin, path+"/"+made.Tables[0].ID.String()+"/qr.svg")
	if err != nil {
		return k.evidence, err
	}
	k.that(strings.HasPrefix(picture, "<svg") || strings.Contains(picture, "<svg "), "the code is no SVG")
	k.evidence["svg_bytes"] = len(picture)
	if err := s.admin.discard(ctx, http.MethodDelete, path+"/"+made.Tables[1].ID.String(), struct{}{}); err != nil {
		return k.evidence, err
	}
	if err := s.admin.get(ctx, path, nil, &left); err != nil {
		return k.evidence, err
	}
	k.that(len(left.Tables) == 1 && left.Tables[0].ID == made.Tables[0].ID, "after one was revoked there are %d", len(left.Tables))
	return k.evidence, k.err
}
