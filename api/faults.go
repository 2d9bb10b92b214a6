package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"lastcall/domain/access"
	"lastcall/domain/probe"
	"lastcall/store"
)

// InjectedFault is in the way of an edge function on purpose, until it ends by itself.
type InjectedFault struct {
	ID           uuid.UUID       `json:"id" format:"uuid"`
	EdgeFunction probe.Name      `json:"edge_function"`
	Kind         probe.FaultKind `json:"kind" enum:"timeout,reset,rate_limited,server_error,slow,wrong_body,stop_polling"`
	Share        float64         `json:"share" doc:"Of the calls"`
	DelayMS      *int64          `json:"delay_ms,omitempty" doc:"Of slow"`
	DrillID      *uuid.UUID      `json:"drill_id,omitempty" format:"uuid" doc:"The drill that it belongs to; absent: somebody's own trial"`
	Reason       string          `json:"reason"`
	By           string          `json:"by"`
	CreatedAt    time.Time       `json:"created_at"`
	ExpiresAt    time.Time       `json:"expires_at" doc:"It ends then, whatever else has died"`
	EndedAt      *time.Time      `json:"ended_at,omitempty" doc:"Switched off before that"`
	Active       bool            `json:"active"`
}

// FaultPage is one page of faults, newest first.
type FaultPage struct {
	Faults []InjectedFault `json:"faults"`
	Next   string          `json:"next,omitempty" doc:"Pass it as after for the next page; absent on the last"`
}

// NewFault is a fault to be put in the way.
type NewFault struct {
	EdgeFunction string  `json:"edge_function" maxLength:"40" example:"voucher-card"`
	Kind         string  `json:"kind" maxLength:"40" example:"timeout" doc:"timeout, reset, rate_limited, server_error, slow, wrong_body; of the dispatcher: stop_polling"`
	Share        float64 `json:"share,omitempty" doc:"Of the calls, more than 0, at most 1; absent: all"`
	DelayMS      int64   `json:"delay_ms,omitempty" doc:"Of slow: how much later answers come"`
	Seconds      int64   `json:"seconds" doc:"Then it ends by itself; at most two hours" example:"600"`
	Reason       string  `json:"reason" maxLength:"500"`
}

// Ending is why something is switched off.
type Ending struct {
	Reason string `query:"reason" maxLength:"500" doc:"For the audit log"`
}

func (s *server) faults() {
	tags := []string{"Edge functions"}
	register(s, access.ProbesRead, huma.Operation{OperationID: "list-faults", Method: http.MethodGet, Path: "/faults", Tags: tags,
		Summary: "List faults, those that have ended too"},
		func(ctx context.Context, in *struct {
			After uuid.UUID `query:"after" format:"uuid" doc:"The next of the page before"`
			Limit
		}) (*struct{ Body FaultPage }, error) {
			all, err := s.Store.Faults(ctx, in.After, in.fetch())
			all, next := cut(all, in.Limit, func(f store.Fault) string { return f.ID.String() })
			return &struct{ Body FaultPage }{FaultPage{injectedAll(all), next}}, err
		})
	register(s, access.FaultsInject, huma.Operation{OperationID: "inject-fault", Method: http.MethodPost, Path: "/faults", Tags: tags,
		Summary: "Make an edge function fail on purpose", DefaultStatus: http.StatusCreated, Errors: refusals,
		Description: "Calls to it fail in the gateway, before they leave, for everybody; what probes find meanwhile counts in no figure. It ends by " +
			"itself. Refused as `fault_there` while there is one, and as `faults_in_production` where messages go to people."},
		func(ctx context.Context, in *struct{ Body NewFault }) (*struct{ Body InjectedFault }, error) {
			f, err := s.Store.InjectFault(ctx, store.NewFault{Name: probe.Name(in.Body.EdgeFunction), Kind: probe.FaultKind(in.Body.Kind), Share: in.Body.Share,
				Delay: milliseconds(in.Body.DelayMS), For: milliseconds(1000 * max(-1, min(in.Body.Seconds, 1<<20))), Reason: in.Body.Reason})
			return &struct{ Body InjectedFault }{injectedOf(f)}, err
		})
	register(s, access.FaultsInject, huma.Operation{OperationID: "end-fault", Method: http.MethodDelete, Path: "/faults/{id}", Tags: tags,
		Summary: "Switch a fault off", Description: "At once, within half a second everywhere. One that has ended stays as it is."},
		func(ctx context.Context, in *struct {
			ID uuid.UUID `path:"id" format:"uuid"`
			Ending
		}) (*struct{ Body InjectedFault }, error) {
			f, err := s.Store.EndFault(ctx, in.ID, in.Reason)
			return &struct{ Body InjectedFault }{injectedOf(f)}, err
		})
}

// milliseconds are kept in bounds in which durations can be reckoned with; what is beyond them is refused as too long.
func milliseconds(n int64) time.Duration {
	const most = int64(24 * time.Hour / time.Millisecond)
	return time.Duration(max(-most, min(n, most))) * time.Millisecond
}

func injectedOf(f store.Fault) InjectedFault {
	return InjectedFault{ID: f.ID, EdgeFunction: f.EdgeFunction, Kind: f.Kind, Share: f.Share, DelayMS: f.DelayMS, DrillID: f.DrillID, Reason: f.Reason,
		By: f.Actor, CreatedAt: f.CreatedAt, ExpiresAt: f.ExpiresAt, EndedAt: f.EndedAt, Active: f.Open}
}

func injectedAll(all []store.Fault) []InjectedFault {
	out := make([]InjectedFault, len(all))
	for i, f := range all {
		out[i] = injectedOf(f)
	}
	return out
}
