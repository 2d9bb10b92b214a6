// Package mail sends plain-text mail by SMTP: campaign reports and alerts.
package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strconv"
	"time"

	gomail "github.com/wneessen/go-mail"

	"lastcall/domain"
)

// Sender sends through one SMTP server, one connection a message. It is safe for concurrent use.
type Sender struct {
	config Config
	roots  *x509.CertPool // nil for the system's
}

// Config says which server to use and as whom.
type Config struct {
	Address  string // host:port
	From     string // an address, with or without a name
	Username string // "" to send without signing in
	Password string // secret; given only to an encrypted connection or to this machine
	TLS      string // "" STARTTLS when offered | "starttls" or nothing | "tls" from the first byte | "none"

	// Dial is asked before each connection for a dialer in place of the usual one, and may answer with nil; nil: nobody is.
	Dial func(ctx context.Context) Dialer
}

// Dialer opens connections.
type Dialer = func(ctx context.Context, network, address string) (net.Conn, error)

// New makes a sender. What is wrong with the configuration shows at Send.
func New(c Config) *Sender { return &Sender{config: c} }

// Message is one mail to everybody in To.
type Message struct {
	To      []string
	Subject string
	Text    string // plain, UTF-8
}

// Send delivers a message to the server, in 30 s at most. Errors: domain.Invalid (mail_config,
// mail_address, about the field) and domain.Unavailable (mail_not_sent), after which it may still have arrived.
func (s *Sender) Send(ctx context.Context, m Message) error {
	client, err := s.client(ctx)
	if err != nil {
		return err
	}
	msg := gomail.NewMsg()
	if err := msg.From(s.config.From); err != nil {
		return domain.E(domain.Invalid, "mail_address", "The sender is not a mail address.").About("from").Because(err)
	}
	if err := msg.To(m.To...); err != nil || len(m.To) == 0 {
		return domain.E(domain.Invalid, "mail_address", "Every recipient must be a mail address, and there must be one.").About("to").Because(err)
	}
	msg.Subject(m.Subject)
	msg.SetDate()
	msg.SetMessageID()
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)

	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := client.DialAndSendWithContext(ctx, msg); err != nil {
		return domain.E(domain.Unavailable, "mail_not_sent", "The mail server did not take the mail.").Because(err)
	}
	return nil
}

// Ping asks the server for a sign of life: it connects, signs in where Send would, and sends nothing. An error that wraps
// a *textproto.Error is the server's own refusal.
func (s *Sender) Ping(ctx context.Context) error {
	client, err := s.client(ctx)
	if err != nil {
		return err
	}
	conn, err := client.DialToSMTPClientWithContext(ctx)
	if err == nil {
		err = errors.Join(conn.Noop(), conn.Quit())
	}
	if err != nil {
		return domain.E(domain.Unavailable, "mail_down", "The mail server does not answer as one.").Because(err)
	}
	return nil
}

func (s *Sender) client(ctx context.Context) (*gomail.Client, error) {
	c := s.config
	host, portText, err := net.SplitHostPort(c.Address)
	port, portErr := strconv.Atoi(portText)
	if err != nil || host == "" || portErr != nil || port < 1 || port > 65535 {
		return nil, domain.E(domain.Invalid, "mail_config", "The mail server must be host:port.").About("address")
	}
	options := []gomail.Option{
		gomail.WithPort(port), gomail.WithTimeout(15 * time.Second),
		gomail.WithTLSConfig(&tls.Config{ServerName: host, RootCAs: s.roots, MinVersion: tls.VersionTLS12}),
	}
	switch c.TLS {
	case "":
		options = append(options, gomail.WithTLSPolicy(gomail.TLSOpportunistic))
	case "starttls":
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	case "tls":
		options = append(options, gomail.WithSSL())
	case "none":
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		return nil, domain.E(domain.Invalid, "mail_config", `TLS must be "", "starttls", "tls" or "none".`).About("tls")
	}
	if c.Username != "" {
		options = append(options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover),
			gomail.WithUsername(c.Username), gomail.WithPassword(c.Password))
	}
	if c.Dial != nil {
		if dial := c.Dial(ctx); dial != nil {
			options = append(options, gomail.WithDialContextFunc(dial))
		}
	}
	client, err := gomail.NewClient(host, options...)
	if err != nil {
		return nil, domain.E(domain.Invalid, "mail_config", "The mail settings do not work together.").Because(err)
	}
	return client, nil
}
