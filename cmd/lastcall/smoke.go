package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"lastcall/api"
	"lastcall/store"
)

func smokeCommand(sh *shell) *cobra.Command {
	o := newOutput(sh)
	return smokePanel(o, group(o, "smoke", "Smoke tests of a running Lastcall", smokePolicy(o)))
}

func smokePolicy(o *output) *cobra.Command {
	p := policySmoke{output: o}
	cmd := &cobra.Command{
		Use: "policy", Short: "Run the 12 policy scenarios against a running Lastcall and keep the evidence", Args: cobra.NoArgs,
		Long: `Sends to test numbers of its own (+250 789 900 000 and up, +356 7999 0000 and up) and, for its three to four minutes, saves
settings of its own; it puts back those it found, also when it is interrupted. Other campaigns obey those settings meanwhile: run
it where nobody works. What was seen is kept at /smoke-runs for the rollout's gate. One scenario acts as support: as the account
of up.json, else with the token in LASTCALL_SUPPORT_TOKEN.`,
		Example: "  lastcall smoke policy\n  LASTCALL_API=https://staging.example LASTCALL_TOKEN=… LASTCALL_SUPPORT_TOKEN=… lastcall smoke policy --output json",
		RunE:    func(cmd *cobra.Command, _ []string) error { return p.run(cmd.Context()) },
	}
	cmd.Flags().StringVar(&p.template, "template", "promo_generic", "what is sent: a template without required values")
	return cmd
}

// smokeResult is what a run of smoke tests prints.
type smokeResult struct {
	Passed     int               `json:"passed"`
	Failed     int               `json:"failed"`
	SmokeRunID string            `json:"smoke_run_id,omitempty"`
	Scenarios  []store.SmokeItem `json:"scenarios"`
}

// policySmoke is one run of the policy's scenarios.
type policySmoke struct {
	*output
	template string

	smokeSettings
	support   *apiClient
	optedOut  []string // numbers that the run opted out
	blocks    []seenBlock
	campaigns []string // started and perhaps not ended
	items     []store.SmokeItem
}

// evidence is what a scenario saw: ids, states and times, no numbers.
type evidence map[string]any

// scenario is one of the twelve.
type scenario struct {
	id   int
	name string
	run  func(ctx context.Context) (evidence, error)
}

// scenarios are in the order in which they are run: those of the throttle need a minute without sends before them.
func (p *policySmoke) scenarios() []scenario {
	return []scenario{
		{1, "opt-out, single send", p.optOutSingle},
		{3, "quiet hours, single send: the next window is told", p.quietSingle},
		{7, "opt-out and quiet hours: opt-out wins, the other is told", p.optOutWins},
		{8, "bypass by support: refused and audited", p.bypass},
		{10, "bulk throttle: of 100 at 60 a minute 60 go and 40 wait", p.bulkThrottle},
		{11, "bulk throttle: the 40 go by themselves", p.bulkRecovers},
		{5, "throttle hit: the time to try again is told", p.throttleHit},
		{6, "throttle recovered: what waits goes by itself", p.throttleRecovers},
		{2, "opt-out in a campaign", p.optOutBulk},
		{4, "quiet hours in a campaign over two countries", p.quietBulk},
		{9, "a settings change is effective at once", p.changeAtOnce},
		{12, "every block is found in the audit log", p.audited},
	}
}

// run runs them all, puts the settings back whatever happens, and keeps what was seen.
func (p *policySmoke) run(ctx context.Context) (err error) {
	if p.admin, err = p.sh.client(); err != nil {
		return err
	}
	if p.support, err = p.supportClient(); err != nil {
		return err
	}
	p.why, p.found = "smoke: policy", map[string]json.RawMessage{}
	began := time.Now()
	all := p.scenarios()
	show := smokeProgress(p.output, len(all))
	for _, s := range all {
		if ctx.Err() != nil {
			break
		}
		show.begin(s.id, s.name)
		started := time.Now()
		seen, err := s.run(ctx)
		if seen == nil {
			seen = evidence{}
		}
		seen["seconds"] = float64(time.Since(started).Milliseconds()) / 1000
		outcome := store.SmokePassed
		if err != nil {
			outcome, seen["problem"] = store.SmokeFailed, err.Error()
		}
		raw, failed := json.Marshal(seen)
		if failed != nil {
			return failed
		}
		p.items = append(p.items, store.SmokeItem{ID: s.id, Name: s.name, Outcome: outcome, Evidence: raw})
		show.end(s.id, s.name, outcome, err)
	}
	show.close()
	undone := p.undo(context.WithoutCancel(ctx))
	if ctx.Err() != nil {
		return errors.Join(errors.New("interrupted; the settings are as they were, nothing was recorded"), undone)
	}
	slices.SortFunc(p.items, func(a, b store.SmokeItem) int { return cmp.Compare(a.ID, b.ID) })
	return errors.Join(p.report(ctx, began), undone)
}

// report keeps and prints what was seen. It fails when a scenario has.
func (p *policySmoke) report(ctx context.Context, began time.Time) error {
	out := smokeResult{Scenarios: p.items}
	for _, item := range p.items {
		if item.Outcome == store.SmokePassed {
			out.Passed++
		} else {
			out.Failed++
		}
	}
	var kept api.SmokeRun
	_, failed := p.admin.call(ctx, http.MethodPost, "/smoke-runs", api.NewSmokeRun{Kind: store.SmokePolicy, Build: p.admin.build(ctx), Environment: p.admin.base,
		StartedAt: began, FinishedAt: time.Now(), Items: p.items}, &kept)
	if failed == nil {
		out.SmokeRunID = kept.SmokeRunID.String()
	} else {
		failed = fmt.Errorf("the evidence could not be kept: %w", failed)
	}
	err := p.print(out, func(t *listing) {
		t.header("", "scenario", "outcome", "why")
		for _, item := range out.Scenarios {
			var seen struct{ Problem string }
			_ = json.Unmarshal(item.Evidence, &seen) // our own
			t.row(item.ID, item.Name, item.Outcome, seen.Problem)
		}
	})
	if err == nil && out.Failed > 0 {
		err = fmt.Errorf("%d of %d scenarios failed", out.Failed, len(out.Scenarios))
	}
	return errors.Join(err, failed)
}

// supportClient calls as somebody of support.
func (p *policySmoke) supportClient() (*apiClient, error) {
	if token := os.Getenv("LASTCALL_SUPPORT_TOKEN"); token != "" {
		return &apiClient{base: p.admin.base, token: token}, nil
	}
	other := &shell{stdout: p.sh.stdout, stderr: p.sh.stderr, configFile: p.sh.configFile, dataDir: p.sh.dataDir, as: "support@lastcall.test"}
	c, err := other.client()
	if err != nil {
		return nil, fmt.Errorf("a scenario acts as support; set LASTCALL_SUPPORT_TOKEN, or run where lastcall up does: %w", err)
	}
	return c, nil
}

// build says which build of Lastcall answers, "unknown" if it does not say.
func (c *apiClient) build(ctx context.Context) string {
	var alive struct{ Build string }
	res, err := c.page(ctx, "/healthz")
	if err == nil {
		defer func() { _ = res.Body.Close() }()
		err = json.NewDecoder(io.LimitReader(res.Body, 1<<16)).Decode(&alive)
	}
	if err != nil {
		return "unknown"
	}
	return cmp.Or(alive.Build, "unknown")
}

// page asks for an address beside the API, as who calls without signing in.
func (c *apiClient) page(ctx context.Context, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.silent(err)
	}
	return res, nil
}

// smokeProgress is a bar on a terminal, else a line a scenario.
func smokeProgress(o *output, total int) *smokeView {
	v := &smokeView{output: o}
	if o.live() {
		v.progress = mpb.New(mpb.WithOutput(o.sh.stderr), mpb.WithWidth(40), mpb.WithRefreshRate(150*time.Millisecond))
		v.bar = v.progress.New(int64(total), barStyle(), mpb.PrependDecorators(decor.CountersNoUnit("%d / %d ")), mpb.AppendDecorators(decor.Elapsed(decor.ET_STYLE_MMSS)))
	}
	return v
}

type smokeView struct {
	*output
	progress *mpb.Progress
	bar      *mpb.Bar
}

func (v *smokeView) line(text string) {
	if v.progress != nil {
		_, _ = v.progress.Write([]byte(text + "\n"))
		return
	}
	v.say("%s", text)
}

func (v *smokeView) begin(id int, name string) {
	if v.progress == nil {
		v.line(fmt.Sprintf("… %d %s", id, name))
	}
}

func (v *smokeView) end(id int, name, outcome string, err error) {
	line := fmt.Sprintf("%s %d %s", map[string]string{store.SmokePassed: "✓", store.SmokeFailed: "✗", store.SmokeInconclusive: "?"}[outcome], id, name)
	if err != nil {
		line += ": " + err.Error()
	}
	v.line(line)
	if v.bar != nil {
		v.bar.Increment()
	}
}

func (v *smokeView) close() {
	if v.bar != nil {
		v.bar.Abort(false)
		v.bar.Wait()
		v.progress.Shutdown()
	}
}
