package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"lastcall/domain"
	"lastcall/domain/audit"
)

// Problem is how every error is told: RFC 9457 with a stable code.
type Problem struct {
	Title     string  `json:"title" example:"Conflict" doc:"The status in words"`
	Status    int     `json:"status" example:"409" doc:"The HTTP status"`
	Code      string  `json:"code" example:"wrong_state" doc:"Stable; programs may branch on it"`
	Detail    string  `json:"detail" example:"cannot pause: the campaign is done" doc:"What is wrong, for people"`
	Field     string  `json:"field,omitempty" doc:"The field, column or entry it is about"`
	RequestID string  `json:"request_id,omitempty" doc:"The reference by which the log knows this request"`
	Errors    []Fault `json:"errors,omitempty" doc:"Each thing that is wrong, when it is more than one"`
	Facts     any     `json:"facts,omitempty" doc:"What the operation says it tells with this code"`

	Text string `json:"text,omitempty" doc:"What a message says instead, where there is no picture"`

	Redeemed *RedeemedBefore `json:"redeemed,omitempty" doc:"Of a voucher that was redeemed already: when and where"`

	retryIn time.Duration // goes into a header
}

// Fault is one of several things that are wrong.
type Fault struct {
	Code   string `json:"code"`
	Field  string `json:"field,omitempty"`
	Detail string `json:"detail"`
}

// statuses gives each kind of error its HTTP status; nothing else decides it.
var statuses = map[domain.Kind]int{
	domain.Invalid:         http.StatusUnprocessableEntity,
	domain.NotFound:        http.StatusNotFound,
	domain.Conflict:        http.StatusConflict,
	domain.Stale:           http.StatusPreconditionFailed,
	domain.Unauthenticated: http.StatusUnauthorized,
	domain.Forbidden:       http.StatusForbidden,
	domain.TooLarge:        http.StatusRequestEntityTooLarge,
	domain.TooMany:         http.StatusTooManyRequests,
	domain.Unavailable:     http.StatusServiceUnavailable,
	domain.Internal:        http.StatusInternalServerError,
}

// problem tells the caller about err and, when it is not the caller's doing, the log.
func (s *server) problem(ctx context.Context, err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	found := flatten(nil, err)
	if len(found) == 0 {
		switch {
		case errors.Is(err, context.Canceled): // the caller left; nobody reads this
			found = append(found, domain.E(domain.Unavailable, "canceled", "the request was given up"))
		case errors.Is(err, io.ErrUnexpectedEOF): // the database went away between question and answer
			found = append(found, domain.E(domain.Unavailable, "database_unavailable", "the database does not answer").Because(err))
		case errors.Is(err, context.DeadlineExceeded):
			found = append(found, domain.E(domain.Unavailable, "timeout", "this took too long"))
		default:
			found = append(found, domain.E(domain.Internal, "internal", "something went wrong on our side; the log has more under reference %s", audit.RequestIDFrom(ctx)))
		}
	}
	first := found[0]
	p := newProblem(ctx, statuses[first.Kind], first.Code, first.Message)
	p.Field, p.Facts, p.retryIn = first.Field, first.Facts, first.RetryIn
	if len(found) > 1 {
		p.Code, p.Field, p.Detail = "invalid", "", strconv.Itoa(len(found))+" things are wrong: "+strings.ReplaceAll(errors.Join(errs(found)...).Error(), "\n", "; ")
		for _, e := range found {
			p.Errors = append(p.Errors, Fault{e.Code, e.Field, e.Message})
		}
	}
	switch {
	case ctx.Err() != nil:
	case p.Status == http.StatusInternalServerError:
		s.Log.ErrorContext(ctx, "request failed", "request_id", p.RequestID, "error", err)
	case p.Status == http.StatusServiceUnavailable:
		s.Log.WarnContext(ctx, "request could not be served", "request_id", p.RequestID, "code", p.Code, "error", first.Cause)
	}
	return p
}

// flatten appends the domain errors in err, all of those that errors.Join joined.
func flatten(found []*domain.Error, err error) []*domain.Error {
	switch e := err.(type) {
	case *domain.Error:
		return append(found, e)
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			found = flatten(found, one)
		}
	case interface{ Unwrap() error }:
		return flatten(found, e.Unwrap())
	}
	return found
}

func errs(all []*domain.Error) []error {
	out := make([]error, len(all))
	for i, e := range all {
		out[i] = e
	}
	return out
}

func newProblem(ctx context.Context, status int, code, detail string) *Problem {
	return &Problem{Title: http.StatusText(status), Status: status, Code: code, Detail: detail, RequestID: audit.RequestIDFrom(ctx)}
}

func (p *Problem) Error() string {
	if p.Field != "" {
		return p.Field + ": " + p.Detail
	}
	return p.Detail
}

// GetStatus is huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// GetHeaders is huma.HeadersError.
func (p *Problem) GetHeaders() http.Header {
	switch p.Status {
	case http.StatusTooManyRequests:
		return http.Header{"Retry-After": {strconv.Itoa(int(p.retryIn.Seconds()))}}
	case http.StatusServiceUnavailable:
		return http.Header{"Retry-After": {"1"}}
	case http.StatusUnauthorized:
		return http.Header{"Www-Authenticate": {"Bearer"}}
	}
	return nil
}

// abort answers with a problem outside of an operation.
func abort(c *gin.Context, status int, code, detail string) {
	abortWith(c, newProblem(c.Request.Context(), status, code, detail))
}

func abortWith(c *gin.Context, p *Problem) {
	for name, values := range p.GetHeaders() {
		c.Header(name, values[0])
	}
	body, _ := json.Marshal(p) // strings and numbers: it cannot fail
	c.Data(p.Status, p.ContentType(""), body)
	c.Abort()
}

// What huma itself finds wrong with a request comes through these two.
func init() {
	huma.DefaultArrayNullable = false
	huma.NewError = func(status int, message string, details ...error) huma.StatusError {
		return invalid(context.Background(), status, message, details)
	}
	huma.NewErrorWithContext = func(hc huma.Context, status int, message string, details ...error) huma.StatusError {
		return invalid(hc.Context(), status, message, details)
	}
}

// invalid is a problem of huma's making. Its details repeat no value of the request: it may be a phone number.
func invalid(ctx context.Context, status int, message string, details []error) *Problem {
	code := strings.ReplaceAll(strings.ToLower(http.StatusText(status)), " ", "_")
	switch {
	case status == http.StatusBadRequest || status == http.StatusUnprocessableEntity:
		code = "invalid"
	case status == http.StatusRequestEntityTooLarge:
		code = "too_large"
	case status >= http.StatusInternalServerError:
		code = "internal"
	}
	p := newProblem(ctx, status, code, message)
	for _, d := range details {
		fault := Fault{Code: code, Detail: "cannot be read"}
		if told, ok := d.(huma.ErrorDetailer); ok {
			e := told.ErrorDetail()
			fault.Detail = e.Message
			_, fault.Field, _ = strings.Cut(e.Location, ".") // without "body", "query" or "path"
		}
		p.Errors = append(p.Errors, fault)
	}
	if len(p.Errors) == 1 {
		p.Field, p.Detail, p.Errors = p.Errors[0].Field, p.Errors[0].Detail, nil
	}
	return p
}

var errNUL = errors.New("text must not hold a NUL character")

func hasNUL(data []byte) bool {
	return bytes.IndexByte(data, 0) >= 0 || bytes.Contains(data, []byte(`\u0000`))
}
