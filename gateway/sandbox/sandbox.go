// Package sandbox is the local stand-in for the outside world: a WhatsApp Cloud API that keeps every
// message it accepts and reports on it by webhook, a Slack-shaped Ops channel, a mail server, and the edge function
// that draws vouchers. What it answered 200 for survives a kill -9, and its counts are exact.
package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sync/errgroup"

	"lastcall/domain"
	"lastcall/gateway/whatsapp"
)

// Server is one sandbox. Its zero value is not usable; see New.
type Server struct {
	config   Config
	inbox    *inbox
	ops      *journal
	mails    *journal
	cards    *journal     // of those that links were made for
	smtp     net.Listener // nil without mail
	stages   []*stage
	settings settingsFile
	changed  broadcast // settings saved: whoever waits looks again

	faults    faults
	limits    limits
	templates templates
	inbound   inbound
	legacy    legacy
	ended     chan struct{} // closed when Run ends: nobody is kept waiting any longer
	end       func()
}

// Config says where a sandbox keeps its state and whom it plays.
type Config struct {
	Dir        string          // made if absent; one sandbox at a time
	Log        *slog.Logger    // nil for none; never gets a number or a text
	WhatsApp   whatsapp.Config // PhoneNumberID and AccessToken are demanded of callers, AppSecret signs webhooks
	WebhookURL string          // where statuses are posted, "" for nowhere
	SMTPAddr   string          // host:port of the mail server, "" for none
	CardSecret string          // demanded by the voucher-card function, and signs its links; "" for no such function
}

// New opens the state in Config.Dir, or starts a new one, and binds the mail server's port. Errors are
// domain.Invalid (sandbox_config, about the field) and domain.Internal (sandbox_state, sandbox_mail).
func New(c Config) (*Server, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	for field, value := range map[string]string{"dir": c.Dir, "phone_number_id": c.WhatsApp.PhoneNumberID, "access_token": c.WhatsApp.AccessToken} {
		if value == "" {
			return nil, domain.E(domain.Invalid, "sandbox_config", "The sandbox needs this setting.").About(field)
		}
	}
	if c.WebhookURL != "" && c.WhatsApp.AppSecret == "" {
		return nil, domain.E(domain.Invalid, "sandbox_config", "The sandbox needs the app secret to sign webhooks.").About("app_secret")
	}
	s := &Server{config: c, ended: make(chan struct{})}
	s.end = sync.OnceFunc(func() { close(s.ended) })
	if err := s.open(); err != nil {
		s.Close()
		return nil, domain.E(domain.Internal, "sandbox_state", "The sandbox cannot open its state in %s.", c.Dir).Because(err)
	}
	if c.SMTPAddr != "" {
		listener, err := net.Listen("tcp", c.SMTPAddr)
		if err != nil {
			s.Close()
			return nil, domain.E(domain.Internal, "sandbox_mail", "The sandbox cannot listen for mail on %s.", c.SMTPAddr).Because(err)
		}
		s.smtp = listener
	}
	return s, nil
}

func (s *Server) open() (err error) {
	dir := s.config.Dir
	if err = os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if s.inbox, err = openInbox(filepath.Join(dir, "messages.jsonl")); err != nil {
		return err
	}
	if s.ops, err = openJournal(filepath.Join(dir, "ops.jsonl"), nil); err != nil {
		return err
	}
	if s.mails, err = openJournal(filepath.Join(dir, "mail.jsonl"), nil); err != nil {
		return err
	}
	if s.cards, err = openJournal(filepath.Join(dir, "cards.jsonl"), nil); err != nil {
		return err
	}
	if err = s.settings.open(filepath.Join(dir, "settings.json")); err != nil {
		return err
	}
	if err = s.limits.set(s.settings.get(), s.inbox.journal); err != nil {
		return err
	}
	if err = s.templates.open(dir); err != nil {
		return err
	}
	if err = s.legacy.open(dir); err != nil {
		return err
	}
	if err = s.inbound.open(dir); err != nil {
		return err
	}
	for _, state := range []string{whatsapp.StateSent, whatsapp.StateDelivered, whatsapp.StateRead} {
		stage, err := openStage(filepath.Join(dir, state+".cursor"), state, s.inbox.journal.last())
		if err != nil {
			return err
		}
		s.stages = append(s.stages, stage)
		s.inbox.journal.wake = append(s.inbox.journal.wake, stage.wake)
	}
	return nil
}

// Handler serves the WhatsApp API, the Ops channel, the voucher-card function, and everything that looks inside.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{version}/{number}/messages", s.postMessage)
	mux.HandleFunc("GET /{version}/{number}", s.getNumber)
	mux.HandleFunc("GET /{version}/{account}/message_templates", s.listTemplates)
	mux.HandleFunc("GET /stats.json", s.getStats)
	mux.HandleFunc("GET /inbox.json", s.list(s.inbox.journal))
	mux.HandleFunc("DELETE /inbox", s.deleteInbox)
	mux.HandleFunc("GET /settings", s.getSettings)
	mux.HandleFunc("PUT /settings", s.putSettings)
	mux.HandleFunc("GET /faults", s.getFaults)
	mux.HandleFunc("PUT /faults", s.putFault)
	mux.HandleFunc("DELETE /faults", s.deleteFaults)
	mux.HandleFunc("GET /templates", s.getTemplates)
	mux.HandleFunc("PUT /templates/{name}", s.putTemplate)
	mux.HandleFunc("POST /inbound", s.postInbound)
	mux.HandleFunc("POST /ops/webhook", s.postNotice)
	mux.HandleFunc("GET /ops-channel.json", s.list(s.ops))
	mux.HandleFunc("GET /mail.json", s.list(s.mails))
	mux.HandleFunc("GET /functions/voucher-card", s.getCardFunction)
	mux.HandleFunc("POST /functions/voucher-card", s.postCard)
	mux.HandleFunc("GET /cards/{file}", s.getCard)
	mux.HandleFunc("GET /payments/{name}", getPayments)
	mux.HandleFunc("GET /legacy/switch", s.getLegacy)
	mux.HandleFunc("POST /legacy/switch", s.postLegacy)
	mux.HandleFunc("GET /{$}", s.getPage)
	return mux
}

// Run reports statuses by webhook and takes mail until ctx is over, then returns nil. Call it once.
func (s *Server) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, s.end)()
	if s.config.WebhookURL != "" {
		client := &http.Client{Timeout: webhookTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: len(s.stages) + 1}}
		group.Go(func() error { return s.reportTemplates(ctx, client) })
		for _, stage := range s.stages {
			group.Go(func() error { return s.report(ctx, client, stage) })
		}
	}
	if s.smtp != nil {
		group.Go(func() error { return s.serveMail(ctx) })
	}
	group.Go(func() error {
		<-ctx.Done()
		return nil
	})
	return group.Wait()
}

// SMTPAddr is the address that the mail server listens on, "" without one.
func (s *Server) SMTPAddr() string {
	if s.smtp == nil {
		return ""
	}
	return s.smtp.Addr().String()
}

// Close gives up files and ports. End Run and the HTTP server first.
func (s *Server) Close() {
	s.end()
	closers := []io.Closer{}
	if s.smtp != nil {
		closers = append(closers, s.smtp)
	}
	if s.inbox != nil {
		closers = append(closers, s.inbox.journal)
	}
	for _, j := range []*journal{s.ops, s.mails, s.cards, s.templates.journal, s.inbound.journal} {
		if j != nil {
			closers = append(closers, j)
		}
	}
	for _, stage := range append(s.stages, s.templates.stage) {
		if stage != nil {
			closers = append(closers, stage.file)
		}
	}
	for _, c := range closers {
		if err := c.Close(); err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, os.ErrClosed) {
			s.config.Log.Warn("sandbox did not close cleanly", "error", err)
		}
	}
}

// broadcast wakes everybody who waits on its channel.
type broadcast struct {
	mu      sync.Mutex
	channel chan struct{}
}

// wait returns a channel that the next send closes.
func (b *broadcast) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.channel == nil {
		b.channel = make(chan struct{})
	}
	return b.channel
}

func (b *broadcast) send() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.channel != nil {
		close(b.channel)
		b.channel = nil
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client went away: nobody is left to tell
}

// writeError answers for what is not WhatsApp's API.
func (s *Server) writeError(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	message := "The sandbox could not do this."
	field := ""
	if e, ok := errors.AsType[*domain.Error](err); ok && e.Kind == domain.Invalid {
		status, message, field = http.StatusUnprocessableEntity, e.Message, e.Field
	} else {
		s.config.Log.Error("sandbox request failed", "error", err)
	}
	writeJSON(w, status, map[string]string{"code": domain.CodeOf(err), "message": message, "field": field})
}
