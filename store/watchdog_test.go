package store_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"lastcall/domain/probe"
	"lastcall/store"
)

func TestWatchdog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told []probe.Finding
		working, probing, away := true, true, false
		lastBeat, lastProbe := time.Now(), time.Now()
		dog := store.Watchdog{Every: time.Minute, Log: quiet,
			Pulse: func(context.Context) (probe.Pulse, error) {
				if away {
					return probe.Pulse{}, errors.New("the database is away")
				}
				if working {
					lastBeat = time.Now()
				}
				if probing {
					lastProbe = time.Now()
				}
				return probe.Pulse{Now: time.Now(), Beat: lastBeat, Probed: lastProbe}, nil
			},
			Report: func(_ context.Context, f probe.Finding) error { told = append(told, f); return nil },
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); dog.Run(ctx) }()

		time.Sleep(time.Hour) // of the bubble
		require.Empty(t, told)
		working = false
		time.Sleep(14 * time.Second)
		require.Empty(t, told)
		time.Sleep(5 * time.Second)
		require.NotEmpty(t, told, "silent for more than fifteen seconds")
		require.Equal(t, probe.Dispatcher, told[0].Name)
		working = true
		time.Sleep(4 * time.Second)
		told = nil
		time.Sleep(time.Minute)
		require.Empty(t, told, "it is back")
		probing = false
		time.Sleep(2 * time.Minute)
		require.Empty(t, told)
		time.Sleep(20 * time.Second)
		require.NotEmpty(t, told, "two intervals without a probe")

		working, probing, away, told = false, false, true, nil
		time.Sleep(time.Hour)
		require.Empty(t, told)
		away = false
		time.Sleep(10 * time.Second)
		require.Empty(t, told, "while nobody could look, nobody could say anything")
		time.Sleep(12 * time.Second)
		require.NotEmpty(t, told)
		stop()
		<-done
	})
}
