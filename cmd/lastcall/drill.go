package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"lastcall/api"
	"lastcall/domain/drill"
)

func drillCommand(sh *shell) *cobra.Command {
	o := newOutput(sh)
	return group(o, "drill", "Have an incident on purpose, and see how well it is met", drillScenarios(o), drillRun(o), drillSchedule(o), drillUnschedule(o), drillHistory(o), drillShow(o), drillAbort(o))
}

func drillScenarios(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List what can be drilled, and what begins by itself", Args: cobra.NoArgs,
		Example: "  lastcall drill list",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var all api.DrillScenarios
			if err := c.get(cmd.Context(), "/drill-scenarios", nil, &all); err != nil {
				return err
			}
			schedules, err := drillSchedules(cmd.Context(), c)
			if err != nil {
				return err
			}
			next := map[string]string{}
			for _, s := range schedules {
				next[s.Scenario] = "paused"
				if s.Next != nil {
					next[s.Scenario] = s.Next.Format("Mon 02 Jan, 15:04 (MST)")
				}
			}
			return o.print(struct {
				api.DrillScenarios
				api.DrillSchedules
			}{all, api.DrillSchedules{Schedules: schedules}}, func(t *listing) {
				t.header("name", "what happens", "fault", "for at most", "fast", "by itself")
				for _, s := range all.Scenarios {
					t.row(s.Name, s.Title, fmt.Sprintf("%s %s", s.Fault.EdgeFunction, s.Fault.Kind), s.Fault.For, s.Fast.FaultFor, next[s.Name])
				}
			})
		},
	}
}

func drillRun(o *output) *cobra.Command {
	var fast bool
	var reason string
	cmd := &cobra.Command{
		Use: "run NAME", Short: "Begin a drill and watch it to its end", Args: cobra.ExactArgs(1),
		Long: `Puts a fault in the way and watches what the system makes of it: is it detected, does the right alert arrive, is it
acknowledged, is the damage held off, is all steady again once the fault is gone. Prints the journal and exits with 0 when nothing
deviated, else with 1. Somebody must acknowledge the alert in time; with --fast, which takes minutes, the drill does so itself. The
fault is taken away whatever happens, and expires by itself. Ctrl-C stops the drill.`,
		Example: "  lastcall drill run messaging-outage --fast --output json",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			body, err := json.Marshal(api.NewDrill{Scenario: args[0], Fast: fast, Reason: reason})
			if err != nil {
				return err
			}
			// The key makes it happen once, whatever lies between repeats.
			header := http.Header{"Content-Type": {"application/json"}, "Idempotency-Key": {uuid.NewString()}}
			var begun api.Drill
			if _, err := c.send(cmd.Context(), http.MethodPost, "/drills", header, bytes.NewReader(body), &begun); err != nil {
				return err
			}
			d, err := o.watchDrill(cmd.Context(), c, begun)
			if err != nil {
				return err
			}
			return errors.Join(o.drill(d), drillVerdict(d))
		},
	}
	cmd.Flags().BoolVar(&fast, "fast", false, "within minutes, with thresholds of seconds")
	cmd.Flags().StringVar(&reason, "reason", "from the command line", "for the audit log")
	return cmd
}

// watchDrill tells what happens as it comes, until the drill is over. Interrupted, it stops the drill.
func (o *output) watchDrill(ctx context.Context, c *apiClient, d api.Drill) (api.Drill, error) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	view := &drillView{output: o, told: map[string]bool{}}
	heard := time.Now()
	for {
		view.show(d)
		if !d.Status.Open() {
			return d, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return d, o.interruptDrill(context.WithoutCancel(ctx), c, d.DrillID)
		}
		var now api.Drill
		switch err := c.get(ctx, "/drills/"+d.DrillID.String(), nil, &now); {
		case err == nil:
			d, heard = now, time.Now()
		case ctx.Err() != nil:
		case !passing(err) || time.Since(heard) > watchSilence:
			return d, fmt.Errorf("no longer watching; the drill goes on, and its fault ends by itself: lastcall drill show %s: %w", d.DrillID, err)
		}
	}
}

func (o *output) interruptDrill(ctx context.Context, c *apiClient, id uuid.UUID) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var d api.Drill
	if _, err := c.call(ctx, http.MethodPost, "/drills/"+id.String()+"/abort", api.DrillAbort{Reason: "interrupted in the terminal"}, &d); err != nil {
		return fmt.Errorf("interrupted; the drill could not be stopped, and its fault ends by itself: %w", err)
	}
	return fmt.Errorf("interrupted; the fault is gone: lastcall drill show %s", id)
}

// drillView tells each thing once.
type drillView struct {
	*output
	told map[string]bool
}

func (v *drillView) show(d api.Drill) {
	v.once("begin", "%s: %s", d.Scenario, d.Experiment.Title)
	if b := d.SteadyStates.Before; b != nil {
		v.entries(d, b.Probes)
	}
	v.entries(d, d.Run)
	v.entries(d, d.Rollbacks)
	if a := d.SteadyStates.After; a != nil {
		v.entries(d, a.Probes)
	}
}

func (v *drillView) entries(d api.Drill, all []drill.JournalEntry) {
	for _, e := range all {
		mark := "✓"
		if e.Status != drill.Success {
			mark = "✗"
		}
		v.once(string(e.Phase)+e.Name+e.At.String(), "%s %7.1fs %s%s", mark, e.At.Sub(d.Start).Seconds(), e.Name, toldOf(e))
	}
}

func (v *drillView) once(key, message string, args ...any) {
	if !v.told[key] {
		v.told[key] = true
		v.say(message, args...)
	}
}

// toldOf is what an entry shows that people want to know at once.
func toldOf(e drill.JournalEntry) string {
	var seen struct {
		Why       string
		MessageID string `json:"message_id"`
		State     string
		How       string
	}
	_ = json.Unmarshal(e.Output, &seen) // our own
	for _, s := range []string{seen.Why, seen.MessageID, seen.How, seen.State} {
		if s != "" {
			return " (" + s + ")"
		}
	}
	return ""
}

// drillVerdict is the error of a drill that did not go as expected.
func drillVerdict(d api.Drill) error {
	switch {
	case d.Status != drill.Completed:
		return fmt.Errorf("the drill %s: %s", d.Status, d.Why)
	case d.Deviated:
		missed := []string{}
		for _, p := range d.Parts {
			if !p.Met {
				missed = append(missed, fmt.Sprintf("%s (%s)", p.Event, p.Why))
			}
		}
		return fmt.Errorf("the drill scored %d: %s", d.Score, strings.Join(missed, ", "))
	}
	return nil
}

func drillHistory(o *output) *cobra.Command {
	var scenario string
	var at paging
	cmd := &cobra.Command{
		Use: "history", Short: "List the drills that were run, newest first", Args: cobra.NoArgs,
		Example: "  lastcall drill history --scenario messaging-outage",
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := at.query()
			if scenario != "" {
				query.Set("scenario", scenario)
			}
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var page api.DrillPage
			if err := c.get(cmd.Context(), "/drills", query, &page); err != nil {
				return err
			}
			return o.print(page, func(t *listing) {
				t.header("id", "scenario", "fast", "status", "score", "began", "by", "why")
				for _, d := range page.Drills {
					score := ""
					if d.Score != nil {
						score = fmt.Sprint(*d.Score)
					}
					t.row(d.DrillID, d.Scenario, d.Fast, d.Status, score, d.Start, d.By, d.Why)
				}
			})
		},
	}
	cmd.Flags().StringVar(&scenario, "scenario", "", "only those of this one")
	at.flags(cmd)
	return cmd
}

func drillShow(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show a drill with its journal", Args: cobra.MatchAll(cobra.ExactArgs(1), drillIDs),
		Example: "  lastcall drill show 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var d api.Drill
			if err := c.get(cmd.Context(), "/drills/"+url.PathEscape(args[0]), nil, &d); err != nil {
				return err
			}
			return o.drill(d)
		},
	}
}

func drillAbort(o *output) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "abort ID", Short: "Stop a drill; its fault is gone at once", Args: cobra.MatchAll(cobra.ExactArgs(1), drillIDs),
		Example: "  lastcall drill abort 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f --reason \"the concert begins\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var d api.Drill
			if _, err := c.call(cmd.Context(), http.MethodPost, "/drills/"+args[0]+"/abort", api.DrillAbort{Reason: reason}, &d); err != nil {
				return err
			}
			return o.drill(d)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the audit log")
	return cmd
}

// drillIDs refuses arguments that are no ids.
func drillIDs(_ *cobra.Command, args []string) error {
	if _, err := uuid.Parse(args[0]); err != nil {
		return fmt.Errorf("%q is no drill's id: use the whole id, as lastcall drill history shows it", args[0])
	}
	return nil
}

// drill prints a drill: all of its journal as JSON, else how it went.
func (o *output) drill(d api.Drill) error {
	return o.print(d, func(t *listing) {
		t.row("id", d.DrillID)
		t.row("scenario", d.Scenario)
		t.row("status", d.Status)
		if d.Why != "" {
			t.row("why", d.Why)
		}
		t.row("began", d.Start)
		t.row("took", fmt.Sprintf("%.1f s", d.Duration))
		for _, p := range d.Parts {
			after := "not seen"
			if p.After != nil {
				after = fmt.Sprintf("after %.1f s", *p.After)
			}
			t.row(string(p.Event), fmt.Sprintf("%s of %.0f s · %d of %d · %s", after, p.Within, p.Points, p.Weight, p.Why))
		}
		if d.Capped != "" {
			t.row("capped", d.Capped)
		}
		t.row("score", d.Score)
		t.row("deviated", d.Deviated)
	})
}
