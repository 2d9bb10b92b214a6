package main

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/spf13/cobra"

	"lastcall/api"
	"lastcall/domain/campaign"
)

func campaignsWeight(o *output) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "weight ID WEIGHT", Short: "Change a campaign's part of its channel", Args: cobra.MatchAll(cobra.ExactArgs(2), campaignIDs),
		Long: `Changes a campaign's weight, 1 to 100, from the next permit on: where campaigns compete for a channel, one
with twice the weight sends twice as much. A campaign that alone wants to send is not held back by any weight.`,
		Example: "  lastcall campaigns weight 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f 10 --reason \"doors open at nine\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			var w weight
			if err := w.Set(args[1]); err != nil {
				return usageError{err}
			}
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var got api.Campaign
			if _, err := c.call(cmd.Context(), http.MethodPatch, "/campaigns/"+args[0], api.CampaignChange{Weight: int(w), Reason: reason}, &got); err != nil {
				return err
			}
			return o.campaign(got)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the audit log")
	return cmd
}

// weight is a flag that is a campaign's weight.
type weight int

func (w *weight) String() string { return strconv.Itoa(int(*w)) }
func (w *weight) Type() string   { return "weight" }

// Set is pflag.Value.
func (w *weight) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || campaign.CheckWeight(campaign.Draft, n) != nil {
		return fmt.Errorf("use a whole number from 1 to %d", campaign.MaxWeight)
	}
	*w = weight(n)
	return nil
}
