package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/domain/campaign"
	"lastcall/domain/policy"
)

// answers is an API that gives these answers, one a call, and the last one for ever.
func answers(t *testing.T, all ...func(http.ResponseWriter)) *apiClient {
	t.Helper()
	var n atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		all[min(int(n.Add(1)), len(all))-1](w)
	}))
	t.Cleanup(server.Close)
	return &apiClient{base: server.URL, token: "x"}
}

func is(c api.Campaign) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { _ = json.NewEncoder(w).Encode(c) }
}

func problem(status int, code string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(api.Problem{Status: status, Code: code, Detail: code})
	}
}

func broken(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

func linesTo(buf *bytes.Buffer) campaignView {
	return (&output{sh: &shell{stderr: buf}}).campaignProgress()
}

func TestWatchSurvivesARestartOfTheAPI(t *testing.T) {
	t.Parallel()
	c := answers(t, is(api.Campaign{Status: campaign.Running}), broken, problem(503, "database_unavailable"),
		func(w http.ResponseWriter) { http.Error(w, "bad gateway", http.StatusBadGateway) }, is(api.Campaign{Status: campaign.Done}))
	var said bytes.Buffer
	last, err := watch(t.Context(), c, "x", linesTo(&said), time.Minute)
	require.NoError(t, err)
	require.Equal(t, campaign.Done, last.Status)
	require.Equal(t, 1, strings.Count(said.String(), "still trying"), said.String())
	require.Contains(t, said.String(), "the API is back")
}

func TestWatchGivesUp(t *testing.T) {
	t.Parallel()
	_, err := watch(t.Context(), answers(t, broken), "x", linesTo(&bytes.Buffer{}), 500*time.Millisecond)
	require.ErrorContains(t, err, "gave up after 500ms of silence")

	_, err = watch(t.Context(), answers(t, problem(404, "campaign_not_found")), "x", linesTo(&bytes.Buffer{}), time.Minute)
	require.ErrorContains(t, err, "campaign_not_found", "what no repetition mends ends it at once")
}

func TestWatchInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	c := answers(t, func(w http.ResponseWriter) {
		is(api.Campaign{Status: campaign.Running})(w)
		time.AfterFunc(50*time.Millisecond, cancel)
	})
	last, err := watch(ctx, c, "x", linesTo(&bytes.Buffer{}), time.Minute)
	require.ErrorContains(t, err, "the campaign goes on")
	require.Equal(t, campaign.Running, last.Status)
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		campaign api.Campaign
		over     bool
		want     string
	}{
		{api.Campaign{Status: campaign.Done}, true, ""},
		{api.Campaign{Status: campaign.Running}, false, "the campaign is running"},
		{api.Campaign{Status: campaign.Paused}, false, "the campaign is paused"},
		{api.Campaign{Status: campaign.Paused, NeedsHuman: "retired"}, true, "needs a human: retired"},
		{api.Campaign{Status: campaign.Stopped}, true, "the campaign is stopped"},
		{api.Campaign{Status: campaign.Failed, NeedsHuman: "no report"}, true, "failed and needs a human: no report"},
		{api.Campaign{Status: campaign.Draft, CampaignID: uuid.Nil}, true, "has not been started"},
	} {
		require.Equal(t, tt.over, over(tt.campaign), tt.campaign.Status)
		if err := verdict(tt.campaign); tt.want == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, tt.want)
		}
	}
}

func TestMeter(t *testing.T) {
	t.Parallel()
	var m meter
	start := time.Now()
	for i := range 40 {
		m.add(start.Add(time.Duration(i)*time.Second), int64(i*i))
	}
	require.InDelta(t, 68, m.rate(), 1, "of the last ten seconds: (39² − 29²) / 10")

	c := api.Campaign{Status: campaign.Running, Counts: campaign.Counts{Targets: 1000, Queued: 680, Failed: 2}}
	require.Equal(t, "running · 68/s · about 10s left · 2 failed", m.describe(c))
	c.Waiting = []api.Waiting{{Reason: policy.InQuietHours, Targets: 680, Why: "quiet hours RW until 06:00 CAT"}}
	require.Equal(t, "running · 68/s · waits: 680: quiet hours RW until 06:00 CAT · 2 failed", m.describe(c))
	require.Equal(t, "60/min", speed(1))
}

func TestThousands(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567", -100: "-100"} {
		require.Equal(t, want, thousands(n))
	}
}
