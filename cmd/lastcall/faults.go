package main

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"lastcall/api"
)

func faultsCommand(sh *shell) *cobra.Command {
	o := newOutput(sh)
	return group(o, "faults", "What makes edge functions fail on purpose", faultsList(o), faultsInject(o), faultsStop(o))
}

func faultsList(o *output) *cobra.Command {
	var p paging
	cmd := &cobra.Command{
		Use: "list", Short: "List faults, newest first, those that have ended too", Args: cobra.NoArgs,
		Example: "  lastcall faults list --limit 10",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var all api.FaultPage
			if err := c.get(cmd.Context(), "/faults", p.query(), &all); err != nil {
				return err
			}
			return o.print(all, func(t *listing) {
				t.header("id", "edge function", "kind", "share", "state", "until", "by", "why")
				for _, f := range all.Faults {
					t.faultRow(f)
				}
			})
		},
	}
	p.flags(cmd)
	return cmd
}

func faultsInject(o *output) *cobra.Command {
	var n api.NewFault
	var lasts, delay time.Duration
	cmd := &cobra.Command{
		Use: "inject EDGE-FUNCTION KIND", Short: "Make an edge function fail, for a while", Args: cobra.ExactArgs(2),
		Long: `Makes calls to an edge function fail before they leave, for everybody, until the time is over or the fault is switched off.
Kinds: timeout, reset, rate_limited, server_error, slow (with --delay), wrong_body; of the dispatcher: stop_polling.
It is refused where messages go to people.`,
		Example: `  lastcall faults inject voucher-card timeout --for 10m --reason "what do stations see?" --as ops@lastcall.test
  lastcall faults inject messaging slow --delay 3s --share 0.5 --for 5m --reason drill --as ops@lastcall.test`,
		RunE: func(cmd *cobra.Command, args []string) error {
			n.EdgeFunction, n.Kind, n.Seconds, n.DelayMS = args[0], args[1], int64(lasts.Seconds()), delay.Milliseconds()
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var f api.InjectedFault
			if _, err := c.call(cmd.Context(), http.MethodPost, "/faults", n, &f); err != nil {
				return err
			}
			return o.print(f, func(t *listing) { t.faultRow(f) })
		},
	}
	cmd.Flags().DurationVar(&lasts, "for", 10*time.Minute, "then it ends by itself; two hours at most")
	cmd.Flags().DurationVar(&delay, "delay", 0, "of slow: how much later answers come; a minute at most")
	cmd.Flags().Float64Var(&n.Share, "share", 1, "of the calls")
	cmd.Flags().StringVar(&n.Reason, "reason", "", "why, for the audit log; required")
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}

func faultsStop(o *output) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "stop ID", Short: "Switch a fault off", Args: cobra.ExactArgs(1),
		Example: `  lastcall faults stop 0199f3c2-7c1e-7d3a-9a55-2f6f0c8f1b11 --reason "seen enough" --as ops@lastcall.test`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			path := "/faults/" + url.PathEscape(args[0])
			if reason != "" {
				path += "?" + url.Values{"reason": {reason}}.Encode()
			}
			var f api.InjectedFault
			if _, err := c.call(cmd.Context(), http.MethodDelete, path, nil, &f); err != nil {
				return err
			}
			return o.print(f, func(t *listing) { t.faultRow(f) })
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the audit log")
	return cmd
}

func (t *listing) faultRow(f api.InjectedFault) {
	state := "over"
	switch {
	case f.Active:
		state = "active"
	case f.EndedAt != nil:
		state = "switched off"
	}
	kind := string(f.Kind)
	if f.DelayMS != nil {
		kind += fmt.Sprintf(" %s", time.Duration(*f.DelayMS)*time.Millisecond)
	}
	t.row(f.ID, f.EdgeFunction, kind, fmt.Sprintf("%.0f %%", 100*f.Share), state, f.ExpiresAt, f.By, f.Reason)
}
