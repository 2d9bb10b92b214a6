package api_test

import (
	encoding "encoding/csv"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/domain/campaign"
	"lastcall/domain/delivery"
	"lastcall/domain/template"
	"lastcall/store"
	"lastcall/store/storetest"
)

// running makes a campaign that runs, with this file as its audience, and the lane that dispatches it.
func (b *bundle) running(file string) (api.Campaign, store.Lane) {
	b.t.Helper()
	c, ctx := b.campaign(), b.t.Context()
	status, _ := b.do("POST", path(c, "/imports"), csv(file), nil)
	require.Equal(b.t, http.StatusCreated, status)
	_, err := b.store.StartCampaign(ctx, c.CampaignID, nil)
	require.NoError(b.t, err)
	for _, to := range []campaign.Status{campaign.Preflight, campaign.Running} {
		require.NoError(b.t, b.store.Advance(ctx, c.CampaignID, to, ""))
	}
	lane := store.Lane{Campaign: c.CampaignID, Run: "run", Batch: 1, Fence: 1}
	_, err = b.store.TakeLane(ctx, lane)
	require.NoError(b.t, err)
	return c, lane
}

// end claims what is queued and ends each target as end says, by its place in the file.
func (b *bundle) end(lane store.Lane, end func(i int) store.Result) {
	b.t.Helper()
	var i int
	for {
		claim, err := b.store.Claim(b.t.Context(), lane, 500)
		require.NoError(b.t, err)
		if claim.Drained {
			return
		}
		var results []store.Result
		for _, t := range claim.Targets {
			r := end(i)
			r.Target, i = t.ID, i+1
			results = append(results, r)
		}
		_, err = b.store.Record(b.t.Context(), lane, results)
		require.NoError(b.t, err)
	}
}

func TestWhyWasThisNotSent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c, lane := b.running("msisdn\n+250781234567\n")
	other := b.campaign()
	find := func(c api.Campaign, body string, out any) int {
		status, _ := b.do("POST", path(c, "/targets/find"), body, out)
		return status
	}
	var found api.Target
	require.Equal(t, http.StatusOK, find(c, `{"msisdn":"078 123 4567","country":"RW"}`, &found))
	require.Equal(t, "+250 78• ••• 567", found.Masked)
	for body, want := range map[string]string{`{"msisdn":"+250781234568"}`: "target_not_found", `{"msisdn":"nobody"}`: "not_a_number",
		`{}`: "invalid", `{"msisdn":"0781234567"}`: "no_country_code"} {
		var p api.Problem
		require.Contains(t, []int{404, 422}, find(c, body, &p))
		require.Equal(t, want, p.Code)
		require.NotContains(t, p.Detail, "78")
	}
	var p api.Problem
	require.Equal(t, http.StatusNotFound, find(other, `{"msisdn":"+250781234567"}`, &p))
	require.Equal(t, "target_not_found", p.Code)

	timeline := func(c api.Campaign, id any, out any) int {
		status, _ := b.do("GET", path(c, fmt.Sprintf("/targets/%v/timeline", id)), nil, out)
		return status
	}
	b.do("PUT", "/api/v1/settings/toggles", `{"value":{"dispatch":false},"reason":"fire drill"}`, nil)
	_, err := b.store.Claim(t.Context(), lane, 1)
	require.NoError(t, err)
	var got api.TargetTimeline
	require.Equal(t, http.StatusOK, timeline(c, found.ID, &got))
	require.Equal(t, found, got.Target)
	require.Equal(t, "RW", got.Country)
	require.Equal(t, "Africa/Kigali", got.Zone)
	require.Equal(t, "dispatch_disabled", got.Now.WaitsFor)
	require.Equal(t, "Not sent yet: dispatch is switched off.", got.Now.Answer)
	require.Len(t, got.Moments, 2)
	require.Equal(t, delivery.Held, got.Moments[1].Kind)
	require.EqualValues(t, 1, got.Moments[1].PolicyRevision)

	b.do("PUT", "/api/v1/settings/toggles", `{"value":{"dispatch":true}}`, nil)
	b.end(lane, func(int) store.Result {
		return store.Result{State: campaign.FailedT, Reason: "provider_refused", ErrorCode: 132001}
	})
	var raw map[string]any
	require.Equal(t, http.StatusOK, timeline(c, found.ID, &raw))
	story := raw["timeline"].([]any)
	last := story[len(story)-1].(map[string]any)
	require.Equal(t, "failed", last["kind"])
	require.EqualValues(t, 132001, last["error_code"])
	require.Equal(t, "template", last["diagnosis"].(map[string]any)["scope"])
	require.Contains(t, raw["now"].(map[string]any)["answer"], "Not sent: the template does not exist in this language")

	require.Equal(t, http.StatusNotFound, timeline(other, found.ID, &p), "another campaign's target")
	require.Equal(t, "target_not_found", p.Code)
	require.Equal(t, http.StatusUnprocessableEntity, timeline(c, "x", &p))
	require.NotContains(t, b.log.String(), "81234567")
}

func TestFailures(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var file strings.Builder
	file.WriteString("msisdn\n")
	const n = 1003 // more than a page
	for i := range n {
		file.WriteString("+25078" + fmt.Sprintf("%07d", i) + "\n")
	}
	c, lane := b.running(file.String())
	get := func(c api.Campaign) (string, http.Header) {
		req, err := http.NewRequestWithContext(t.Context(), "GET", b.url+path(c, "/failures.csv"), nil)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer func() { _ = res.Body.Close() }()
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, res.StatusCode)
		return string(body), res.Header
	}
	header := "msisdn,target_id,reason,error_code,scope,meaning,advice,attempts,sent_at,failed_at,provider_id\n"
	empty, _ := get(c)
	require.Equal(t, header, empty)

	b.end(lane, func(i int) store.Result {
		switch i {
		case 0:
			return store.Result{State: campaign.Sent}
		case 1:
			return store.Result{State: campaign.FailedT, Reason: "@SUM(1)", ErrorCode: -7, ProviderID: `=HYPERLINK("http://evil.test","x")`}
		}
		return store.Result{State: campaign.FailedT, Reason: "provider_refused", ErrorCode: 131026}
	})
	body, head := get(c)
	require.Equal(t, "text/csv; charset=utf-8", head.Get("Content-Type"))
	require.Equal(t, `attachment; filename="failures-`+c.CampaignID.String()+`.csv"`, head.Get("Content-Disposition"))
	lines, err := encoding.NewReader(strings.NewReader(body)).ReadAll()
	require.NoError(t, err)
	require.Len(t, lines, n, "a header and all but the one that was sent")
	require.Equal(t, strings.Split(strings.TrimSpace(header), ","), lines[0])
	seen := map[string]bool{}
	for i, line := range lines[1:] {
		require.Regexp(t, `^\+[0-9]+$`, line[0])
		seen[line[0]] = true
		for column, text := range line[1:] {
			if _, err := strconv.Atoi(text); err != nil {
				require.NotRegexp(t, `^[=+\-@\t\r\n]`, text, "column %d: no spreadsheet obeys it", column)
			}
		}
		if i > 0 {
			require.Equal(t, []string{"provider_refused", "131026", "user"}, line[2:5])
			require.Contains(t, line[6], "Do not send again.")
		}
	}
	require.Len(t, seen, n-1, "each once")
	require.Equal(t, `'=HYPERLINK("http://evil.test","x")`, lines[1][10])
	require.Equal(t, "'@SUM(1)", lines[1][2])

	var counted api.FailureReport
	status, _ := b.do("GET", path(c, "/failures"), nil, &counted)
	require.Equal(t, http.StatusOK, status)
	require.EqualValues(t, n-1, counted.Failed)
	require.Len(t, counted.Failures, 2)
	require.Equal(t, delivery.User, counted.Failures[0].Scope)

	again := b.campaign()
	var imported api.Import
	b.do("POST", path(again, "/imports"), csv(body), &imported)
	require.EqualValues(t, n-1, imported.Targets, "the file can be imported again: %+v", imported.BadLines)

	for _, rest := range []string{"/failures", "/failures.csv"} {
		var p api.Problem
		status, _ := b.do("GET", "/api/v1/campaigns/01920000-0000-7000-8000-000000000000"+rest, nil, &p)
		require.Equal(t, http.StatusNotFound, status)
		require.Equal(t, "campaign_not_found", p.Code)
	}
}

// cutter is a reader of an answer that loses the server its database with the first byte.
type cutter struct {
	*httptest.ResponseRecorder
	cut func()
}

func (c cutter) Write(p []byte) (int, error) {
	c.cut()
	return c.ResponseRecorder.Write(p)
}

func TestAnExportThatBreaksOffIsNoWholeFile(t *testing.T) {
	t.Parallel()
	var gone func()
	var direct *store.Store
	b := setup(t, func(d *api.Deps) {
		database := storetest.URL(t)
		direct = storetest.Open(t, database)
		var address string
		address, gone = relayTCP(t, database)
		d.Store = storetest.Open(t, address)
		require.NoError(t, direct.EnsureToken(t.Context(), "tests", token))
		_, err := direct.EnsureTemplate(t.Context(), template.Template{Name: "promo", Version: 1, Category: template.Marketing,
			Status: template.Approved, Texts: map[string]string{"en": "Hello"}})
		require.NoError(t, err)
	})
	b.store = direct
	var file strings.Builder
	file.WriteString("msisdn\n")
	for i := range 1001 { // one more than a page
		file.WriteString("+25078" + fmt.Sprintf("%07d", i) + "\n")
	}
	c, lane := b.running(file.String())
	b.end(lane, func(int) store.Result { return store.Result{State: campaign.FailedT, Reason: "provider_refused"} })

	req := httptest.NewRequestWithContext(t.Context(), "GET", path(c, "/failures.csv"), nil)
	req.Header.Set("Authorization", "Bearer "+token)
	got := cutter{httptest.NewRecorder(), gone}
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { b.router.ServeHTTP(got, req) }, "net/http breaks the transfer off")
	require.Equal(t, 1001, strings.Count(got.Body.String(), "\n"), "a header and the first page")
	require.Contains(t, b.log.String(), "export broken off")
}
