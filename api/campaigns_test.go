package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/domain/campaign"
	"lastcall/store"
)

func TestCreateIsIdempotent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	create := func(key, name string, out any) int {
		req, err := http.NewRequestWithContext(t.Context(), "POST", b.url+"/api/v1/campaigns", strings.NewReader(`{"name":"`+name+`","template":"promo"}`))
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Idempotency-Key", key)
		status, _ := b.send(req, out)
		return status
	}
	var first, again, other api.Campaign
	require.Equal(t, http.StatusCreated, create("key-1", "Friday", &first))
	require.Equal(t, http.StatusCreated, create("key-1", "Friday", &again))
	require.Equal(t, first.CampaignID, again.CampaignID)
	require.Equal(t, http.StatusCreated, create("key-2", "Friday", &other))
	require.NotEqual(t, first.CampaignID, other.CampaignID)

	var p api.Problem
	require.Equal(t, http.StatusUnprocessableEntity, create("key-1", "Saturday", &p))
	require.Equal(t, "idempotency_key_reused", p.Code)
	require.Equal(t, http.StatusUnprocessableEntity, create("ключ", "Friday", &p))
	require.Equal(t, "bad_idempotency_key", p.Code)
}

func TestCampaignJSONIsFlat(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.campaign()
	b.do("POST", path(c, "/imports?country=RW"), csv("phone\n0781234567\n0781234567\nnobody\n+35699123456\n"), nil)
	var got map[string]any
	b.do("GET", path(c, ""), nil, &got)
	for field, want := range map[string]any{"campaign_id": c.CampaignID.String(), "name": "Friday", "template": "promo", "status": "draft",
		"lines": 4., "invalid": 1., "duplicates": 1., "targets": 2., "queued": 2., "sending": 0., "sent": 0., "delivered": 0., "read": 0.,
		"failed": 0., "opted_out": 0., "unknown": 0., "cancelled": 0., "waits": map[string]any{}, "waiting": []any{}} {
		require.Equal(t, want, got[field], field)
	}
	require.NotContains(t, got, "temporal_web", "a draft has no workflow")
}

func TestPagesOfCampaigns(t *testing.T) {
	t.Parallel()
	b := setup(t)
	want := make([]uuid.UUID, 5)
	for i := range want {
		want[len(want)-1-i] = b.campaign().CampaignID
	}
	var got []uuid.UUID
	after := ""
	for {
		var page api.CampaignPage
		status, _ := b.do("GET", "/api/v1/campaigns?limit=2"+after, nil, &page)
		require.Equal(t, http.StatusOK, status)
		for _, c := range page.Campaigns {
			got = append(got, c.CampaignID)
		}
		if page.Next == "" {
			break
		}
		require.Len(t, page.Campaigns, 2)
		after = "&after=" + page.Next
	}
	require.Equal(t, want, got)
}

func TestCampaignsByStatus(t *testing.T) {
	t.Parallel()
	b := setup(t)
	move := func(steps ...campaign.Status) uuid.UUID {
		c := b.campaign()
		if len(steps) > 0 {
			b.do("POST", path(c, "/imports"), csv("msisdn\n+250781234567\n"), nil)
			_, err := b.store.StartCampaign(t.Context(), c.CampaignID, nil)
			require.NoError(t, err)
		}
		for _, to := range steps {
			require.NoError(t, b.store.Advance(t.Context(), c.CampaignID, to, ""))
		}
		return c.CampaignID
	}
	draft := move()
	running := move(campaign.Preflight, campaign.Running)
	paused := move(campaign.Preflight, campaign.Running, campaign.Paused)
	for query, want := range map[string][]uuid.UUID{
		"":                              {paused, running, draft},
		"status=draft":                  {draft},
		"status=running&status=paused":  {paused, running},
		"status=running&status=stopped": {running},
		"status=running&status=paused&after=" + paused.String(): {running},
	} {
		var page api.CampaignPage
		status, _ := b.do("GET", "/api/v1/campaigns?"+query, nil, &page)
		require.Equal(t, http.StatusOK, status, query)
		got := []uuid.UUID{}
		for _, c := range page.Campaigns {
			got = append(got, c.CampaignID)
		}
		require.Equal(t, want, got, query)
	}
	status, _ := b.do("GET", "/api/v1/campaigns?status=loud", nil, nil)
	require.Equal(t, http.StatusUnprocessableEntity, status)
}

func TestOrdersAnswerWithTheirEffect(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.relay(func(ctx context.Context, _ int64, payload json.RawMessage) error {
		var order store.OrderCampaign
		if err := json.Unmarshal(payload, &order); err != nil {
			return err
		}
		steps := map[string][]campaign.Status{"": {campaign.Preflight, campaign.Running}, "pause": {campaign.Paused},
			"resume": {campaign.Running}, "stop": {campaign.Settling, campaign.Stopped}}
		for _, to := range steps[order.Order] {
			move := b.store.Advance
			if to.Ended() {
				move = b.store.Finish
			}
			if err := move(ctx, order.CampaignID, to, ""); err != nil {
				return err
			}
		}
		return nil
	})
	c := b.campaign()
	var p api.Problem
	status, _ := b.do("POST", path(c, "/start"), nil, &p)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Equal(t, "no_targets", p.Code)
	status, _ = b.do("POST", path(c, "/pause"), nil, &p)
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, "wrong_state", p.Code)

	b.do("POST", path(c, "/imports"), csv("msisdn\n+250781234567\n"), nil)
	for _, order := range []struct {
		name     string
		body     any
		want     campaign.Status
		boundary *api.Boundary
	}{
		{"start", nil, campaign.Running, nil},
		{"pause", api.Order{Reason: "too loud"}, campaign.Paused, &api.Boundary{}},
		{"resume", nil, campaign.Running, nil},
		{"stop", nil, campaign.Stopped, &api.Boundary{}},
	} {
		var got api.Campaign
		status, _ := b.do("POST", path(c, "/"+order.name), order.body, &got)
		require.Equal(t, http.StatusOK, status, order.name)
		require.Equal(t, order.want, got.Status, order.name)
		require.Equal(t, order.boundary, got.Boundary, order.name)
		require.Equal(t, "http://temporal.test/namespaces/default/workflows/campaign%2F"+c.CampaignID.String(), got.TemporalWeb)
		if order.name == "stop" {
			require.NotNil(t, got.Report)
			require.EqualValues(t, 1, got.Report.Counts.Targets)
		}
	}
	status, _ = b.do("POST", path(c, "/start"), nil, &p)
	require.Equal(t, http.StatusConflict, status)
}

func TestAnOrderWithoutEffectIs202(t *testing.T) {
	t.Parallel()
	b := setup(t, func(d *api.Deps) { d.EffectWithin = 50 * time.Millisecond }) // and no relay
	c := b.campaign()
	b.do("POST", path(c, "/imports"), csv("msisdn\n+250781234567\n"), nil)
	var got api.Campaign
	status, _ := b.do("POST", path(c, "/start"), api.StartOrder{}, &got)
	require.Equal(t, http.StatusAccepted, status)
	require.Equal(t, campaign.Scheduled, got.Status)
	status, _ = b.do("POST", path(c, "/pause"), nil, &got)
	require.Equal(t, http.StatusAccepted, status)
	require.Equal(t, &api.Boundary{}, got.Boundary)
}

func TestPagesOfTargets(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.campaign()
	var file strings.Builder
	var masked, got []string
	file.WriteString("msisdn\n")
	for i := range 7 {
		file.WriteString("+25078123456" + strconv.Itoa(i) + "\n")
		masked = append(masked, "+250 78• ••• 56"+strconv.Itoa(i))
	}
	b.do("POST", path(c, "/imports"), csv(file.String()), nil)
	after := ""
	for {
		var page api.TargetPage
		status, _ := b.do("GET", path(c, "/targets?state=queued&limit=3"+after), nil, &page)
		require.Equal(t, http.StatusOK, status)
		for _, target := range page.Targets {
			require.Equal(t, campaign.Queued, target.State)
			got = append(got, target.Masked)
		}
		if page.Next == "" {
			break
		}
		after = "&after=" + page.Next
	}
	require.Equal(t, masked, got, "in the file's order")

	var none api.TargetPage
	b.do("GET", path(c, "/targets?state=read"), nil, &none)
	require.NotNil(t, none.Targets)
	require.Empty(t, none.Targets)
	var p api.Problem
	status, _ := b.do("GET", path(c, "/targets?state=lost"), nil, &p)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Equal(t, "state", p.Field)
}
