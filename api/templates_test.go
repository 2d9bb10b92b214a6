package api_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/domain/contact"
	"lastcall/domain/policy"
	"lastcall/domain/template"
	"lastcall/gateway/whatsapp"
	"lastcall/store"
)

// carrier is a provider that keeps what it is sent, and fails as it is told.
type carrier struct {
	mu     sync.Mutex
	sent   []whatsapp.TemplateMessage
	fails  error
	listed map[string]whatsapp.Listing // by language
}

func (c *carrier) Send(_ context.Context, m whatsapp.TemplateMessage) (whatsapp.Accepted, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fails != nil {
		return whatsapp.Accepted{}, c.fails
	}
	c.sent = append(c.sent, m)
	return whatsapp.Accepted{MessageID: "wamid.x"}, nil
}

func (c *carrier) Template(_ context.Context, _, language string) (whatsapp.Listing, bool, error) {
	l, there := c.listed[language]
	return l, there, c.fails
}

// studio is an office where templates are written and reviewed.
type studio struct {
	*office
	carrier            *carrier
	writer, compliance *browser
}

func openStudio(t *testing.T) studio {
	t.Helper()
	c := &carrier{}
	o := openOffice(t, func(d *api.Deps) { d.Provider = c })
	return studio{o, c, o.in(), o.colleague("clara", "compliance")}
}

var jazz = api.NewTemplate{Name: "jazz", TemplateContent: api.TemplateContent{Category: "marketing",
	Variables: []template.Variable{{Name: "name", Example: "Amina"}},
	Texts:     map[string]string{"en": "Hello {{name}}, jazz tonight.", "rw_rw": "Muraho {{name}}, jazz nijoro."}}}

func (s studio) written() store.Template {
	s.t.Helper()
	var v store.Template
	status, p, _ := s.writer.do("POST", "/api/v1/templates", jazz, &v)
	require.Equal(s.t, http.StatusCreated, status, "%+v", p)
	return v
}

func at(v store.Template, order string) string { return "/api/v1/templates/" + v.ID.String() + order }

func (s studio) review(w *browser, v store.Template) (r api.TemplateReview) {
	s.t.Helper()
	status, p, _ := w.do("GET", at(v, "/review"), nil, &r)
	require.Equal(s.t, http.StatusOK, status, "%+v", p)
	return r
}

// Smoke 5 and 6: changes are requested, then a template is approved and locked, by two people.
func TestATemplateGoesThroughItsReview(t *testing.T) {
	t.Parallel()
	s := openStudio(t)
	v := s.written()
	require.Contains(t, v.Texts, "rw-RW", "locales are canonical")

	half := jazz.TemplateContent
	half.Texts = map[string]string{"en": "{{name}} {{nobody}}"}
	status, p, header := s.writer.do("PUT", at(v, ""), half, &v)
	require.Equal(t, http.StatusOK, status, "%+v", p)
	require.Equal(t, `"2"`, header.Get("ETag"))
	r := s.review(s.writer, v)
	require.NotEmpty(t, r.Problems)
	require.False(t, r.MayReview)
	require.Contains(t, r.WhyNot, "admin")
	status, p, _ = s.writer.do("POST", at(v, "/submit"), api.TemplateReason{}, nil)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Len(t, p.Errors, len(r.Problems))

	s.writer.header.Set("If-Match", `"1"`)
	status, p, _ = s.writer.do("PUT", at(v, ""), jazz.TemplateContent, nil)
	require.Equal(t, http.StatusPreconditionFailed, status)
	require.Equal(t, "template_changed", p.Code)
	s.writer.header.Set("If-Match", `"2"`)
	status, _, _ = s.writer.do("PUT", at(v, ""), jazz.TemplateContent, &v)
	require.Equal(t, http.StatusOK, status)
	s.writer.header.Del("If-Match")
	status, p = s.tokenSubmits(v)
	require.Equal(t, http.StatusForbidden, status, "a token submits nothing")
	require.Equal(t, "approval_account", p.Code)
	status, p, _ = s.writer.do("POST", at(v, "/submit"), api.TemplateReason{Reason: "for Friday"}, &v)
	require.Equal(t, http.StatusOK, status, "%+v", p)
	require.Equal(t, template.Submitted, v.Status)

	var inbox api.ApprovalPage
	s.compliance.do("GET", "/api/v1/approvals", nil, &inbox)
	require.Len(t, inbox.Approvals, 1)
	asked := inbox.Approvals[0]
	require.Equal(t, "template", asked.Kind)
	require.Nil(t, asked.Campaign)
	require.Equal(t, []string{"en", "rw-RW"}, asked.Template.Locales)
	require.True(t, asked.MayDecide)

	verdict := api.TemplateVerdict{Verdict: "changes_requested", Digest: asked.Digest}
	status, p, _ = s.compliance.do("POST", at(v, "/review"), verdict, nil)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Equal(t, "no_reason", p.Code)
	verdict.Reason = "say which bar"
	status, p, _ = s.compliance.do("POST", at(v, "/review"), verdict, &v)
	require.Equal(t, http.StatusOK, status, "%+v", p)
	require.Equal(t, template.Draft, v.Status)
	require.Equal(t, "say which bar", s.review(s.writer, v).Decisions[0].Reason)

	s.writer.do("POST", at(v, "/submit"), api.TemplateReason{}, &v)
	r = s.review(s.compliance, v)
	require.True(t, r.MayReview)
	status, p, _ = s.compliance.do("POST", at(v, "/review"), api.TemplateVerdict{Verdict: "approved", Digest: strings.Repeat("0", 64)}, nil)
	require.Equal(t, http.StatusPreconditionFailed, status)
	require.Equal(t, "approval_changed", p.Code)
	status, p, _ = s.compliance.do("POST", at(v, "/review"), api.TemplateVerdict{Verdict: "approved", Digest: r.Digest}, &v)
	require.Equal(t, http.StatusOK, status, "%+v", p)
	status, p, _ = s.compliance.do("POST", at(v, "/lock"), api.TemplateReason{}, &v)
	require.Equal(t, http.StatusOK, status, "%+v", p)
	require.Equal(t, template.Locked, v.Status)
	status, p, _ = s.writer.do("PUT", at(v, ""), half, nil)
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, "wrong_state", p.Code)

	var next store.Template
	status, _, _ = s.writer.do("POST", at(v, "/versions"), nil, &next)
	require.Equal(t, http.StatusCreated, status)
	require.Equal(t, 2, next.Version)
	status, p, _ = s.compliance.do("POST", at(v, "/retire"), api.TemplateRetirement{Reason: "version 2"}, &v)
	require.Equal(t, http.StatusOK, status, "%+v", p)
	require.Equal(t, template.Retired, v.Status)
}

func (s studio) tokenSubmits(v store.Template) (status int, p api.Problem) {
	status, _ = s.do("POST", at(v, "/submit"), api.TemplateReason{}, &p)
	return status, p
}

func TestCreatingATemplateIsIdempotent(t *testing.T) {
	t.Parallel()
	s := openStudio(t)
	s.writer.header.Set("Idempotency-Key", "once")
	first := s.written()
	require.Equal(t, first.ID, s.written().ID)
	other := jazz
	other.Name = "soul"
	status, p, _ := s.writer.do("POST", "/api/v1/templates", other, nil)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Equal(t, "idempotency_key_reused", p.Code)
}

func TestATemplateIsCheckedAsItIsWritten(t *testing.T) {
	t.Parallel()
	s := openStudio(t)
	var found api.TemplateProblems
	s.writer.do("POST", "/api/v1/templates/check", jazz, &found)
	require.Empty(t, found.Problems)
	bad := jazz
	bad.Texts = map[string]string{"en": "{{name}}"}
	s.writer.do("POST", "/api/v1/templates/check", bad, &found)
	require.Equal(t, []api.Fault{{Code: "variable_at_edge", Field: "texts.en", Detail: "the text must neither begin nor end with a variable"}}, found.Problems)
}

func TestATemplateIsTried(t *testing.T) {
	t.Parallel()
	s := openStudio(t)
	v := s.written()
	try := func(n api.NewTemplateTest) (test api.TemplateTest) {
		t.Helper()
		status, p, _ := s.compliance.do("POST", at(v, "/test-send"), n, &test)
		require.Equal(t, http.StatusOK, status, "%+v", p)
		return test
	}
	n := api.NewTemplateTest{MSISDN: "+250781234567", Locale: "rw-RW", Variables: map[string]string{"name": "Keza"}}
	s.compliance.header.Set("Idempotency-Key", "click")
	sent := try(n)
	require.Equal(t, "sent", sent.State)
	require.Equal(t, "+250 78• ••• 567", sent.To)
	require.Equal(t, sent.ID, try(n).ID, "the same click")
	s.compliance.header.Del("Idempotency-Key")
	require.Len(t, s.carrier.sent, 1)
	require.Equal(t, "rw-RW", s.carrier.sent[0].Language)
	require.Equal(t, []whatsapp.Parameter{{Name: "name", Text: "Keza"}}, s.carrier.sent[0].Parameters)
	require.Equal(t, "test/"+sent.ID.String(), s.carrier.sent[0].CallbackData)

	in, err := api.Inbound([]byte(`{"entry":[{"changes":[{"field":"messages","value":{"statuses":[{"id":"wamid.x","status":"read","timestamp":"1764000000",
		"recipient_id":"250781234567","biz_opaque_callback_data":"test/` + sent.ID.String() + `"}]}}]}]}`))
	require.NoError(t, err)
	require.Len(t, in.Tests, 1)
	require.Empty(t, in.Receipts)

	s.carrier.fails = &whatsapp.APIError{Code: 131026}
	failed := try(n)
	require.Equal(t, "failed", failed.State)
	require.Equal(t, 131026, failed.Code)
	require.NotEmpty(t, failed.Problem)
	s.carrier.fails = errors.New("reset")
	require.Equal(t, "unknown", try(n).State)
	s.carrier.fails = &whatsapp.APIError{Code: 132015}
	require.Equal(t, "failed", try(n).State)
	s.carrier.fails = nil // it would go
	blocked := try(n)
	require.Equal(t, "blocked", blocked.State)
	require.Equal(t, policy.TemplateSuspended, blocked.Decision.Reason)

	_, err = s.store.AddOptOuts(t.Context(), []contact.MSISDN{"+250781234567"}, store.OptOutRegistry, "")
	require.NoError(t, err)
	n.Locale = "en"
	blocked = try(n)
	require.Equal(t, policy.OptOut, blocked.Decision.Reason)
	require.Len(t, s.carrier.sent, 1)
	require.Equal(t, []string{"account clara@example.test template", "account clara@example.test template"}, s.audited("outbound_policy_check"))
	require.Len(t, s.review(s.writer, v).Tests, 6)

	for field, bad := range map[string]api.NewTemplateTest{"locale": {MSISDN: "+250781234567", Locale: "fr"}, "variables": {MSISDN: "+250781234568", Locale: "en",
		Variables: map[string]string{"drink": "tea"}}, "msisdn": {MSISDN: "me", Locale: "en"}} {
		status, p, _ := s.compliance.do("POST", at(v, "/test-send"), bad, nil)
		require.Equal(t, http.StatusUnprocessableEntity, status)
		require.Equal(t, field, p.Field)
	}
	require.NotContains(t, s.log.String(), "781234567")
	require.NotContains(t, s.log.String(), "Keza")
}

func TestATemplateIsComparedWithWhatWhatsAppLists(t *testing.T) {
	t.Parallel()
	s := openStudio(t)
	v := s.written()
	s.carrier.listed = map[string]whatsapp.Listing{"en": {Status: "PAUSED", Category: "utility"}}
	var r api.TemplateReview
	status, p, _ := s.compliance.do("POST", at(v, "/sync"), nil, &r)
	require.Equal(t, http.StatusOK, status, "%+v", p)
	require.Len(t, r.Languages, 2)
	en, rw := r.Languages[0], r.Languages[1]
	require.Equal(t, "paused", string(en.State))
	require.Equal(t, "category_differs", en.Warnings[0].Code)
	require.Contains(t, en.Warnings[0].Message, "counts it as utility")
	require.Equal(t, "not_listed", rw.Warnings[0].Code)
	require.Equal(t, "active", string(rw.State))

	s.carrier.fails = &whatsapp.APIError{Code: 190}
	status, p, _ = s.compliance.do("POST", at(v, "/sync"), nil, nil)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, "provider_refused", p.Code)
}
