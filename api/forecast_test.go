package api_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/domain/campaign"
	"lastcall/domain/policy"
	"lastcall/store"
)

func TestForecast(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.do("PUT", "/api/v1/settings/quiet_hours", `{"value":{"MT":{"start":"22:00","end":"06:00"}}}`, nil)
	b.do("PUT", "/api/v1/settings/throttle", `{"value":{"whatsapp":{"per_minute":2}}}`, nil)
	b.do("POST", "/api/v1/opt-outs", api.Numbers{Numbers: []string{"+250781234567"}}, nil)
	c := b.campaign()
	b.do("POST", path(c, "/imports"), csv("msisdn\n+250781234567\n+250781234568\n+250781234569\n+250781234560\n+35699123456\n"), nil)

	// The night in which Malta's clocks go forward: 06:00 is 04:00 UTC already.
	var f store.Forecast
	status, _ := b.do("GET", path(c, "/forecast?at=2031-03-29T23:00:00Z"), nil, &f)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, c.CampaignID, f.CampaignID)
	require.Equal(t, campaign.Draft, f.Status)
	require.EqualValues(t, 5, f.Targets)
	require.EqualValues(t, 4, f.Sendable)
	require.EqualValues(t, 2, f.Permitted)
	require.Len(t, f.Blocked, 3)
	require.Equal(t, policy.OptOut, f.Blocked[0].Reason)
	require.Equal(t, policy.InQuietHours, f.Blocked[1].Reason)
	require.Equal(t, policy.Throttled, f.Blocked[2].Reason)
	require.Len(t, f.Waves, 2)
	opens := time.Date(2031, 3, 30, 4, 0, 0, 0, time.UTC)
	require.Equal(t, opens, f.Waves[1].From.UTC())
	require.Equal(t, "Europe/Malta", f.Waves[1].Cohorts[0].Zone)
	require.WithinDuration(t, opens, *f.FinishesAt, time.Second)
	require.EqualValues(t, 80, f.AssumedRate)

	var p api.Problem
	status, _ = b.do("GET", path(c, "/forecast?at=2099-01-01T00:00:00Z"), nil, &p)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Equal(t, "implausible_time", p.Code)
	status, _ = b.do("GET", path(c, "/forecast?at=soon"), nil, &p)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	status, _ = b.do("GET", "/api/v1/campaigns/0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f/forecast", nil, &p)
	require.Equal(t, http.StatusNotFound, status)

	b.do("PUT", "/api/v1/settings/throttle", `{"value":{"whatsapp":{"per_minute":0}}}`, nil)
	var raw map[string]any
	b.do("GET", path(c, "/forecast"), nil, &raw)
	require.Contains(t, raw, "finishes_at")
	require.Nil(t, raw["finishes_at"], "null, not absent")
	require.Equal(t, "throttled", raw["never"].(map[string]any)["reason"])
}

// A campaign at work tells when all will have gone, to who asks and to who watches.
func TestCampaignsTellWhenAllWillHaveGone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.do("PUT", "/api/v1/settings/throttle", `{"value":{"whatsapp":{"per_minute":1}}}`, nil)
	c := b.campaign()
	b.do("POST", path(c, "/imports"), csv("msisdn\n+250781234567\n+250781234568\n"), nil)
	var got api.Campaign
	b.do("GET", path(c, ""), nil, &got)
	require.Nil(t, got.FinishesAt)
	later := time.Now().Add(3 * time.Hour)
	_, err := b.store.StartCampaign(t.Context(), c.CampaignID, &later)
	require.NoError(t, err)
	b.do("GET", path(c, ""), nil, &got)
	require.WithinDuration(t, later.Add(61*time.Second), *got.FinishesAt, time.Minute)

	req, err := http.NewRequestWithContext(t.Context(), "GET", b.url+"/api/v1/events?campaign="+c.CampaignID.String(), nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { require.NoError(t, res.Body.Close()) }()
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		if body, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			var told api.Campaign
			require.NoError(t, json.Unmarshal([]byte(body), &told))
			require.Equal(t, got.FinishesAt, told.FinishesAt)
			return
		}
	}
	t.Fatal("the stream ended")
}
