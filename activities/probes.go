package activities

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"time"

	"lastcall/domain"
	"lastcall/domain/audit"
	"lastcall/domain/probe"
	"lastcall/gateway/vouchercard"
	"lastcall/gateway/whatsapp"
	"lastcall/store"
)

// Probes are the activities of the probe workflow. What is nil is not configured.
type Probes struct {
	Store *store.Store
	Log   *slog.Logger
	Where map[probe.Name]string // addresses, to tell what lies beyond this machine

	WhatsApp *whatsapp.Client
	Cards    *vouchercard.Client
	Ops      interface{ Ping(context.Context) error }
	Mail     interface{ Ping(context.Context) error }
	Panel    *PanelVisitor
	Pollers  func(context.Context) (int, error) // of the queue of dispatch, as Temporal tells

	Struck       func(context.Context) *probe.Fault // the fault that a redemption is to fail of; nil: none
	Payments     http.RoundTripper                  // looks at the payment link
	PaymentsBase string                             // stands in for https://revolut.me; "": that itself
}

// within is how long a probe waits for its answer: less than whoever asked for one waits for it.
const within = 4 * time.Second

// ProbeFunction asks one edge function for a sign of life. It does not fail: what goes wrong is what it found.
func (p *Probes) ProbeFunction(ctx context.Context, name probe.Name) (probe.Finding, error) {
	asked, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	began := time.Now()
	outcome, detail := p.ask(asked, name)
	found := probe.Finding{Name: name, Outcome: outcome, Detail: detail, At: time.Now(), Latency: time.Since(began), Outside: outside(p.Where[name])}
	if ctx.Err() != nil {
		return found, ctx.Err() // the worker stops: that says nothing about the function
	}
	return found, nil
}

// RecordProbes keeps what a round found.
func (p *Probes) RecordProbes(ctx context.Context, round []probe.Finding) error {
	return p.Store.RecordProbes(audit.WithActor(ctx, audit.System("probes")), round)
}

func (p *Probes) ask(ctx context.Context, name probe.Name) (probe.Outcome, string) {
	switch name {
	case probe.Messaging:
		return p.messaging(ctx)
	case probe.Dispatcher:
		return p.dispatcher(ctx)
	case probe.VoucherCard:
		return p.voucherCard(ctx)
	case probe.Payments:
		return p.payments(ctx)
	case probe.OpsChannel:
		return p.opsChannel(ctx)
	case probe.Mail:
		return p.mail(ctx)
	case probe.Panel:
		if p.Panel == nil {
			return probe.NotSet, "No account is set that could sign in for a probe."
		}
		return p.Panel.visit(ctx)
	case probe.Redemptions:
		return p.redemptions(ctx)
	case probe.Database:
		if err := p.Store.Ping(ctx); err != nil {
			return probe.Unreachable, "It does not answer."
		}
		return probe.Answered, ""
	}
	return probe.NotSet, "Nobody knows how to probe it."
}

// messaging asks for the sender's own number, which costs nothing and takes the token.
func (p *Probes) messaging(ctx context.Context) (probe.Outcome, string) {
	err := p.WhatsApp.Ping(ctx)
	refused, ok := errors.AsType[*whatsapp.APIError](err)
	switch {
	case err == nil:
		return probe.Answered, ""
	case ok:
		return probe.Refused, fmt.Sprintf("WhatsApp refuses: error %d.", refused.Code)
	case errors.Is(err, whatsapp.ErrUnknown) && ctx.Err() == nil && !broken(err):
		return probe.Refused, "WhatsApp answers what makes no sense."
	}
	return probe.Unreachable, missing(ctx, err, "WhatsApp")
}

// dispatcher asks both who says of itself that it dispatches, and Temporal, who polls.
func (p *Probes) dispatcher(ctx context.Context) (probe.Outcome, string) {
	n, heard, err := p.Store.Dispatching(ctx)
	switch {
	case err != nil:
		return probe.Unreachable, "The database does not tell who dispatches."
	case n == 0 && (heard == nil || *heard > probe.Silent):
		return probe.Unreachable, "No worker says that it is there."
	case n == 0:
		return probe.Unreachable, "Workers are there, but none takes anything from the queue of dispatch."
	}
	polling, err := p.Pollers(ctx)
	if err == nil && polling == 0 && patience(ctx, 500*time.Millisecond) { // they may be about to begin
		polling, err = p.Pollers(ctx)
	}
	switch {
	case err != nil:
		return probe.Unreachable, "Temporal does not answer."
	case polling == 0:
		return probe.Refused, "Workers say that they dispatch, but Temporal sees none poll."
	}
	return probe.Answered, ""
}

// voucherCard asks the function itself, past the breaker.
func (p *Probes) voucherCard(ctx context.Context) (probe.Outcome, string) {
	if p.Cards == nil {
		return probe.NotSet, "No function that draws cards is set: vouchers go in words."
	}
	err := p.Cards.Ping(ctx)
	if err == nil {
		return probe.Answered, ""
	}
	if failure, ok := errors.AsType[*vouchercard.Failure](err); ok && failure.Answered {
		return probe.Refused, err.Error()
	}
	return probe.Unreachable, err.Error()
}

// payments looks at the link that Finance has confirmed, without opening what it leads to.
func (p *Probes) payments(ctx context.Context) (probe.Outcome, string) {
	inForce, _, err := p.Store.Payments(ctx)
	if err != nil {
		return probe.Unreachable, "The database does not tell the link."
	}
	if inForce == nil || inForce.Value.RevolutLink == "" {
		return probe.NotSet, "Finance has confirmed no payment link."
	}
	link, err := url.Parse(inForce.Value.RevolutLink)
	if err != nil {
		return probe.Refused, "The link is none."
	}
	address := link.String()
	if p.PaymentsBase != "" {
		address = p.PaymentsBase + link.Path
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return probe.Refused, "The link is none."
	}
	res, err := p.Payments.RoundTrip(req)
	if err != nil {
		return probe.Unreachable, missing(ctx, err, "The payment page")
	}
	_ = res.Body.Close()
	switch {
	case res.StatusCode == http.StatusNotFound || res.StatusCode == http.StatusGone:
		return probe.Unreachable, fmt.Sprintf("There is no such payment page (HTTP %d).", res.StatusCode)
	case res.StatusCode >= 400:
		return probe.Refused, fmt.Sprintf("The payment page refuses (HTTP %d).", res.StatusCode)
	}
	return probe.Answered, ""
}

// opsChannel asks the webhook without posting anything, and looks at what waits for it.
func (p *Probes) opsChannel(ctx context.Context) (probe.Outcome, string) {
	if outcome, detail := pinged(p.Ops.Ping(ctx)); outcome != probe.Answered {
		return outcome, detail
	}
	waiting, err := p.Store.NoticesWaiting(ctx)
	if err == nil && waiting > 0 {
		return probe.Refused, fmt.Sprintf("It answers, and %d notices wait for it.", waiting)
	}
	return probe.Answered, ""
}

// redemptionTries are as many as show what fails a share of the time.
const redemptionTries = 4

// redemptions tries some, of vouchers that there are not.
func (p *Probes) redemptions(ctx context.Context) (probe.Outcome, string) {
	failed := 0
	for range redemptionTries {
		if p.tryRedemption(ctx) != "" {
			failed++
		}
	}
	switch failed {
	case 0:
		return probe.Answered, ""
	case redemptionTries:
		return probe.Unreachable, "No voucher can be redeemed."
	}
	return probe.Refused, fmt.Sprintf("%d of %d redemptions fail.", failed, redemptionTries)
}

// tryRedemption goes the way of a redemption, behind the same faults, and redeems nothing. It tells the code of a failure, ""
// when it went well.
func (p *Probes) tryRedemption(ctx context.Context) string {
	if p.Struck != nil && p.Struck(ctx) != nil {
		return store.RedemptionsDown
	}
	if err := p.Store.TryRedemption(ctx); err != nil {
		return domain.CodeOf(err)
	}
	return ""
}

// mail connects to the server and signs in, and sends nothing.
func (p *Probes) mail(ctx context.Context) (probe.Outcome, string) {
	if p.Mail == nil {
		return probe.NotSet, "No mail server is set."
	}
	return pinged(p.Mail.Ping(ctx))
}

// pinged reads the errors of the gateway's own Pings.
func pinged(err error) (probe.Outcome, string) {
	if err == nil {
		return probe.Answered, ""
	}
	_, refused := errors.AsType[*textproto.Error](err)
	switch {
	case domain.CodeOf(err) == "ops_channel_not_set":
		return probe.NotSet, err.Error()
	case refused || domain.CodeOf(err) == "ops_channel_refuses" || domain.KindOf(err) == domain.Invalid:
		return probe.Refused, err.Error()
	}
	return probe.Unreachable, err.Error()
}

// missing says how something was not reached, in words that quote no address.
func missing(ctx context.Context, err error, who string) string {
	var timeout net.Error
	if ctx.Err() != nil || errors.As(err, &timeout) && timeout.Timeout() {
		return who + " does not answer in time."
	}
	return who + " cannot be reached."
}

// broken reports whether a connection failed, rather than what came over it.
func broken(err error) bool {
	var op *net.OpError
	var timeout net.Error
	return errors.As(err, &op) || errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded)
}

// outside reports whether an address lies beyond this machine.
func outside(address string) bool {
	host := address
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		host = u.Hostname()
	} else if h, _, err := net.SplitHostPort(address); err == nil {
		host = h
	}
	ip := net.ParseIP(host)
	return host != "" && host != "localhost" && (ip == nil || !ip.IsLoopback())
}
