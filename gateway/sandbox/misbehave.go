package sandbox

import (
	"bytes"
	"context"
	"net/http"
	"strconv"
	"time"
)

const (
	trickle      = time.Second // between two bytes of a slow answer
	rateExceeded = 130429      // the provider's code for too many messages a second
)

// hangUp closes the connection without an answer: what a client sees of an outage once it is connected.
// (Connections are not refused, since whoever ends the fault comes through the same port.)
func hangUp() {
	panic(http.ErrAbortHandler) // net/http's own way, which it does not log
}

// reset ends the connection with a TCP RST.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		hangUp() // not a connection of our own, such as a test's recorder
	}
	if tcp, ok := conn.(interface{ SetLinger(seconds int) error }); ok {
		_ = tcp.SetLinger(0) // close discards what is unsent and says RST
	}
	_ = conn.Close()
}

// refuses is the error with which a blow refuses a message, nil if it does not.
func (b blow) refuses() *refusal {
	switch b.kind {
	case faultRate:
		return tooFast("The sandbox was told to refuse messages.")
	case faultError:
		return &refusal{statusOf(b.code), b.code, 0, "Error of the sandbox", "The sandbox was told to answer with this error."}
	}
	return nil
}

func tooFast(details string) *refusal {
	return &refusal{http.StatusTooManyRequests, rateExceeded, 0, "Rate limit hit", details}
}

// statusOf is a plausible HTTP status; sources differ about them.
func statusOf(code int) int {
	switch code {
	case 0, 190:
		return http.StatusUnauthorized
	case 3, 10, 368, 131005, 131031:
		return http.StatusForbidden
	case 4, 80007, rateExceeded:
		return http.StatusTooManyRequests
	case 1, 131000:
		return http.StatusInternalServerError
	case 2, 131016, 131057:
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}

// answer gives the answer to what was done, as badly as the blow wants.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, b blow, kind []string, answer []byte) {
	w.Header()["Content-Type"] = kind
	switch b.kind {
	case faultTimeout:
		s.untilGone(r.Context(), nil)
		hangUp()
	case faultSlow:
		w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
		s.answerSlowly(w, r, answer)
	case faultWrong:
		s.answerWrongly(w, r, b.turn, answer)
	default:
		_, _ = w.Write(answer) // the client went away: nobody is left to tell
	}
}

func (s *Server) answerSlowly(w http.ResponseWriter, r *http.Request, answer []byte) {
	flush := http.NewResponseController(w)
	tick := time.NewTicker(trickle)
	defer tick.Stop()
	for i := range answer {
		_, err := w.Write(answer[i : i+1])
		if err == nil {
			err = flush.Flush()
		}
		if err != nil || s.untilGone(r.Context(), tick.C) {
			hangUp()
		}
	}
}

func (s *Server) answerWrongly(w http.ResponseWriter, r *http.Request, turn int64, answer []byte) {
	switch turn % 3 {
	case 0:
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!doctype html><title>200</title>"))
	case 1: // all of it, but it says that there is more; net/http then closes the connection
		w.Header().Set("Content-Length", strconv.Itoa(len(answer)+100))
		_, _ = w.Write(answer)
	case 2: // all of it, then blanks for ever
		blanks := bytes.Repeat([]byte(" "), 4<<10)
		_, err := w.Write(answer)
		for err == nil && !s.stopping() && r.Context().Err() == nil {
			_, err = w.Write(blanks)
		}
		hangUp()
	}
}

// untilGone waits until the client or the sandbox is gone, or for next (nil: nothing else), and says
// whether it was the former. Only once the request is read does its context know of the client.
func (s *Server) untilGone(ctx context.Context, next <-chan time.Time) bool {
	select {
	case <-ctx.Done():
		return true
	case <-s.ended:
		return true
	case <-next:
		return false
	}
}

// linger keeps a request waiting, whether its client does or not: what was sent is dealt with.
func (s *Server) linger(latency time.Duration) {
	if latency > 0 {
		s.untilGone(context.Background(), time.After(latency))
	}
}

func (s *Server) stopping() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}
