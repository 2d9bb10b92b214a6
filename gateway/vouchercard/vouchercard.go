// Package vouchercard asks the voucher-card edge function for the pictures of vouchers. Nothing waits for it: when it does
// not answer, callers fall back to the card's text (voucher.CardText), and a breaker spares them the wait.
package vouchercard

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"image/png"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"lastcall/domain"
	"lastcall/domain/voucher"
)

// Client speaks to one edge function. It is safe for concurrent use.
type Client struct {
	config   Config
	function string // its address
	client   *http.Client
	breaker  breaker
}

// Config says where the edge function is.
type Config struct {
	BaseURL string        // the function is at /functions/voucher-card below it; "" for none
	Secret  string        // the bearer token it demands
	Timeout time.Duration // of one call from start to end; default 5 s

	Wrap func(http.RoundTripper) http.RoundTripper // goes before the transport; nil: nothing does
}

// Request is what the function is asked for.
type Request struct {
	Amount    string    `json:"amount"` // decimal: 5000 or 25.50
	Currency  string    `json:"currency"`
	Code      string    `json:"code"`
	Token     string    `json:"token"`      // of the QR code
	ExpiresAt time.Time `json:"expires_at"` // with the zone's offset
	Zone      string    `json:"zone"`       // IANA
	Locale    string    `json:"locale"`
	Bar       string    `json:"bar"`
	Stations  []string  `json:"stations,omitempty"` // none: every station
	Payment   string    `json:"payment,omitempty"`  // how one pays there, in one line
	Specimen  bool      `json:"specimen,omitempty"` // to be marked as worth nothing

	LinkSeconds int `json:"link_seconds,omitempty"` // wants a link that works that long instead of the picture
}

// Link is where others can fetch a card, for a while. Who has it sees the card: it belongs in no log.
type Link struct {
	URL       string    `json:"url"`
	ExpiresAt time.Time `json:"expires_at"`
}

const (
	maxPicture = 2 << 20 // bytes; a card has some 60 KB
	maxSide    = 4096    // pixels
	maxAnswer  = 16 << 10
)

// New makes a client. Without a base URL every call fails at once.
func New(c Config) *Client {
	if c.Timeout <= 0 {
		c.Timeout = 5 * time.Second
	}
	var way http.RoundTripper = &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 32, IdleConnTimeout: 90 * time.Second}
	if c.Wrap != nil {
		way = c.Wrap(way)
	}
	return &Client{
		config: c, function: strings.TrimSuffix(c.BaseURL, "/") + "/functions/voucher-card",
		client: &http.Client{Timeout: c.Timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: way},
	}
}

// Picture returns the card as a PNG, read whole and decoded once, so that it is one. Errors are those of Card.Check,
// domain.Invalid (voucher_card_refused) when the function will not draw this card, and domain.Unavailable
// (voucher_card_unavailable), whose message says why and whose cause is a *Failure.
func (c *Client) Picture(ctx context.Context, card voucher.Card) ([]byte, error) {
	var picture []byte
	err := c.ask(ctx, card, 0, func(res *http.Response) (err error) {
		picture, err = readPicture(res)
		return err
	})
	return picture, err
}

// Link returns where the card can be fetched for at least as long as it should live (whole seconds). Errors are those of Picture.
func (c *Client) Link(ctx context.Context, card voucher.Card, lives time.Duration) (Link, error) {
	var link Link
	err := c.ask(ctx, card, max(lives, time.Second), func(res *http.Response) error {
		raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
		if err != nil {
			return err
		}
		if len(raw) > maxAnswer || json.Unmarshal(raw, &link) != nil {
			return wrongAnswer("no link")
		}
		u, err := url.Parse(link.URL)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || !link.ExpiresAt.After(time.Now()) {
			return wrongAnswer("no link that works")
		}
		return nil
	})
	if err != nil {
		return Link{}, err
	}
	return link, nil
}

// Ping asks for a sign of life, past the breaker: nil, or domain.Unavailable as Picture's.
func (c *Client) Ping(ctx context.Context) error {
	if c.config.BaseURL == "" {
		return notConfigured()
	}
	return c.call(ctx, http.MethodGet, nil, func(*http.Response) error { return nil })
}

func (c *Client) ask(ctx context.Context, card voucher.Card, lives time.Duration, read func(*http.Response) error) error {
	if err := card.Check(); err != nil {
		return err
	}
	if c.config.BaseURL == "" {
		return notConfigured()
	}
	zone, err := time.LoadLocation(card.Zone)
	if err != nil {
		return err // Check has seen it
	}
	body, err := json.Marshal(Request{Amount: card.Amount.String(), Currency: card.Currency, Code: card.Code, Token: card.Token,
		ExpiresAt: card.Expires.In(zone), Zone: card.Zone, Locale: card.Locale, Bar: card.Bar, Stations: card.Stations,
		Payment: card.Payment, Specimen: card.Specimen, LinkSeconds: int((lives + time.Second - 1) / time.Second)})
	if err != nil {
		return err
	}
	if err := c.breaker.allow(time.Now()); err != nil {
		return err
	}
	err = c.call(ctx, http.MethodPost, body, read)
	c.breaker.heard(time.Now(), ctx, err)
	return err
}

// call does one exchange; every error of it is one for people.
func (c *Client) call(ctx context.Context, method string, body []byte, read func(*http.Response) error) error {
	req, err := http.NewRequestWithContext(ctx, method, c.function, bytes.NewReader(body))
	if err != nil {
		return unavailable(&Failure{Reason: "its address is none"})
	}
	req.Header.Set("Authorization", "Bearer "+c.config.Secret)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "image/png, application/json")
	res, err := c.client.Do(req)
	if err == nil {
		defer res.Body.Close()
		if err = refusal(res); err == nil {
			err = read(res)
		}
	}
	return explain(err)
}

// readPicture reads a PNG, and believes nothing that it has not seen.
func readPicture(res *http.Response) ([]byte, error) {
	if kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); kind != "image/png" {
		return nil, wrongAnswer("no PNG")
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxPicture+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > maxPicture {
		return nil, wrongAnswer("a picture larger than 2 MiB")
	}
	size, err := png.DecodeConfig(bytes.NewReader(raw))
	if err != nil || size.Width > maxSide || size.Height > maxSide {
		return nil, wrongAnswer("no PNG of a card's size")
	}
	rest := bytes.NewReader(raw)
	if _, err := png.Decode(rest); err != nil || rest.Len() > 0 {
		return nil, wrongAnswer("a broken PNG")
	}
	return raw, nil
}

// explain turns what went wrong into an error for people; it quotes no address, card or answer.
func explain(err error) error {
	if err == nil {
		return nil
	}
	if refused, ok := errors.AsType[*domain.Error](err); ok {
		return refused
	}
	if failure, ok := errors.AsType[*Failure](err); ok {
		return unavailable(failure)
	}
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, context.Canceled):
		return unavailable(&Failure{Reason: "the call was given up"})
	case errors.As(err, &timeout) && timeout.Timeout():
		return unavailable(&Failure{Reason: "it does not answer in time"})
	}
	return unavailable(&Failure{Reason: "it cannot be reached"})
}
