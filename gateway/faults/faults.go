// Package faults makes calls to edge functions fail on purpose, before they leave: it wraps the transports of the clients
// of the gateway. What is to fail, and until when, stands in the database, so that all processes agree; what has expired
// or cannot be read fails nothing.
package faults

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"lastcall/domain/probe"
)

// Source knows which faults are in the way now.
type Source interface {
	ActiveFaults(ctx context.Context) ([]probe.Fault, error)
}

const (
	kept       = 500 * time.Millisecond // how long what was read counts
	readWithin = 250 * time.Millisecond // calls wait no longer to know
)

// Board is what a process knows about faults. It is safe for concurrent use; a nil board knows of none.
type Board struct {
	source Source
	log    *slog.Logger
	read   sync.Mutex // one reads for all
	known  atomic.Pointer[known]
}

// known is what was read, at what time.
type known struct {
	at     time.Time
	faults []probe.Fault
	unread bool // they could not be read
}

// NewBoard returns a board that reads source when it is asked, every half second at most.
func NewBoard(source Source, log *slog.Logger) *Board { return &Board{source: source, log: log} }

// On returns the fault that is in the way of an edge function now, whatever its share.
func (b *Board) On(ctx context.Context, name probe.Name) (probe.Fault, bool) {
	if b == nil {
		return probe.Fault{}, false
	}
	return b.now(ctx).on(name)
}

func (k *known) on(name probe.Name) (probe.Fault, bool) {
	for _, f := range k.faults {
		if f.Name == name && time.Since(k.at) < f.Left {
			return f, true
		}
	}
	return probe.Fault{}, false
}

// strike draws whether a call fails, and how.
func (b *Board) strike(ctx context.Context, name probe.Name) (probe.Fault, bool) {
	f, on := b.On(ctx, name)
	return f, on && drawn(f)
}

// drawn draws whether a fault hits this call.
func drawn(f probe.Fault) bool { return f.Share >= 1 || rand.Float64() < f.Share }

func (b *Board) now(ctx context.Context) *known {
	if k := b.known.Load(); k != nil && time.Since(k.at) < kept {
		return k
	}
	b.read.Lock()
	defer b.read.Unlock()
	if k := b.known.Load(); k != nil && time.Since(k.at) < kept {
		return k
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readWithin) // it is for others, too
	defer cancel()
	before := time.Now() // what is left of a fault was reckoned after this: it never lasts longer than it should
	found, err := b.source.ActiveFaults(ctx)
	if err != nil {
		if was := b.known.Load(); was == nil || !was.unread {
			b.log.Warn("faults cannot be read: there are none", "error", err)
		}
		found = nil
	}
	k := &known{at: before, faults: found, unread: err != nil}
	if err != nil {
		k.at = time.Now()
	}
	b.known.Store(k)
	return k
}

// Wrap returns a function that puts the faults of an edge function before a transport, for the configuration of a client.
func (b *Board) Wrap(name probe.Name) func(http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper {
		if b == nil {
			return next
		}
		return &transport{board: b, name: name, next: next}
	}
}
