package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"runtime/debug"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"lastcall/activities"
	"lastcall/api"
	"lastcall/config"
	"lastcall/domain/probe"
	"lastcall/gateway/faults"
	"lastcall/gateway/legacy"
	"lastcall/gateway/whatsapp"
	"lastcall/store"
	"lastcall/worker"
)

func workerCommand(sh *shell) *cobra.Command {
	return &cobra.Command{
		Use:     "worker",
		GroupID: groupRun,
		Short:   "Run a worker alone",
		Long: `Runs the workflows and their activities: it dispatches. Any number may run beside each other. On SIGTERM
it finishes what it has begun, for at most 30 seconds.`,
		Example: `  LASTCALL_DATABASE_URL=postgres://… LASTCALL_TEMPORAL_ADDRESS=temporal:7233 lastcall worker`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			if os.Getenv("GOGC") == "" {
				debug.SetGCPercent(400) // little lives long, much dies young: a fifth of its work was collecting
			}
			c, err := sh.config()
			if err != nil {
				return err
			}
			log := newLog(c, sh.stderr)
			provider, err := whatsappConfig(c, 2*c.Dispatch.Lanes*c.Dispatch.Concurrency)
			if err != nil {
				return err
			}
			db, err := openStore(ctx, c, "worker")
			if err != nil {
				return err
			}
			defer db.Close()
			temporal, err := dialTemporal(ctx, c, log)
			if err != nil {
				return err
			}
			defer temporal.Close()
			if err := worker.RegisterSearchAttributes(ctx, temporal, c.Temporal.Namespace); err != nil {
				return err
			}
			rules, err := config.AlertRules(c.Probes.Every)
			if err != nil {
				return err
			}
			scenarios, err := config.Drills()
			if err != nil {
				return err
			}
			host, err := os.Hostname()
			if err != nil {
				return err
			}
			board := faults.NewBoard(db, log)
			provider.Wrap = board.Wrap(probe.Messaging)
			acts := &activities.Campaigns{Store: db, WhatsApp: whatsapp.New(provider), Log: log, Options: activities.Options{
				Lanes: c.Dispatch.Lanes, Concurrency: c.Dispatch.Concurrency, BatchTargets: c.Dispatch.BatchTargets,
				BatchTime: c.Dispatch.BatchTime, ReconcileAfter: c.Reconcile.After, Retries: c.Dispatch.Retries,
			}, VoucherKeys: config.OpenVoucherKeys(c.VoucherKeysFile()).Keys}
			if c.VoucherCard.BaseURL != "" {
				acts.Cards = voucherCards(c, board)
			}
			w := worker.New(temporal, fmt.Sprintf("%d@%s", os.Getpid(), host), acts, log)
			asks := probes(c, db, temporal, board, acts, log)
			w.Probing(worker.Probing{Probes: asks, Every: c.Probes.Every, StopPolling: stopPolling(board),
				Drills: &activities.Drills{Store: db, Probes: asks, Rules: rules, Scenarios: scenarios, Log: log}})
			if address := c.Rollout.LegacyWebhookURL.Reveal(); address != "" {
				w.Legacy(legacy.New(address))
			}
			return withMetrics(ctx, c.Worker.MetricsListen, api.Metrics(db, log), log, func(ctx context.Context) error {
				sealer, expiry, folder := &store.Sealer{Store: db, Log: log}, store.VoucherExpiry{Store: db, Log: log}, store.TallyFolder{Store: db, Log: log}
				alerts := store.AlertEngine{Store: db, Rules: rules, Log: log}
				return besides(ctx, func(ctx context.Context) {
					var all sync.WaitGroup
					all.Go(func() { sealer.Run(ctx) })
					all.Go(func() { expiry.Run(ctx) })
					all.Go(func() { folder.Run(ctx) })
					all.Go(func() { alerts.Run(ctx) })
					all.Wait()
				}, w.Run)
			})
		},
	}
}

// besides runs a worker, and behind it what goes on until it has drained.
func besides(ctx context.Context, behind func(context.Context), run func(context.Context) error) error {
	going, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		behind(going)
	}()
	defer func() { stop(); <-ended }()
	return run(ctx)
}

// withMetrics runs a worker and serves its metrics on address until it has drained; without an address it only runs
// it. If it cannot serve them, nothing runs.
func withMetrics(ctx context.Context, address string, metrics http.Handler, log *slog.Logger, run func(context.Context) error) error {
	if address == "" {
		return run(ctx)
	}
	both, ctx := errgroup.WithContext(ctx)
	serving, drained := context.WithCancel(context.WithoutCancel(ctx))
	defer drained()
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	both.Go(func() error { return serve(serving, address, mux, nil, log) })
	both.Go(func() error {
		defer drained()
		return run(ctx)
	})
	return both.Wait()
}
