package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"lastcall/api"
	"lastcall/domain/access"
	"lastcall/store"
)

// Items 1 to 6: the dashboard, contacts and templates.

// dashboardSeen is of the dashboard what the items look at.
type dashboardSeen struct {
	Figures []struct {
		Name, Title, Formula, Unit, Problem string
		Value                               *float64
		Of, Among                           int64
		From, To                            time.Time
		Parts                               []struct {
			Name, State string
			N           int64
		}
	}
	Days []struct {
		Day              string
		Issued, Redeemed int64
	}
	Needs []struct {
		Kind  string
		N     int64
		Names []string
	}
}

var dashboardFigures = []string{"sent", "delivery", "blocks", "vouchers", "redemption_failures", "availability"}

// dashboard looks at the six figures: each has its formula, its window and its unit, and a share is one.
func (s *panelSmoke) dashboard(ctx context.Context) (evidence, error) {
	var d dashboardSeen
	if err := s.look(ctx, "/dashboard", url.Values{"zone": {"Africa/Kigali"}}, &d); err != nil {
		return nil, err
	}
	k := claims{evidence: evidence{"days": len(d.Days), "needs": len(d.Needs)}}
	found := map[string]any{}
	for _, f := range d.Figures {
		found[f.Name] = f.Value
		k.that(f.Problem == "", "the figure %s could not be read: %s", f.Name, f.Problem)
		k.that(f.Title != "" && f.Formula != "" && f.Unit != "", "the figure %s does not say what it is", f.Name)
		k.that(f.To.After(f.From), "the figure %s has no window", f.Name)
		if f.Unit == "share" && f.Value != nil {
			k.that(*f.Value >= 0 && *f.Value <= 1, "the share %s is %v", f.Name, *f.Value)
		}
		k.that(f.Unit == "share" || f.Value != nil, "the figure %s has no value", f.Name)
	}
	for _, name := range dashboardFigures {
		_, there := found[name]
		k.that(there, "the figure %s is missing", name)
	}
	k.that(len(d.Days) == 30, "the chart has %d days, not 30", len(d.Days))
	k.evidence["figures"] = found
	return k.evidence, k.err
}

// dashboardDegraded puts a fault before the function that draws cards, and looks how the dashboard tells of an edge function
// that does not work.
func (s *panelSmoke) dashboardDegraded(ctx context.Context) (evidence, error) {
	var d dashboardSeen
	if err := s.look(ctx, "/dashboard", nil, &d); err != nil {
		return nil, err
	}
	k := claims{evidence: evidence{}}
	err := s.withFault(ctx, "voucher-card", "timeout", func(ctx context.Context) error {
		if err := s.probed(ctx, &k, "voucher-card", "red", 40*time.Second); err != nil {
			return err
		}
		return s.until(ctx, 10*time.Second, "the dashboard to tell of it", func(ctx context.Context) (bool, error) {
			d = dashboardSeen{}
			if err := s.admin.get(ctx, "/dashboard", nil, &d); err != nil {
				return false, err
			}
			told := false
			for _, f := range d.Figures {
				for _, p := range f.Parts {
					if f.Name == "availability" && p.Name == "voucher-card" && p.State == "red" {
						told = true
					}
				}
			}
			for _, need := range d.Needs {
				for _, name := range need.Names {
					told = told || name == "voucher-card"
				}
			}
			return told, nil
		})
	})
	if err != nil {
		return k.evidence, err
	}
	for _, f := range d.Figures { // one that fails leaves the others
		k.that(f.Problem == "", "with it the figure %s cannot be read: %s", f.Name, f.Problem)
	}
	k.evidence["needs"] = d.Needs
	return k.evidence, k.err
}

// look is a get of what this build may not have.
func (s *panelSmoke) look(ctx context.Context, path string, query url.Values, out any) error {
	err := s.admin.get(ctx, path, query, out)
	if problem, ok := errors.AsType[*api.Problem](err); ok && problem.Status == http.StatusNotFound {
		return cannotProve("this build has no %s", path)
	}
	return err
}

// smokeTag marks what a run makes.
var smokeTag = func() string { return fmt.Sprintf("smoke-%d", time.Now().UnixMilli()%1e9) }

func (s *panelSmoke) contactsList(ctx context.Context) (evidence, error) {
	number, tag := smokeRW(500), smokeTag()
	forget := func(ctx context.Context) error {
		var done store.Erasure
		_, err := s.admin.call(ctx, http.MethodPost, "/contacts/erase", api.EraseNumber{ContactNumber: api.ContactNumber{MSISDN: number}, Erase: api.Erase{Reason: "smoke test"}}, &done)
		if problem, ok := errors.AsType[*api.Problem](err); ok && problem.Status == http.StatusNotFound {
			return nil
		}
		return err
	}
	if err := forget(ctx); err != nil { // one that a run left behind
		return nil, err
	}
	var made api.Contact
	if _, err := s.admin.call(ctx, http.MethodPost, "/contacts", api.NewContact{MSISDN: number, Name: "Smoke Example", Locale: "rw-RW", Tags: []string{tag}, OptInSource: "smoke test"}, &made); err != nil {
		return nil, err
	}
	s.later("erase the contact", forget)
	var page api.ContactPage
	if err := s.admin.get(ctx, "/contacts", url.Values{"tag": {tag}}, &page); err != nil {
		return nil, err
	}
	id := made.ID.String()
	k := claims{evidence: evidence{"contact_id": id}}
	k.that(len(page.Contacts) == 1 && page.Contacts[0].ID == made.ID, "the list by tag has %d contacts", len(page.Contacts))
	k.that(made.MSISDN == "" && strings.Contains(made.Masked, "•") && !strings.Contains(made.Masked, number[4:9]), "its number is not masked")
	var drawer api.Contact
	var consents struct {
		Consents []struct{ Granted bool }
	}
	var messages struct{ Messages []any }
	for path, into := range map[string]any{"": &drawer, "/consents": &consents, "/messages": &messages} {
		if err := s.admin.get(ctx, "/contacts/"+id+path, nil, into); err != nil {
			return k.evidence, err
		}
	}
	k.that(drawer.OptedInAt != nil && len(consents.Consents) == 1 && consents.Consents[0].Granted, "the drawer does not tell that they agreed")
	var shown api.Revealed
	if _, err := s.admin.call(ctx, http.MethodPost, "/contacts/"+id+"/reveal", nil, &shown); err != nil {
		return k.evidence, err
	}
	k.that(string(shown.MSISDN) == number, "revealed, it is another number")
	s.audited(ctx, &k, "number.revealed", "contact/"+id)
	return k.evidence, k.err
}

func (s *panelSmoke) contactsEmpty(ctx context.Context) (evidence, error) {
	tag := smokeTag() + "-nobody"
	var page api.ContactPage
	raw, err := s.text(ctx, s.admin, "/contacts?"+url.Values{"tag": {tag}}.Encode())
	if err != nil {
		return nil, err
	}
	if err := s.admin.get(ctx, "/contacts", url.Values{"tag": {tag}}, &page); err != nil {
		return nil, err
	}
	k := claims{evidence: evidence{"contacts": len(page.Contacts)}}
	k.that(len(page.Contacts) == 0 && page.Next == "", "a tag of nobody has %d contacts", len(page.Contacts))
	k.that(strings.Contains(raw, `"contacts":[]`), "an empty list is not an empty list")
	_, err = s.admin.call(ctx, http.MethodPost, "/contacts/find", api.ContactNumber{MSISDN: smokeRW(599)}, &api.Contact{})
	k.refused(err, "contact_not_found")
	return k.evidence, k.err
}

// text is the body of an answer.
func (s *panelSmoke) text(ctx context.Context, c *apiClient, path string) (string, error) {
	res, _, err := c.open(ctx, http.MethodGet, path, http.Header{}, nil)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, 4<<20))
	return string(body), err
}

// submitted writes a template and submits it.
func (s *panelSmoke) submitted(ctx context.Context) (store.Template, error) {
	var t store.Template
	name := strings.ReplaceAll(smokeTag(), "-", "_")
	text := map[string]string{"en": "This is a smoke test of the templates, which nobody gets."}
	if _, err := s.admin.call(ctx, http.MethodPost, "/templates", api.NewTemplate{Name: name, TemplateContent: api.TemplateContent{Category: "utility", Texts: text}}, &t); err != nil {
		return t, err
	}
	s.later("retire the template", func(ctx context.Context) error {
		compliance, err := s.as(access.Compliance)
		if err != nil {
			return err
		}
		_, err = compliance.call(ctx, http.MethodPost, "/templates/"+t.ID.String()+"/retire", api.TemplateRetirement{Reason: "smoke test", Confirm: true}, &store.Template{})
		return err
	})
	_, err := s.admin.call(ctx, http.MethodPost, "/templates/"+t.ID.String()+"/submit", api.TemplateReason{Reason: "smoke test"}, &t)
	return t, err
}

// reviewed has somebody of compliance review a template as it is.
func (s *panelSmoke) reviewed(ctx context.Context, by *apiClient, id uuid.UUID, verdict, reason string) (t store.Template, err error) {
	var r api.TemplateReview
	if err := by.get(ctx, "/templates/"+id.String()+"/review", nil, &r); err != nil {
		return t, err
	}
	_, err = by.call(ctx, http.MethodPost, "/templates/"+id.String()+"/review", api.TemplateVerdict{Verdict: verdict, Reason: reason, Digest: r.Digest}, &t)
	return t, err
}

func (s *panelSmoke) templateLocked(ctx context.Context) (evidence, error) {
	compliance, err := s.as(access.Compliance)
	if err != nil {
		return nil, err
	}
	t, err := s.submitted(ctx)
	if err != nil {
		return nil, err
	}
	path := "/templates/" + t.ID.String()
	k := claims{evidence: evidence{"template_id": t.ID}}
	_, err = s.reviewed(ctx, s.admin, t.ID, "approved", "")
	k.refused(err, "role_may_not") // an admin reviews nothing
	approved, err := s.reviewed(ctx, compliance, t.ID, "approved", "")
	if err != nil {
		return k.evidence, err
	}
	k.that(approved.Status == "approved", "it is %s, not approved", approved.Status)
	var locked store.Template
	if _, err := compliance.call(ctx, http.MethodPost, path+"/lock", api.TemplateReason{Reason: "smoke test"}, &locked); err != nil {
		return k.evidence, err
	}
	k.that(locked.Status == "locked", "it is %s, not locked", locked.Status)
	_, err = s.admin.call(ctx, http.MethodPut, path, api.TemplateContent{Category: "utility", Texts: map[string]string{"en": "Something else."}}, &locked)
	problem, refused := errors.AsType[*api.Problem](err)
	k.that(refused && problem.Status == http.StatusConflict, "what is locked can be changed: %w", orNone(err))
	s.audited(ctx, &k, "template.locked", "template/"+t.ID.String())
	return k.evidence, k.err
}

func (s *panelSmoke) templateChanges(ctx context.Context) (evidence, error) {
	compliance, err := s.as(access.Compliance)
	if err != nil {
		return nil, err
	}
	t, err := s.submitted(ctx)
	if err != nil {
		return nil, err
	}
	const why = "Say what it is about"
	draft, err := s.reviewed(ctx, compliance, t.ID, "changes_requested", why)
	if err != nil {
		return nil, err
	}
	k := claims{evidence: evidence{"template_id": t.ID}}
	k.that(draft.Status == "draft", "it is %s, not a draft again", draft.Status)
	var r api.TemplateReview
	if err := s.admin.get(ctx, "/templates/"+t.ID.String()+"/review", nil, &r); err != nil {
		return k.evidence, err
	}
	k.that(r.Request == nil && len(r.Decisions) == 1 && r.Decisions[0].Reason == why, "its author is not told why")
	return k.evidence, k.err
}
