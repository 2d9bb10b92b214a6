package whatsapp

import (
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/domain"
)

func TestParseWebhook(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 21, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		raw  string
		want []Status
	}{
		"several entries, changes and statuses; other things passed over": {
			raw: `{"object":"whatsapp_business_account","new":1,"entry":[
				{"id":"1","changes":[
					{"field":"messages","value":{"metadata":{"phone_number_id":"5"},"statuses":[
						{"id":"wamid.A","status":"sent","timestamp":"1795381200","recipient_id":"250788000012","biz_opaque_callback_data":"c/t/1","pricing":{"billable":true}},
						{"id":"wamid.B","status":"failed","timestamp":1795381200,"recipient_id":"2","errors":[{"code":131026,"title":"x"},{"code":1}]}]}},
					{"field":"messages","value":{"messages":[{"from":"1","text":{"body":"STOP"}}]}},
					{"field":"message_template_status_update","value":{"statuses":[{"id":"no","status":"sent"}]}},
					{"field":"messages","value":["of another shape"]}]},
				{"id":"2","changes":[{"field":"messages","value":{"statuses":[
					{"id":"wamid.C","status":"delivered","timestamp":"soon"},
					{"id":"wamid.D","status":"warning"}, {"status":"sent"}, {"id":7}, 8,
					{"id":"wamid.A","status":"read","timestamp":"1795381200"}]}}]}]}`,
			want: []Status{
				{MessageID: "wamid.A", State: StateSent, RecipientID: "250788000012", CallbackData: "c/t/1", At: at},
				{MessageID: "wamid.B", State: StateFailed, RecipientID: "2", At: at, ErrorCode: 131026},
				{MessageID: "wamid.C", State: StateDelivered},
				{MessageID: "wamid.A", State: StateRead, At: at},
			},
		},
		"nothing": {raw: `{}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseWebhook([]byte(c.raw))
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
	for _, raw := range []string{"", "x", "[]", `{"entry":[250788000012]}`, `{"entry":[]} {}`} {
		_, err := ParseWebhook([]byte(raw))
		require.Equal(t, domain.Invalid, domain.KindOf(err), raw)
		require.NotContains(t, err.Error(), "788")
	}
}

func TestSignature(t *testing.T) {
	t.Parallel()
	raw := []byte("what do ya want for nothing?")
	// RFC 4231, test case 2.
	const good = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
	require.Equal(t, good, Sign("Jefe", raw))
	require.True(t, Verify("Jefe", raw, good))
	require.False(t, Verify("Jefe", append(raw, '\n'), good))
	require.False(t, Verify("jefe", raw, good))
	require.False(t, Verify("Jefe", raw, good[7:]))
	require.False(t, Verify("Jefe", raw, ""))
	require.False(t, Verify("", raw, Sign("", raw)), "no secret, no trust")
}

func TestChallenge(t *testing.T) {
	t.Parallel()
	query := func(mode, token string) url.Values {
		return url.Values{"hub.mode": {mode}, "hub.verify_token": {token}, "hub.challenge": {"1158201444"}}
	}
	known := Config{VerifyToken: "v"}
	answer, ok := known.Challenge(query("subscribe", "v"))
	require.True(t, ok)
	require.Equal(t, "1158201444", answer)
	for _, c := range []struct {
		config Config
		query  url.Values
	}{
		{known, query("subscribe", "w")}, {known, query("unsubscribe", "v")}, {known, url.Values{}}, {Config{}, query("subscribe", "")},
	} {
		answer, ok := c.config.Challenge(c.query)
		require.False(t, ok)
		require.Empty(t, answer)
	}
}

func TestClassify(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]Outcome{
		130429: Retry, 4: Retry, 80007: Retry, 131056: Retry, 131057: Retry, 131016: Retry,
		1: Unknown, 2: Unknown, 131000: Unknown,
		0: Failed, 190: Failed, 131026: Failed, 131048: Failed, 131049: Failed, 131050: Failed, 132001: Failed, 132000: Failed, 999999: Failed,
	} {
		require.Equal(t, want, Classify(&APIError{Code: code}), code)
	}
	require.Equal(t, Unknown, Classify(errors.New("something else")))
	require.Equal(t, "sent failed retry not_sent unknown", Sent.String()+" "+Failed.String()+" "+Retry.String()+" "+NotSent.String()+" "+Unknown.String())
}
