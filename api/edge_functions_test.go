package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/domain/probe"
	"lastcall/store"
)

func (b *bundle) probed(name probe.Name, o probe.Outcome) {
	b.t.Helper()
	require.NoError(b.t, b.store.RecordProbes(b.t.Context(), []probe.Finding{{Name: name, Outcome: o, Latency: 7 * time.Millisecond, At: time.Now(), Detail: "as found"}}))
}

func TestEdgeFunctions(t *testing.T) {
	t.Parallel()
	b := setup(t, func(d *api.Deps) { d.EffectWithin = 2 * time.Second })
	list := func() map[probe.Name]api.WatchedFunction {
		var all api.EdgeFunctions
		status, _ := b.do("GET", "/api/v1/edge-functions", nil, &all)
		require.Equal(t, http.StatusOK, status)
		require.EqualValues(t, 60, all.Every)
		by := map[probe.Name]api.WatchedFunction{}
		for _, f := range all.Functions {
			by[f.Name] = f
		}
		return by
	}
	mail := list()[probe.Mail]
	require.Equal(t, probe.Unknown, mail.State)
	require.Nil(t, mail.CheckedAt)
	require.Len(t, mail.Strip, 96)
	require.EqualValues(t, 24*60*60, mail.Availability.Of)

	b.probed(probe.Mail, probe.Answered)
	b.probed(probe.Messaging, probe.Unreachable)
	all := list()
	require.Equal(t, probe.Green, all[probe.Mail].State)
	require.EqualValues(t, 7, *all[probe.Mail].LatencyMS)
	require.Equal(t, "green", all[probe.Mail].Strip[95])
	require.Equal(t, probe.Red, all[probe.Messaging].State)
	require.Equal(t, "as found", all[probe.Messaging].Detail)

	var story api.EdgeFunctionHistory
	status, _ := b.do("GET", "/api/v1/edge-functions/messaging?limit=1", nil, &story)
	require.Equal(t, http.StatusOK, status)
	require.Len(t, story.Results, 1)
	require.Equal(t, probe.Red, story.Results[0].State)
	require.Equal(t, probe.Messaging, story.Function.Name)
	var problem api.Problem
	status, _ = b.do("GET", "/api/v1/edge-functions/printer", nil, &problem)
	require.Equal(t, http.StatusNotFound, status)
	require.Equal(t, "edge_function_not_found", problem.Code)

	// What a campaign needs and is down is said before it starts.
	var check store.Check
	b.do("GET", path(b.campaign(), "/preflight"), nil, &check)
	require.Equal(t, []store.Finding{{Code: "edge_function_down", Message: "WhatsApp messaging is down. " + all[probe.Messaging].Impact}}, check.Warnings)

	metrics := scrape(t, b.router)
	require.Contains(t, metrics, `lastcall_edge_function_state{edge_function="messaging",state="red"} 1`)
	require.Contains(t, metrics, `lastcall_edge_function_state{edge_function="messaging",state="green"} 0`)
	require.Contains(t, metrics, `lastcall_faults_active 0`)

	// Nobody probes: it is noted. Somebody does: the answer is what they found.
	var now api.EdgeFunction
	status, _ = b.do("POST", "/api/v1/edge-functions/messaging/check", nil, &now)
	require.Equal(t, http.StatusAccepted, status)
	require.Equal(t, probe.Red, now.State)
	b.relayOf(map[string]store.Handler{store.KindProbe: func(_ context.Context, _ int64, payload json.RawMessage) error {
		var asked store.ProbeNow
		if err := json.Unmarshal(payload, &asked); err != nil {
			return err
		}
		return b.store.RecordProbes(context.Background(), []probe.Finding{{Name: asked.Name, Outcome: probe.Answered, At: time.Now()}})
	}})
	require.Eventually(t, func() bool { return list()[probe.Messaging].State == probe.Green }, 10*time.Second, 20*time.Millisecond, "what was noted is done")
	b.probed(probe.Messaging, probe.Unreachable)
	status, _ = b.do("POST", "/api/v1/edge-functions/messaging/check", nil, &now)
	require.Equal(t, http.StatusOK, status)
	require.NotEqual(t, probe.Red, now.State)
}

func TestFaultsOfEdgeFunctions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	told := b.edgeEvents()
	var problem api.Problem
	status, _ := b.do("POST", "/api/v1/faults", api.NewFault{EdgeFunction: "mail", Kind: "gremlin", Seconds: 60, Reason: "why"}, &problem)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Equal(t, "unknown_fault", problem.Code)
	status, _ = b.do("POST", "/api/v1/faults", api.NewFault{EdgeFunction: "mail", Kind: "reset", Seconds: 1 << 60, Reason: "why"}, &problem)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Equal(t, "bad_duration", problem.Code)
	var f api.InjectedFault
	status, _ = b.do("POST", "/api/v1/faults", api.NewFault{EdgeFunction: "mail", Kind: "slow", DelayMS: 200, Seconds: 60, Reason: "to see"}, &f)
	require.Equal(t, http.StatusCreated, status)
	require.True(t, f.Active)
	require.EqualValues(t, 200, *f.DelayMS)
	status, _ = b.do("POST", "/api/v1/faults", api.NewFault{EdgeFunction: "mail", Kind: "reset", Seconds: 60, Reason: "more"}, &problem)
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, "fault_there", problem.Code)
	require.Eventually(t, func() bool { return strings.Contains(<-told, f.ID.String()) }, 10*time.Second, time.Millisecond, "pages are told")

	var ended api.InjectedFault
	status, _ = b.do("DELETE", "/api/v1/faults/"+f.ID.String()+"?reason=seen", nil, &ended)
	require.Equal(t, http.StatusOK, status)
	require.False(t, ended.Active)
	require.Eventually(t, func() bool { return strings.Contains(<-told, `"faults":[]`) }, 10*time.Second, time.Millisecond)
	var all api.FaultPage
	b.do("GET", "/api/v1/faults", nil, &all)
	require.Len(t, all.Faults, 1)
	require.NotNil(t, all.Faults[0].EndedAt)
}

// edgeEvents listens to the event stream for how edge functions are.
func (b *bundle) edgeEvents() <-chan string {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", b.url+"/api/v1/events", nil)
	require.NoError(b.t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	require.NoError(b.t, err)
	b.t.Cleanup(func() { cancel(); _ = res.Body.Close() })
	told := make(chan string, 100)
	go func() {
		defer close(told)
		lines := bufio.NewScanner(res.Body)
		lines.Buffer(nil, 1<<20)
		edge := false
		for lines.Scan() {
			kind, is := strings.CutPrefix(lines.Text(), "event: ")
			if is {
				edge = kind == "edge-functions"
			} else if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && edge {
				told <- data
			}
		}
	}()
	return told
}
