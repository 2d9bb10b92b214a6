package api_test

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"lastcall/api"
)

func TestReady(t *testing.T) {
	t.Parallel()
	var temporal atomic.Pointer[error]
	b := setup(t, func(d *api.Deps) {
		d.Temporal = func(context.Context) error {
			if err := temporal.Load(); err != nil {
				return *err
			}
			return nil
		}
	})
	ready := func() (int, api.Readiness) {
		var r api.Readiness
		status, _ := b.do("GET", "/readyz", nil, &r)
		return status, r
	}
	status, r := ready()
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, api.Readiness{Checks: map[string]string{"database": "ok", "temporal": "ok", "messaging": "ok",
		"worker": "no worker is there"}}, r)

	require.NoError(t, b.store.Beat(t.Context(), "worker 1", true))
	status, r = ready()
	require.Equal(t, http.StatusOK, status)
	require.True(t, r.Ready)

	down := errors.New("no route")
	temporal.Store(&down)
	status, r = ready()
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, "Temporal does not answer", r.Checks["temporal"])
	require.Equal(t, "ok", r.Checks["worker"])
}

func TestReadyAsksTheProviderSparingly(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	b := setup(t, func(d *api.Deps) {
		d.Messaging = func(context.Context) error {
			asked.Add(1)
			return errors.New("token expired")
		}
	})
	for range 20 {
		var r api.Readiness
		b.do("GET", "/readyz", nil, &r)
		require.Equal(t, "WhatsApp does not answer, or refuses the access token", r.Checks["messaging"])
	}
	require.LessOrEqual(t, asked.Load(), int64(3))
}
