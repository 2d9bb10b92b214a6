package store

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/domain"
)

// A flood of sign-ins takes no more memory than its turns: the rest waits, and is then sent away.
func TestTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		two := turns{free: make(chan struct{}, 2), wait: 5 * time.Second}
		var at, most atomic.Int64
		work := func() error {
			most.Store(max(most.Load(), at.Add(1)))
			time.Sleep(2 * time.Second)
			at.Add(-1)
			return nil
		}
		results := make(chan error, 7)
		for range 7 { // three rounds have begun after 4 s; the seventh would begin after 6
			go func() { results <- two.take(t.Context(), work) }()
		}
		var busy int
		for range 7 {
			if err := <-results; err != nil {
				require.Equal(t, "busy", domain.CodeOf(err))
				require.Equal(t, domain.Unavailable, domain.KindOf(err))
				busy++
			}
		}
		require.Equal(t, 1, busy)
		require.Equal(t, int64(2), most.Load())
	})
}
