package main

import (
	"context"
	"path/filepath"

	"github.com/spf13/cobra"

	"lastcall/config"
	"lastcall/gateway/sandbox"
)

func sandboxCommand(sh *shell) *cobra.Command {
	return &cobra.Command{
		Use: "sandbox", GroupID: groupRun, Short: "Run the stand-in for the outside world alone", Args: cobra.NoArgs,
		Long: `Stands in for WhatsApp, the Ops channel and the mail server: it takes what they would take, reports on
messages by signed webhooks as WhatsApp does, and shows it all on a page. It draws voucher cards for whoever
has voucher_card.secret. Nothing leaves this machine.`,
		Example: "  lastcall sandbox --data-dir /tmp/sandbox",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := sh.config()
			if err != nil {
				return err
			}
			return runSandbox(cmd.Context(), sh, c)
		},
	}
}

func runSandbox(ctx context.Context, sh *shell, c *config.Config) error {
	log := newLog(c, sh.stderr)
	provider, err := whatsappConfig(c, 0)
	if err != nil {
		return err
	}
	s, err := sandbox.New(sandbox.Config{Dir: filepath.Join(c.DataDir, "sandbox"), Log: log, WhatsApp: provider,
		WebhookURL: c.API.PublicURL + "/webhooks/whatsapp", SMTPAddr: c.Sandbox.SMTPListen,
		CardSecret: c.VoucherCard.Secret.Reveal()})
	if err != nil {
		return err
	}
	defer s.Close()
	ctx, cancel := context.WithCancel(ctx)
	reporting := make(chan error, 1)
	go func() {
		defer cancel() // without it the sandbox is of no use
		reporting <- s.Run(ctx)
	}()
	err = serve(ctx, c.Sandbox.Listen, s.Handler(), nil, log)
	cancel()
	if reported := <-reporting; err == nil {
		err = reported
	}
	return err
}
