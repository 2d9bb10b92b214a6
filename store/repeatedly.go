package store

import (
	"context"
	"time"
)

// repeatedly is when somebody who works all the time does it: each so often until ctx is over, the first time at once or after
// the first wait.
func repeatedly(ctx context.Context, every time.Duration, atOnce bool) func(yield func() bool) {
	return func(yield func() bool) {
		tick := time.NewTicker(every)
		defer tick.Stop()
		if atOnce && !yield() {
			return
		}
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if !yield() {
					return
				}
			}
		}
	}
}
