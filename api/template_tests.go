package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/campaign"
	"lastcall/domain/contact"
	"lastcall/domain/delivery"
	"lastcall/domain/policy"
	"lastcall/domain/template"
	"lastcall/gateway/whatsapp"
	"lastcall/store"
)

// NewTemplateTest asks for one message with a version.
type NewTemplateTest struct {
	MSISDN    string            `json:"msisdn" doc:"With + and country code, or as dialled in country"`
	Country   string            `json:"country,omitempty" doc:"Where a number without + is dialled: ISO 3166-1 alpha-2"`
	Locale    string            `json:"locale" doc:"One that the version has a text in"`
	Variables map[string]string `json:"variables,omitempty" doc:"Absent ones are their default, else their example"`
}

// TemplateTest is one message with which somebody looked at a version on a phone.
type TemplateTest struct {
	ID        uuid.UUID       `json:"id" format:"uuid"`
	State     string          `json:"state" enum:"blocked,sending,sent,delivered,read,failed,unknown" doc:"unknown: it may or may not have gone; a receipt may still tell"`
	Decision  policy.Decision `json:"decision" doc:"Of the rules; of one that is blocked: why, and when it may go"`
	Problem   string          `json:"problem,omitempty" doc:"Of one that failed, or that nobody knows of: why, for people"`
	Code      int             `json:"code,omitempty" doc:"WhatsApp's"`
	To        string          `json:"to" doc:"The number, masked"`
	Locale    string          `json:"locale"`
	Revision  int64           `json:"revision" doc:"Of the version that was sent"`
	By        string          `json:"by"`
	At        time.Time       `json:"at"`
	SettledAt *time.Time      `json:"settled_at,omitempty" doc:"When it came to its state"`
}

func (s *server) templateTests() {
	register(s, access.TemplatesTest, huma.Operation{OperationID: "test-template", Method: http.MethodPost, Path: "/templates/{template}/test-send", Tags: []string{"Templates"},
		Summary: "Send a version to one phone", Errors: refusals,
		Description: "As a test, by the same rules as everything else: one that a rule blocks is answered with state `blocked` and why. It uses a permit, before " +
			"any campaign. Receipts change its state, which the version's review shows."},
		func(ctx context.Context, in *struct {
			TemplatePath
			RequestKey
			Body NewTemplateTest
		}) (*struct{ Body TemplateTest }, error) {
			key, hash, err := in.of(in.Body)
			if err != nil {
				return nil, err
			}
			id, err := s.testTemplate(ctx, in.ID, in.Body, key, hash)
			if err != nil {
				return nil, err
			}
			done, err := s.Store.TemplateTest(ctx, id)
			return &struct{ Body TemplateTest }{s.testOf(done)}, err
		})
}

// testTemplate asks the rules, takes a permit, enters the test and sends it, in this order, and returns its id.
func (s *server) testTemplate(ctx context.Context, version uuid.UUID, in NewTemplateTest, key string, request []byte) (uuid.UUID, error) {
	if key != "" {
		if before, err := s.Store.RepeatedTest(ctx, version, key, request); err != nil {
			return uuid.Nil, err
		} else if before != nil {
			return before.ID, nil
		}
	}
	t, err := s.Store.Template(ctx, version)
	if err != nil {
		return uuid.Nil, err
	}
	if t.Status == template.Retired {
		return uuid.Nil, domain.E(domain.Conflict, "wrong_state", "version %d is retired: nothing is sent with it", t.Version)
	}
	if err := t.Domain().Check(); err != nil {
		return uuid.Nil, err
	}
	locale, _ := contact.ParseLocale(in.Locale)
	if _, there := t.Texts[locale]; !there {
		return uuid.Nil, domain.E(domain.Invalid, "bad_locale", "the version has no text in this language").About("locale")
	}
	number, err := contact.ParseNumber(in.MSISDN, in.Country)
	if err != nil {
		return uuid.Nil, err
	}
	m, err := testMessage(t, locale, in.Variables)
	if err != nil {
		return uuid.Nil, err
	}
	n := store.NewTemplateTest{ID: uuid.Must(uuid.NewV7()), Template: t, Locale: locale, To: number.MSISDN, IdempotencyKey: key, RequestHash: request}
	m.To, m.CallbackData = n.To, store.TestKey(n.ID)
	if n.Decision, err = s.Store.JudgeTest(ctx, number, t, locale); err != nil {
		return uuid.Nil, err
	}
	if n.Decision.Permitted {
		permit, err := s.Store.GrantSingle(ctx, store.SingleSend{ID: n.ID, Channel: policy.ChannelWhatsApp, Recipient: n.To})
		if err == nil && !permit.Decision.Permitted {
			err = s.Store.LeaveSingle(ctx, n.ID) // nobody waits for it
		}
		if err != nil {
			return uuid.Nil, err
		}
		n.Decision, m.StartBy = permit.Decision, permit.StartBy
	}
	err = s.Store.AddTemplateTest(ctx, n)
	if domain.CodeOf(err) == "opted_out" { // just now: the rules say so too
		if n.Decision, err = s.Store.JudgeTest(ctx, number, t, locale); err == nil {
			err = s.Store.AddTemplateTest(ctx, n)
		}
	}
	if err != nil {
		return uuid.Nil, err
	}
	if !n.Decision.Permitted {
		return n.ID, nil
	}
	ctx = context.WithoutCancel(ctx) // what has begun is finished, and written down
	began := time.Now()
	_, err = s.Provider.Send(ctx, m)
	return n.ID, s.settleTest(ctx, n, began, err)
}

// testMessage is the message, without its recipient. What has no value is its default, else its example.
func testMessage(t store.Template, locale string, given map[string]string) (m whatsapp.TemplateMessage, err error) {
	filled := map[string]string{}
	for _, v := range t.Variables {
		filled[v.Name] = cmp.Or(given[v.Name], v.Default, v.Example)
	}
	for name, text := range given {
		if !slices.ContainsFunc(t.Variables, func(v template.Variable) bool { return v.Name == name }) {
			return m, domain.E(domain.Invalid, "unknown_variable", "the template has no such variable").About("variables")
		}
		if len(text) > 1024 {
			return m, domain.E(domain.Invalid, "too_long", "use at most 1024 bytes").About("variables." + name)
		}
	}
	values, err := t.Domain().Values(locale, filled)
	if err != nil {
		return m, err
	}
	m = whatsapp.TemplateMessage{Template: t.Name, Language: locale, HeaderMedia: t.HeaderMedia}
	for _, v := range values {
		m.Parameters = append(m.Parameters, whatsapp.Parameter{Name: v.Name, Text: v.Text})
	}
	return m, nil
}

// settleTest writes how a send ended, and what the provider's answer means for others.
func (s *server) settleTest(ctx context.Context, n store.NewTemplateTest, began time.Time, sent error) error {
	code := 0
	if refused, ok := errors.AsType[*whatsapp.APIError](sent); ok {
		code = refused.Code
	}
	if _, ok := delivery.SuspendsTemplate(code); ok {
		if err := s.Store.SuspendTemplate(ctx, store.Lane{}, n.Template.Name, n.Locale, code, began); err != nil {
			return err
		}
	}
	if code == 131050 {
		if _, err := s.Store.AddOptOuts(ctx, []contact.MSISDN{n.To}, store.OptOutProvider, "told by the provider"); err != nil {
			return err
		}
	}
	switch whatsapp.Classify(sent) {
	case whatsapp.Sent:
		return s.Store.SettleTemplateTest(ctx, n.ID, campaign.Sent, "", 0)
	case whatsapp.Unknown:
		return s.Store.SettleTemplateTest(ctx, n.ID, campaign.Unknown, "no_answer", code)
	case whatsapp.NotSent:
		return s.Store.SettleTemplateTest(ctx, n.ID, campaign.FailedT, "provider_unreachable", code)
	}
	return s.Store.SettleTemplateTest(ctx, n.ID, campaign.FailedT, "provider_refused", code)
}

func (s *server) testOf(t store.TemplateTest) TemplateTest {
	out := TemplateTest{ID: t.ID, State: t.State, Code: t.ErrorCode, To: t.Masked, Locale: t.Locale, Revision: t.Revision, By: t.Actor, At: t.CreatedAt, SettledAt: t.SettledAt}
	if err := json.Unmarshal(t.Decision, &out.Decision); err != nil {
		s.Log.Error("a stored decision cannot be read", "test_id", t.ID, "error", err)
	}
	switch {
	case t.State == "failed" && t.ErrorCode != 0:
		e := delivery.Lookup(t.ErrorCode)
		out.Problem = e.Meaning + ". " + e.Advice
	case t.State == "failed":
		out.Problem = "WhatsApp cannot be reached; the message has not gone"
	case t.State == "unknown":
		out.Problem = "WhatsApp has not answered; the message may have gone"
	}
	return out
}

// testOf reads the key of a test's message back.
func testOf(key string) (uuid.UUID, bool) {
	text, ours := strings.CutPrefix(key, "test/")
	id, err := uuid.Parse(text)
	return id, ours && err == nil
}

// providerTrouble says that the provider did not answer a question, or refused it.
func providerTrouble(err error) error {
	if refused, ok := errors.AsType[*whatsapp.APIError](err); ok {
		e := delivery.Lookup(refused.Code)
		return domain.E(domain.Unavailable, "provider_refused", "WhatsApp %d: %s. %s", refused.Code, e.Meaning, e.Advice).Because(err)
	}
	if _, ok := errors.AsType[*domain.Error](err); ok {
		return err
	}
	return domain.E(domain.Unavailable, "provider_unreachable", "WhatsApp does not answer now").Because(err)
}
