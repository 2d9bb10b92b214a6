// Package config is Lastcall's settings: typed, with defaults, from an optional YAML file and from
// LASTCALL_* variables. The variable wins over the file, the file over the default.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/viper"

	"lastcall/domain"
)

// Config is every setting. A setting's key is the path of its `key` tags ("whatsapp.base_url"); its
// variable is LASTCALL_ and the key in capitals with _ for the dot (LASTCALL_WHATSAPP_BASE_URL).
type Config struct {
	DataDir     string      `key:"data_dir"` // where `up` and the sandbox keep their state; default .lastcall
	Database    Database    `key:"database"`
	Temporal    Temporal    `key:"temporal"`
	API         API         `key:"api"`
	TemporalWeb TemporalWeb `key:"temporal_web"`
	Pepper      Secret      `key:"pepper"` // keys the opt-out registry's hashes; at least 32 characters; losing it empties the registry
	WhatsApp    WhatsApp    `key:"whatsapp"`
	Ops         Ops         `key:"ops"`
	Mail        Mail        `key:"mail"`
	Voucher     Voucher     `key:"voucher"`
	VoucherCard VoucherCard `key:"voucher_card"`
	Dispatch    Dispatch    `key:"dispatch"`
	Worker      Worker      `key:"worker"`
	Reconcile   Reconcile   `key:"reconcile"`
	Log         Log         `key:"log"`
	Sandbox     Sandbox     `key:"sandbox"`
	Audit       Audit       `key:"audit"`
	Rollout     Rollout     `key:"rollout"`
	Probes      Probes      `key:"probes"`

	configured map[string]bool // the keys that the file or a variable gave
}

// Database is the one Postgres.
type Database struct {
	URL      Secret `key:"url"`       // postgres://user:password@host:port/database
	MaxConns int    `key:"max_conns"` // connections of one process's pool; default 20
}

// Temporal is the one Temporal.
type Temporal struct {
	Address   string `key:"address"`   // host:port of its frontend
	Namespace string `key:"namespace"` // default "default"
}

// API is where the API listens and how others reach it.
type API struct {
	Listen    string `key:"listen"`     // host:port; default 127.0.0.1:8700
	PublicURL string `key:"public_url"` // what links and webhooks begin with; default http://<listen>; https: cookies are for https only

	TLSListen   string `key:"tls_listen"`    // host:port where it answers by https as well; empty: nowhere
	TLSCertFile string `key:"tls_cert_file"` // PEM, its chain included; needed with tls_listen
	TLSKeyFile  string `key:"tls_key_file"`  // PEM

	TrustedProxies []string `key:"trusted_proxies"` // addresses and networks whose X-Forwarded-For names the client; default none
}

// TemporalWeb is Temporal's own console.
type TemporalWeb struct {
	URL string `key:"url"` // for links; empty: no links
}

// WhatsApp is the WhatsApp Cloud API.
type WhatsApp struct {
	BaseURL       string `key:"base_url"`        // default https://graph.facebook.com
	Version       string `key:"version"`         // default v23.0
	PhoneNumberID string `key:"phone_number_id"` // the sender's id, not its number
	Number        string `key:"number"`          // the sender's number, with +: what the codes on tables open a chat with

	BusinessAccountID string `key:"business_account_id"` // whose templates are listed; empty: the sandbox's, else they cannot be compared

	AccessToken Secret `key:"access_token"`
	AppSecret   Secret `key:"app_secret"`   // signs the webhooks
	VerifyToken Secret `key:"verify_token"` // answers the webhook handshake
}

// Sandbox reports whether BaseURL is the sandbox's. The sandbox speaks plain HTTP only, the Cloud API HTTPS only.
func (w WhatsApp) Sandbox() bool { return strings.HasPrefix(w.BaseURL, "http://") }

// Ops is the channel alerts go to.
type Ops struct {
	WebhookURL Secret `key:"webhook_url"` // Slack-shaped; who has it can post, so it is a secret
}

// Mail is outgoing mail.
type Mail struct {
	Address  string   `key:"address"` // host:port of the SMTP server; empty: no mail
	From     string   `key:"from"`    // default lastcall@localhost
	Username string   `key:"username"`
	Password Secret   `key:"password"`
	TLS      string   `key:"tls"`     // none | starttls | tls; default starttls
	Reports  []string `key:"reports"` // who gets campaign reports; comma-separated in a variable
}

// Voucher is what vouchers are signed with.
type Voucher struct {
	SigningKeysFile string `key:"signing_keys_file"` // private keys, of all processes the same; default voucher-keys.json in data_dir
}

// VoucherCard is the edge function that draws vouchers.
type VoucherCard struct {
	BaseURL string `key:"base_url"` // /functions/voucher-card is below it; empty: no pictures, vouchers go as text
	Secret  Secret `key:"secret"`   // its bearer token
}

// Dispatch tunes sending.
type Dispatch struct {
	Lanes        int           `key:"lanes"`         // lanes of one campaign; default 4
	Concurrency  int           `key:"concurrency"`   // sends at once in one lane; default 64
	BatchTargets int           `key:"batch_targets"` // targets of one DispatchBatch at most; default 5000
	BatchTime    time.Duration `key:"batch_time"`    // time of one DispatchBatch at most; default 5m
	AssumedRate  int           `key:"assumed_rate"`  // messages a second in forecasts, until it can be measured; default 80
	Retries      int           `key:"retries"`       // tries of one target while the provider is in trouble and certainly did not take it; default 8
}

// Worker is a worker's own.
type Worker struct {
	MetricsListen string `key:"metrics_listen"` // host:port where it serves /metrics, as the API does at its own; empty: nowhere
}

// Reconcile is how unknown outcomes are settled.
type Reconcile struct {
	After time.Duration `key:"after"` // how long settling waits for late statuses; default 10m
}

// Log is how the processes log.
type Log struct {
	Level  string `key:"level"`  // debug | info | warn | error; default info
	Format string `key:"format"` // text | json; default text
}

// Sandbox is the stand-in for the outside world.
type Sandbox struct {
	Listen     string `key:"listen"`      // host:port; default 127.0.0.1:8701
	SMTPListen string `key:"smtp_listen"` // host:port of its mail inbox; default 127.0.0.1:8705
}

// Audit is how the audit log is signed and how long it is kept.
type Audit struct {
	Key            Secret   `key:"key"`             // 32 bytes in base64 that all API processes sign with; empty: audit.key in data_dir, made when it is first needed
	TrustedKeys    []string `key:"trusted_keys"`    // public keys in base64 whose signatures are believed, too: those used before
	CheckpointFile string   `key:"checkpoint_file"` // gets a signed line each hour; default audit-checkpoints.jsonl in data_dir
	RetentionDays  int      `key:"retention_days"`  // how long entries are kept, at least 90; default 365
}

// Rollout is how the installation goes from a trial to everybody.
type Rollout struct {
	PlanFile string `key:"plan_file"` // the plan, in YAML; empty: the one that Lastcall comes with

	LegacyWebhookURL Secret `key:"legacy_webhook_url"` // switches the tooling before Lastcall on and off, and says which it is; empty: Ops do it by hand, and sign
}

// Probes ask edge functions for a sign of life.
type Probes struct {
	Every         time.Duration `key:"every"`          // how often; default 1m
	PanelEmail    string        `key:"panel_email"`    // an account of its own, of the role viewer, that signs in to the panel from outside; empty: nobody does
	PanelPassword Secret        `key:"panel_password"` // that account's
	PaymentsURL   string        `key:"payments_url"`   // stands in for https://revolut.me when the payment link is looked at; empty: that itself
}

// Defaults are the settings before any file or variable.
func Defaults() *Config {
	return &Config{
		DataDir:   ".lastcall",
		Database:  Database{MaxConns: 20},
		Temporal:  Temporal{Namespace: "default"},
		API:       API{Listen: "127.0.0.1:8700"},
		WhatsApp:  WhatsApp{BaseURL: "https://graph.facebook.com", Version: "v23.0"},
		Mail:      Mail{From: "lastcall@localhost", TLS: "starttls"},
		Dispatch:  Dispatch{Lanes: 4, Concurrency: 64, BatchTargets: 5000, BatchTime: 5 * time.Minute, AssumedRate: 80, Retries: 8},
		Reconcile: Reconcile{After: 10 * time.Minute},
		Log:       Log{Level: "info", Format: "text"},
		Sandbox:   Sandbox{Listen: "127.0.0.1:8701", SMTPListen: "127.0.0.1:8705"},
		Audit:     Audit{RetentionDays: 365},
		Probes:    Probes{Every: time.Minute},
	}
}

// DefaultFile is read when Load is given no file and it is there.
const DefaultFile = "lastcall.yaml"

// Load reads the settings: the defaults, then file (DefaultFile if empty and present), then the
// LASTCALL_* variables, where an empty variable counts as unset. The error is every mistake at once, each
// a domain.Invalid error about its key; it never holds a secret's value.
func Load(file string) (*Config, error) {
	v := viper.New()
	fields := walk(Defaults())
	for _, f := range fields {
		v.SetDefault(f.key, f.value.Interface())
		if err := v.BindEnv(f.key, f.variable); err != nil {
			return nil, fmt.Errorf("bind %s: %w", f.variable, err)
		}
	}
	if err := readFile(v, file); err != nil {
		return nil, err
	}

	c := Defaults()
	c.configured = map[string]bool{}
	problems := unknownKeys(v, fields)
	problems = append(problems, unknownVariables(fields)...)
	for _, f := range walk(c) {
		if v.InConfig(f.key) || os.Getenv(f.variable) != "" {
			c.configured[f.key] = true
		}
		if err := f.set(v.Get(f.key)); err != nil {
			problems = append(problems, err)
		}
	}
	if len(problems) == 0 {
		problems = c.check()
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	if c.API.PublicURL == "" {
		c.API.PublicURL = "http://" + c.API.Listen
	}
	c.API.PublicURL = strings.TrimRight(c.API.PublicURL, "/")
	return c, nil
}

// Configured says whether the file or a variable gave this key; a default does not count.
func (c *Config) Configured(key string) bool { return c.configured[key] }

// Need says which of these keys have no value, all at once, each as a domain.Invalid error about its key
// that tells how to set it. An unknown key is an error too.
func (c *Config) Need(keys ...string) error {
	fields := map[string]field{}
	for _, f := range walk(c) {
		fields[f.key] = f
	}
	var problems []error
	for _, key := range keys {
		f, ok := fields[key]
		switch {
		case !ok:
			problems = append(problems, domain.E(domain.Invalid, "setting_unknown", "there is no such setting").About(key))
		case f.value.IsZero():
			problems = append(problems, domain.E(domain.Invalid, "setting_missing",
				"is needed and not set; set %s, or %s in %s", f.variable, key, DefaultFile).About(key))
		}
	}
	return errors.Join(problems...)
}

func readFile(v *viper.Viper, file string) error {
	asked := file != ""
	if !asked {
		file = DefaultFile
	}
	v.SetConfigFile(file)
	v.SetConfigType("yaml")
	err := v.ReadInConfig()
	switch {
	case err == nil, !asked && errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return domain.E(domain.Invalid, "config_file_missing", "there is no such file").About(file)
	case errors.Is(err, fs.ErrPermission):
		return domain.E(domain.Invalid, "config_file_unreadable", "may not be read").About(file)
	default: // a parser quotes what it read, which may be a secret: its words go to the cause
		return domain.E(domain.Invalid, "config_file_malformed", "is not valid YAML%s", lineOf(err)).About(file).Because(err)
	}
}
