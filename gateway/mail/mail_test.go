package mail

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"net/mail"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"lastcall/domain"
)

func TestSend(t *testing.T) {
	t.Parallel()
	server := smtpServer(t, nil)
	sender := New(Config{Address: server.address, From: "Lastcall <lastcall@bar.test>"})
	require.NoError(t, sender.Send(t.Context(), Message{
		To: []string{"a@bar.test", "B <b@bar.test>"}, Subject: "Report: Café\r\nBcc: evil@bar.test", Text: "Murakoze 😀\n.\nend",
	}))
	got := <-server.mails
	require.Equal(t, "lastcall@bar.test", got.from)
	require.Equal(t, []string{"a@bar.test", "b@bar.test"}, got.to)
	parsed, err := mail.ReadMessage(strings.NewReader(got.data))
	require.NoError(t, err)
	require.Empty(t, parsed.Header.Get("Bcc"), "a subject adds no header")
	require.NotEmpty(t, parsed.Header.Get("Message-ID"))
	require.Contains(t, got.data, "Murakoze =F0=9F=98=80\r\n.\r\nend")
}

func TestSendSignsIn(t *testing.T) {
	t.Parallel()
	web := httptest.NewTLSServer(nil) // for its certificate
	defer web.Close()
	trusted := x509.NewCertPool()
	trusted.AddCert(web.Certificate())
	server := smtpServer(t, &tls.Config{Certificates: web.TLS.Certificates})
	message := Message{To: []string{"b@bar.test"}, Subject: "S", Text: "T"}

	for name, c := range map[string]struct {
		password, tls string
		roots         *x509.CertPool
		code          string
	}{
		"when offered":        {password: "secret", roots: trusted},
		"STARTTLS":            {password: "secret", tls: "starttls", roots: trusted},
		"wrong password":      {password: "guess", roots: trusted, code: "mail_not_sent"},
		"unknown server":      {password: "secret", roots: x509.NewCertPool(), code: "mail_not_sent"},
		"STARTTLS is not TLS": {password: "secret", tls: "tls", roots: trusted, code: "mail_not_sent"},
	} {
		t.Run(name, func(t *testing.T) {
			sender := New(Config{Address: server.address, From: "a@bar.test", Username: "user", Password: c.password, TLS: c.tls})
			sender.roots = c.roots
			err := sender.Send(t.Context(), message)
			if c.code != "" {
				require.Equal(t, c.code, domain.CodeOf(err))
				require.NotContains(t, err.Error(), c.password)
				require.Empty(t, server.mails)
				return
			}
			require.NoError(t, err)
			require.Equal(t, "user", (<-server.mails).user)
		})
	}
}

func TestSendFails(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	server := smtpServer(t, nil)
	good := Message{To: []string{"b@bar.test"}, Subject: "S", Text: "T"}
	for name, c := range map[string]struct {
		config  Config
		message Message
		code    string
	}{
		"no server":             {Config{Address: closed.Addr().String(), From: "a@bar.test"}, good, "mail_not_sent"},
		"no STARTTLS there":     {Config{Address: server.address, From: "a@bar.test", TLS: "starttls"}, good, "mail_not_sent"},
		"no TLS there":          {Config{Address: server.address, From: "a@bar.test", TLS: "tls"}, good, "mail_not_sent"},
		"no port":               {Config{Address: "mail.test", From: "a@bar.test"}, good, "mail_config"},
		"bad port":              {Config{Address: "mail.test:0", From: "a@bar.test"}, good, "mail_config"},
		"bad TLS":               {Config{Address: server.address, From: "a@bar.test", TLS: "ssl"}, good, "mail_config"},
		"bad sender":            {Config{Address: server.address, From: "nobody"}, good, "mail_address"},
		"bad recipient":         {Config{Address: server.address, From: "a@bar.test"}, Message{To: []string{"b@bar.test", "x"}}, "mail_address"},
		"no recipient":          {Config{Address: server.address, From: "a@bar.test"}, Message{}, "mail_address"},
		"refused by the server": {Config{Address: server.address, From: "refused@bar.test"}, good, "mail_not_sent"},
	} {
		t.Run(name, func(t *testing.T) {
			err := New(c.config).Send(t.Context(), c.message)
			require.Equal(t, c.code, domain.CodeOf(err))
			require.Empty(t, server.mails)
		})
	}
}

// received is one mail as the test server got it.
type received struct {
	user, from string
	to         []string
	data       string
}

type testServer struct {
	address string
	mails   chan received
}

// smtpServer takes every mail but those from refused@bar.test; with a TLS config it wants user and secret.
func smtpServer(t *testing.T, config *tls.Config) testServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	out := testServer{address: listener.Addr().String(), mails: make(chan received, 10)}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		return &session{server: out}, nil
	}))
	server.TLSConfig = config
	server.ErrorLog = log.New(io.Discard, "", 0)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return out
}

type session struct {
	server testServer
	mail   received
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if password != "secret" {
			return smtp.ErrAuthFailed
		}
		s.mail.user = user
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if from == "refused@bar.test" {
		return errors.New("refused")
	}
	s.mail.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.mail.to = append(s.mail.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	s.mail.data = string(data)
	s.server.mails <- s.mail
	return err
}

func (s *session) Reset()        { s.mail = received{user: s.mail.user} }
func (s *session) Logout() error { return nil }
