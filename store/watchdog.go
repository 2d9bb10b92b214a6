package store

import (
	"context"
	"log/slog"
	"time"

	"lastcall/domain/audit"
	"lastcall/domain/probe"
)

// Watchdog watches those that probe, from another process than theirs: when no worker says that it is there, or nothing is
// probed any more, it turns the dispatcher red itself. Any number may run.
type Watchdog struct {
	Pulse  func(ctx context.Context) (probe.Pulse, error)
	Report func(ctx context.Context, found probe.Finding) error
	Every  time.Duration // how often probes are due
	Log    *slog.Logger
}

// NewWatchdog returns one that watches by what is in the database.
func NewWatchdog(s *Store, log *slog.Logger) *Watchdog {
	return &Watchdog{Pulse: s.pulse, Report: s.reportDispatcher, Every: s.probesEvery, Log: log}
}

// watchEvery is how often it looks.
const watchEvery = 3 * time.Second

// Run watches until ctx is over.
func (w *Watchdog) Run(ctx context.Context) {
	ctx = audit.WithActor(ctx, audit.System("watchdog"))
	var since time.Time // of the watch, by the database's clock
	down := false
	for range repeatedly(ctx, watchEvery, false) {
		p, err := w.Pulse(ctx)
		if err == nil {
			if since.IsZero() {
				since = p.Now
			}
			p.Since = since
			found := probe.Watch(p, w.Every)
			if (found != nil) != down {
				down = found != nil
				w.Log.Warn("the dispatcher is down or back, by the watchdog", "down", down)
			}
			if found != nil {
				err = w.Report(ctx, *found)
			}
		}
		if err != nil && ctx.Err() == nil {
			w.Log.Warn("cannot watch over workers and probes", "error", err)
			since = time.Time{} // while we could not look, nobody could say anything either
		}
	}
}

// pulse reads who has said something, and when. Probes of the dispatcher do not count: the watchdog reports those, too.
func (s *Store) pulse(ctx context.Context) (p probe.Pulse, err error) {
	var beat, probed *time.Time
	err = s.pool.QueryRow(ctx, `SELECT clock_timestamp(), (SELECT max(seen_at) FROM workers),
		(SELECT max(checked_at) FROM edge_functions WHERE name <> $1)`, probe.Dispatcher).Scan(&p.Now, &beat, &probed)
	if beat != nil {
		p.Beat = *beat
	}
	if probed != nil {
		p.Probed = *probed
	}
	return p, unavailable(err)
}

// reportDispatcher records what the watchdog found, unless another one did lately.
func (s *Store) reportDispatcher(ctx context.Context, found probe.Finding) error {
	f, _ := probe.Find(probe.Dispatcher)
	return s.inTx(ctx, func(tx *Tx) error {
		now, err := tx.lockEdgeFunction(f.Name)
		if err != nil {
			return err
		}
		if now.state == probe.Red && now.checkedAt != nil && found.At.Sub(*now.checkedAt) < s.probesEvery {
			return nil
		}
		return tx.record(f, found, false)
	})
}

// Dispatching counts the workers that are there and poll the queue of dispatch, and tells when one was last heard of.
func (s *Store) Dispatching(ctx context.Context) (n int, heard *time.Duration, err error) {
	var ago *float64
	err = s.pool.QueryRow(ctx, `SELECT count(*) FILTER (WHERE polls_dispatch AND seen_at > clock_timestamp() - $1::interval),
		extract(epoch FROM clock_timestamp() - max(seen_at)) FROM workers`, probe.Silent).Scan(&n, &ago)
	if ago != nil {
		d := span(*ago)
		heard = &d
	}
	return n, heard, unavailable(err)
}
