package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"lastcall/domain/access"
	"lastcall/store"
)

// Lease is which device of a station may accept vouchers offline.
type Lease struct {
	Mine      bool           `json:"mine" doc:"This device may"`
	Device    *StationPerson `json:"device,omitempty" doc:"Which may; absent: none"`
	TakenAt   *time.Time     `json:"taken_at,omitempty"`
	SeenAt    *time.Time     `json:"seen_at,omitempty" doc:"When it was heard of last, to the minute"`
	ExpiresAt *time.Time     `json:"expires_at,omitempty" doc:"When another device may have the lease for the asking, unless it is heard of before"`
}

// LeaseWanted asks for the lease.
type LeaseWanted struct {
	TakeOver bool   `json:"take_over,omitempty" doc:"From the device that has it: what that one accepted offline and has not sent yet may be refused then"`
	Reason   string `json:"reason,omitempty" maxLength:"500" doc:"Why it is taken over, for the audit log"`
}

func (s *server) stationLease(tags []string) {
	register(s, access.StationUse, huma.Operation{OperationID: "get-lease", Method: http.MethodGet, Path: "/station/lease", Tags: tags,
		Summary: "Tell which device may accept vouchers offline"},
		func(ctx context.Context, _ *struct{}) (*struct{ Body Lease }, error) {
			l, err := s.Store.Lease(ctx, stationFrom(ctx).StationID)
			return &struct{ Body Lease }{leaseOf(stationFrom(ctx), l)}, err
		})
	register(s, access.StationUse, huma.Operation{OperationID: "take-lease", Method: http.MethodPost, Path: "/station/lease", Tags: tags,
		Summary: "Let this device accept vouchers offline",
		Description: "One device of a station may. While another has the lease and was heard of in the last 24 hours, it is `lease_held`, status 409, " +
			"unless it is taken over, for a reason."},
		func(ctx context.Context, in *struct{ Body LeaseWanted }) (*struct{ Body Lease }, error) {
			l, err := s.Store.TakeLease(ctx, stationFrom(ctx), in.Body.TakeOver, in.Body.Reason)
			return &struct{ Body Lease }{leaseOf(stationFrom(ctx), &l)}, err
		})
	register(s, access.StationUse, huma.Operation{OperationID: "give-up-lease", Method: http.MethodDelete, Path: "/station/lease", Tags: tags,
		Summary: "Accept no vouchers offline on this device any more", DefaultStatus: http.StatusNoContent},
		func(ctx context.Context, _ *struct{}) (*struct{}, error) {
			return nil, s.Store.GiveUpLease(ctx, stationFrom(ctx))
		})
}

func leaseOf(v store.StationSession, l *store.Lease) Lease {
	if l == nil {
		return Lease{}
	}
	ends := l.Ends()
	return Lease{Mine: l.DeviceID == v.DeviceID, Device: &StationPerson{l.DeviceID, l.Device}, TakenAt: &l.TakenAt, SeenAt: &l.SeenAt, ExpiresAt: &ends}
}
