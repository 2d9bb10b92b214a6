package faults_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/domain/probe"
	"lastcall/gateway/faults"
)

func TestRedemptionsKnowWithoutAsking(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := &source{}
		board := faults.NewBoard(src, quiet)
		require.Nil(t, board.Redemption(t.Context()))
		require.Zero(t, src.reads.Load(), "a redemption asks nobody")
		ctx, end := context.WithCancel(t.Context())
		go board.Watch(ctx)
		synctest.Wait()
		put := func(all ...probe.Fault) {
			src.faults = all
			time.Sleep(time.Second) // of the bubble
			synctest.Wait()
		}
		put(probe.Fault{Name: probe.Mail, Kind: probe.ServerError, Share: 1, Left: time.Hour})
		require.Nil(t, board.Redemption(t.Context()), "another's fault is not ours")
		put(probe.Fault{Name: probe.Redemptions, Kind: probe.ServerError, Share: 0.25, Left: time.Hour})
		struck, reads := 0, src.reads.Load()
		for range 1000 {
			if board.Redemption(t.Context()) != nil {
				struck++
			}
		}
		require.InDelta(t, 250, struck, 110) // eight standard deviations
		require.Equal(t, reads, src.reads.Load(), "a redemption asks nobody")
		put(probe.Fault{Name: probe.Redemptions, Kind: probe.Slow, Share: 1, Delay: 3 * time.Second, Left: time.Hour})
		began := time.Now()
		require.Nil(t, board.Redemption(t.Context()), "slow ones succeed")
		require.Equal(t, 3*time.Second, time.Since(began))
		put(probe.Fault{Name: probe.Redemptions, Kind: probe.ServerError, Share: 1, Left: 1500 * time.Millisecond})
		end()
		require.NotNil(t, board.Redemption(t.Context()))
		time.Sleep(1500 * time.Millisecond)
		require.Nil(t, board.Redemption(t.Context()), "it ends to the moment, whoever still reads")
	})
	var none *faults.Board
	require.Nil(t, none.Redemption(t.Context()))
}

// What every redemption pays for while there is no fault.
func BenchmarkRedemptionWithoutAFault(b *testing.B) {
	board := faults.NewBoard(&source{}, quiet)
	board.On(b.Context(), probe.Redemptions)
	for b.Loop() {
		board.Redemption(b.Context())
	}
}
