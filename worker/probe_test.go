package worker_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"lastcall/activities"
	"lastcall/domain/probe"
	"lastcall/gateway/opschannel"
	"lastcall/gateway/sandbox"
	"lastcall/gateway/vouchercard"
	"lastcall/gateway/whatsapp"
	"lastcall/store"
	"lastcall/store/storetest"
	"lastcall/worker"
	"lastcall/workflows"
)

// refusesMail is a mail server that is gone.
type refusesMail struct{}

func (refusesMail) Ping(context.Context) error { return errors.New("gone") }

// probers are probes of the bundle's own world.
func (b *bundle) probers() *activities.Probes {
	return &activities.Probes{Store: b.Store, Log: quiet,
		WhatsApp: whatsapp.New(whatsapp.Config{BaseURL: b.provider.URL, PhoneNumberID: "555", AccessToken: "token"}),
		Cards:    vouchercard.New(vouchercard.Config{BaseURL: b.provider.URL, Secret: "cards"}),
		Ops:      opschannel.New(b.provider.URL + "/ops/webhook"), Mail: refusesMail{},
		Pollers: func(context.Context) (int, error) { return 1, nil }}
}

// startWorker runs another worker of the bundle until the test ends or stop is called.
func (b *bundle) startWorker(t *testing.T, name string, p worker.Probing) (stop func()) {
	t.Helper()
	w := worker.New(b.temporal, name, &activities.Campaigns{Store: b.Store, Log: quiet}, quiet)
	w.Probing(p)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = w.Run(ctx) })
	stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(stop)
	return stop
}

func TestProbesOnASchedule(t *testing.T) {
	t.Parallel()
	b := alone(t)
	state := func(name probe.Name) store.EdgeFunction {
		e, err := b.EdgeFunction(t.Context(), name)
		require.NoError(t, err)
		return e
	}
	stop := b.startWorker(t, "first", worker.Probing{Probes: b.probers(), Every: time.Hour})
	require.Eventually(t, func() bool { return state(probe.Database).State == probe.Green }, 30*time.Second, 50*time.Millisecond, "the first at once")
	require.Equal(t, probe.Green, state(probe.Messaging).State)
	require.Equal(t, probe.Green, state(probe.Redemptions).State)
	require.Equal(t, probe.Green, state(probe.OpsChannel).State)
	require.Equal(t, probe.Green, state(probe.VoucherCard).State)
	require.Equal(t, probe.Red, state(probe.Mail).State)
	require.Equal(t, probe.Amber, state(probe.Payments).State, "none confirmed")
	require.Equal(t, probe.Amber, state(probe.Panel).State, "no account is set")
	first := *state(probe.Database).CheckedAt
	stop()

	// Another worker, another interval: still one schedule, and a round at once.
	b.startWorker(t, "second", worker.Probing{Probes: b.probers(), Every: 2 * time.Second})
	require.Eventually(t, func() bool { return state(probe.Database).CheckedAt.After(first) }, 30*time.Second, 50*time.Millisecond)
	second := *state(probe.Database).CheckedAt
	require.Eventually(t, func() bool { return state(probe.Database).CheckedAt.After(second) }, 30*time.Second, 50*time.Millisecond, "every two seconds")
	all, err := b.temporal.ScheduleClient().List(t.Context(), client.ScheduleListOptions{})
	require.NoError(t, err)
	var ids []string
	for all.HasNext() {
		s, err := all.Next()
		require.NoError(t, err)
		ids = append(ids, s.ID)
	}
	require.Equal(t, []string{workflows.ProbesSchedule}, ids)
	described, err := b.temporal.ScheduleClient().GetHandle(t.Context(), workflows.ProbesSchedule).Describe(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2*time.Second, described.Schedule.Spec.Intervals[0].Every)
	require.Equal(t, time.Minute, described.Schedule.Policy.CatchupWindow)
}

func TestStopPolling(t *testing.T) {
	t.Parallel()
	b := alone(t)
	var stopped atomic.Bool
	probes := b.probers()
	b.startWorker(t, "only", worker.Probing{Probes: probes, StopPolling: func(context.Context) bool { return stopped.Load() }})
	dispatching := func(want int) func() bool {
		return func() bool { n, _, err := b.Dispatching(t.Context()); return err == nil && n == want }
	}
	require.Eventually(t, dispatching(1), 20*time.Second, 20*time.Millisecond)
	stopped.Store(true)
	require.Eventually(t, dispatching(0), 20*time.Second, 20*time.Millisecond)
	found, err := probes.ProbeFunction(t.Context(), probe.Dispatcher)
	require.NoError(t, err)
	require.Equal(t, probe.Unreachable, found.Outcome)
	require.Equal(t, "Workers are there, but none takes anything from the queue of dispatch.", found.Detail)
	n, err := b.Workers(t.Context())
	require.NoError(t, err)
	require.Zero(t, n, "/readyz says so, too")
	// It lives on: workflows and what they ask of our own database go on.
	run, err := b.temporal.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{TaskQueue: workflows.ControlQueue}, "Probe", workflows.ProbeInput{Only: probe.Dispatcher})
	require.NoError(t, err)
	require.NoError(t, run.Get(t.Context(), nil))
	e, err := b.EdgeFunction(t.Context(), probe.Dispatcher)
	require.NoError(t, err)
	require.Equal(t, probe.Red, e.State)
	stopped.Store(false)
	require.Eventually(t, dispatching(1), 20*time.Second, 20*time.Millisecond)
	found, err = probes.ProbeFunction(t.Context(), probe.Dispatcher)
	require.NoError(t, err)
	require.Equal(t, probe.Answered, found.Outcome)
}

func TestPanelVisitor(t *testing.T) {
	t.Parallel()
	var signIns, looks, status atomic.Int64
	status.Store(http.StatusOK)
	panel := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			signIns.Add(1)
			http.SetCookie(w, &http.Cookie{Name: "lastcall_session", Value: "a"})
		} else {
			looks.Add(1)
			if _, err := r.Cookie("lastcall_session"); err != nil {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
		}
		w.WriteHeader(int(status.Load()))
	}))
	t.Cleanup(panel.Close)
	p := &activities.Probes{Log: quiet, Panel: &activities.PanelVisitor{BaseURL: panel.URL, Email: "probe@x.test", Password: "p", Transport: http.DefaultTransport}}
	visit := func() probe.Outcome {
		found, err := p.ProbeFunction(t.Context(), probe.Panel)
		require.NoError(t, err)
		return found.Outcome
	}
	for range 4 {
		require.Equal(t, probe.Answered, visit())
	}
	require.EqualValues(t, 1, signIns.Load(), "the audit log does not drown")
	require.EqualValues(t, 3, looks.Load())
	status.Store(http.StatusUnauthorized)
	require.Equal(t, probe.Refused, visit())
	require.EqualValues(t, 2, signIns.Load(), "its session had ended: it tries to sign in")
	status.Store(http.StatusOK)
	require.Equal(t, probe.Refused, visit())
	require.EqualValues(t, 2, signIns.Load(), "it locks nobody out by trying on")
	panel.Close()
	gone := &activities.Probes{Log: quiet, Panel: &activities.PanelVisitor{BaseURL: "http://127.0.0.1:1", Transport: http.DefaultTransport}}
	found, err := gone.ProbeFunction(t.Context(), probe.Panel)
	require.NoError(t, err)
	require.Equal(t, probe.Unreachable, found.Outcome)
}

// alone is a bundle without a worker: Postgres, Temporal and the outside world.
func alone(t *testing.T) *bundle {
	t.Helper()
	c, _ := ownTemporal(t)
	box, err := sandbox.New(sandbox.Config{Dir: t.TempDir(), Log: quiet, WhatsApp: whatsapp.Config{PhoneNumberID: "555", Version: "v23.0", AccessToken: "token"},
		CardSecret: "cards"})
	require.NoError(t, err)
	b := &bundle{Store: storetest.New(t), temporal: c, provider: httptest.NewServer(box.Handler())}
	t.Cleanup(func() { b.provider.Close(); box.Close() })
	return b
}
