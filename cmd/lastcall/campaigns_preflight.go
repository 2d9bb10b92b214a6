package main

import (
	"github.com/spf13/cobra"

	"lastcall/store"
)

func campaignsPreflight(o *output) *cobra.Command {
	return &cobra.Command{
		Use: "preflight ID", Short: "Check whether a campaign could start, and who will be left out", Args: cobra.MatchAll(cobra.ExactArgs(1), campaignIDs),
		Example: "  lastcall campaigns preflight 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var check store.Check
			if err := c.get(cmd.Context(), "/campaigns/"+args[0]+"/preflight", nil, &check); err != nil {
				return err
			}
			return o.print(check, func(t *listing) {
				t.row("targets", check.Targets)
				t.row("opted out", check.OptedOut)
				t.row("without consent", check.NoConsent)
				for _, p := range check.Problems {
					t.row("problem", p.Message)
				}
				for _, w := range check.Warnings {
					t.row("note", w.Message)
				}
			})
		},
	}
}
