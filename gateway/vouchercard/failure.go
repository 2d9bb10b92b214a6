package vouchercard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"lastcall/domain"
)

// Failure is why there is no card.
type Failure struct {
	Reason   string // completes "The voucher-card function has no card for us: …"
	Answered bool   // it was there and refused, or answered nonsense: amber. Else unreachable, late or not deployed: red.
	Status   int    // of HTTP, 0 if that was not it
}

func (f *Failure) Error() string { return f.Reason }

func unavailable(f *Failure) error {
	return domain.E(domain.Unavailable, "voucher_card_unavailable", "The voucher-card function has no card for us: %s.", f.Reason).Because(f)
}

func notConfigured() error { return unavailable(&Failure{Reason: "none is configured"}) }

func wrongAnswer(what string) error {
	return &Failure{Reason: "it answered with " + what, Answered: true, Status: http.StatusOK}
}

// refusal reads the status of an answer: nil for a success.
func refusal(res *http.Response) error {
	f := &Failure{Answered: true, Status: res.StatusCode}
	switch res.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return domain.E(domain.Invalid, "voucher_card_refused", "The voucher-card function does not draw this card (HTTP %d).", res.StatusCode)
	case http.StatusUnauthorized, http.StatusForbidden:
		f.Reason = fmt.Sprintf("it does not take our secret (HTTP %d)", res.StatusCode)
	case http.StatusNotFound:
		f.Reason, f.Answered = "it is not deployed (HTTP 404)", false
	case http.StatusTooManyRequests:
		f.Reason = "it has too much to do (HTTP 429)"
	default:
		f.Reason = fmt.Sprintf("it is in trouble (HTTP %d)", res.StatusCode)
	}
	return f
}

const (
	failuresToOpen = 5                // in a row
	openFor        = 15 * time.Second // then one call tries whether it is back
)

// breaker spares callers the wait for a function that does not answer. Its zero value is closed.
type breaker struct {
	mu       sync.Mutex
	failures int // in a row
	until    time.Time
	last     *Failure // the latest of them
}

// allow says whether to call now: the latest failure again while the breaker is open. The first that asks after that
// tries for all; the others go on being refused until it is back.
func (b *breaker) allow(now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures < failuresToOpen {
		return nil
	}
	if left := b.until.Sub(now); left > 0 {
		err := domain.E(domain.Unavailable, "voucher_card_unavailable",
			"The voucher-card function has no card for us: %s. It is left alone for a moment.", b.last.Reason)
		return err.Because(b.last).After(left)
	}
	b.until = now.Add(openFor) // ours is the trial
	return nil
}

// heard tells the breaker what became of a call. A card refused is a function that works; a caller who left says nothing.
func (b *breaker) heard(now time.Time, ctx context.Context, err error) {
	failure, failed := errors.AsType[*Failure](err)
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case !failed:
		b.failures = 0
	case ctx.Err() == nil:
		b.failures, b.last, b.until = b.failures+1, failure, now.Add(openFor)
	}
}
