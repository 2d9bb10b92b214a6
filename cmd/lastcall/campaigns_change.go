package main

import (
	"errors"
	"net/http"

	"github.com/spf13/cobra"

	"lastcall/api"
)

func campaignsChange(o *output) *cobra.Command {
	change := api.CampaignChange{}
	variables := pairs{}
	cmd := &cobra.Command{
		Use: "change ID", Short: "Change a draft's name, template or values", Args: cobra.MatchAll(cobra.ExactArgs(1), campaignIDs),
		Long: `Changes a campaign that has not been started. --var names all values that hold for everybody: one that is not
named has none any more. Once there is an audience the template stays, and a value can become another but not none.`,
		Example: `  lastcall campaigns change 0192f0c4-7d2b-7c55-9d2e-0a1b2c3d4e5f --name "Friday happy hour" --var venue="Repub Lounge"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(variables) > 0 {
				change.Variables = variables
			}
			if change.Name == "" && change.Template == "" && change.Variables == nil {
				return usageError{errors.New("say what to change: --name, --template or --var")}
			}
			c, err := o.sh.client()
			if err != nil {
				return err
			}
			var got api.Campaign
			if _, err := c.call(cmd.Context(), http.MethodPatch, "/campaigns/"+args[0], change, &got); err != nil {
				return err
			}
			return o.campaign(got)
		},
	}
	cmd.Flags().StringVar(&change.Name, "name", "", "what to call it")
	cmd.Flags().StringVar(&change.Template, "template", "", "name of the message template, or the id of one version")
	cmd.Flags().Var(variables, "var", "a template variable that is the same for all, repeatable")
	cmd.Flags().StringVar(&change.Reason, "reason", "", "why, for the audit log")
	return cmd
}
