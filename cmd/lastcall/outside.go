package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"os"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"lastcall/activities"
	"lastcall/config"
	"lastcall/domain/probe"
	"lastcall/gateway/faults"
	"lastcall/gateway/opschannel"
	"lastcall/gateway/vouchercard"
	"lastcall/store"
	"lastcall/workflows"
)

// The clients of the outside world, each with the faults before it that the board knows of.

func voucherCards(c *config.Config, board *faults.Board) *vouchercard.Client {
	return vouchercard.New(vouchercard.Config{BaseURL: c.VoucherCard.BaseURL, Secret: c.VoucherCard.Secret.Reveal(), Wrap: board.Wrap(probe.VoucherCard)})
}

func opsChannel(c *config.Config, board *faults.Board) *opschannel.Channel {
	return opschannel.New(c.Ops.WebhookURL.Reveal()).Through(board.Wrap(probe.OpsChannel))
}

// probes are what a worker asks edge functions with: the clients that work uses, and what only a probe needs.
func probes(c *config.Config, st *store.Store, temporal client.Client, board *faults.Board, acts *activities.Campaigns, log *slog.Logger) *activities.Probes {
	p := &activities.Probes{Store: st, Log: log, Struck: struck(board), WhatsApp: acts.WhatsApp, Cards: acts.Cards, Ops: opsChannel(c, board),
		Payments: board.Wrap(probe.Payments)(probeTransport()), PaymentsBase: c.Probes.PaymentsURL,
		Pollers: func(ctx context.Context) (int, error) { return pollers(ctx, temporal) },
		Where: map[probe.Name]string{probe.Messaging: c.WhatsApp.BaseURL, probe.VoucherCard: c.VoucherCard.BaseURL, probe.OpsChannel: c.Ops.WebhookURL.Reveal(),
			probe.Mail: c.Mail.Address, probe.Payments: "https://revolut.me"},
	}
	if c.Probes.PaymentsURL != "" {
		p.Where[probe.Payments] = c.Probes.PaymentsURL
	}
	if c.Mail.Address != "" {
		p.Mail = mailSender(c, board)
	}
	if c.Probes.PanelEmail != "" {
		p.Panel = &activities.PanelVisitor{BaseURL: c.API.PublicURL, Email: c.Probes.PanelEmail, Password: c.Probes.PanelPassword.Reveal(),
			Transport: board.Wrap(probe.Panel)(trusting(probeTransport(), c.API.TLSCertFile))}
	}
	return p
}

// probeTransport opens a connection for each probe: whether one can be had is what it asks.
func probeTransport() *http.Transport {
	return &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, ForceAttemptHTTP2: true}
}

// trusting has a transport trust the certificate in a file, too: the panel's own may be signed by nobody else.
func trusting(t *http.Transport, file string) *http.Transport {
	pem, err := os.ReadFile(file)
	if err != nil {
		return t // there is none, or the API complains of it
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	roots.AppendCertsFromPEM(pem)
	t.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	return t
}

// pollers counts who polls the queue of dispatch. Temporal remembers those that are gone for minutes; a poll waits one.
func pollers(ctx context.Context, temporal client.Client) (n int, err error) {
	queue, err := temporal.DescribeTaskQueue(ctx, workflows.DispatchQueue, enums.TASK_QUEUE_TYPE_ACTIVITY)
	if err != nil {
		return 0, err
	}
	for _, p := range queue.GetPollers() {
		if time.Since(p.GetLastAccessTime().AsTime()) < 2*time.Minute {
			n++
		}
	}
	return n, nil
}

// struck draws for a worker, which is not in a hurry: it reads what is to fail.
func struck(board *faults.Board) func(context.Context) *probe.Fault {
	return func(ctx context.Context) *probe.Fault {
		if _, on := board.On(ctx, probe.Redemptions); !on {
			return nil
		}
		return board.Redemption(ctx)
	}
}

// stopPolling tells a worker whether a fault is on that keeps it from dispatching.
func stopPolling(board *faults.Board) func(context.Context) bool {
	return func(ctx context.Context) bool {
		f, on := board.On(ctx, probe.Dispatcher)
		return on && f.Kind == probe.StopPolling
	}
}
