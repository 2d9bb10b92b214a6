package config

import (
	"encoding/base64"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"lastcall/domain"
	"lastcall/domain/audit"
)

// check says what is wrong with the values, all at once. What is missing is not: Need says that, for
// those who need it.
func (c *Config) check() (problems []error) {
	must := func(ok bool, key, message string, args ...any) {
		if !ok {
			problems = append(problems, domain.E(domain.Invalid, "setting_invalid", message, args...).About(key))
		}
	}
	optional := func(ok func(string) bool, value, key, message string) {
		must(value == "" || ok(value), key, "%s", message)
	}
	const hostPort, webURL = "must be host:port", "must be an http:// or https:// address"

	must(c.DataDir != "", "data_dir", "must name a directory")
	optional(isDatabaseURL, c.Database.URL.Reveal(), "database.url", "must be postgres://user:password@host:port/database")
	must(c.Database.MaxConns > 0, "database.max_conns", "must be at least 1")
	optional(isHostPort, c.Temporal.Address, "temporal.address", hostPort)
	must(c.Temporal.Namespace != "", "temporal.namespace", "must not be empty")
	must(isHostPort(c.API.Listen), "api.listen", hostPort)
	optional(isWebURL, c.API.PublicURL, "api.public_url", webURL)
	optional(isHostPort, c.API.TLSListen, "api.tls_listen", hostPort)
	must(c.API.TLSListen == "" || c.API.TLSCertFile != "" && c.API.TLSKeyFile != "", "api.tls_listen", "needs api.tls_cert_file and api.tls_key_file")
	for i, proxy := range c.API.TrustedProxies {
		must(isNetwork(proxy), "api.trusted_proxies", "entry %d must be an address or a network such as 10.0.0.0/8", i+1)
	}
	optional(isWebURL, c.TemporalWeb.URL, "temporal_web.url", webURL)
	must(c.Pepper == "" || len(c.Pepper) >= 32, "pepper", "must have at least 32 characters")
	must(isWebURL(c.WhatsApp.BaseURL), "whatsapp.base_url", webURL)
	must(apiVersion.MatchString(c.WhatsApp.Version), "whatsapp.version", "must be a version such as v23.0")
	optional(digits.MatchString, c.WhatsApp.PhoneNumberID, "whatsapp.phone_number_id", "must be the id of the sender, digits only")
	optional(e164.MatchString, c.WhatsApp.Number, "whatsapp.number", "must be a number with + and country code, digits only")
	optional(digits.MatchString, c.WhatsApp.BusinessAccountID, "whatsapp.business_account_id", "must be the id of the account, digits only")
	optional(isWebURL, c.Ops.WebhookURL.Reveal(), "ops.webhook_url", webURL)
	optional(isWebURL, c.Rollout.LegacyWebhookURL.Reveal(), "rollout.legacy_webhook_url", webURL)
	optional(isHostPort, c.Mail.Address, "mail.address", hostPort)
	must(isMailAddress(c.Mail.From), "mail.from", "must be a mail address")
	oneOf := func(value, key string, allowed ...string) {
		must(slices.Contains(allowed, value), key, "must be one of %s", strings.Join(allowed, ", "))
	}
	oneOf(c.Mail.TLS, "mail.tls", "none", "starttls", "tls")
	for i, to := range c.Mail.Reports {
		must(isMailAddress(to), "mail.reports", "entry %d must be a mail address", i+1)
	}
	optional(isWebURL, c.VoucherCard.BaseURL, "voucher_card.base_url", webURL)
	must(c.Dispatch.Lanes > 0, "dispatch.lanes", "must be at least 1")
	must(c.Dispatch.Concurrency > 0, "dispatch.concurrency", "must be at least 1")
	must(c.Dispatch.AssumedRate > 0, "dispatch.assumed_rate", "must be at least 1")
	must(c.Dispatch.BatchTargets > 0, "dispatch.batch_targets", "must be at least 1")
	must(c.Dispatch.BatchTime > 0, "dispatch.batch_time", "must be longer than 0")
	optional(isHostPort, c.Worker.MetricsListen, "worker.metrics_listen", hostPort)
	must(c.Dispatch.Retries > 0, "dispatch.retries", "must be at least 1")
	must(c.Reconcile.After > 0, "reconcile.after", "must be longer than 0")
	oneOf(c.Log.Level, "log.level", "debug", "info", "warn", "error")
	oneOf(c.Log.Format, "log.format", "text", "json")
	must(isHostPort(c.Sandbox.Listen), "sandbox.listen", hostPort)
	optional(isHostPort, c.Sandbox.SMTPListen, "sandbox.smtp_listen", hostPort)
	must(c.Audit.RetentionDays >= audit.MinRetentionDays, "audit.retention_days", "must be at least %d: entries are kept that long", audit.MinRetentionDays)
	must(c.Probes.Every >= time.Second, "probes.every", "must be at least 1s")
	optional(isMailAddress, c.Probes.PanelEmail, "probes.panel_email", "must be a mail address")
	must((c.Probes.PanelEmail == "") == (c.Probes.PanelPassword == ""), "probes.panel_password", "and probes.panel_email go together")
	optional(isWebURL, c.Probes.PaymentsURL, "probes.payments_url", webURL)
	if c.Audit.Key != "" {
		seed, err := base64.StdEncoding.DecodeString(c.Audit.Key.Reveal())
		_, wrong := audit.NewKey(seed)
		must(err == nil && wrong == nil, "audit.key", "must be 32 bytes in base64")
	}
	for i, key := range c.Audit.TrustedKeys {
		_, err := audit.ParsePublicKey(key)
		must(err == nil, "audit.trusted_keys", "entry %d must be a public key of 32 bytes in base64", i+1)
	}
	return problems
}

var (
	apiVersion = regexp.MustCompile(`^v\d+\.\d+$`)
	digits     = regexp.MustCompile(`^\d+$`)
	e164       = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
)

func isHostPort(s string) bool {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	n, err := strconv.Atoi(port)
	return err == nil && n > 0 && n < 65536
}

func isNetwork(s string) bool {
	_, err := netip.ParsePrefix(s)
	if err != nil {
		_, err = netip.ParseAddr(s)
	}
	return err == nil
}

func isWebURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

func isDatabaseURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "postgres" || u.Scheme == "postgresql") && strings.Trim(u.Path, "/") != ""
}

func isMailAddress(s string) bool {
	_, err := mail.ParseAddress(s)
	return err == nil
}
