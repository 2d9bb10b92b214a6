package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"lastcall/domain/access"
	"lastcall/store"
)

// Device is a phone or tablet that is enrolled at a station.
type Device struct {
	ID         uuid.UUID `json:"id" format:"uuid"`
	Name       string    `json:"name"`
	Agent      string    `json:"agent" doc:"The browser's family"`
	EnrolledAt time.Time `json:"enrolled_at"`
	SeenAt     time.Time `json:"seen_at" doc:"To the minute, while somebody is signed in"`
	Lease      bool      `json:"lease" doc:"It may accept vouchers offline"`
}

// Devices are all of a station's, oldest first.
type Devices struct {
	Devices []Device `json:"devices"`
}

// NewDevice is what a device will be called.
type NewDevice struct {
	Name string `json:"name" maxLength:"200" example:"Counter phone"`
}

// EnrolmentLink enrols the device that opens it, once.
type EnrolmentLink struct {
	ID        uuid.UUID `json:"id" format:"uuid"`
	Name      string    `json:"name"`
	Link      string    `json:"link" doc:"Its token stands behind #, which no server gets to see; told once"`
	QR        string    `json:"qr" doc:"The link as an SVG image"`
	ExpiresAt time.Time `json:"expires_at" doc:"15 minutes from now"`
}

func (s *server) devices() {
	tags := []string{"Bars and stations"}
	register(s, access.DevicesManage, huma.Operation{OperationID: "list-devices", Method: http.MethodGet, Path: "/stations/{id}/devices", Tags: tags,
		Summary: "List the devices of a station, oldest first", Description: "Without those that were revoked."},
		func(ctx context.Context, in *ID) (*struct{ Body Devices }, error) {
			if _, err := s.Store.Station(ctx, in.ID); err != nil {
				return nil, err
			}
			all, err := s.Store.Devices(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			lease, err := s.Store.Lease(ctx, in.ID)
			out := Devices{make([]Device, len(all))}
			for i, d := range all {
				out.Devices[i] = shownDevice(d, lease)
			}
			return &struct{ Body Devices }{out}, err
		})
	register(s, access.DevicesManage, huma.Operation{OperationID: "invite-device", Method: http.MethodPost, Path: "/stations/{id}/enrolments", Tags: tags,
		Summary: "Make a link that enrols a device at a station", DefaultStatus: http.StatusCreated,
		Description: "For the one device that opens it first, within 15 minutes."},
		func(ctx context.Context, in *struct {
			ID
			Body NewDevice
		}) (*struct{ Body EnrolmentLink }, error) {
			token, e, err := s.Store.InviteDevice(ctx, in.ID.ID, in.Body.Name)
			if err != nil {
				return nil, err
			}
			link := s.PublicURL + "/station#enrol=" + token
			qr, err := qrSVG(link)
			return &struct{ Body EnrolmentLink }{EnrolmentLink{e.ID, e.Name, link, string(qr), e.ExpiresAt}}, err
		})
	register(s, access.DevicesManage, huma.Operation{OperationID: "revoke-device", Method: http.MethodDelete, Path: "/devices/{id}", Tags: tags,
		Summary: "Revoke a device", Description: "Ends its session and its lease at once. What it accepted offline and has not sent yet will not come.",
		DefaultStatus: http.StatusNoContent},
		func(ctx context.Context, in *struct {
			ID
			Body *Deletion
		}) (*struct{}, error) {
			var why Deletion
			if in.Body != nil {
				why = *in.Body
			}
			return nil, s.Store.RevokeDevice(ctx, in.ID.ID, why.Reason)
		})
}

func shownDevice(d store.Device, lease *store.Lease) Device {
	return Device{d.ID, d.Name, d.Agent, d.EnrolledAt, d.SeenAt, lease != nil && lease.DeviceID == d.ID}
}
