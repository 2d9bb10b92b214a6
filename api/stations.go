package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/store"
)

// Station is where vouchers are redeemed, in a bar.
type Station struct {
	ID        uuid.UUID `json:"id" format:"uuid"`
	BarID     uuid.UUID `json:"bar_id" format:"uuid"`
	Code      string    `json:"code" example:"ENG-001" doc:"Never another station's, not even after this one is deleted"`
	Name      string    `json:"name"`
	Version   int64     `json:"version" doc:"Its ETag"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// StationPage is one page of stations, by code.
type StationPage struct {
	Stations []Station `json:"stations"`
	Next     string    `json:"next,omitempty" doc:"Pass it as after for the next page; absent on the last"`
}

// NewStation is what a station is made of.
type NewStation struct {
	BarID uuid.UUID `json:"bar_id" format:"uuid"`
	Code  string    `json:"code" maxLength:"30" example:"ENG-001" doc:"2 to 20 letters and digits with hyphens between; kept in capitals"`
	Name  string    `json:"name" maxLength:"200"`
}

// StationFacts are what may be changed of a station.
type StationFacts struct {
	Name string `json:"name" maxLength:"200"`
}

type stationAnswer struct {
	ETag string `header:"ETag"`
	Body Station
}

func (s *server) stations() {
	tags := []string{"Bars and stations"}
	register(s, access.BarsRead, huma.Operation{OperationID: "list-stations", Method: http.MethodGet, Path: "/stations", Tags: tags,
		Summary: "List stations, by code"},
		func(ctx context.Context, in *struct {
			Bar    uuid.UUID `query:"bar" format:"uuid" doc:"Only this bar's"`
			IDs    []string  `query:"id,explode" maxItems:"100" doc:"Only these"`
			Codes  []string  `query:"code,explode" maxItems:"100" doc:"Only those with these codes"`
			Search string    `query:"search" maxLength:"100" doc:"What the code or the name holds"`
			After  string    `query:"after" maxLength:"20" doc:"The next of the page before"`
			Limit
		}) (*struct{ Body StationPage }, error) {
			f := store.StationFilter{Search: strings.TrimSpace(in.Search)}
			for _, code := range in.Codes {
				f.Codes = append(f.Codes, strings.ToUpper(strings.TrimSpace(code)))
			}
			for _, text := range in.IDs {
				id, err := uuid.Parse(text)
				if err != nil {
					return nil, domain.E(domain.Invalid, "bad_id", "use a station's id").About("id")
				}
				f.IDs = append(f.IDs, id)
			}
			if in.Bar != uuid.Nil {
				f.Bars = []uuid.UUID{in.Bar}
			}
			all, err := s.Store.Stations(ctx, f, in.After, in.fetch())
			if err != nil {
				return nil, err
			}
			all, next := cut(all, in.Limit, func(t store.Station) string { return t.Code })
			page := StationPage{Stations: make([]Station, len(all)), Next: next}
			for i, t := range all {
				page.Stations[i] = shownStation(t)
			}
			return &struct{ Body StationPage }{page}, nil
		})
	register(s, access.BarsRead, huma.Operation{OperationID: "get-station", Method: http.MethodGet, Path: "/stations/{id}", Tags: tags,
		Summary: "Get a station", Description: "Its ETag is its version, for the If-Match of who changes it."},
		func(ctx context.Context, in *ID) (*stationAnswer, error) {
			return answerStation(s.Store.Station(ctx, in.ID))
		})
	register(s, access.BarsWrite, huma.Operation{OperationID: "add-station", Method: http.MethodPost, Path: "/stations", Tags: tags,
		Summary: "Add a station to a bar", DefaultStatus: http.StatusCreated},
		func(ctx context.Context, in *struct{ Body NewStation }) (*stationAnswer, error) {
			return answerStation(s.Store.AddStation(ctx, in.Body.BarID, in.Body.Code, in.Body.Name))
		})
	register(s, access.BarsWrite, huma.Operation{OperationID: "put-station", Method: http.MethodPut, Path: "/stations/{id}", Tags: tags,
		Summary: "Change a station", Description: "With If-Match it fails as `station_changed`, status 412, when the station is not any more what its caller knew."},
		func(ctx context.Context, in *struct {
			ID
			Match
			Body StationFacts
		}) (*stationAnswer, error) {
			known, err := in.known()
			if err != nil {
				return nil, err
			}
			return answerStation(s.Store.ChangeStation(ctx, in.ID.ID, in.Body.Name, known))
		})
	register(s, access.BarsRead, huma.Operation{OperationID: "get-station-impact", Method: http.MethodGet, Path: "/stations/{id}/impact", Tags: tags,
		Summary: "Tell what deleting a station would take along"},
		func(ctx context.Context, in *ID) (*struct{ Body Toll }, error) {
			if _, err := s.Store.Station(ctx, in.ID); err != nil {
				return nil, err
			}
			i, err := s.Store.StationToll(ctx, in.ID)
			return &struct{ Body Toll }{Toll(i)}, err
		})
	register(s, access.BarsWrite, huma.Operation{OperationID: "delete-station", Method: http.MethodDelete, Path: "/stations/{id}", Tags: tags,
		Summary: "Delete a station", Description: "Its devices and sessions end at once. What was stays told; the code is not used again.",
		DefaultStatus: http.StatusNoContent},
		func(ctx context.Context, in *struct {
			ID
			Body *Deletion
		}) (*struct{}, error) {
			var why Deletion
			if in.Body != nil {
				why = *in.Body
			}
			return nil, s.Store.DeleteStation(ctx, in.ID.ID, why.Reason)
		})
	s.operators()
	s.devices()
}

func answerStation(t store.Station, err error) (*stationAnswer, error) {
	return &stationAnswer{etag(t.Version), shownStation(t)}, err
}

func shownStation(t store.Station) Station {
	return Station{t.ID, t.BarID, t.Code, t.Name, t.Version, t.CreatedAt, t.UpdatedAt}
}
