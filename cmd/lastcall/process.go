package main

import (
	"context"
	"io"
	"log/slog"

	temporal "go.temporal.io/sdk/client"
	tlog "go.temporal.io/sdk/log"

	"lastcall/api"
	"lastcall/config"
	"lastcall/domain"
	"lastcall/domain/contact"
	"lastcall/fixtures"
	"lastcall/gateway/sandbox"
	"lastcall/gateway/whatsapp"
	"lastcall/store"
)

// newLog is a serving process's log.
func newLog(c *config.Config, w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Log.Level)) // config has checked it
	options := &slog.HandlerOptions{Level: level}
	if c.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// openStore opens the database for a serving process of this name.
func openStore(ctx context.Context, c *config.Config, name string) (*store.Store, error) {
	if err := c.Need("database.url", "pepper"); err != nil {
		return nil, err
	}
	return store.Open(ctx, store.Config{URL: c.Database.URL.Reveal(), Pepper: contact.Pepper(c.Pepper.Reveal()),
		MaxConns: c.Database.MaxConns, AppName: "lastcall " + name, Sandbox: c.WhatsApp.Sandbox(),
		AssumedRate: float64(c.Dispatch.AssumedRate), ProbesEvery: c.Probes.Every, Build: api.Build(), AuditRetentionDays: c.Audit.RetentionDays,
		RunbooksDigest: config.RunbooksDigest, Staging: func() (store.Fixtures, error) { return fixtures.Staging("", nil) }})
}

func temporalOptions(c *config.Config, log *slog.Logger) temporal.Options {
	return temporal.Options{HostPort: c.Temporal.Address, Namespace: c.Temporal.Namespace, Logger: tlog.NewStructuredLogger(log)}
}

// dialTemporal connects to Temporal. It fails with domain.Unavailable when Temporal does not answer.
func dialTemporal(ctx context.Context, c *config.Config, log *slog.Logger) (temporal.Client, error) {
	if err := c.Need("temporal.address"); err != nil {
		return nil, err
	}
	t, err := temporal.DialContext(ctx, temporalOptions(c, log))
	if err != nil {
		return nil, domain.E(domain.Unavailable, "temporal_unavailable", "Temporal does not answer at %s", c.Temporal.Address).
			About("temporal.address").Because(err)
	}
	return t, nil
}

// whatsappConfig is the provider as configured; maxConns bounds its connections.
func whatsappConfig(c *config.Config, maxConns int) (whatsapp.Config, error) {
	err := c.Need("whatsapp.base_url", "whatsapp.phone_number_id", "whatsapp.access_token", "whatsapp.app_secret", "whatsapp.verify_token")
	account := c.WhatsApp.BusinessAccountID
	if account == "" && c.WhatsApp.Sandbox() {
		account = sandbox.BusinessAccount
	}
	return whatsapp.Config{BaseURL: c.WhatsApp.BaseURL, Version: c.WhatsApp.Version, PhoneNumberID: c.WhatsApp.PhoneNumberID, BusinessAccountID: account,
		AccessToken: c.WhatsApp.AccessToken.Reveal(), AppSecret: c.WhatsApp.AppSecret.Reveal(),
		VerifyToken: c.WhatsApp.VerifyToken.Reveal(), MaxConns: maxConns}, err
}
