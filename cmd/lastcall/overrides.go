package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"lastcall/api"
	"lastcall/domain/approval"
	"lastcall/domain/override"
)

func overridesCommand(sh *shell) *cobra.Command {
	o := newOutput(sh)
	return group(o, "overrides", "Let a campaign, or one message, go in quiet hours for a while", overridesRequest(o),
		overridesDecide(o, "approve", approval.Approved, "Approve an override that somebody else asks for", "why, for the audit log"),
		overridesDecide(o, "reject", approval.Rejected, "Reject an override that somebody else asks for", "why; needed"),
		overridesCancel(o), overridesList(o), overridesShow(o))
}

func overridesRequest(o *output) *cobra.Command {
	var from, to instant
	var id, send, kind, reason string
	cmd := &cobra.Command{
		Use: "request", Short: "Ask a project lead to let something go in quiet hours", Args: cobra.NoArgs,
		Long: `Asks for an override: from --from to --to the campaign, or the one message that waits, goes in quiet hours. Opt-outs,
consent, the frequency cap and throttles hold as ever. A project lead who is somebody else decides; the setting "overrides" says how long it may last and
how long the request waits. It takes an account, not only a token.`,
		Example: `  lastcall overrides request --campaign 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f \
    --from 2026-12-31T22:00:00+02:00 --to 2027-01-01T00:30:00+02:00 --reason "New Year" --as ops@lastcall.test
  lastcall overrides request --send 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f \
    --to 2026-12-31T23:30:00+02:00 --reason "their table is ready" --as support@lastcall.test`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			n := api.NewOverride{Kind: override.Kind(kind), StartsAt: from.time, Reason: reason}
			if id != "" {
				campaign, err := uuid.Parse(id)
				if err != nil {
					return usageError{fmt.Errorf("--campaign: %q is no campaign id: use the whole id, as lastcall campaigns list shows it", id)}
				}
				n.CampaignID = &campaign
			}
			if send != "" {
				one, err := uuid.Parse(send)
				if err != nil {
					return usageError{fmt.Errorf("--send: %q is no message's id: use the whole id, as lastcall sends list shows it", send)}
				}
				n.SendID = &one
			}
			switch {
			case n.Kind != override.QuietHours && n.Kind != override.ProductionDrill:
				return usageError{fmt.Errorf("--kind: use %s or %s", override.QuietHours, override.ProductionDrill)}
			case n.Kind == override.QuietHours && (id == "") == (send == ""):
				return usageError{errors.New("give either --campaign or --send")}
			case to.time == nil:
				return usageError{errors.New("--to is needed: when it ends")}
			case strings.TrimSpace(reason) == "":
				return usageError{errors.New("--reason is needed: say what it is for")}
			}
			n.EndsAt = *to.time
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var got api.Override
			if _, err := c.order(cmd.Context(), http.MethodPost, "/overrides", http.Header{"Idempotency-Key": {uuid.NewString()}}, n, &got); err != nil {
				return err
			}
			return o.override(got)
		},
	}
	cmd.Flags().StringVar(&id, "campaign", "", "the campaign that is to send")
	cmd.Flags().StringVar(&send, "send", "", "the message to one person that is to go")
	cmd.Flags().StringVar(&kind, "kind", string(override.QuietHours), "quiet_hours or production_drill")
	cmd.Flags().Var(&from, "from", "when it begins, RFC 3339 (default as soon as it is approved)")
	cmd.Flags().Var(&to, "to", "when it ends, RFC 3339")
	cmd.Flags().StringVar(&reason, "reason", "", "for whoever decides; needed")
	return cmd
}

func overridesDecide(o *output, name string, verdict approval.Verdict, short, why string) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: name + " ID", Short: short, Args: cobra.MatchAll(cobra.ExactArgs(1), overrideIDs),
		Long:    short + ". It takes a project lead, and nobody decides what they asked for.",
		Example: "  lastcall overrides " + name + " 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f --reason \"as agreed\" --as lead@lastcall.test",
		RunE: func(cmd *cobra.Command, args []string) error {
			if verdict == approval.Rejected && reason == "" {
				return usageError{errors.New("--reason is needed: say why")}
			}
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var got api.Override
			status, err := c.call(cmd.Context(), http.MethodPost, "/overrides/"+args[0]+"/decide", api.OverrideVerdict{Verdict: verdict, Reason: reason}, &got)
			if err != nil {
				return err
			}
			o.pending(cmd.Context(), c, status, name)
			return o.override(got)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", why)
	return cmd
}

func overridesCancel(o *output) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "cancel ID", Short: "Cancel an override, at once", Args: cobra.MatchAll(cobra.ExactArgs(1), overrideIDs),
		Long:    "Cancels an override: nothing more is sent by it. Who asked for it may, and a project lead.",
		Example: "  lastcall overrides cancel 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f --reason \"the concert is over\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var got api.Override
			if _, err := c.call(cmd.Context(), http.MethodPost, "/overrides/"+args[0]+"/cancel", api.OverrideCancel{Reason: reason}, &got); err != nil {
				return err
			}
			return o.override(got)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the audit log")
	return cmd
}

func overridesList(o *output) *cobra.Command {
	var id, send, after string
	var states []string
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List overrides, newest first", Args: cobra.NoArgs,
		Example: "  lastcall overrides list --state requested --state active",
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{"limit": {strconv.Itoa(limit)}, "state": states}
			for _, s := range states {
				if !slices.Contains(override.States, override.State(s)) {
					return usageError{fmt.Errorf("--state: there is no state %q; use one of %v", s, override.States)}
				}
			}
			for name, value := range map[string]string{"campaign_id": id, "send_id": send, "after": after} {
				if value != "" {
					query.Set(name, value)
				}
			}
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var page api.OverridePage
			if err := c.get(cmd.Context(), "/overrides", query, &page); err != nil {
				return err
			}
			return o.print(page, func(t *listing) {
				t.header("id", "kind", "state", "for", "from", "to", "asked by", "decided by")
				for _, v := range page.Overrides {
					by := ""
					if v.Decision != nil {
						by = v.Decision.By.Email
					}
					t.row(v.ID, v.Kind, v.State, overrideSubject(v), v.StartsAt, v.EndsAt, v.RequestedBy.Email, by)
				}
			})
		},
	}
	cmd.Flags().StringVar(&id, "campaign", "", "only those of this campaign")
	cmd.Flags().StringVar(&send, "send", "", "only those of this message")
	cmd.Flags().StringArrayVar(&states, "state", nil, "only those in this state; may be repeated")
	cmd.Flags().StringVar(&after, "after", "", "the next of the page before")
	cmd.Flags().IntVar(&limit, "limit", 50, "at most this many, 500 at most")
	return cmd
}

func overridesShow(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show an override and what happened to it", Args: cobra.MatchAll(cobra.ExactArgs(1), overrideIDs),
		Example: "  lastcall overrides show 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var got api.Override
			if err := c.get(cmd.Context(), "/overrides/"+args[0], nil, &got); err != nil {
				return err
			}
			return o.override(got)
		},
	}
}

// overrideIDs refuses arguments that are no ids.
func overrideIDs(_ *cobra.Command, args []string) error {
	if _, err := uuid.Parse(args[0]); err != nil {
		return fmt.Errorf("%q is no override's id: use the whole id, as lastcall overrides list shows it", args[0])
	}
	return nil
}

// overrideSubject is what an override is for, in a few words.
func overrideSubject(v api.Override) string {
	if v.Send != nil {
		return v.Send.Template + " to " + v.Send.MSISDN
	}
	return v.Campaign
}

// override prints an override and its history.
func (o *output) override(v api.Override) error {
	return o.print(v, func(t *listing) {
		t.row("id", v.ID)
		t.row("kind", v.Kind)
		t.row("state", v.State)
		switch {
		case v.CampaignID != nil:
			t.row("campaign", fmt.Sprintf("%s (%s)", v.Campaign, *v.CampaignID))
		case v.Send != nil:
			t.row("message", fmt.Sprintf("%s (%s)", overrideSubject(v), v.Send.ID))
		}
		t.row("from", v.StartsAt)
		t.row("to", v.EndsAt)
		t.row("reason", v.Reason)
		t.row("asked by", v.RequestedBy.Email)
		if v.State == override.Requested {
			t.row("decide by", v.AskUntil)
		}
		if d := v.Decision; d != nil {
			t.row(string(d.Verdict)+" by", fmt.Sprintf("%s as %s", d.By.Email, d.Role))
			if d.Reason != "" {
				t.row("because", d.Reason)
			}
		}
		if v.EndReason != "" {
			t.row("ended", v.EndReason)
		}
		for _, m := range v.History {
			told := m.What
			if m.Code != "" {
				told += " (" + m.Code + ")"
			}
			if m.By != "" {
				told += " by " + m.By
			}
			t.row(m.At, told)
		}
	})
}
