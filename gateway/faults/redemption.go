package faults

import (
	"context"
	"time"

	"lastcall/domain/probe"
)

// Redemption is asked before a voucher is redeemed, where there is no transport to wrap. It draws whether this redemption
// fails, and returns the fault that it is to fail of, or nil. Of a slow one it returns nil too, once the delay has passed or
// ctx is over.
//
// It reads nothing: what it knows is what Watch, which must be running, or others read last. Without a fault it costs a look
// at a pointer and at the clock.
func (b *Board) Redemption(ctx context.Context) *probe.Fault {
	if b == nil {
		return nil
	}
	k := b.known.Load()
	if k == nil || len(k.faults) == 0 {
		return nil
	}
	f, on := k.on(probe.Redemptions)
	if !on || !drawn(f) {
		return nil
	}
	if f.Kind == probe.Slow {
		_ = pause(ctx, f.Delay) // whoever has left is told by what follows
		return nil
	}
	return &f
}

// Watch reads the faults every half second until ctx is over, for those who must not wait for it.
func (b *Board) Watch(ctx context.Context) {
	tick := time.NewTicker(kept / 2)
	defer tick.Stop()
	for {
		b.now(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
