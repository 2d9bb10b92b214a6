package main

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"lastcall/api"
)

func probesCommand(sh *shell) *cobra.Command {
	o := newOutput(sh)
	return group(o, "probes", "How the services are that Lastcall leans on", probesList(o), probesCheck(o))
}

func probesList(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List edge functions and how they are", Args: cobra.NoArgs,
		Example: "  lastcall probes list\n  lastcall probes list --output json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var all api.EdgeFunctions
			if err := c.get(cmd.Context(), "/edge-functions", nil, &all); err != nil {
				return err
			}
			return o.print(all, func(t *listing) {
				t.header("edge function", "state", "since", "ms", "green 24 h", "watched", "found")
				for _, f := range all.Functions {
					t.row(f.Name, f.State, f.Since, latency(f.LatencyMS), fmt.Sprintf("%.2f %%", 100*f.Availability.Green),
						(time.Duration(f.Availability.Watched) * time.Second).Truncate(time.Minute), found(f.EdgeFunction))
				}
				t.right(4, 5, 6)
			})
		},
	}
}

func probesCheck(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "check NAME", Short: "Have an edge function probed now", Args: cobra.ExactArgs(1),
		Long: `Has a worker probe one edge function now and prints what was found; exit code 1 unless it is green or amber. When nobody
has probed it within five seconds it prints what was known before, and says so.`,
		Example: "  lastcall probes check messaging",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var f api.EdgeFunction
			status, err := c.call(cmd.Context(), http.MethodPost, "/edge-functions/"+url.PathEscape(args[0])+"/check", nil, &f)
			if err != nil {
				return err
			}
			if status == http.StatusAccepted {
				o.say("nobody has probed it yet: this is what was known before")
			}
			if err := o.print(f, func(t *listing) {
				t.header("edge function", "state", "since", "ms", "found")
				t.row(f.Name, f.State, f.Since, latency(f.LatencyMS), found(f))
			}); err != nil {
				return err
			}
			if f.State != "green" && f.State != "amber" {
				return fmt.Errorf("%s is %s", f.Name, f.State)
			}
			return nil
		},
	}
}

func found(f api.EdgeFunction) string {
	text := f.Detail
	if f.State == "red" {
		text += " " + f.Impact
	}
	if f.IsDrill {
		text += " (a fault is in its way on purpose)"
	}
	return text
}

func latency(ms *int64) string {
	if ms == nil {
		return ""
	}
	return thousands(*ms)
}
