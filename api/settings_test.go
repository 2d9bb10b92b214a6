package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/store"
)

func TestASettingIsNotOverwrittenUnseen(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const path = "/api/v1/settings/consent"
	put := func(etag, value string, out any, known ...string) (int, http.Header) {
		req, err := http.NewRequestWithContext(t.Context(), "PUT", b.url+path, strings.NewReader(`{"value":{"required":`+value+`},"reason":"a test","acknowledged":["`+strings.Join(known, `","`)+`"]}`))
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		if etag != "" {
			req.Header.Set("If-Match", etag)
		}
		return b.send(req, out)
	}
	var rev store.SettingsRevision
	var p api.Problem
	_, header := b.do("GET", path, nil, &rev)
	require.Equal(t, `"0"`, header.Get("ETag"), "a default is revision 0")
	status, header := put(`"0"`, "true", &rev)
	require.Equal(t, http.StatusOK, status)
	first := header.Get("ETag")
	require.Equal(t, fmt.Sprintf(`"%d"`, rev.Revision), first)

	b.do("PUT", "/api/v1/settings/toggles", `{"value":{"dispatch":true}}`, nil) // another key's revisions do not count
	status, _ = put(first, "false", &p)
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, "settings_danger", p.Code)
	require.Equal(t, "consent_off", p.Facts.(map[string]any)["findings"].([]any)[0].(map[string]any)["code"])
	status, header = put(first, "false", nil, "consent_off")
	require.Equal(t, http.StatusOK, status)
	status, _ = put(first, "true", &p)
	require.Equal(t, http.StatusPreconditionFailed, status)
	require.Equal(t, "setting_changed", p.Code)
	require.Equal(t, []any{map[string]any{"field": "required", "before": false, "after": true}}, p.Facts.(map[string]any)["changes"], "theirs and yours")
	status, _ = put("whatever", "true", &p)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Equal(t, "bad_etag", p.Code)
	b.do("GET", path, nil, &rev)
	require.JSONEq(t, `{"required":false}`, string(rev.Value))
	require.Equal(t, header.Get("ETag"), fmt.Sprintf(`"%d"`, rev.Revision))
	status, _ = put("", "true", nil)
	require.Equal(t, http.StatusOK, status, "who says nothing takes what comes")

	var page api.SettingsRevisions
	b.do("GET", path+"/revisions?limit=2", nil, &page)
	require.Len(t, page.Revisions, 2)
	require.Greater(t, page.Revisions[0].Revision, page.Revisions[1].Revision)
	require.Equal(t, "a test", page.Revisions[0].Reason)
	var rest api.SettingsRevisions
	b.do("GET", path+"/revisions?limit=2&after="+page.Next, nil, &rest)
	require.Len(t, rest.Revisions, 1)
	require.Empty(t, rest.Next)
	require.JSONEq(t, `{"required":true}`, string(rest.Revisions[0].Value))
	status, _ = b.do("GET", "/api/v1/settings/nonsense/revisions", nil, &p)
	require.Equal(t, http.StatusNotFound, status)
}

func TestASettingIsTriedAndReverted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const path = "/api/v1/settings/frequency_cap"
	var imp store.Impact
	status, _ := b.do("POST", path+"/impact", `{"value":{"marketing":{"per_day":3,"per_week":2}}}`, &imp)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "week_below_day", imp.Findings[0].Code)
	require.Len(t, imp.Changes, 2)
	require.Len(t, imp.Summary, 1)
	var p api.Problem
	status, _ = b.do("POST", path+"/impact", `{"value":{"marketing":{"per_day":-1}}}`, &p)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Equal(t, "marketing.per_day", p.Field)

	var first, rev store.SettingsRevision
	b.do("PUT", path, `{"value":{"marketing":{"per_day":1}},"reason":"x"}`, &first)
	b.do("PUT", path, `{"value":{"marketing":{"per_day":2}},"reason":"x"}`, nil)
	status, _ = b.do("POST", path+"/revert", map[string]any{"revision": first.Revision}, &p)
	require.Equal(t, http.StatusUnprocessableEntity, status, "without a reason")
	status, header := b.do("POST", path+"/revert", map[string]any{"revision": first.Revision, "reason": "too much"}, &rev)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, fmt.Sprintf(`"%d"`, rev.Revision), header.Get("ETag"))
	require.JSONEq(t, string(first.Value), string(rev.Value))
	var page api.SettingsRevisions
	b.do("GET", path+"/revisions", nil, &page)
	require.Equal(t, "too much", page.Revisions[0].Reason)
	require.Equal(t, "marketing.per_day", page.Revisions[0].Changes[0].Field)

	var use api.ChannelUse
	status, _ = b.do("GET", "/api/v1/channels/whatsapp/use", nil, &use)
	require.Equal(t, http.StatusOK, status)
	require.EqualValues(t, 6_000_000, use.PerMinute)
	status, _ = b.do("GET", "/api/v1/channels/smoke/use", nil, &p)
	require.Equal(t, http.StatusNotFound, status)
}

func TestContactsAreFilteredAndFound(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, n := range []api.NewContact{{MSISDN: "+250781234567", Tags: []string{"vip", "jazz"}}, {MSISDN: "+250781234568"},
		{MSISDN: "+35699123456", Tags: []string{"vip"}}, {MSISDN: "+35699123457", Tags: []string{"vip, it's"}}} {
		status, _ := b.do("POST", "/api/v1/contacts", n, nil)
		require.Equal(t, http.StatusCreated, status)
	}
	for query, want := range map[string]int{"": 4, "?country=RW": 2, "?tag=vip": 2, "?tag=vip&country=MT": 1, "?tag=jazz&country=MT": 0,
		"?tag=vip,%20it%27s": 1} {
		var page api.ContactPage
		b.do("GET", "/api/v1/contacts"+query, nil, &page)
		require.Len(t, page.Contacts, want, query)
	}
	var p api.Problem
	status, _ := b.do("GET", "/api/v1/contacts?country=rw", nil, &p)
	require.Equal(t, http.StatusUnprocessableEntity, status)

	var found api.Contact
	status, _ = b.do("POST", "/api/v1/contacts/find", `{"msisdn":"0781 234 567","country":"RW"}`, &found)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, []string{"vip", "jazz"}, found.Tags)
	status, _ = b.do("POST", "/api/v1/contacts/find", `{"msisdn":"+250781999999"}`, &p)
	require.Equal(t, http.StatusNotFound, status)
	require.NotContains(t, p.Detail, "250")
	status, _ = b.do("POST", "/api/v1/contacts/find", `{"msisdn":"nobody"}`, &p)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Equal(t, "msisdn", p.Field)
}
