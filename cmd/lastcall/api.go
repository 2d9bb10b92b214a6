package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"

	"lastcall/api"
	"lastcall/config"
	"lastcall/domain/probe"
	"lastcall/gateway/faults"
	"lastcall/gateway/mail"
	"lastcall/gateway/opschannel"
	"lastcall/gateway/whatsapp"
	"lastcall/store"
	"lastcall/ui"
	"lastcall/workflows"
)

func apiCommand(sh *shell) *cobra.Command {
	return &cobra.Command{
		Use: "api", GroupID: groupRun, Short: "Run the API and the panel alone", Args: cobra.NoArgs,
		Long: `Serves the API and the panel, takes WhatsApp's webhooks, carries what was decided in Postgres to Temporal, to the
Ops channel and into the mail, and tells Ops of campaigns that no workflow looks after. It seals the audit log, and
signs it each hour. Any number of them may run. It runs on while Temporal or WhatsApp do not answer; /readyz says what is missing.`,
		Example: "  lastcall api --config lastcall.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := sh.config()
			if err != nil {
				return err
			}
			if err := c.Need("database.url", "temporal.address", "pepper"); err != nil {
				return err
			}
			return runAPI(cmd.Context(), c, newLog(c, sh.stderr))
		},
	}
}

func runAPI(ctx context.Context, c *config.Config, log *slog.Logger) error {
	provider, err := whatsappConfig(c, 0)
	if err != nil {
		return err
	}
	st, err := openStore(ctx, c, "api")
	if err != nil {
		return err
	}
	defer st.Close()
	// It connects when it is first used: the API runs on while Temporal does not.
	temporal, err := client.NewLazyClient(temporalOptions(c, log))
	if err != nil {
		return fmt.Errorf("temporal.address: %w", err)
	}
	defer temporal.Close()
	health := func(ctx context.Context) error {
		_, err := temporal.CheckHealth(ctx, &client.CheckHealthRequest{})
		return err
	}
	warnUnlessHealthy(ctx, c, health, log)

	plan, err := c.RolloutPlan(store.KnownCheck)
	if err != nil {
		return err
	}
	keeper, err := auditKeeper(c, st, log)
	if err != nil {
		return err
	}

	scenarios, err := config.Drills()
	if err != nil {
		return err
	}
	rules, err := config.AlertRules(c.Probes.Every)
	if err != nil {
		return err
	}

	books, err := config.Runbooks()
	if err != nil {
		return err
	}

	// What goes on behind the answers ends after the last of them: some wait for it.
	behind, stop := context.WithCancel(context.WithoutCancel(ctx))
	board := faults.NewBoard(st, log)
	provider.Wrap = board.Wrap(probe.Messaging)
	messages := whatsapp.New(provider)
	handlers := outboxHandlers(c, temporal, board)
	maps.Copy(handlers, linkHandlers(c, st, board))
	handlers[store.KindOverrideMail] = overrideMailHandler(c, st, board)
	handlers[store.KindScheduleDrill] = drillScheduleHandler(st, temporal)
	handlers[store.KindReply] = replyHandler(st, messages)
	handlers[store.KindAlertNotice] = alertNoticeHandler(c, st, opsChannel(c, board), mailSender(c, board))
	handlers[store.KindAnnouncement] = announcementHandler(c, st, opsChannel(c, board), mailSender(c, board))
	relay := store.Relay{Store: st, Handlers: handlers, Log: log}
	applier := store.Applier{Store: st, Parse: api.Inbound, Log: log}
	messenger := workflows.NewMessenger(temporal)
	voucherKeys := config.OpenVoucherKeys(c.VoucherKeysFile()).Keys
	keyWatch := store.VoucherKeyWatch{Store: st, Keys: voucherKeys, Log: log}
	sealer := store.Sealer{Store: st, Log: log}
	watchdog := store.NewWatchdog(st, log)
	sweeper := store.Sweeper{Store: st, Open: messenger.Open, Drill: messenger.DrillOpen, Log: log}
	var working sync.WaitGroup
	working.Go(func() { relay.Run(behind) })
	working.Go(func() { applier.Run(behind) })
	working.Go(func() { sweeper.Run(behind) })
	working.Go(func() { watchdog.Run(behind) })
	working.Go(func() { sealer.Run(behind) })
	alerts := store.AlertEngine{Store: st, Rules: rules, Log: log}
	working.Go(func() { alerts.Run(behind) })
	working.Go(func() { (&store.TallyFolder{Store: st, Log: log}).Run(behind) })
	working.Go(func() { keeper.Run(behind) })
	working.Go(func() { keyWatch.Run(behind) })
	working.Go(func() { board.Watch(behind) })
	defer working.Wait()
	defer stop()

	closing := make(chan struct{})
	return serveBoth(ctx, c.API, api.New(api.Deps{
		Store: st, WhatsApp: provider, Log: log, Temporal: health, WorkflowOpen: messenger.Open, Messaging: messages.Ping, Provider: messages,
		VoucherKeys: voucherKeys, VoucherCards: voucherCards(c, board),
		Struck: board.Redemption, Drills: scenarios, AlertRules: rules, Runbooks: books, Audit: keeper, RolloutPlan: plan, Panel: ui.Dist(), Mail: c.Mail.Address != "", PublicURL: c.API.PublicURL, WhatsAppNumber: c.WhatsApp.Number, TrustedProxies: c.API.TrustedProxies,
		TemporalWebURL: c.TemporalWeb.URL, TemporalNamespace: c.Temporal.Namespace, Closing: closing,
	}), closing, log)
}

// warnUnlessHealthy says at the start when Temporal does not answer; until it does, orders are kept.
func warnUnlessHealthy(ctx context.Context, c *config.Config, health func(context.Context) error, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if err := health(ctx); err != nil && ctx.Err() != context.Canceled {
		log.Warn("Temporal does not answer; campaigns are started when it does", "temporal.address", c.Temporal.Address, "error", err)
	}
}

// outboxHandlers deliver what follows a commit. A notice or mail for which nothing is configured is done.
func outboxHandlers(c *config.Config, temporal client.Client, board *faults.Board) map[string]store.Handler {
	handlers := map[string]store.Handler{}
	for kind, handle := range workflows.NewMessenger(temporal).Handlers() {
		handlers[kind] = handle
	}
	ops := opsChannel(c, board)
	handlers[store.KindOpsNotice] = func(ctx context.Context, _ int64, payload json.RawMessage) error {
		var n store.OpsNotice
		if err := json.Unmarshal(payload, &n); err != nil || c.Ops.WebhookURL == "" {
			return err
		}
		return ops.Post(ctx, opschannel.Notice{Title: n.Title, Text: n.Text, Level: opschannel.Level(n.Level)})
	}
	sender := mailSender(c, board)
	handlers[store.KindMail] = func(ctx context.Context, _ int64, payload json.RawMessage) error {
		var m store.Mail
		if err := json.Unmarshal(payload, &m); err != nil || c.Mail.Address == "" || len(c.Mail.Reports) == 0 {
			return err
		}
		return sender.Send(ctx, mail.Message{To: c.Mail.Reports, Subject: m.Subject, Text: m.Text})
	}
	return handlers
}
