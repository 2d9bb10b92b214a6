package whatsapp

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/domain"
)

func TestParseEvents(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 21, 0, 0, 0, time.UTC)
	got, err := ParseEvents([]byte(`{"object":"whatsapp_business_account","entry":[
		{"id":"1","time":1795381200,"changes":[
			{"field":"message_template_status_update","value":{"event":"PAUSED","message_template_id":1689556908129832,"message_template_name":"promo_generic",
				"message_template_language":"rw_RW","reason":"NONE","other_info":{"title":"FIRST_PAUSE","description":"x"}}},
			{"field":"message_template_status_update","value":{"event":"REJECTED","message_template_name":"a","message_template_language":"en-US","reason":"INVALID_FORMAT"}},
			{"field":"message_template_status_update","value":{"event":"PENDING_DELETION","message_template_name":"b","reason":null}},
			{"field":"message_template_status_update","value":{"event":"PAUSED"}},
			{"field":"message_template_status_update","value":{"message_template_name":"c"}},
			{"field":"message_template_status_update","value":["of another shape"]},
			{"field":"message_template_quality_update","value":{"event":"PAUSED","message_template_name":"d"}}]},
		{"id":"2","time":"1795381200","changes":[
			{"field":"message_template_status_update","value":{"event":"APPROVED","message_template_name":"promo_generic","message_template_language":"rw_RW"}},
			{"field":"user_preferences","value":{"messaging_product":"whatsapp","contacts":[{"profile":{"name":"X"},"wa_id":"250788000012"}],"user_preferences":[
				{"wa_id":"250788000012","detail":"x","category":"marketing_messages","value":"stop","timestamp":1795381200},
				{"wa_id":"250788000013","category":"marketing_messages","value":"resume","timestamp":"1795381200"},
				{"wa_id":"250788000014","category":"marketing_messages","value":"stop"},
				{"wa_id":"250788000015","category":"marketing_messages","value":"perhaps"},
				{"wa_id":"250788000016","category":"other","value":"stop"},
				{"category":"marketing_messages","value":"stop"}, {"wa_id":7}, 8]}},
			{"field":"user_preferences","value":7},
			{"field":"messages","value":{"statuses":[{"id":"wamid.A","status":"sent"}]}},
			{"field":"messages","value":{"messages":[{"id":"wamid.B","from":"250788000012","type":"text","timestamp":"1795381200","text":{"body":" Stop. "}},
				{"id":"wamid.C","from":"250788000012","type":"button","button":{"payload":"x","text":"STOP"}},
				{"id":"wamid.D","from":"250788000012","type":"image","image":{"id":"1"}}, {"id":"wamid.E","text":{"body":"STOP"}},
				{"from":"250788000012","text":{"body":"STOP"}}, {"id":"wamid.F","from":250788000012,"text":{"body":"STOP"}}, 7]}}]},
		{"id":"3","changes":[{"field":"message_template_status_update","value":{"event":"DISABLED","message_template_name":"e"}}]}]}`))
	require.NoError(t, err)
	require.Equal(t, Events{
		Statuses: []Status{{MessageID: "wamid.A", State: StateSent}},
		Templates: []TemplateUpdate{
			{Name: "promo_generic", Language: "rw-RW", Event: TemplatePaused, At: at},
			{Name: "a", Language: "en-US", Event: TemplateRejected, Reason: "INVALID_FORMAT", At: at},
			{Name: "b", Event: "PENDING_DELETION", At: at},
			{Name: "promo_generic", Language: "rw-RW", Event: TemplateApproved, At: at},
			{Name: "e", Event: TemplateDisabled},
		},
		Preferences: []Preference{
			{WhatsAppID: "250788000012", Stop: true, At: at}, {WhatsAppID: "250788000013", At: at}, {WhatsAppID: "250788000014", Stop: true},
		},
		Messages: []Message{{ID: "wamid.B", WhatsAppID: "250788000012", Text: " Stop. ", At: at}, {ID: "wamid.C", WhatsAppID: "250788000012", Text: "STOP"}},
	}, got)
	_, err = ParseEvents([]byte(`{"entry":[250788000012]}`))
	require.Equal(t, "webhook_not_readable", domain.CodeOf(err))
	require.NotContains(t, err.Error(), "788")
}

func TestTemplateSendable(t *testing.T) {
	t.Parallel()
	for event, want := range map[string][2]bool{
		TemplateApproved: {true, true}, TemplateReinstated: {true, true}, "UNARCHIVED": {true, true},
		TemplatePaused: {false, true}, TemplateDisabled: {false, true}, TemplateRejected: {false, true}, TemplateDeleted: {false, true},
		"ARCHIVED": {false, true}, "PENDING_DELETION": {false, true},
		"FLAGGED": {false, false}, "PENDING": {false, false}, "SOMETHING": {false, false},
	} {
		sendable, known := TemplateUpdate{Event: event}.Sendable()
		require.Equal(t, want, [2]bool{sendable, known}, event)
	}
}
