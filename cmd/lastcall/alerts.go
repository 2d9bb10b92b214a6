package main

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"lastcall/api"
	"lastcall/domain/alert"
)

func alertsCommand(sh *shell) *cobra.Command {
	o := newOutput(sh)
	return group(o, "alerts", "What is wrong, and who has seen it", alertsList(o), alertsRules(o), alertsAck(o), alertsTest(o))
}

func alertsList(o *output) *cobra.Command {
	var p paging
	var states []string
	var rule, drill string
	cmd := &cobra.Command{
		Use: "list", Short: "List alerts, newest first", Args: cobra.NoArgs,
		Long: `Lists alerts: pending ones, whose clock runs, firing ones, and those that are over. The messages are what the Ops channel
and mail got of each; one without a time waits until the channel takes it.`,
		Example: "  lastcall alerts list --state firing",
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := p.query()
			for _, s := range states {
				if !slices.Contains(alert.States, alert.State(s)) {
					return usageError{fmt.Errorf("--state: there is no state %q; use one of %v", s, alert.States)}
				}
				query.Add("state", s)
			}
			for name, value := range map[string]string{"rule": rule, "drill_id": drill} {
				if value != "" {
					query.Set(name, value)
				}
			}
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var page api.AlertPage
			if err := c.get(cmd.Context(), "/alerts", query, &page); err != nil {
				return err
			}
			return o.print(page, func(t *listing) {
				t.header("id", "state", "severity", "what", "about", "since", "seen by", "incident", "messages")
				for _, a := range page.Alerts {
					t.row(a.ID, a.State, a.Severity, drilled(a.Title, a.IsDrill), a.Subject, a.PendingSince, a.AcknowledgedBy, incidentNumber(a.Incident), alertMessages(a))
				}
			})
		},
	}
	p.flags(cmd)
	cmd.Flags().StringArrayVar(&states, "state", nil, "only those in this state: pending, firing or resolved; may be repeated")
	cmd.Flags().StringVar(&rule, "rule", "", "only those of this rule")
	cmd.Flags().StringVar(&drill, "drill", "", "only those that this drill made")
	return cmd
}

func alertsRules(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "rules", Short: "List the rules, and what each makes of what was measured last", Args: cobra.NoArgs,
		Example: "  lastcall alerts rules",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var all api.AlertRules
			if err := c.get(cmd.Context(), "/alert-rules", url.Values{}, &all); err != nil {
				return err
			}
			return o.print(all, func(t *listing) {
				t.header("rule", "severity", "when", "about", "now", "verdict")
				for _, r := range all.Rules {
					if len(r.Readings) == 0 {
						t.row(r.Name, r.Severity, r.When, "", "", "not measured yet")
					}
					for _, one := range r.Readings {
						t.row(r.Name, r.Severity, r.When, one.Subject, one.Shown, one.Verdict)
					}
				}
			})
		},
	}
}

func alertsAck(o *output) *cobra.Command {
	var note string
	cmd := &cobra.Command{
		Use: "ack ID", Short: "Acknowledge an alert: somebody sees to it", Args: cobra.MatchAll(cobra.ExactArgs(1), alertIDs),
		Long:    "Acknowledges an alert that fires. It is not repeated any more, and the Ops channel reads who has seen it.",
		Example: "  lastcall alerts ack 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f --note \"on it\" --as ops@lastcall.test",
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.callAlert(cmd, "/alerts/"+args[0]+"/acknowledge", note)
		},
	}
	cmd.Flags().StringVar(&note, "note", "", "for the audit log")
	return cmd
}

func alertsTest(o *output) *cobra.Command {
	var note string
	cmd := &cobra.Command{
		Use: "test", Short: "Send a test alert to the Ops channel", Args: cobra.NoArgs,
		Long:    "Sends a test alert, so that somebody sees whether it arrives, and acknowledges it.",
		Example: "  lastcall alerts test --note \"before the pilot\"",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.callAlert(cmd, "/alerts/test", note)
		},
	}
	cmd.Flags().StringVar(&note, "note", "", "for the audit log")
	return cmd
}

func (o *output) callAlert(cmd *cobra.Command, path, note string) error {
	c, err := o.sh.client()
	if err != nil {
		return err
	}
	var a api.Alert
	if _, err := c.call(cmd.Context(), http.MethodPost, path, api.AlertNote{Note: note}, &a); err != nil {
		return err
	}
	return o.print(a, func(t *listing) {
		t.row("id", a.ID)
		t.row("what", drilled(a.Title, a.IsDrill))
		t.row("state", a.State)
		t.row("since", a.PendingSince)
		if a.AcknowledgedAt != nil {
			t.row("seen by", a.AcknowledgedBy)
		}
		t.row("messages", alertMessages(a))
	})
}

func alertIDs(_ *cobra.Command, args []string) error {
	if _, err := uuid.Parse(args[0]); err != nil {
		return fmt.Errorf("%q is no alert's id: use the whole id, as lastcall alerts list shows it", args[0])
	}
	return nil
}

func alertMessages(a api.Alert) string {
	var said []string
	for _, n := range a.Notices {
		one := fmt.Sprintf("%s %s", n.Channel, n.MessageID)
		switch {
		case n.Outcome == "no_channel":
			one += " (not configured)"
		case n.DeliveredAt == nil:
			one += " (waits)"
		}
		said = append(said, one)
	}
	return strings.Join(said, ", ")
}

func drilled(title string, drill bool) string {
	if drill {
		return "DRILL – " + title
	}
	return title
}

func incidentNumber(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("INC-%d", n)
}
