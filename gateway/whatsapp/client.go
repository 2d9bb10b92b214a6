// Package whatsapp speaks to the WhatsApp Cloud API: it sends template messages, and it reads and
// verifies the webhooks that come back.
//
// The API has no idempotency key, so what a failed call means matters more than that it failed. Send
// answers one of four ways: accepted; refused by the provider (*APIError); never sent (ErrNotSent);
// or unknown (ErrUnknown), which must not be repeated blindly: the status webhook settles it.
package whatsapp

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"time"

	"lastcall/domain/contact"
)

// Client sends messages from one phone number. It is safe for concurrent use and keeps its
// connections open between calls.
type Client struct {
	config     Config
	transport  *http.Transport
	way        http.RoundTripper // the transport, and what Config.Wrap puts before it
	messages   *url.URL          // where messages are posted
	number     *url.URL          // the phone number itself
	templates  *url.URL          // where templates are listed; nil without an account
	postHeader http.Header
	getHeader  http.Header
	configErr  error // why no request can be made at all
}

// Config says how to reach the provider and as whom.
type Config struct {
	BaseURL       string // default https://graph.facebook.com
	Version       string // of the Graph API, default v23.0
	PhoneNumberID string // the sender

	BusinessAccountID string // the account that templates belong to; "": they cannot be listed

	AccessToken string        // secret
	AppSecret   string        // secret; signs webhooks
	VerifyToken string        // secret; answers the webhook handshake
	Timeout     time.Duration // for one call from start to end, default 10 s
	MaxConns    int           // calls at once, and connections kept open; default 256. More calls wait.

	Wrap func(http.RoundTripper) http.RoundTripper // goes before the transport; nil: nothing does
}

// New makes a client. A configuration that no request can be made with (an unreadable BaseURL) shows
// as ErrNotSent from every call.
func New(c Config) *Client {
	if c.BaseURL == "" {
		c.BaseURL = "https://graph.facebook.com"
	}
	if c.Version == "" {
		c.Version = "v23.0"
	}
	if c.Timeout <= 0 {
		c.Timeout = 10 * time.Second
	}
	if c.MaxConns <= 0 {
		c.MaxConns = 256
	}
	// HTTP/1.1 only: there one call is one connection, and the transport repeats a POST only when not
	// a byte of it was written. ErrNotSent rests on that.
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	client := &Client{
		config: c,
		transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			Protocols:              &protocols,
			MaxConnsPerHost:        c.MaxConns,
			MaxIdleConnsPerHost:    c.MaxConns,
			IdleConnTimeout:        90 * time.Second,
			TLSHandshakeTimeout:    c.Timeout,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxAnswer,
		},
		postHeader: http.Header{"Authorization": {"Bearer " + c.AccessToken}, "Content-Type": {"application/json"}},
		getHeader:  http.Header{"Authorization": {"Bearer " + c.AccessToken}},
	}
	if client.way = client.transport; c.Wrap != nil {
		client.way = c.Wrap(client.transport)
	}
	base, err := url.Parse(c.BaseURL)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		client.configErr = &callError{kind: ErrNotSent, what: "the base URL is not one"}
		return client
	}
	base.Path = strings.TrimSuffix(base.Path, "/") + "/" // JoinPath leaves an empty path relative
	client.number = base.JoinPath(c.Version, c.PhoneNumberID)
	client.messages = client.number.JoinPath("messages")
	if c.BusinessAccountID != "" {
		client.templates = base.JoinPath(c.Version, c.BusinessAccountID, "message_templates")
	}
	return client
}

// TemplateMessage is one approved template to one person.
type TemplateMessage struct {
	To           contact.MSISDN
	Template     string // its name at the provider
	Language     string // BCP 47, such as rw-RW; the provider gets rw_RW
	Parameters   []Parameter
	HeaderMedia  string // a URL that the provider can fetch, such as a voucher card's link, or a media id; "" for a template without header media
	CallbackData string // the attempt key, at most 512 bytes; comes back with every status

	// StartBy is when the request must be on its way; if no connection is had by then, it is ErrNotSent.
	// Zero: any time within Config.Timeout.
	StartBy time.Time
}

// Parameter fills one named variable of the template's body.
type Parameter struct{ Name, Text string }

// Accepted is the provider's word that it took a message; delivery is told by webhook.
type Accepted struct {
	MessageID string // wamid.…
	Status    string // accepted, held_for_quality_assessment or paused; "" when the provider does not say
}

// Send hands one message to the provider and answers within Config.Timeout or when ctx is over.
//
// Errors: *APIError, or an error that wraps ErrNotSent or ErrUnknown; Classify tells what to do.
// None of them prints a phone number or the message.
func (c *Client) Send(ctx context.Context, m TemplateMessage) (Accepted, error) {
	if c.configErr != nil {
		return Accepted{}, c.configErr
	}
	return c.post(ctx, m.StartBy, appendMessage(make([]byte, 0, 768), m))
}

// post hands over the body of a message.
func (c *Client) post(ctx context.Context, startBy time.Time, body []byte) (Accepted, error) {
	answer, err := c.call(ctx, startBy, &http.Request{
		Method: http.MethodPost, URL: c.messages, Host: c.messages.Host, Header: c.postHeader,
		ContentLength: int64(len(body)),
		Body:          io.NopCloser(bytes.NewReader(body)),
		// Lets the transport take another connection when a kept one turns out closed before a byte is written.
		GetBody: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil },
	})
	if err != nil {
		return Accepted{}, err
	}
	if answer.ok && len(answer.Messages) > 0 && answer.Messages[0].ID != "" {
		return Accepted{MessageID: answer.Messages[0].ID, Status: answer.Messages[0].Status}, nil
	}
	return Accepted{}, answer.refusal("no message id")
}

// Ping asks for the phone number itself: nil says that the provider is reachable and the token good.
// Errors are those of Send.
func (c *Client) Ping(ctx context.Context) error {
	if c.configErr != nil {
		return c.configErr
	}
	answer, err := c.call(ctx, time.Time{}, &http.Request{Method: http.MethodGet, URL: c.number, Host: c.number.Host, Header: c.getHeader})
	if err != nil {
		return err
	}
	if answer.ok && answer.ID != "" {
		return nil
	}
	return answer.refusal("no phone number id")
}

// maxAnswer is how much of an answer is read, in bytes, for its head and for its body.
const maxAnswer = 64 << 10

// answer is all that Send and Ping want to know of a response.
type answer struct {
	ok       bool // HTTP 2xx
	status   int
	ID       string `json:"id"`
	Messages []struct {
		ID     string `json:"id"`
		Status string `json:"message_status"`
	} `json:"messages"`
	Data []struct {
		Name     string `json:"name"`
		Language string `json:"language"`
		Status   string `json:"status"`
		Category string `json:"category"`
	} `json:"data"`
	Error *struct {
		Message string `json:"message"`
		Type    string `json:"type"`
		Code    *int   `json:"code"`
		Subcode int    `json:"error_subcode"`
		TraceID string `json:"fbtrace_id"`
	} `json:"error"`
}

// call does one HTTP exchange, if it can begin by startBy (zero: any time). It uses the transport itself, since an
// http.Client follows redirects and would post a message twice.
func (c *Client) call(ctx context.Context, startBy time.Time, req *http.Request) (answer, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// One timer for both limits: until a connection is had the earlier of the two, then the call's. Both hooks
	// run on this goroutine, once per try; a second try means that the first, on a connection that proved
	// dead, wrote nothing.
	end := time.Now().Add(c.config.Timeout)
	if startBy.IsZero() || startBy.After(end) {
		startBy = end
	}
	tooLate := time.AfterFunc(time.Until(startBy), cancel)
	defer tooLate.Stop()
	connected := false
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) {
			if connected {
				connected = false
				tooLate.Reset(time.Until(startBy))
			}
		},
		GotConn: func(httptrace.GotConnInfo) {
			connected = true
			tooLate.Reset(time.Until(end))
		},
	})
	res, err := c.way.RoundTrip(req.WithContext(ctx))
	if err != nil {
		if !connected {
			return answer{}, failed(ErrNotSent, err)
		}
		return answer{}, failed(ErrUnknown, err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return answer{}, failed(ErrUnknown, err)
	}
	a := answer{}
	if len(raw) > maxAnswer || json.Unmarshal(raw, &a) != nil {
		return answer{}, &callError{kind: ErrUnknown, what: "HTTP " + res.Status[:min(3, len(res.Status))] + " without a readable body"}
	}
	a.status, a.ok = res.StatusCode, res.StatusCode/100 == 2
	return a, nil
}

// refusal reads an answer that is no success: the provider's error if it is one, else unknown.
func (a answer) refusal(missing string) error {
	if a.Error == nil || a.Error.Code == nil {
		return &callError{kind: ErrUnknown, what: missing + " and no error code in the answer"}
	}
	return &APIError{
		Code: *a.Error.Code, Subcode: a.Error.Subcode, HTTPStatus: a.status,
		Type: a.Error.Type, TraceID: a.Error.TraceID, detail: a.Error.Message,
	}
}
