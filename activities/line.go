package activities

import (
	"sync"
	"sync/atomic"
	"time"

	"lastcall/domain/delivery"
)

// line is what all lanes of this worker know of the one channel they share, ahead of the database: that it must
// not be sent on, or not so fast. Its zero value is ready.
type line struct {
	mu     sync.Mutex
	watch  delivery.Watch
	pace   delivery.Pace
	until  time.Time // nothing goes before
	halted *halt
}

// halt is that nothing may be sent on the channel any more. Whoever found it writes it; until then the breaker in
// the database lets others through, and this does not.
type halt struct {
	cause   delivery.Cause
	code    int
	written atomic.Bool
}

// pause is that nothing may be sent on the channel for a while.
type pause struct {
	code int
	wait time.Duration
}

// finding is what the end of a send told, if it was the first to tell.
type finding struct {
	halt  *halt
	pause *pause
}

// outlook is how the line is before a claim.
type outlook struct {
	n    int           // so many targets may be claimed
	wait time.Duration // none before this has passed
	halt *halt         // written: the breaker in the database decides now
}

// may says how many of want may be claimed now.
func (l *line) may(want int) outlook {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	o := outlook{halt: l.halted, wait: max(l.until.Sub(now), 0)}
	if o.halt != nil && !o.halt.written.Load() {
		o.wait = max(o.wait, 20*time.Millisecond)
	}
	if o.wait == 0 {
		o.n, o.wait = l.pace.May(want, now)
	}
	return o
}

// refuses says why no send may begin now, "" if one may.
func (l *line) refuses() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	switch {
	case l.halted != nil:
		return channelSuspended
	case now.Before(l.until):
		return maintenance
	case l.pace.Paused(now):
		return rateLimited
	}
	return ""
}

// saw takes the end of a send that began then.
func (l *line) saw(e ending, began time.Time) (f finding) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	bad := e.spread == trouble
	if e.spread != nothing && l.watch.Saw(bad) && l.halted == nil {
		l.halted = &halt{cause: delivery.Trouble, code: e.ErrorCode}
		f.halt = l.halted
	}
	switch e.spread {
	case alone:
		l.pace.Took(1, now)
	case ofChannel:
		cause, _ := delivery.SuspendsChannel(e.ErrorCode)
		if l.halted == nil || cause.Graver(l.halted.cause) {
			l.halted = &halt{cause: cause, code: e.ErrorCode}
			f.halt = l.halted
		}
	case tooFast:
		if wait := l.pace.TooFast(began, now); wait > 0 {
			f.pause = &pause{e.ErrorCode, wait}
		}
	case pausing:
		if now.After(l.until) {
			f.pause = &pause{e.ErrorCode, delivery.Jitter(time.Minute, 90*time.Second)}
			l.until = now.Add(f.pause.wait)
		}
	}
	return f
}

// clear forgets a halt: the breaker in the database has let a claim through after it was written.
func (l *line) clear(h *halt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h != nil && l.halted == h {
		l.halted, l.watch = nil, delivery.Watch{}
	}
}
