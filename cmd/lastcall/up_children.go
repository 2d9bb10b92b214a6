package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"lastcall/config"
	"lastcall/devstack/supervise"
)

// The ports, counted from --port-base.
const (
	portAPI = iota
	portSandbox
	portTemporal
	portTemporalWeb
	portPostgres
	portMail
	portTLS
	portCount
)

func (u *up) port(offset int) int { return u.base + offset }

func (u *up) listen(offset int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(u.port(offset)))
}

// The parts of the outside world are configured, each for itself, or the sandbox stands in for them.
var whatsAppKeys = []string{"whatsapp.phone_number_id", "whatsapp.access_token", "whatsapp.app_secret", "whatsapp.verify_token"}

func (u *up) realWhatsApp() bool { return realWhatsApp(u.config) }

func realWhatsApp(c *config.Config) bool {
	for _, key := range append(whatsAppKeys, "whatsapp.base_url") {
		if c.Configured(key) {
			return true
		}
	}
	return false
}

func (u *up) realOps() bool   { return u.config.Ops.WebhookURL != "" }
func (u *up) realMail() bool  { return u.config.Mail.Address != "" }
func (u *up) realCards() bool { return u.config.VoucherCard.BaseURL != "" }

func (u *up) needsSandbox() bool {
	return !u.realWhatsApp() || !u.realOps() || !u.realMail() || !u.realCards()
}

// voucherKeysFile is where the keys that sign vouchers are, in full.
func (u *up) voucherKeysFile() string {
	c := *u.config
	c.DataDir = u.dir
	return c.VoucherKeysFile()
}

// needWhole refuses half a configuration of WhatsApp before anything is started.
func (u *up) needWhole() error {
	if !u.realWhatsApp() {
		return nil
	}
	return u.config.Need(whatsAppKeys...)
}

// checkPorts says which of the ports that up is about to use are taken, all at once.
func (u *up) checkPorts() error {
	parts := map[int]string{portAPI: "the API"}
	if u.needsSandbox() {
		parts[portSandbox], parts[portMail] = "the sandbox", "the sandbox's mail"
	}
	if u.config.Temporal.Address == "" {
		parts[portTemporal], parts[portTemporalWeb] = "Temporal", "Temporal Web"
	}
	if u.config.Database.URL == "" {
		parts[portPostgres] = "Postgres"
	}
	var busy []error
	if u.secure.on {
		parts[portTLS] = "https"
	}
	for offset := range portCount {
		if parts[offset] == "" {
			continue
		}
		address := u.listen(offset)
		if offset == portTLS {
			address = u.listenTLS()
		}
		l, err := net.Listen("tcp", address)
		if err != nil {
			busy = append(busy, fmt.Errorf("port %d, meant for %s, is taken by another program", u.port(offset), parts[offset]))
			continue
		}
		if err := l.Close(); err != nil {
			return fmt.Errorf("try port %d: %w", u.port(offset), err)
		}
	}
	if len(busy) > 0 {
		busy = append(busy, fmt.Errorf("free it, or choose other ports: lastcall up --port-base %d", u.base+1000))
	}
	return errors.Join(busy...)
}

// startChildren starts Lastcall's own processes and returns when the API says that a campaign could start.
func (u *up) startChildren(ctx context.Context) error {
	u.at.api = "http://" + u.listen(portAPI)
	u.at.public = u.publicURL()
	kept := u.servers
	names := []string{"api", "worker"}
	if u.needsSandbox() {
		u.at.sandbox = "http://" + u.listen(portSandbox)
		printPart(u.sh, "outside world", "the built-in sandbox"+u.exceptions())
		names = append([]string{"sandbox"}, names...)
	} else {
		printPart(u.sh, "outside world", "configured")
	}
	for _, name := range names {
		c, err := u.child(name, name)
		if err != nil {
			return err
		}
		kept = append(kept, c)
	}
	if err := u.awaitReady(ctx, kept); err != nil {
		return err
	}
	for _, k := range kept {
		k.Keep()
	}
	return nil
}

// exceptions says what the sandbox does not stand in for.
func (u *up) exceptions() string {
	var real []string
	add := func(is bool, name string) {
		if is {
			real = append(real, name)
		}
	}
	add(u.realWhatsApp(), "WhatsApp")
	add(u.realOps(), "Ops channel")
	add(u.realMail(), "mail")
	add(u.realCards(), "voucher cards")
	if len(real) == 0 {
		return ""
	}
	return " (configured: " + strings.Join(real, ", ") + ")"
}

// child starts a process of this program with the settings of this run.
func (u *up) child(name string, args ...string) (*supervise.Child, error) {
	if u.sh.configFile != "" {
		args = append(args, "--config", u.sh.configFile)
	}
	return u.super.Run(supervise.Command{
		Name: name, Path: u.program, Args: args, Env: append(os.Environ(), u.settings(name)...), Log: u.log(name),
		Stop: []supervise.Step{{Signal: stopSignal, Wait: drainTime}},
	})
}

// settings are the LASTCALL_* variables of a child: those of this run, over what is configured.
func (u *up) settings(child string) []string {
	env := []string{"LASTCALL_DATA_DIR=" + u.dir}
	set := func(name, value string) { env = append(env, "LASTCALL_"+name+"="+value) }
	unless := func(key, name, value string) {
		if !u.config.Configured(key) {
			set(name, value)
		}
	}

	if child == "migrate" {
		set("DATABASE_URL", u.at.databaseOwner)
		set("BOOTSTRAP_TOKEN", u.secrets.Token)
		set("BOOTSTRAP_ACCOUNTS", u.secrets.bootstrapAccounts())
		unless("pepper", "PEPPER", u.secrets.Pepper)
		if !u.realWhatsApp() {
			set("BOOTSTRAP_PIN", u.secrets.StationPIN)
		}
		return env
	}
	sandbox := "http://" + u.listen(portSandbox)
	if !u.realWhatsApp() {
		set("WHATSAPP_BASE_URL", sandbox)
		set("WHATSAPP_PHONE_NUMBER_ID", sandboxNumberID)
		unless("whatsapp.number", "WHATSAPP_NUMBER", "+"+sandboxNumberID) // nobody's
		set("WHATSAPP_ACCESS_TOKEN", u.secrets.WhatsAppAccessToken)
		set("WHATSAPP_APP_SECRET", u.secrets.WhatsAppAppSecret)
		set("WHATSAPP_VERIFY_TOKEN", u.secrets.WhatsAppVerifyToken)
	}
	if !u.realCards() {
		set("VOUCHER_CARD_SECRET", u.secrets.VoucherCard)
	}
	if child == "sandbox" {
		set("SANDBOX_LISTEN", u.listen(portSandbox))
		set("SANDBOX_SMTP_LISTEN", u.listen(portMail))
		set("API_PUBLIC_URL", "http://"+u.listen(portAPI)) // its webhooks stay on this machine
		return env
	}

	set("API_LISTEN", u.listen(portAPI))
	unless("api.public_url", "API_PUBLIC_URL", u.publicURL())
	if u.secure.on {
		set("API_TLS_LISTEN", u.listenTLS())
		set("API_TLS_CERT_FILE", u.certificateFile())
		set("API_TLS_KEY_FILE", u.certificateKeyFile())
	}
	set("DATABASE_URL", u.at.databaseApp)
	set("TEMPORAL_ADDRESS", u.at.temporalAddress)
	if child == "worker" && !u.config.Configured("probes.panel_email") {
		set("PROBES_PANEL_EMAIL", probeEmail)
		set("PROBES_PANEL_PASSWORD", u.secrets.AccountPasswords[probeEmail])
	}
	if u.needsSandbox() {
		unless("probes.payments_url", "PROBES_PAYMENTS_URL", sandbox+"/payments")
	}
	if u.at.temporalWeb != "" {
		set("TEMPORAL_WEB_URL", u.at.temporalWeb)
	}
	unless("pepper", "PEPPER", u.secrets.Pepper)
	if !u.realWhatsApp() {
		unless("reconcile.after", "RECONCILE_AFTER", "15s") // the sandbox's statuses are never late
		unless("rollout.legacy_webhook_url", "ROLLOUT_LEGACY_WEBHOOK_URL", sandbox+"/legacy/switch")
	}
	if !u.realCards() && (child != "worker" || !u.realWhatsApp()) { // WhatsApp could not fetch what is drawn here: they go in words
		set("VOUCHER_CARD_BASE_URL", sandbox)
	}
	if !u.realOps() {
		set("OPS_WEBHOOK_URL", sandbox+"/ops/webhook")
	}
	if !u.realMail() {
		set("MAIL_ADDRESS", u.listen(portMail))
		set("MAIL_TLS", "none")
		unless("mail.reports", "MAIL_REPORTS", "reports@localhost")
	}
	return env
}

const (
	sandboxNumberID = "100000000000001"
	readyTime       = 90 * time.Second
)

// awaitReady returns when the API's readyz is 200. What ends before tells why it failed.
func (u *up) awaitReady(ctx context.Context, parts []server) error {
	failed := make(chan error, len(parts))
	watch, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, part := range parts {
		go func() {
			select {
			case <-part.Done():
				failed <- part.Failure()
			case <-watch.Done():
			}
		}()
	}
	late := time.After(readyTime)
	last := "it does not answer"
	for {
		if status, body := answerOf(ctx, u.at.api+"/readyz"); status == http.StatusOK {
			return nil
		} else if status != 0 {
			last = fmt.Sprintf("%d %s", status, body)
		}
		select {
		case err := <-failed:
			return err
		case <-late:
			return fmt.Errorf("the API is not ready after %s: %s\nthe logs are in %s", readyTime, last, u.log("*"))
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// answerOf is the status and the beginning of the body; 0 if there is no answer.
func answerOf(ctx context.Context, address string) (int, string) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, ""
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, ""
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(res.Body, 1000))
	return res.StatusCode, strings.TrimSpace(string(body))
}

// asUser is a DSN for another user.
func asUser(dsn, user, password string) (string, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return "", errors.New("the database's address is malformed") // the error would show it
	}
	u.User = url.UserPassword(user, password)
	return u.String(), nil
}
