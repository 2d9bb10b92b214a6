package api_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/domain/policy"
	"lastcall/store"
)

func TestContacts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var amina api.Contact
	status, _ := b.do("POST", "/api/v1/contacts", api.NewContact{MSISDN: "0781 234 567", Country: "RW", Name: "Amina", Locale: "rw_rw",
		Tags: []string{"vip"}, OptInSource: "bar"}, &amina)
	require.Equal(t, http.StatusCreated, status)
	require.Equal(t, "+250 78• ••• 567", amina.Masked)
	require.Equal(t, "rw-RW", amina.Locale)
	require.NotNil(t, amina.OptedInAt)

	var p api.Problem
	status, _ = b.do("POST", "/api/v1/contacts", api.NewContact{MSISDN: "+250781234567"}, &p)
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, "contact_exists", p.Code)
	require.NotContains(t, p.Detail, "781234567")
	status, _ = b.do("POST", "/api/v1/contacts", api.NewContact{MSISDN: "tomorrow", Locale: "klingon", Zone: "Mars"}, &p)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Len(t, p.Errors, 3)

	b.do("POST", "/api/v1/contacts", api.NewContact{MSISDN: "+35699123456"}, nil)
	var first, second api.ContactPage
	b.do("GET", "/api/v1/contacts?limit=1", nil, &first)
	require.Equal(t, amina.ID, first.Contacts[0].ID)
	require.Equal(t, amina.ID.String(), first.Next, "a cursor is no number")
	b.do("GET", "/api/v1/contacts?limit=1&after="+first.Next, nil, &second)
	require.Equal(t, "+356 99• ••• •56", second.Contacts[0].Masked)
	require.Empty(t, second.Next)

	var again api.Contact
	b.do("GET", "/api/v1/contacts/"+amina.ID.String(), nil, &again)
	require.Equal(t, amina.Masked, again.Masked)
}

func TestOptOuts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var p api.Problem
	status, _ := b.do("POST", "/api/v1/opt-outs", api.Numbers{Numbers: []string{"+250781234567", "78123", "x"}}, &p)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Len(t, p.Errors, 2)
	require.Equal(t, "numbers[1]", p.Errors[0].Field)
	require.NotContains(t, p.Detail, "78123", "an error repeats no number")

	var page api.OptOutPage
	b.do("GET", "/api/v1/opt-outs", nil, &page)
	require.Empty(t, page.OptOuts, "all or none")

	var added api.OptOutsAdded
	status, _ = b.do("POST", "/api/v1/opt-outs", api.Numbers{Numbers: []string{"+250781234567", "0781234568", "+35699123456"}, Country: "RW"}, &added)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, api.OptOutsAdded{Given: 3, Added: 3}, added)

	var rest api.OptOutPage
	b.do("GET", "/api/v1/opt-outs?limit=2", nil, &page)
	require.Len(t, page.OptOuts, 2)
	b.do("GET", "/api/v1/opt-outs?after="+page.Next, nil, &rest)
	require.Len(t, rest.OptOuts, 1)
	require.NotEqual(t, page.OptOuts[1].Digest, rest.OptOuts[0].Digest)

	var removed api.OptOutsRemoved
	b.do("POST", "/api/v1/opt-outs/remove", api.Numbers{Numbers: []string{"+250781234567", "+250781111111"}}, &removed)
	require.Equal(t, api.OptOutsRemoved{Given: 2, Removed: 1}, removed)
	status, _ = b.do("POST", "/api/v1/opt-outs/remove", api.Numbers{Numbers: []string{"+250781234567"}}, &p)
	require.Equal(t, http.StatusNotFound, status)
}

// Who writes to single people enters opt-outs, and takes nobody out: else a number could be taken off, written to, and put back.
func TestWhoTakesNumbersOutOfTheRegistry(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	numbers := api.Numbers{Numbers: []string{"+250781234567"}, Reason: "asked on the phone"}
	support, compliance := o.colleague("support", "support"), o.colleague("compliance", "compliance")
	status, p, _ := support.do("POST", "/api/v1/opt-outs", numbers, nil)
	require.Equal(t, http.StatusOK, status, "%+v", p)
	status, p, _ = support.do("POST", "/api/v1/opt-outs/remove", numbers, nil)
	require.Equal(t, http.StatusForbidden, status)
	require.Equal(t, "role_may_not", p.Code)
	require.Len(t, o.audited("access.refused"), 1)
	var one api.Send
	status, p, _ = support.do("POST", "/api/v1/sends", api.NewSend{MSISDN: "+250781234567", Template: "promo"}, &one)
	require.Equal(t, http.StatusOK, status, "%+v", p)
	require.Equal(t, policy.OptOut, one.Block.Reason)
	var removed api.OptOutsRemoved
	status, p, _ = compliance.do("POST", "/api/v1/opt-outs/remove", numbers, &removed)
	require.Equal(t, http.StatusOK, status, "%+v", p)
	require.Equal(t, api.OptOutsRemoved{Given: 1, Removed: 1}, removed)
}

func TestSettings(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var all api.Settings
	b.do("GET", "/api/v1/settings", nil, &all)
	require.Len(t, all.Settings, len(store.SettingsKeys))
	var rev store.SettingsRevision
	b.do("GET", "/api/v1/settings/quiet_hours", nil, &rev)
	require.Zero(t, rev.Revision)
	require.JSONEq(t, `{}`, string(rev.Value))

	status, _ := b.do("PUT", "/api/v1/settings/quiet_hours", `{"value":{"RW":{"start":"22:00","end":"06:00"}},"reason":"neighbours"}`, &rev)
	require.Equal(t, http.StatusOK, status)
	require.NotZero(t, rev.Revision)
	require.Equal(t, "tests", rev.Actor, "the token's name")
	require.Equal(t, "neighbours", rev.Reason)
	require.JSONEq(t, `{"RW":{"start":"22:00","end":"06:00"}}`, string(rev.Value))
}

func TestPolicyExplain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.do("PUT", "/api/v1/settings/quiet_hours", `{"value":{"RW":{"start":"22:00","end":"06:00"},"MT":{"start":"22:00","end":"06:00"}}}`, nil)
	b.do("POST", "/api/v1/opt-outs", api.Numbers{Numbers: []string{"+250781234567"}}, nil)
	b.do("POST", "/api/v1/contacts", api.NewContact{MSISDN: "+35699123456", Zone: "America/New_York", Locale: "en-MT"}, nil)
	night := time.Date(2026, 11, 23, 23, 0, 0, 0, time.UTC) // 01:00 in Kigali, midnight on Malta, 18:00 in New York
	ask := func(number string) (e api.Explanation) {
		t.Helper()
		status, _ := b.do("POST", "/api/v1/policy/explain", api.Question{MSISDN: number, At: &night}, &e)
		require.Equal(t, http.StatusOK, status)
		return e
	}
	out := ask("+250781234567")
	require.Equal(t, policy.OptOut, out.Reason)
	require.Equal(t, []policy.Reason{policy.InQuietHours}, out.Also)
	require.Equal(t, "Africa/Kigali", out.Zone)

	quiet := ask("+250781234568")
	require.Equal(t, policy.InQuietHours, quiet.Reason)
	require.Equal(t, "2026-11-24T04:00:00Z", quiet.RetryAfter.UTC().Format(time.RFC3339))
	require.NotNil(t, quiet.NextWindow)
	require.NotZero(t, quiet.Revision)

	away := ask("+35699123456")
	require.True(t, away.Permitted, "the contact is in New York, where it is evening: %+v", away)
	require.Equal(t, "en-MT", away.Locale)

	var p api.Problem
	status, _ := b.do("POST", "/api/v1/policy/explain", `{"msisdn":"0781234567"}`, &p)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Equal(t, "no_country_code", p.Code)
	status, _ = b.do("POST", "/api/v1/policy/explain", `{"msisdn":"+250781234567","channel":"pigeon"}`, &p)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Equal(t, "channel", p.Field)
}

func TestConsentByAPI(t *testing.T) {
	b := setup(t)
	b.do("PUT", "/api/v1/settings/consent", `{"value":{"required":true}}`, nil)
	var p api.Contact
	b.do("POST", "/api/v1/contacts", api.NewContact{MSISDN: "+250781234567"}, &p)
	var e api.Explanation
	b.do("POST", "/api/v1/policy/explain", `{"msisdn":"+250781234567"}`, &e)
	require.Equal(t, policy.NoConsent, e.Reason)
	require.Equal(t, "marketing", e.Kind)
	require.Nil(t, e.OptedInAt)

	var problem api.Problem
	status, _ := b.do("PUT", "/api/v1/contacts/"+p.ID.String()+"/opt-in", `{"source":""}`, &problem)
	require.Equal(t, 422, status)
	status, _ = b.do("PUT", "/api/v1/contacts/"+uuid.NewString()+"/opt-in", `{"source":"card"}`, &problem)
	require.Equal(t, 404, status)
	status, _ = b.do("PUT", "/api/v1/contacts/"+p.ID.String()+"/opt-in", `{"source":"card at the bar"}`, &p)
	require.Equal(t, 200, status)
	require.Equal(t, "card at the bar", p.OptInSource)

	e = api.Explanation{}
	b.do("POST", "/api/v1/policy/explain", `{"msisdn":"+250781234567"}`, &e)
	require.True(t, e.Permitted)
	require.NotNil(t, e.OptedInAt)
	status, _ = b.do("POST", "/api/v1/policy/explain", `{"msisdn":"+250781234567","locale":"klingon!"}`, &problem)
	require.Equal(t, 422, status)
}

func TestTemplates(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var all api.Templates
	b.do("GET", "/api/v1/templates", nil, &all)
	require.Len(t, all.Templates, 1)
	for _, ref := range []string{"promo", all.Templates[0].ID.String()} {
		var one store.Template
		status, _ := b.do("GET", "/api/v1/templates/"+ref, nil, &one)
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, all.Templates[0], one)
	}
	raw, err := json.Marshal(all.Templates[0])
	require.NoError(t, err)
	require.Contains(t, string(raw), `"status":"approved"`)
}
