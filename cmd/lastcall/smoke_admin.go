package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"image"
	_ "image/png" // cards
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"lastcall/api"
	"lastcall/domain/access"
	"lastcall/domain/voucher"
	"lastcall/store"
)

// Items 1 to 11: the dashboard, contacts, templates and vouchers.

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

// voucher issues one voucher of a number that nobody has, and withdraws it when the run is over.
func (s *panelSmoke) voucher(ctx context.Context, amount string, stations ...string) (v api.Voucher, err error) {
	n := api.NewVoucher{MSISDN: smokeRW(510), Amount: amount, Currency: "RWF", Stations: stations, ExpiresAt: time.Now().Add(time.Hour).UTC().Truncate(time.Second)}
	if _, err = s.admin.call(ctx, http.MethodPost, "/vouchers", n, &v); err == nil {
		s.withdraw(v.ID)
	}
	return v, err
}

func (s *panelSmoke) withdraw(id uuid.UUID) {
	s.later("withdraw the voucher", func(ctx context.Context) error {
		var v api.Voucher
		if err := s.admin.get(ctx, "/vouchers/"+id.String(), nil, &v); err != nil || v.Status != voucher.Issued && v.Status != voucher.Sent {
			return err
		}
		_, err := s.admin.call(ctx, http.MethodPost, "/vouchers/"+id.String()+"/void", api.VoucherReason{Reason: "smoke test"}, &v)
		return err
	})
}

func (s *panelSmoke) voucherFilters(ctx context.Context) (evidence, error) {
	began := time.Now().Add(-time.Minute).UTC().Format(time.RFC3339)
	v, err := s.voucher(ctx, "1500")
	if err != nil {
		return nil, err
	}
	k := claims{evidence: evidence{"voucher_id": v.ID}}
	has := func(query url.Values) bool {
		var page api.VoucherPage
		if err := s.admin.get(ctx, "/vouchers", query, &page); err != nil {
			k.that(false, "%w", err)
		}
		for _, each := range page.Vouchers {
			if each.ID == v.ID {
				k.that(each.Code == "" && strings.Contains(each.MSISDN, "•"), "a list shows codes or numbers")
				return true
			}
		}
		return false
	}
	k.that(has(url.Values{"status": {"issued"}, "issued_from": {began}}), "it is not among those issued now")
	k.that(!has(url.Values{"status": {"void"}, "issued_from": {began}}), "it is among those withdrawn")
	k.that(!has(url.Values{"issued_before": {began}}), "it is among those issued before")
	k.that(has(url.Values{"outstanding": {"true"}, "issued_from": {began}}), "it is not among those that can be redeemed")
	var found api.VoucherPage
	if _, err := s.admin.call(ctx, http.MethodPost, "/vouchers/find", api.VoucherSearch{Code: strings.ToLower(v.Code)}, &found); err != nil {
		return k.evidence, err
	}
	k.that(len(found.Vouchers) == 1 && found.Vouchers[0].ID == v.ID, "its code finds %d vouchers", len(found.Vouchers))
	export, err := s.text(ctx, s.admin, "/vouchers/export.csv?"+url.Values{"issued_from": {began}}.Encode())
	if err != nil {
		return k.evidence, err
	}
	rows, err := csv.NewReader(strings.NewReader(export)).ReadAll()
	k.that(err == nil && len(rows) > 1, "the export is no CSV with rows")
	k.that(strings.Contains(export, v.ID.String()), "the export does not have it")
	k.that(!strings.Contains(export, v.Code) && !strings.Contains(export, smokeRW(510)), "the export shows codes or numbers")
	k.evidence["exported_rows"] = len(rows) - 1
	s.audited(ctx, &k, "voucher.exported", "vouchers")
	return k.evidence, k.err
}

var smokeCard = api.CardPreview{Amount: "5000", Currency: "RWF", Locale: "rw-RW", Bar: "Smoke Example"}

// card asks for a preview.
func (s *panelSmoke) card(ctx context.Context) ([]byte, error) {
	in := smokeCard
	in.ExpiresAt = time.Now().Add(24 * time.Hour).UTC().Truncate(time.Second)
	return s.post(ctx, s.admin, "/vouchers/preview", in)
}

func (s *panelSmoke) voucherPreview(ctx context.Context) (evidence, error) {
	picture, err := s.card(ctx)
	if err != nil {
		return nil, err
	}
	k := claims{evidence: evidence{"bytes": len(picture)}}
	size, kind, err := image.DecodeConfig(bytes.NewReader(picture))
	k.that(err == nil && kind == "png", "the card is no PNG")
	k.that(size.Width >= 300 && size.Height >= 300, "the card is only %d × %d pixels", size.Width, size.Height)
	k.evidence["pixels"] = []int{size.Width, size.Height}
	_, err = s.admin.call(ctx, http.MethodPost, "/vouchers/preview", api.CardPreview{Amount: "much", Currency: "RWF", Locale: "rw-RW", ExpiresAt: time.Now().Add(time.Hour)}, &struct{}{})
	k.refused(err, "bad_amount")
	return k.evidence, k.err
}

// voucherPreviewDegraded puts a fault before the function that draws cards: the preview says so, with what messages say
// meanwhile, and vouchers are issued as before.
func (s *panelSmoke) voucherPreviewDegraded(ctx context.Context) (evidence, error) {
	k := claims{evidence: evidence{}}
	err := s.withFault(ctx, "voucher-card", "server_error", func(ctx context.Context) error {
		err := s.until(ctx, 10*time.Second, "the preview to fail", func(ctx context.Context) (bool, error) {
			_, err := s.card(ctx)
			problem, refused := errors.AsType[*api.Problem](err)
			if err != nil && !refused {
				return false, err
			}
			if refused {
				k.that(problem.Status == http.StatusServiceUnavailable && problem.Code == "voucher_card_unavailable", "it fails as %s, %d", problem.Code, problem.Status)
				k.that(strings.Contains(problem.Text, "5,000"), "it does not say what messages say meanwhile")
				k.evidence["code"] = problem.Code
			}
			return refused, nil
		})
		if err != nil {
			return err
		}
		v, err := s.voucher(ctx, "1000")
		k.evidence["issued_meanwhile"] = v.ID
		return err
	})
	if err != nil {
		return k.evidence, err
	}
	err = s.until(ctx, 20*time.Second, "cards to be drawn again", func(ctx context.Context) (bool, error) {
		_, err := s.card(ctx)
		return err == nil, nil
	})
	return k.evidence, errors.Join(k.err, err)
}

func (s *panelSmoke) issueOne(ctx context.Context) (evidence, error) {
	n := api.NewVoucher{MSISDN: smokeRW(511), Amount: "2000", Currency: "RWF", ExpiresAt: time.Now().Add(time.Hour).UTC().Truncate(time.Second)}
	key := uuid.NewString()
	var one, again api.Voucher
	if err := s.keyed(ctx, s.admin, "/vouchers", key, n, &one); err != nil {
		return nil, err
	}
	s.withdraw(one.ID)
	if err := s.keyed(ctx, s.admin, "/vouchers", key, n, &again); err != nil {
		return nil, err
	}
	k := claims{evidence: evidence{"voucher_id": one.ID}}
	k.that(one.ID == again.ID, "the same request twice made two")
	k.that(one.Status == voucher.Issued && one.Amount == "2000" && one.Currency == voucher.RWF && one.Scope == voucher.ScopeAll, "it is not what was asked for")
	_, err := voucher.ParseCode(one.Code)
	k.that(err == nil, "its code does not check")
	n.Amount = "20.50"
	_, err = s.admin.call(ctx, http.MethodPost, "/vouchers", n, &again)
	problem, refused := errors.AsType[*api.Problem](err)
	k.that(refused && problem.Status == http.StatusUnprocessableEntity && problem.Field == "amount", "half a franc is taken: %w", orNone(err))
	var story api.VoucherEvents
	if err := s.admin.get(ctx, "/vouchers/"+one.ID.String()+"/events", nil, &story); err != nil {
		return k.evidence, err
	}
	k.that(len(story.Events) == 1 && story.Events[0].Status == voucher.Issued, "its story does not begin with its issue")
	s.audited(ctx, &k, "voucher.issued", "voucher/"+one.ID.String())
	return k.evidence, k.err
}

func (s *panelSmoke) issueBatch(ctx context.Context) (evidence, error) {
	file := "Mobile no;amount\n" + smokeRW(520) + ";1500\nnobody;500\n" + smokeRW(521) + ";2500\n" + smokeRW(520) + ";1500\n"
	query := url.Values{"map": {"msisdn:Mobile no"}, "currency": {"RWF"}, "expires_at": {time.Now().Add(time.Hour).UTC().Format(time.RFC3339)}}
	var b api.VoucherBatch
	header := http.Header{"Content-Type": {"text/csv"}, "Idempotency-Key": {uuid.NewString()}}
	if _, err := s.admin.send(ctx, http.MethodPost, "/vouchers/batches?"+query.Encode(), header, strings.NewReader(file), &b); err != nil {
		return nil, err
	}
	var page api.VoucherPage
	if err := s.admin.get(ctx, "/vouchers", url.Values{"batch": {b.ID.String()}}, &page); err != nil {
		return nil, err
	}
	for _, v := range page.Vouchers {
		s.withdraw(v.ID)
	}
	k := claims{evidence: evidence{"batch_id": b.ID, "lines": b.Lines, "issued": b.Issued, "invalid": b.Invalid, "duplicates": b.Duplicates}}
	k.that(b.Lines == 4 && b.Issued == 2 && b.Invalid == 1 && b.Duplicates == 1, "of 4 lines %d were issued, %d invalid and %d duplicates", b.Issued, b.Invalid, b.Duplicates)
	k.that(len(b.BadLines) == 1 && b.BadLines[0].Line == 3 && b.BadLines[0].Field == "msisdn", "the bad line is not told")
	k.that(len(page.Vouchers) == 2, "the batch has %d vouchers", len(page.Vouchers))
	return k.evidence, k.err
}

// keyed is a POST with an Idempotency-Key.
func (s *panelSmoke) keyed(ctx context.Context, c *apiClient, path, key string, in, out any) error {
	_, err := s.keyedHeader(ctx, c, path, key, in, out)
	return err
}
