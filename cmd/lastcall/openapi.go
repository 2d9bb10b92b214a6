package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"lastcall/api"
)

func openapiCommand(sh *shell) *cobra.Command {
	return &cobra.Command{
		Use: "openapi", GroupID: groupCare, Short: "Print the API's OpenAPI document", Args: cobra.NoArgs,
		Long:    "Prints the document that a running Lastcall serves at " + api.Prefix + "/openapi.json. It needs nothing that runs.",
		Example: "  lastcall openapi > openapi.json",
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(sh.stdout, string(api.Document()))
			return err
		},
	}
}
