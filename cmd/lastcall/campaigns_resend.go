package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"lastcall/api"
	"lastcall/domain/campaign"
	"lastcall/store"
)

func campaignsResend(o *output) *cobra.Command {
	r := resend{output: o}
	cmd := &cobra.Command{
		Use: "resend ID", Short: "Send again what failed or is unknown", Args: cobra.MatchAll(cobra.ExactArgs(1), campaignIDs),
		Long: `Puts what failed, or what nobody can tell of whether it was sent, back into the queue of a campaign that has
ended, and runs it again, through all rules. Who is unknown may get the message twice, which somebody must
accept; a receipt that comes before their turn takes them out. Who has opted out is never sent to again.
--preview only tells what would be sent again, with advice.`,
		Example: `  lastcall campaigns resend 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f --failed --unknown --preview
  lastcall campaigns resend 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f --failed --code 131042 --reason "payment mended" --watch`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := r.check(); err != nil {
				return err
			}
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			if r.preview {
				return r.show(cmd.Context(), c, args[0])
			}
			return r.run(cmd.Context(), c, args[0])
		},
	}
	cmd.Flags().BoolVar(&r.failed, "failed", false, "those that failed")
	cmd.Flags().BoolVar(&r.unknown, "unknown", false, "those of whom nobody can tell")
	cmd.Flags().IntSliceVar(&r.Codes, "code", nil, "of those that failed only this code of WhatsApp's, repeatable")
	cmd.Flags().BoolVar(&r.AcceptDuplicates, "accept-duplicates", false, "accept that the unknown ones may get the message twice")
	cmd.Flags().StringVar(&r.Reason, "reason", "", "why, for the audit log")
	cmd.Flags().BoolVar(&r.preview, "preview", false, "only tell what would be sent again")
	cmd.Flags().BoolVar(&r.watch, "watch", false, "watch it until it has ended")
	return cmd
}

// resend is one order to send again.
type resend struct {
	*output
	api.Resend
	failed, unknown, preview, watch bool
}

// check makes the order of the flags.
func (r *resend) check() error {
	r.States = nil
	if r.failed {
		r.States = append(r.States, campaign.FailedT)
	}
	if r.unknown {
		r.States = append(r.States, campaign.Unknown)
	}
	switch {
	case len(r.States) == 0:
		return usageError{errors.New("say --failed, --unknown or both")}
	case r.preview:
		return nil
	case r.Reason == "":
		return usageError{errors.New("--reason is needed: it is kept in the audit log")}
	case r.unknown && !r.AcceptDuplicates:
		return usageError{errors.New("whoever is unknown may get the message twice: accept that with --accept-duplicates, or leave --unknown out")}
	}
	return nil
}

func (r *resend) run(ctx context.Context, c *apiClient, id string) error {
	body, err := json.Marshal(r.Resend)
	if err != nil {
		return err
	}
	// The key makes it happen once, whatever lies between repeats. A million targets take longer than other calls.
	header := http.Header{"Content-Type": {"application/json"}, "Idempotency-Key": {uuid.NewString()}}
	var got api.Campaign
	status, err := c.send(ctx, http.MethodPost, "/campaigns/"+id+"/resend", header, bytes.NewReader(body), &got)
	if err != nil {
		return err
	}
	r.pending(ctx, c, status, "resend")
	if got.Resent != nil {
		r.say("%s targets are sent to again; %s opted out and are left out", thousands(got.Resent.Targets), thousands(got.Resent.OptedOut))
	}
	if !r.watch {
		return r.campaign(got)
	}
	return r.follow(ctx, c, id)
}

func (r *resend) show(ctx context.Context, c *apiClient, id string) error {
	states := make([]string, len(r.States))
	for i, s := range r.States {
		states[i] = string(s)
	}
	query := url.Values{"states": {strings.Join(states, ",")}}
	if len(r.Codes) > 0 {
		codes := make([]string, len(r.Codes))
		for i, code := range r.Codes {
			codes[i] = strconv.Itoa(code)
		}
		query.Set("codes", strings.Join(codes, ","))
	}
	var p store.ResendPreview
	if err := c.get(ctx, "/campaigns/"+id+"/resend", query, &p); err != nil {
		return err
	}
	for _, f := range p.Problems {
		r.say("problem: %s", f.Message)
	}
	for _, f := range p.Warnings {
		r.say("note: %s", f.Message)
	}
	return r.print(p, func(t *listing) {
		t.header("targets", "state", "code", "reason", "what it means and what to do")
		t.right(1, 3)
		for _, g := range p.By {
			t.row(g.Targets, g.State, number(g.ErrorCode), g.Reason, diagnosis(g.Diagnosis))
		}
	})
}

func campaignsRecover(o *output) *cobra.Command {
	var order api.Recovery
	cmd := &cobra.Command{
		Use: "recover ID", Short: "Restart a campaign whose workflow is gone", Args: cobra.MatchAll(cobra.ExactArgs(1), campaignIDs),
		Long: `Restarts a campaign that should be at work and whose workflow somebody terminated in Temporal, or that failed
in its middle. It is checked and goes on with what is queued; nobody is sent to twice. A campaign that was
paused stays paused, one that was being stopped is stopped.`,
		Example: "  lastcall campaigns recover 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f --reason \"terminated by mistake\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var got api.Campaign
			status, err := c.call(cmd.Context(), http.MethodPost, "/campaigns/"+args[0]+"/recover", order, &got)
			if err != nil {
				return err
			}
			o.pending(cmd.Context(), c, status, "recover")
			return o.campaign(got)
		},
	}
	cmd.Flags().StringVar(&order.Reason, "reason", "", "why, for the audit log")
	_ = cmd.MarkFlagRequired("reason") // it exists
	return cmd
}
