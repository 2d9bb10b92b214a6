package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"lastcall/devstack/supervise"
)

func downCommand(sh *shell) *cobra.Command {
	var patience time.Duration
	cmd := &cobra.Command{
		Use:     "down",
		GroupID: groupRun,
		Short:   "Stop the lastcall up of a data directory",
		Long: `Stops the lastcall up of the data directory and returns when all it started is gone. If that up was
killed, stops what it left behind. The data stays.`,
		Example: "  lastcall down\n  lastcall down --data-dir /srv/lastcall",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir := sh.dataDir
			if dir == "" {
				c, err := sh.config()
				if err != nil {
					return err
				}
				dir = c.DataDir
			}
			ctx, cancel := context.WithTimeoutCause(cmd.Context(), patience, fmt.Errorf("it still runs after %s", patience))
			defer cancel()
			return down(ctx, sh, dir)
		},
	}
	cmd.Flags().DurationVar(&patience, "timeout", 2*time.Minute, "how long to wait for it")
	return cmd
}

func down(ctx context.Context, sh *shell, dir string) error {
	found := false
	_, err := os.Stat(dir)
	if err == nil {
		found, err = supervise.Takedown(ctx, dir, upFileName)
	}
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("stop what runs for %s: %w", dir, err)
	case found:
		fmt.Fprintf(sh.stdout, "stopped what ran for %s\n", dir)
	default:
		fmt.Fprintf(sh.stdout, "nothing runs for %s\n", dir)
	}
	return nil
}
