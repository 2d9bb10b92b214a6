package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/api"
	"lastcall/store"
)

// smoke runs items against a Lastcall and returns what it printed.
func (w *whole) smoke(t *testing.T, items string) (out panelSmokeResult) {
	t.Helper()
	var said, failed bytes.Buffer
	cmd := w.command(t, "smoke", "--items", items, "--output", "json")
	cmd.Stdout, cmd.Stderr = &said, &failed
	err := cmd.Run()
	require.NoError(t, json.Unmarshal(said.Bytes(), &out), "%v: %s", err, failed.Bytes())
	require.NotContains(t, failed.String(), "not everything could be put back")
	require.Equal(t, out.Passed == len(out.Items), err == nil, "it ends well only if everything has passed")
	return out
}

// problems are what has not passed of a run, but for what is expected not to.
func (r panelSmokeResult) problems(but ...string) (all []string) {
	for _, item := range r.Items {
		if item.Outcome != store.SmokePassed && !slices.ContainsFunc(but, func(why string) bool { return strings.Contains(string(item.Evidence), why) }) {
			all = append(all, fmt.Sprintf("%d %s %s", item.ID, item.Outcome, item.Evidence))
		}
	}
	return all
}

// TestSmoke: a fresh Lastcall passes its own smoke tests, which leave it as it was, also when they are interrupted; and its
// staging set is what it should be, is taken out and loaded again.
func TestSmoke(t *testing.T) {
	w := &whole{dir: dataDir(t), base: portBase(t)}
	w.start(t)
	admin := apiClient{base: w.API, token: w.Token}
	settings := func() map[string]string {
		t.Helper()
		all := map[string]string{}
		for _, key := range store.SettingsKeys {
			var now store.SettingsRevision
			require.NoError(t, admin.get(t.Context(), "/settings/"+key, nil, &now))
			all[key] = string(now.Value)
		}
		return all
	}
	verified := func() bool { return w.cli(t, "fixtures", "verify")["ok"] == true }
	require.True(t, verified())
	before := settings()
	bars := w.cli(t, "bars", "list")

	run := w.smoke(t, "1-30")
	require.Len(t, run.Items, 30)
	require.Empty(t, run.problems("has no station app in it"), "a test's binary may have no panel in it") // TestPanel has
	require.NotEmpty(t, run.Build)
	require.Equal(t, before, settings(), "the settings are as they were")
	require.Equal(t, bars, w.cli(t, "bars", "list"), "and so are the bars")
	require.True(t, verified())
	for i, kind := range []string{"admin", "station"} {
		var page api.SmokeRunPage
		require.NoError(t, admin.get(t.Context(), "/smoke-runs", url.Values{"kind": {kind}}, &page))
		require.Len(t, page.SmokeRuns, 1)
		require.Equal(t, run.SmokeRuns[i], page.SmokeRuns[0].SmokeRunID.String())
		require.Equal(t, run.Build, page.SmokeRuns[0].Build)
		require.Equal(t, w.API, page.SmokeRuns[0].Environment)
	}
	for _, number := range regexp.MustCompile(`\+(250|356)\d{6,}`).FindAllString(fmt.Sprint(run.Items), -1) {
		t.Errorf("the evidence holds the number %s", number)
	}

	// A part is not taken for the whole.
	part := w.smoke(t, "21,30")
	require.Len(t, part.Items, 2)
	require.Len(t, part.SmokeRuns, 1)
	var page api.SmokeRunPage
	require.NoError(t, admin.get(t.Context(), "/smoke-runs", url.Values{"kind": {"station"}, "limit": {"1"}}, &page))
	require.Equal(t, store.SmokeInconclusive, page.SmokeRuns[0].Outcome)
	require.Len(t, page.SmokeRuns[0].Items, 10)

	// Interrupted in the middle of a rehearsal, of a Lastcall that is elsewhere.
	reached := make(chan struct{})
	elsewhere, err := url.Parse(w.API)
	require.NoError(t, err)
	forward := httputil.NewSingleHostReverseProxy(elsewhere)
	proxy := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/station/redemptions") {
			close(reached)
			<-r.Context().Done()
			return
		}
		forward.ServeHTTP(rw, r)
	}))
	t.Cleanup(proxy.Close)
	var said bytes.Buffer
	cmd := w.command(t, "smoke", "--items", "23", "--base-url", proxy.URL, "--accounts", filepath.Join(w.dir, upFileName))
	cmd.Stderr = &said
	require.NoError(t, cmd.Start())
	<-reached
	require.NotEqual(t, before, settings())
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	require.Error(t, cmd.Wait())
	require.Contains(t, said.String(), "interrupted; the settings are as they were, nothing was recorded")
	require.Equal(t, before, settings())
	require.Equal(t, bars, w.cli(t, "bars", "list"))

	// Taken out and loaded again, the set's campaign has a workflow again: nobody is needed.
	fresh := w.cli(t, "fixtures", "load", "--fresh")
	require.Equal(t, map[string]any{"accounts": nil, "campaigns": 2.0, "vouchers": 20.0}, map[string]any{"accounts": fresh["added"].(map[string]any)["accounts"],
		"campaigns": fresh["added"].(map[string]any)["campaigns"], "vouchers": fresh["removed"].(map[string]any)["removed"].(map[string]any)["vouchers"]})
	require.Eventually(t, func() bool {
		_, status := w.campaign(t, store.FixtureCampaignID("Example: a drink on us"))
		return status == "running"
	}, time.Minute, 200*time.Millisecond)
	require.True(t, verified())
	w.exitsWith(t, exitDone, "fixtures", "teardown")
	w.exitsWith(t, exitFailed, "fixtures", "verify")
}

func (w *whole) exitsWith(t *testing.T, code int, args ...string) {
	t.Helper()
	out, err := w.command(t, args...).CombinedOutput()
	got := 0
	if failed, ok := err.(*exec.ExitError); ok {
		got = failed.ExitCode()
	} else {
		require.NoError(t, err)
	}
	require.Equal(t, code, got, "%s", out)
}

func TestWhichItems(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]int{"1-3": {1, 2, 3}, "30": {30}, "7, 3,3-4": {3, 4, 7}, "0": nil, "31": nil, "5-2": nil, "": nil, "x": nil, "1-": nil} {
		got, err := parseItems(text)
		require.Equal(t, want == nil, err != nil, text)
		require.Equal(t, want, got, text)
	}
}

func TestContrastIsThatOfWCAG(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		want float64
	}{{"#000000", "#ffffff", 21}, {"#fff", "#000", 21}, {"#777777", "#ffffff", 4.48}, {"#123456", "#123456", 1}, {"#767676", "#ffffff", 4.54}, {"#595959", "#fff", 7}} {
		got, err := contrastOf(tt.a, tt.b)
		require.NoError(t, err)
		require.InDelta(t, tt.want, got, 0.01, "%s on %s", tt.a, tt.b)
	}
	for _, wrong := range []string{"", "#12", "red", "#gggggg"} {
		_, err := contrastOf(wrong, "#ffffff")
		require.Error(t, err, wrong)
	}
}

// TestEveryNumberHasABrowserTest: the browser tests carry the numbers of the smoke tests in their names.
func TestEveryNumberHasABrowserTest(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../ui/e2e/*.spec.ts")
	require.NoError(t, err)
	title := regexp.MustCompile(`(?m)^\s*test\(\s*['"\x60]\[smoke ([0-9, ]+)\]`)
	found := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range title.FindAllStringSubmatch(string(text), -1) {
			for number := range strings.SplitSeq(m[1], ",") {
				found[strings.TrimSpace(number)] = filepath.Base(file)
			}
		}
	}
	for _, item := range (&panelSmoke{}).list() {
		require.Contains(t, found, fmt.Sprint(item.id), "no browser test is called [smoke %d]: %s", item.id, item.name)
		delete(found, fmt.Sprint(item.id))
	}
	require.Empty(t, found, "there are no such items")
}
