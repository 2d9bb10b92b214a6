package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"lastcall/api"
	"lastcall/domain/approval"
)

func campaignsRequestApproval(o *output) *cobra.Command {
	var at instant
	var reason string
	cmd := &cobra.Command{
		Use: "request-approval ID", Short: "Ask somebody else to approve a campaign", Args: cobra.MatchAll(cobra.ExactArgs(1), campaignIDs),
		Long: `Asks for the approval of a campaign as it is now: whatever of it changes afterwards, it must be asked about again.
It takes an account, not only a token.`,
		Example: "  lastcall campaigns request-approval 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f --at 2026-12-31T20:00:00+02:00 --reason \"for New Year\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var got api.CampaignApproval
			if _, err := c.call(cmd.Context(), http.MethodPost, "/campaigns/"+args[0]+"/approval-request", api.NewApprovalRequest{SendAt: at.time, Reason: reason}, &got); err != nil {
				return err
			}
			return o.approval(got)
		},
	}
	cmd.Flags().Var(&at, "at", "when it is to begin sending, RFC 3339 (default when it is started)")
	cmd.Flags().StringVar(&reason, "reason", "", "for whoever decides")
	return cmd
}

func campaignsApprove(o *output) *cobra.Command {
	return campaignsDecide(o, "approve", approval.Approved, "Approve a campaign that somebody else asks about", "why, for the audit log")
}

func campaignsReject(o *output) *cobra.Command {
	return campaignsDecide(o, "reject", approval.Rejected, "Reject a campaign that somebody else asks about", "why; needed")
}

func campaignsDecide(o *output, name string, verdict approval.Verdict, short, why string) *cobra.Command {
	var reason, digest string
	cmd := &cobra.Command{
		Use: name + " ID", Short: short, Args: cobra.MatchAll(cobra.ExactArgs(1), campaignIDs),
		Long: short + `, as it is asked about now; "campaigns approvals" shows what that is. With --digest it
fails when that is not what you looked at. Nobody decides about what they asked for or edited last.`,
		Example: "  lastcall campaigns " + name + " 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f --reason \"as agreed\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			if verdict == approval.Rejected && reason == "" {
				return usageError{errors.New("--reason is needed: say why")}
			}
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			at := "/campaigns/" + args[0] + "/approvals"
			var got api.CampaignApproval
			if err := c.get(cmd.Context(), at, nil, &got); err != nil {
				return err
			}
			seen := got.Digest
			if digest != "" {
				if !strings.HasPrefix(got.Digest, digest) {
					return fmt.Errorf("the campaign is not what you looked at any more: its digest is %.12s", got.Digest)
				}
			} else if got.Request != nil {
				seen = got.Request.Digest
			}
			if _, err := c.call(cmd.Context(), http.MethodPost, at, api.ApprovalVerdict{Verdict: verdict, Reason: reason, Digest: seen}, &got); err != nil {
				return err
			}
			return o.approval(got)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", why)
	cmd.Flags().StringVar(&digest, "digest", "", "the digest of what you looked at, or its beginning")
	return cmd
}

func campaignsApprovals(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "approvals ID", Short: "Who asked for a campaign's approval, and who decided what", Args: cobra.MatchAll(cobra.ExactArgs(1), campaignIDs),
		Example: "  lastcall campaigns approvals 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var got api.CampaignApproval
			if err := c.get(cmd.Context(), "/campaigns/"+args[0]+"/approvals", nil, &got); err != nil {
				return err
			}
			return o.approval(got)
		},
	}
}

// approval prints how it stands about a campaign's approval.
func (o *output) approval(a api.CampaignApproval) error {
	return o.print(a, func(t *listing) {
		row := func(name, value string) {
			if value != "" {
				t.row(name, value)
			}
		}
		row("campaign", a.CampaignID.String())
		row("approval", strings.ReplaceAll(a.State, "_", " "))
		row("problem", a.Problem)
		row("digest", fmt.Sprintf("%.12s", a.Digest))
		t.row("targets", a.Targets)
		if r := a.Request; r != nil {
			t.row("asked by", r.RequestedBy.Email)
			t.row("asked", r.RequestedAt)
			row("reason", r.Reason)
		}
		for _, d := range a.Decisions {
			said := fmt.Sprintf("by %s as %s", d.By.Email, d.Role)
			if d.Reason != "" {
				said += ": " + d.Reason
			}
			if d.VoidedAt != nil {
				said += " (void: " + d.VoidReason + ")"
			}
			row(string(d.Verdict), said)
			t.row("  at", d.At)
			if d.ExpiresAt != nil && d.VoidedAt == nil {
				t.row("  until", *d.ExpiresAt)
			}
		}
	})
}

// unapproved says what to do about a campaign that may not start because nobody has approved it.
func unapproved(ctx context.Context, c *apiClient, id string, err error) error {
	var a api.CampaignApproval
	if c.get(ctx, "/campaigns/"+id+"/approvals", nil, &a) != nil {
		return err
	}
	next := fmt.Sprintf("ask for it: lastcall campaigns request-approval %s\nthen somebody else (%s): lastcall campaigns approve %s\nand then: lastcall campaigns start %s",
		id, strings.Join(a.Approvers, ", "), id, id)
	if a.State == "waiting" {
		next = fmt.Sprintf("somebody was asked; %s approves it with: lastcall campaigns approve %s", strings.Join(a.Approvers, " or "), id)
	}
	return fmt.Errorf("approval_required: %w\n%s", err, next)
}
