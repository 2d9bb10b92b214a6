package faults

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"strings"
	"syscall"
	"time"

	"lastcall/domain/probe"
)

// transport fails as the fault says, or passes calls on.
type transport struct {
	board *Board
	name  probe.Name
	next  http.RoundTripper
}

// RoundTrip is http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	f, on := t.board.strike(req.Context(), t.name)
	if !on {
		return t.next.RoundTrip(req)
	}
	if f.Kind == probe.Slow {
		return slowly(req, t.next, f.Delay)
	}
	if req.Body != nil {
		_ = req.Body.Close() // as every transport must
	}
	// To the caller it looks as if the request had left: what it cannot know of a real failure, it must not know of this.
	if trace := httptrace.ContextClientTrace(req.Context()); trace != nil && trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{})
	}
	switch f.Kind {
	case probe.Timeout:
		return nil, await(req.Context())
	case probe.Reset:
		return nil, reset()
	case probe.RateLimited:
		status, body := rateLimited(t.name)
		res := answer(req, status, body)
		res.Header.Set("Retry-After", "30")
		return res, nil
	case probe.ServerError:
		status, body := serverError(t.name)
		return answer(req, status, body), nil
	case probe.WrongBody:
		return answer(req, http.StatusOK, "<!doctype html><title>It works!</title>"), nil
	}
	return t.next.RoundTrip(req)
}

// slowly passes on, and gives the answer later.
func slowly(req *http.Request, next http.RoundTripper, delay time.Duration) (*http.Response, error) {
	res, err := next.RoundTrip(req)
	if err := pause(req.Context(), delay); err != nil {
		if res != nil {
			_ = res.Body.Close()
		}
		return nil, err
	}
	return res, err
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// longest is how long a call hangs whose caller never gives up.
const longest = time.Minute

// await hangs until the caller gives up.
func await(ctx context.Context) error {
	if err := pause(ctx, longest); err != nil {
		return err
	}
	return os.ErrDeadlineExceeded
}

func reset() error {
	return &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
}

// rateLimited is how each says that it was asked too often.
func rateLimited(name probe.Name) (int, string) {
	switch name {
	case probe.Messaging:
		return http.StatusTooManyRequests, `{"error":{"message":"(#130429) Rate limit hit","type":"OAuthException","code":130429,` +
			`"error_data":{"messaging_product":"whatsapp","details":"Message failed to send because there were too many messages sent from this phone number in a short period of time"},"fbtrace_id":"fault"}}`
	case probe.OpsChannel:
		return http.StatusTooManyRequests, "rate_limited"
	}
	return http.StatusTooManyRequests, `{"error":"too many requests"}`
}

// serverError is how each says that it is in trouble.
func serverError(name probe.Name) (int, string) {
	switch name {
	case probe.Messaging:
		return http.StatusServiceUnavailable, `{"error":{"message":"(#131016) Service unavailable","type":"OAuthException","code":131016,` +
			`"error_data":{"messaging_product":"whatsapp","details":"A service is temporarily unavailable"},"fbtrace_id":"fault"}}`
	case probe.OpsChannel:
		return http.StatusInternalServerError, "rollup_error"
	}
	return http.StatusServiceUnavailable, `{"error":"service unavailable"}`
}

func answer(req *http.Request, status int, body string) *http.Response {
	kind := "text/plain; charset=utf-8"
	switch {
	case strings.HasPrefix(body, "{"):
		kind = "application/json"
	case strings.HasPrefix(body, "<"):
		kind = "text/html; charset=utf-8"
	}
	return &http.Response{Status: http.StatusText(status), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: req}
}
