package api

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/kpi"
)

// dashboardKept is how long an answer is everybody's: however many look, the figures are read once.
const dashboardKept = 2 * time.Second

// dashboards are the last answers, by zone.
type dashboards struct {
	mu     sync.Mutex
	byZone map[string]*dashboardRead
}

// dashboardRead is one reading. Whoever comes while it goes on waits for it.
type dashboardRead struct {
	began time.Time
	done  chan struct{}
	snap  kpi.Snapshot
	err   error
}

func (s *server) dashboard() {
	all := &dashboards{byZone: map[string]*dashboardRead{}}
	register(s, access.DashboardRead, huma.Operation{OperationID: "get-dashboard", Method: http.MethodGet, Path: "/dashboard", Tags: []string{"Dashboard"},
		Summary: "How Lastcall does, and what needs a human now",
		Description: "Each figure tells its formula, its window and what it is made of. One that cannot be read says so in `problem`, and the others " +
			"stay. A share of nothing is `null`, neither 0 nor 1. Drills and rehearsals are in none. Everybody gets the same answer for two seconds."},
		func(ctx context.Context, in *struct {
			Zone string `query:"zone" default:"UTC" maxLength:"64" doc:"IANA: whose days the chart shows" example:"Africa/Kigali"`
		}) (*struct{ Body kpi.Snapshot }, error) {
			zone, err := time.LoadLocation(in.Zone)
			if err != nil || in.Zone == "Local" {
				return nil, domain.E(domain.Invalid, "bad_zone", "there is no zone of this name").About("zone")
			}
			snap, err := all.read(ctx, zone, s.Store.KPIs)
			return &struct{ Body kpi.Snapshot }{snap}, err
		})
}

// read gives the answer of the last two seconds, or has one made. The making does not end with who began it.
func (d *dashboards) read(ctx context.Context, zone *time.Location, kpis func(context.Context, time.Time, *time.Location) (kpi.Snapshot, error)) (kpi.Snapshot, error) {
	d.mu.Lock()
	now := time.Now()
	r := d.byZone[zone.String()]
	if r == nil || now.Sub(r.began) > dashboardKept {
		for name, old := range d.byZone { // zones nobody asks for any more
			if now.Sub(old.began) > dashboardKept {
				delete(d.byZone, name)
			}
		}
		r = &dashboardRead{began: now, done: make(chan struct{})}
		d.byZone[zone.String()] = r
		go func() {
			defer close(r.done)
			r.snap, r.err = kpis(context.WithoutCancel(ctx), now, zone)
		}()
	}
	d.mu.Unlock()
	select {
	case <-r.done:
		return r.snap, r.err
	case <-ctx.Done():
		return kpi.Snapshot{}, ctx.Err()
	}
}
