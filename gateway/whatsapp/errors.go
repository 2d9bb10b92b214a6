package whatsapp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"lastcall/domain/delivery"
)

// APIError is an error that the provider put into words: a body of the form {"error":{"code":…}}.
// Branch on Code, never on HTTPStatus: sources differ about the status of one and the same code.
type APIError struct {
	Code, Subcode, HTTPStatus int
	Type, TraceID             string
	detail                    string
}

// Error leaves the provider's text out, since that may quote the number or the message.
func (e *APIError) Error() string {
	return fmt.Sprintf("whatsapp: error %d (subcode %d, HTTP %d, trace %s)", e.Code, e.Subcode, e.HTTPStatus, e.TraceID)
}

// Detail is the provider's own text. It may quote a phone number: show it to the operator who asked,
// and neither log nor store it.
func (e *APIError) Detail() string { return e.detail }

var (
	// ErrNotSent says that the request certainly never left: connection refused, no such host, failed
	// TLS handshake, or ctx over before there was a connection. Sending again cannot duplicate.
	ErrNotSent = errors.New("whatsapp: not sent")

	// ErrUnknown says that the request may have left and no usable answer came back: timeout, reset,
	// EOF, a 5xx without an error code, a 200 without a message id. Sending again may duplicate.
	ErrUnknown = errors.New("whatsapp: outcome unknown")
)

// Outcome is what became of one attempt.
type Outcome int

// The outcomes.
const (
	Sent    Outcome = iota // accepted
	Failed                 // refused; the same message would be refused again
	Retry                  // refused for now: not sent, worth another try after a while
	NotSent                // it never left
	Unknown                // it may have left: wait for the status webhook
)

func (o Outcome) String() string {
	return [...]string{"sent", "failed", "retry", "not_sent", "unknown"}[o]
}

// Classify says what became of the attempt for which Send returned err. Of the provider's codes the catalogue
// in domain/delivery decides: Failed unless it says that the code is worth another try, or leaves the outcome
// open. An error that is not Send's own is Unknown.
func Classify(err error) Outcome {
	if err == nil {
		return Sent
	}
	if refused, ok := errors.AsType[*APIError](err); ok {
		switch delivery.Lookup(refused.Code).Then {
		case delivery.Again:
			return Retry
		case delivery.Unsure:
			return Unknown
		}
		return Failed
	}
	if errors.Is(err, ErrNotSent) {
		return NotSent
	}
	return Unknown
}

// callError prints what happened in words of its own, since the errors of net/http may quote the
// answer, and with it a number.
type callError struct {
	kind  error // ErrNotSent or ErrUnknown
	what  string
	cause error
}

func (e *callError) Error() string { return e.kind.Error() + ": " + e.what }

func (e *callError) Unwrap() []error {
	if e.cause == nil {
		return []error{e.kind}
	}
	return []error{e.kind, e.cause}
}

func failed(kind, cause error) error {
	what := "broken exchange"
	var op *net.OpError
	var timeout net.Error
	switch {
	case errors.Is(cause, context.Canceled):
		what = "cancelled"
	case errors.Is(cause, context.DeadlineExceeded), errors.As(cause, &timeout) && timeout.Timeout():
		what = "timed out"
	case errors.As(cause, &op):
		what = op.Error() // addresses and the system's reason
	case errors.Is(cause, io.EOF), errors.Is(cause, io.ErrUnexpectedEOF):
		what = "connection closed"
	case errors.Is(kind, ErrNotSent):
		what = cause.Error() // no answer yet that it could quote
	}
	return &callError{kind: kind, what: what, cause: cause}
}
