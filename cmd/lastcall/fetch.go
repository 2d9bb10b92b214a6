package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"lastcall/devstack"
)

func fetchCommand(sh *shell) *cobra.Command {
	return &cobra.Command{
		Use:     "fetch",
		GroupID: groupCare,
		Short:   "Fetch Postgres and Temporal unless they are here",
		Long: `Looks for the servers that lastcall up starts and fetches what is missing into the cache, so that the
first up, or an image or test machine, need not wait for it.`,
		Example: "  lastcall fetch",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			progress := func(s string) { printPart(sh, "", s) }
			postgres, err := devstack.LocatePostgres(cmd.Context(), "", progress)
			if err != nil {
				return err
			}
			printPart(sh, "Postgres", origin(postgres))
			temporal, err := devstack.LocateTemporal(cmd.Context(), progress)
			if err != nil {
				return err
			}
			printPart(sh, "Temporal", origin(temporal))
			return nil
		},
	}
}

// origin says where a server that is not configured came from.
func origin(i devstack.Installation) string {
	how := "found"
	if i.Fetched {
		how = "fetched"
	}
	return fmt.Sprintf("%s: %s at %s", how, i.Version, i.Path)
}

func printPart(sh *shell, part, text string) { fmt.Fprintf(sh.stdout, "  %-14s %s\n", part, text) }
