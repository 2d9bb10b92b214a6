package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"lastcall/api"
	"lastcall/domain/campaign"
	"lastcall/domain/policy"
)

func campaignsCommand(sh *shell) *cobra.Command {
	o := newOutput(sh)
	return group(o, "campaigns", "Send messages to many",
		campaignsLaunch(o), campaignsCreate(o), campaignsChange(o), campaignsImport(o), campaignsPreflight(o), campaignsForecast(o), campaignsStart(o), campaignsList(o), campaignsGet(o),
		campaignsWatch(o), campaignsOrder(o, "pause", "Pause a campaign: nothing goes until it is resumed"),
		campaignsOrder(o, "resume", "Resume a paused campaign where it was"),
		campaignsOrder(o, "stop", "Stop a campaign for good: what is queued is cancelled"), campaignsTargets(o),
		campaignsTarget(o), campaignsFailures(o), campaignsWeight(o), campaignsResend(o), campaignsRecover(o),
		campaignsImports(o), campaignsImportCancel(o), campaignsAudience(o),
		campaignsRequestApproval(o), campaignsApprove(o), campaignsReject(o), campaignsApprovals(o))
}

func campaignsCreate(o *output) *cobra.Command {
	n := api.NewCampaign{Variables: pairs{}}
	var offer offerFlags
	cmd := &cobra.Command{
		Use: "create", Short: "Create a campaign without targets", Args: cobra.NoArgs,
		Example: `  lastcall campaigns create --name "Friday happy hour" --template promo_generic
  lastcall campaigns create --name "A drink on us" --template voucher_gift --voucher 2000 --valid 7d --stations ENG-001,ENG-002`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			if n.Voucher, err = offer.offer(); err != nil {
				return err
			}
			made, err := c.create(cmd.Context(), n)
			if err != nil {
				return err
			}
			return o.campaign(made)
		},
	}
	cmd.Flags().StringVar(&n.Name, "name", "", "what to call it")
	templateFlags(cmd, &n)
	offer.flags(cmd)
	_ = cmd.MarkFlagRequired("name") // it exists
	return cmd
}

// templateFlags are the flags that say what is sent, and how it stands beside others.
func templateFlags(cmd *cobra.Command, n *api.NewCampaign) {
	cmd.Flags().StringVar(&n.Template, "template", "", "name of the message template, or the id of one version")
	cmd.Flags().Var(pairs(n.Variables), "var", "a template variable that is the same for all, repeatable")
	n.Weight = 1
	cmd.Flags().Var((*weight)(&n.Weight), "weight", "its part of the channel where campaigns compete for it, 1 to 100")
	_ = cmd.MarkFlagRequired("template") // it exists
}

func campaignsStart(o *output) *cobra.Command {
	var at instant
	cmd := &cobra.Command{
		Use: "start ID", Short: "Start a campaign that has targets", Args: cobra.MatchAll(cobra.ExactArgs(1), campaignIDs),
		Example: "  lastcall campaigns start 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f --at 2026-12-31T20:00:00+02:00",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			started, err := o.start(cmd.Context(), c, args[0], at.time)
			if err != nil {
				return err
			}
			return o.campaign(started)
		},
	}
	cmd.Flags().Var(&at, "at", "when to begin sending, RFC 3339 (default now)")
	return cmd
}

func campaignsOrder(o *output, order, short string) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: order + " ID", Short: short, Args: cobra.MatchAll(cobra.ExactArgs(1), campaignIDs),
		Example: fmt.Sprintf("  lastcall campaigns %s 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f --reason \"wrong price\"", order),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var got api.Campaign
			status, err := c.call(cmd.Context(), http.MethodPost, "/campaigns/"+args[0]+"/"+order, api.Order{Reason: reason}, &got)
			if err != nil {
				return err
			}
			o.pending(cmd.Context(), c, status, order)
			if b := got.Boundary; b != nil && status == http.StatusOK {
				o.say("%s accepted by the provider, %s in flight", thousands(b.Accepted), thousands(b.InFlight))
			}
			return o.campaign(got)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the audit log")
	return cmd
}

func campaignsGet(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "get ID", Short: "Show a campaign", Args: cobra.MatchAll(cobra.ExactArgs(1), campaignIDs),
		Example: "  lastcall campaigns get 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f --output json",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var got api.Campaign
			if err := c.get(cmd.Context(), "/campaigns/"+args[0], nil, &got); err != nil {
				return err
			}
			return o.campaign(got)
		},
	}
}

func campaignsList(o *output) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List campaigns, newest first", Args: cobra.NoArgs,
		Example: "  lastcall campaigns list --limit 10",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var page api.CampaignPage
			if err := c.get(cmd.Context(), "/campaigns", url.Values{"limit": {strconv.Itoa(limit)}}, &page); err != nil {
				return err
			}
			return o.print(page, func(t *listing) {
				t.header("id", "name", "template", "status", "targets", "queued", "accepted", "failed", "created")
				t.right(5, 6, 7, 8)
				for _, c := range page.Campaigns {
					t.row(c.CampaignID, c.Name, c.Template, c.Status, c.Targets, c.Queued, c.Accepted(), c.Failed, c.CreatedAt)
				}
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 50, "at most this many, 500 at most")
	return cmd
}

func campaignsTargets(o *output) *cobra.Command {
	var state string
	var limit int
	cmd := &cobra.Command{
		Use: "targets ID", Short: "List a campaign's targets", Args: cobra.MatchAll(cobra.ExactArgs(1), campaignIDs),
		Long:    "Lists a campaign's targets in the order of the file: all of them, unless --limit says less. Tables show numbers masked; JSON has them whole where whoever asks may see them.",
		Example: "  lastcall campaigns targets 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f --status failed --output json",
		RunE: func(cmd *cobra.Command, args []string) error {
			if state != "" && !campaign.ValidTargetState(state) {
				return usageError{fmt.Errorf("--status: there is no state %q; use one of %v", state, campaign.TargetStates)}
			}
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			pages := targetPages{client: c, id: args[0], state: state, reveal: o.format == formatJSON, left: limit}
			if o.format == formatJSON {
				return pages.stream(cmd, o.sh.stdout)
			}
			var all []api.Target
			for !pages.done {
				some, err := pages.fetch(cmd.Context())
				if err != nil {
					return err
				}
				all = append(all, some...)
			}
			return o.print(nil, func(t *listing) {
				t.header("id", "number", "state", "reason", "error", "attempt", "not before", "sent")
				for _, g := range all {
					t.row(strconv.FormatInt(g.ID, 10), g.Masked, g.State, g.Reason, number(g.ErrorCode), g.Attempt, g.NotBefore, g.SentAt)
				}
			})
		},
	}
	cmd.Flags().StringVar(&state, "status", "", "only those in this state")
	cmd.Flags().IntVar(&limit, "limit", 0, "at most this many (default all)")
	return cmd
}

// stream prints all pages as one JSON object, however many there are.
func (p *targetPages) stream(cmd *cobra.Command, w io.Writer) error {
	out := bufio.NewWriter(w)
	separator := `{"targets":[`
	for !p.done {
		some, err := p.fetch(cmd.Context())
		if err != nil {
			return err
		}
		for _, t := range some {
			raw, err := json.Marshal(t)
			if err != nil {
				return err
			}
			_, _ = out.WriteString(separator) // Flush tells the error
			_, _ = out.Write(raw)
			separator = ","
		}
	}
	if separator != "," {
		_, _ = out.WriteString(separator)
	}
	next, err := json.Marshal(p.after)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, `],"next":%s}`+"\n", next)
	return out.Flush()
}

// number is n, or nothing for 0.
func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// campaignIDs refuses arguments that are no ids.
func campaignIDs(_ *cobra.Command, args []string) error {
	if _, err := uuid.Parse(args[0]); err != nil {
		return fmt.Errorf("%q is no campaign id: use the whole id, as lastcall campaigns list shows it", args[0])
	}
	return nil
}

// instant is a flag that is a time.
type instant struct{ time *time.Time }

func (i *instant) String() string { return "" }
func (i *instant) Type() string   { return "time" }

// Set is pflag.Value.
func (i *instant) Set(s string) error {
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return errors.New("write RFC 3339 with a zone, like 2026-12-31T20:00:00+02:00")
	}
	i.time = &at
	return nil
}

// campaign prints a campaign.
func (o *output) campaign(c api.Campaign) error {
	return o.print(c, func(t *listing) {
		t.row("id", c.CampaignID)
		t.row("name", c.Name)
		t.row("template", fmt.Sprintf("%s, version %d", c.Template, c.TemplateVersion))
		t.row("status", c.Status)
		t.offer(c)
		if c.Weight != 1 {
			t.row("weight", c.Weight)
		}
		if c.NeedsHuman != "" {
			t.row("needs a human", c.NeedsHuman)
		}
		if c.Resend > 0 {
			t.row("resends", c.Resend)
		}
		if c.SendAt != nil {
			t.row("sends from", c.SendAt)
		}
		t.row("file", fmt.Sprintf("%s lines, %s invalid, %s duplicates", thousands(c.Lines), thousands(c.Invalid), thousands(c.Duplicates)))
		t.row("targets", c.Targets)
		for _, s := range states(c.Counts) {
			if s.n > 0 {
				t.row("  "+strings.ReplaceAll(string(s.state), "_", " "), s.n)
			}
		}
		for _, w := range c.Waiting {
			t.row("waits", waits(w))
		}
		if c.FinishesAt != nil {
			t.row("all gone by", c.FinishesAt)
		}
		if c.Report != nil {
			for _, f := range c.Report.Failures {
				t.row("failed", fmt.Sprintf("%s: %s", thousands(f.Targets), diagnosis(f.Diagnosis)))
			}
		}
		if c.TemporalWeb != "" {
			t.row("temporal web", c.TemporalWeb)
		}
	})
}

// waits is a wait in words.
func waits(w api.Waiting) string {
	until := ""
	if w.Until != nil && w.Reason != policy.InQuietHours { // whose words say it in the recipient's zone
		until = " until " + w.Until.Local().Format(time.TimeOnly)
	}
	return fmt.Sprintf("%s: %s%s", thousands(w.Targets), w.Why, until)
}

type stateCount struct {
	state campaign.TargetState
	n     int64
}

// states are the counts in the order people read them.
func states(c campaign.Counts) []stateCount {
	n := []int64{c.Queued, c.Sending, c.Sent, c.Delivered, c.Read, c.Failed, c.OptedOut, c.Unknown, c.Cancelled}
	all := make([]stateCount, 0, len(n))
	for i, s := range campaign.TargetStates {
		all = append(all, stateCount{s, n[i]})
	}
	return all
}
