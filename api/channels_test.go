package api_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/domain/delivery"
	"lastcall/store"
)

func TestInboundEvents(t *testing.T) {
	t.Parallel()
	told, err := api.Inbound([]byte(`{"entry":[{"time":1790000000,"changes":[
		{"field":"message_template_status_update","value":{"event":"PAUSED","message_template_name":"promo_generic","message_template_language":"rw_RW","reason":"NONE"}},
		{"field":"message_template_status_update","value":{"event":"DELETED","message_template_name":"promo_generic","message_template_language":"","reason":"call +250780000001"}},
		{"field":"message_template_status_update","value":{"event":"REINSTATED","message_template_name":"promo_generic"}},
		{"field":"message_template_status_update","value":{"event":"FLAGGED","message_template_name":"promo_generic"}},
		{"field":"message_template_status_update","value":{"event":"PAUSED","message_template_name":"'; DROP TABLE"}},
		{"field":"user_preferences","value":{"user_preferences":[
			{"wa_id":"250780000001","category":"marketing_messages","value":"stop","timestamp":1790000001},
			{"wa_id":"nobody","category":"marketing_messages","value":"stop","timestamp":1790000001},
			{"wa_id":"250780000002","category":"marketing_messages","value":"resume","timestamp":9990000000}]}}]}]}`))
	require.NoError(t, err)
	at := time.Unix(1790000000, 0).UTC()
	require.Equal(t, []store.TemplateChange{
		{Name: "promo_generic", Language: "rw-RW", State: delivery.TemplatePaused, Event: "PAUSED", At: at},
		{Name: "promo_generic", State: delivery.TemplateDeleted, Event: "DELETED", At: at},
		{Name: "promo_generic", State: delivery.TemplateActive, Event: "REINSTATED", At: at},
	}, told.Templates, "what tells nothing about sending is passed over, and a text is no reason")
	require.Len(t, told.Preferences, 2)
	require.Equal(t, store.Preference{MSISDN: "+250780000001", Stop: true, At: time.Unix(1790000001, 0).UTC()}, told.Preferences[0])
	require.WithinDuration(t, time.Now(), told.Preferences[1].At, time.Minute, "a time that cannot be counts as now")
}

func TestChannels(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var all api.Channels
	b.do("GET", "/api/v1/channels", nil, &all)
	require.Equal(t, []api.Channel{{Name: "whatsapp", State: "closed"}}, all.Channels)
	var p api.Problem
	status, _ := b.do("POST", "/api/v1/channels/whatsapp/open", `{"reason":""}`, &p)
	require.Equal(t, http.StatusUnprocessableEntity, status, "nobody does this without a reason")
	status, _ = b.do("POST", "/api/v1/channels/pigeon/open", `{"reason":"x"}`, &p)
	require.Equal(t, http.StatusNotFound, status)
	status, _ = b.do("POST", "/api/v1/channels/whatsapp/close", `{"reason":"x"}`, &p)
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, "wrong_state", p.Code)

	var c api.Channel
	status, _ = b.do("POST", "/api/v1/channels/whatsapp/open", `{"reason":"wrong price"}`, &c)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, []any{"open", delivery.ByOperator, false}, []any{c.State, c.Cause, c.NeedsHuman})
	require.Contains(t, c.Why, "wrong price")
	require.NotNil(t, c.OpenedAt)
	var e api.Explanation
	b.do("POST", "/api/v1/policy/explain", api.Question{MSISDN: "+250781234567"}, &e)
	require.EqualValues(t, "channel_suspended", e.Reason)
	closed := api.Channel{}
	b.do("POST", "/api/v1/channels/whatsapp/close", `{"reason":"right price"}`, &closed)
	require.Equal(t, api.Channel{Name: "whatsapp", State: "closed"}, closed)
}

func TestTemplateSuspensions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.NoError(t, b.store.SuspendTemplate(t.Context(), store.Lane{}, "promo", "en", 132015, time.Now().Add(time.Second)))
	var all api.TemplateSuspensions
	b.do("GET", "/api/v1/template-suspensions", nil, &all)
	require.Len(t, all.Suspensions, 1)
	s := all.Suspensions[0]
	require.Equal(t, []any{"promo", "en", delivery.TemplatePaused, "send", 132015}, []any{s.Name, s.Language, s.State, s.Source, s.Code})
	require.Contains(t, s.Why, "paused by WhatsApp")
	require.NotEmpty(t, s.Advice)
	require.NotNil(t, s.RetryAt)
	var left api.TemplateSuspensions
	status, _ := b.do("POST", "/api/v1/templates/promo/resume", `{"reason":"mended"}`, &left)
	require.Equal(t, http.StatusOK, status)
	require.Empty(t, left.Suspensions)
	var p api.Problem
	status, _ = b.do("POST", "/api/v1/templates/promo/resume", `{"reason":"mended"}`, &p)
	require.Equal(t, http.StatusConflict, status)
}
