package api_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/domain/audit"
	"lastcall/domain/campaign"
	"lastcall/domain/policy"
	"lastcall/store"
	"lastcall/store/storetest"
)

// scrape reads the metrics.
func scrape(t *testing.T, h http.Handler) string {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	require.Equal(t, http.StatusOK, w.Code)
	body, err := io.ReadAll(w.Body)
	require.NoError(t, err)
	return string(body)
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.campaign()
	b.do("POST", path(c, "/imports"), csv("msisdn\n+250781234560\n+250781234561\n+250781234562\n"), nil)
	ctx := audit.WithActor(t.Context(), audit.System("test"))
	_, err := b.store.StartCampaign(ctx, c.CampaignID, nil)
	require.NoError(t, err)
	_, err = b.store.SaveSetting(ctx, "throttle", []byte(`{"whatsapp":{"per_minute":2,"per_second":5,"tier":10}}`), "")
	require.NoError(t, err)
	lane := store.Lane{Campaign: c.CampaignID, Run: "run", Batch: 1, Fence: 1}
	_, err = b.store.TakeLane(ctx, lane)
	require.NoError(t, err)
	for {
		claim, err := b.store.Claim(ctx, lane, 10)
		require.NoError(t, err)
		if len(claim.Waits) > 0 {
			break
		}
	}
	_, err = b.store.GrantSingle(ctx, store.SingleSend{ID: uuid.New(), Channel: policy.ChannelWhatsApp, Recipient: "+250781234569"})
	require.NoError(t, err)
	require.NoError(t, b.store.Beat(ctx, "a worker", true))

	got := scrape(t, b.router)
	for _, line := range []string{
		`lastcall_database_up 1`,
		`lastcall_permits_granted_total{channel="whatsapp"} 2`,
		`lastcall_permits_cap{channel="whatsapp",window="minute"} 2`,
		`lastcall_permits_used{channel="whatsapp",window="minute"} 2`,
		`lastcall_permits_cap{channel="whatsapp",window="second"} 5`,
		`lastcall_tier_recipients_cap{channel="whatsapp"} 10`,
		`lastcall_tier_recipients_used{channel="whatsapp"} 2`,
		`lastcall_campaigns_wanting_permits{channel="whatsapp"} 1`,
		`lastcall_single_sends_waiting{channel="whatsapp"} 1`,
		`lastcall_campaigns_active 1`,
		`lastcall_targets{state="queued"} 1`,
		`lastcall_targets{state="sending"} 2`,
		`lastcall_targets{state="` + string(campaign.Cancelled) + `"} 0`,
		`lastcall_workers_alive 1`,
		`lastcall_outbox_pending 2`,
		`lastcall_webhooks_pending 0`,
		`lastcall_vouchers_issued_total 0`,
		`lastcall_vouchers{state="issued"} 0`,
		`lastcall_single_sends{state="queued"} 0`,
		`lastcall_redemptions_recent{outcome="failed"} 0`,
		`lastcall_policy_blocks_recent{reason="quiet_hours"} 0`,
		`lastcall_messages_sent 0`,
		`lastcall_event_streams 0`,
		`# TYPE lastcall_outbox_oldest_seconds gauge`,
		`# TYPE lastcall_audit_unsealed_oldest_seconds gauge`,
		`# TYPE lastcall_permits_granted_total counter`,
		`# HELP lastcall_permits_granted_total Permits granted, one a message.`,
	} {
		require.Contains(t, got, line+"\n")
	}
	require.Contains(t, got, "process_open_fds")
	for _, personal := range []string{"2507812345", c.CampaignID.String(), "Friday"} {
		require.NotContains(t, got, personal)
	}
}

func TestMetricsWithoutADatabase(t *testing.T) {
	t.Parallel()
	s, err := store.Open(t.Context(), store.Config{URL: storetest.URL(t), Pepper: storetest.Pepper})
	require.NoError(t, err)
	s.Close()
	got := scrape(t, api.Metrics(s, discard()))
	require.Contains(t, got, "lastcall_database_up 0\n")
	require.Equal(t, 1, strings.Count(got, "\nlastcall_"), "no figure is made up")
}

func TestWeightOverTheAPI(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var c api.Campaign
	status, _ := b.do("POST", "/api/v1/campaigns", map[string]any{"name": "Friday", "template": "promo", "weight": 5}, &c)
	require.Equal(t, http.StatusCreated, status)
	require.Equal(t, 5, c.Weight)
	require.Equal(t, 1, b.campaign().Weight)
	status, _ = b.do("PATCH", path(c, ""), api.CampaignChange{Weight: 9, Reason: "sooner"}, &c)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, 9, c.Weight)
	var p api.Problem
	for _, body := range []any{map[string]any{"weight": 0}, map[string]any{"weight": 101}, map[string]any{}} {
		status, _ = b.do("PATCH", path(c, ""), body, &p)
		require.Equal(t, http.StatusUnprocessableEntity, status)
	}
	status, _ = b.do("POST", "/api/v1/campaigns", map[string]any{"name": "Friday", "template": "promo", "weight": 0}, &p)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	status, _ = b.do("PATCH", "/api/v1/campaigns/"+uuid.NewString(), api.CampaignChange{Weight: 9}, &p)
	require.Equal(t, http.StatusNotFound, status)
}
