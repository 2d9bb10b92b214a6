package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWorkerServesItsMetricsUntilItHasDrained(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := taken.Addr().String()
	log := slog.New(slog.DiscardHandler)
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })

	err = withMetrics(t.Context(), address, metrics, log, func(ctx context.Context) error {
		<-ctx.Done() // nothing runs on without them
		return nil
	})
	require.ErrorContains(t, err, "cannot listen")
	require.NoError(t, taken.Close())

	get := func() bool {
		res, err := http.Get("http://" + address + "/metrics")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusTeapot
	}
	drained := errors.New("drained")
	ctx, stop := context.WithCancel(t.Context())
	err = withMetrics(ctx, address, metrics, log, func(ctx context.Context) error {
		require.Eventually(t, get, 10*time.Second, 5*time.Millisecond)
		stop()
		<-ctx.Done()
		require.True(t, get(), "while it drains")
		return drained
	})
	require.ErrorIs(t, err, drained)
	require.False(t, get())
	require.ErrorIs(t, withMetrics(t.Context(), "", metrics, log, func(context.Context) error { return drained }), drained)
}
