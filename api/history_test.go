package api_test

import (
	encoding "encoding/csv"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/domain/campaign"
	"lastcall/store"
)

func TestHistory(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c, _ := b.running("msisdn\n+250781234567\nnobody\n")
	_, err := b.store.Order(t.Context(), c.CampaignID, campaign.GatePaused, "the band is late")
	require.NoError(t, err)
	require.NoError(t, b.store.Advance(t.Context(), c.CampaignID, campaign.Paused, "the template is paused"))

	var all api.HistoryPage
	status, _ := b.do("GET", path(c, "/history"), nil, &all)
	require.Equal(t, http.StatusOK, status)
	var told []string
	for _, e := range all.Events {
		told = append(told, e.What)
	}
	require.Equal(t, []string{"needs a human: the template is paused", "paused", "started",
		"imported recipients: 1 in, 0 duplicates, 1 invalid", "created"}, told, "newest first, without the steps that concern nobody")
	require.Equal(t, "the band is late", all.Events[1].Note)
	require.Empty(t, all.Events[1].By, "done by Lastcall itself in this test")
	require.Equal(t, "tests", all.Events[4].By)

	var got api.Campaign
	b.do("GET", path(c, ""), nil, &got)
	require.Equal(t, campaign.GatePaused, got.Gate)

	after := ""
	for _, want := range [][]store.Event{all.Events[:2], all.Events[2:4], all.Events[4:]} {
		var page api.HistoryPage
		b.do("GET", path(c, "/history?limit=2"+after), nil, &page)
		require.Equal(t, want, page.Events)
		after = "&after=" + page.Next
	}
	require.NotContains(t, b.log.String(), "81234567")

	var p api.Problem
	status, _ = b.do("GET", "/api/v1/campaigns/01920000-0000-7000-8000-000000000000/history", nil, &p)
	require.Equal(t, http.StatusNotFound, status)
	require.Equal(t, "campaign_not_found", p.Code)
}

func TestReportAsCSV(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c, lane := b.running("msisdn\n+250781234567\n+250781234568\n+250781234569\nnobody\n")
	var p api.Problem
	status, _ := b.do("GET", path(c, "/report.csv"), nil, &p)
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, "not_ended", p.Code)

	b.end(lane, func(i int) store.Result {
		if i == 0 {
			return store.Result{State: campaign.Sent}
		}
		return store.Result{State: campaign.FailedT, Reason: "=SUM(1)", ErrorCode: 131026}
	})
	require.NoError(t, b.store.Advance(t.Context(), c.CampaignID, campaign.Settling, ""))
	require.NoError(t, b.store.Finish(t.Context(), c.CampaignID, campaign.Done, ""))

	req, err := http.NewRequestWithContext(t.Context(), "GET", b.url+path(c, "/report.csv"), nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, res.StatusCode, "%s", body)
	require.Equal(t, "text/csv; charset=utf-8", res.Header.Get("Content-Type"))
	require.Equal(t, `attachment; filename="report-`+c.CampaignID.String()+`.csv"`, res.Header.Get("Content-Disposition"))
	lines, err := encoding.NewReader(strings.NewReader(string(body))).ReadAll()
	require.NoError(t, err)
	require.Equal(t, []string{"figure", "value", "reason", "error_code", "meaning", "advice"}, lines[0])
	figures := map[string]string{}
	for _, l := range lines[1:] {
		figures[l[0]] = l[1]
	}
	for figure, want := range map[string]string{"campaign": c.Name, "status": "done", "lines": "4", "invalid": "1", "targets": "3", "accepted": "1",
		"sent": "1", "failed": "2", "unknown": "0", "failed_by": "2"} {
		require.Equal(t, want, figures[figure], figure)
	}
	last := lines[len(lines)-1]
	require.Equal(t, []string{"failed_by", "2", "'=SUM(1)", "131026"}, last[:4], "no spreadsheet obeys it")
	require.NotEmpty(t, last[5], "advice")
}
