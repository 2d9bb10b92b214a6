package api

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"lastcall/domain/campaign"
	"lastcall/domain/probe"
	"lastcall/store"
)

// Metrics serves what Prometheus scrapes: figures about all of Lastcall, read from Postgres, and about this
// process. They hold nothing personal, so that it needs no token. Where several processes serve it, the figures
// that begin with lastcall_ are the same at all of them, but own, which are about this process: take those of one.
func Metrics(st *store.Store, log *slog.Logger, own ...prometheus.Collector) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		&figures{store: st, log: log}, &flow{store: st, log: log})
	registry.MustRegister(own...)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)})
}

// figuresKept is how long figures count that were read for another scrape.
const figuresKept = time.Second

// figures collects store.Stats.
type figures struct {
	store *store.Store
	log   *slog.Logger

	mu    sync.Mutex
	at    time.Time // when they were read
	stats store.Stats
	err   error

	edges  []store.EdgeFunction
	faults int // active
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("lastcall_"+name, help, labels, nil)
}

var (
	databaseUp     = desc("database_up", "Whether the figures could be read from the database: 1, or 0, and then all others that begin with lastcall_ are absent.")
	permitsGranted = desc("permits_granted_total", "Permits granted, one a message.", "channel")
	permitsCap     = desc("permits_cap", "Messages that may be received in any window of this length; absent where there is no such cap.", "channel", "window")
	permitsUsed    = desc("permits_used", "Permits that count against the cap of the window that ends now.", "channel", "window")
	tierCap        = desc("tier_recipients_cap", "Different recipients that may be written to in any 24 hours; absent where there is no such cap.", "channel")
	tierUsed       = desc("tier_recipients_used", "Different recipients written to in the last 24 hours; absent where there is no cap.", "channel")
	wanting        = desc("campaigns_wanting_permits", "Campaigns that want more permits than they get.", "channel")
	singles        = desc("single_sends_waiting", "Single sends that wait for a permit.", "channel")
	campaigns      = desc("campaigns_active", "Campaigns that were started and have not ended.")
	targets        = desc("targets", "Targets of the active campaigns.", "state")
	workers        = desc("workers_alive", "Workers that said within the last seconds that they are there.")
	alertsFiring   = desc("alerts_firing", "Alerts that fire, acknowledged or not.", "rule", "severity")
	outbox         = desc("outbox_pending", "Effects that are to follow a commit and were not delivered yet, counted up to 100000.")
	edges          = desc("edge_function_state", "The state of an edge function: 1 for the one it is in, 0 for the others.", "edge_function", "state")
	faultsActive   = desc("faults_active", "Faults that are in the way of edge functions on purpose.")
	inbox          = desc("webhooks_pending", "Webhooks taken and not applied yet, counted up to 100000.")
)

// Describe is prometheus.Collector.
func (f *figures) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{databaseUp, permitsGranted, permitsCap, permitsUsed, tierCap, tierUsed, wanting, singles,
		campaigns, targets, workers, alertsFiring, outbox, inbox, edges, faultsActive} {
		ch <- d
	}
}

// Collect is prometheus.Collector.
func (f *figures) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, n int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
	}
	st, err := f.read()
	if err != nil {
		gauge(databaseUp, 0)
		return
	}
	gauge(databaseUp, 1)
	for _, c := range st.Channels {
		ch <- prometheus.MustNewConstMetric(permitsGranted, prometheus.CounterValue, float64(c.Granted), c.Channel)
		gauge(permitsCap, c.PerMinute, c.Channel, "minute")
		gauge(permitsUsed, c.UsedMinute, c.Channel, "minute")
		if c.PerSecond > 0 {
			gauge(permitsCap, c.PerSecond, c.Channel, "second")
			gauge(permitsUsed, c.UsedSecond, c.Channel, "second")
		}
		if c.Tier > 0 {
			gauge(tierCap, c.Tier, c.Channel)
			gauge(tierUsed, c.UsedTier, c.Channel)
		}
		gauge(wanting, c.Wanting, c.Channel)
		gauge(singles, c.Singles, c.Channel)
	}
	gauge(campaigns, st.Campaigns)
	for state, n := range map[campaign.TargetState]int64{campaign.Queued: st.Targets.Queued, campaign.Sending: st.Targets.Sending,
		campaign.Sent: st.Targets.Sent, campaign.Delivered: st.Targets.Delivered, campaign.Read: st.Targets.Read, campaign.FailedT: st.Targets.Failed,
		campaign.OptedOut: st.Targets.OptedOut, campaign.Unknown: st.Targets.Unknown, campaign.Cancelled: st.Targets.Cancelled} {
		gauge(targets, n, string(state))
	}
	gauge(workers, st.Workers)
	for _, a := range st.Alerts {
		gauge(alertsFiring, a.Firing, a.Rule, string(a.Severity))
	}
	gauge(outbox, st.Outbox)
	gauge(inbox, st.Webhooks)
	gauge(faultsActive, int64(f.faults))
	for _, e := range f.edges {
		for _, state := range []probe.State{probe.Green, probe.Amber, probe.Red, probe.Unknown} {
			is := int64(0)
			if state == e.State {
				is = 1
			}
			gauge(edges, is, string(e.Name), string(state))
		}
	}
}

// read reads the figures, at most once every figuresKept.
func (f *figures) read() (store.Stats, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.at) > figuresKept {
		ctx, cancel := context.WithTimeout(context.Background(), checkWithin)
		defer cancel()
		f.stats, f.err = f.store.Stats(ctx)
		if f.err == nil {
			f.edges, f.err = f.store.EdgeFunctions(ctx)
		}
		if f.err == nil {
			var open []store.Fault
			open, f.err = f.store.OpenFaults(ctx)
			f.faults = len(open)
		}
		if f.err != nil {
			f.log.Warn("the figures cannot be read", "error", f.err)
		}
		f.at = time.Now()
	}
	return f.stats, f.err
}
