package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/place"
	"lastcall/store"
)

// Bar is a venue with its stations.
type Bar struct {
	ID        uuid.UUID `json:"id" format:"uuid"`
	Code      string    `json:"code" example:"ENG" doc:"Never another bar's, not even after this one is deleted"`
	Name      string    `json:"name"`
	Country   string    `json:"country" doc:"ISO 3166-1 alpha-2"`
	Address   string    `json:"address"`
	Latitude  *float64  `json:"latitude,omitempty" doc:"Degrees, WGS 84"`
	Longitude *float64  `json:"longitude,omitempty"`
	Zone      string    `json:"zone" doc:"IANA"`
	Currency  string    `json:"currency" doc:"ISO 4217: the country's"`
	Version   int64     `json:"version" doc:"Its ETag"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	Stations  []Station `json:"stations" doc:"By code"`
}

// BarPage is one page of bars, by code.
type BarPage struct {
	Bars []Bar  `json:"bars"`
	Next string `json:"next,omitempty" doc:"Pass it as after for the next page; absent on the last"`
}

// BarFacts are what may be changed of a bar.
type BarFacts struct {
	Name      string   `json:"name" maxLength:"200"`
	Country   string   `json:"country" maxLength:"10" example:"RW" doc:"ISO 3166-1 alpha-2; the money of its vouchers follows from it"`
	Address   string   `json:"address,omitempty" maxLength:"500"`
	Zone      string   `json:"zone,omitempty" maxLength:"64" doc:"IANA; absent: the country's, if it has only one"`
	Latitude  *float64 `json:"latitude,omitempty" doc:"Degrees, WGS 84"`
	Longitude *float64 `json:"longitude,omitempty"`
}

// NewBar is what a bar is made of.
type NewBar struct {
	Code string `json:"code" maxLength:"30" example:"ENG" doc:"2 to 20 letters and digits with hyphens between; kept in capitals"`
	BarFacts
}

// Deletion is why something is deleted.
type Deletion struct {
	Reason string `json:"reason,omitempty" maxLength:"500" doc:"For the audit log"`
}

// BarDeletion is why a bar is deleted, and whether its stations are.
type BarDeletion struct {
	Deletion
	WithStations bool `json:"with_stations,omitempty" doc:"Its live stations are deleted, too"`
}

// Toll is what a deletion would take along.
type Toll struct {
	Stations  int64 `json:"stations" doc:"Live ones"`
	Operators int64 `json:"operators" doc:"Who may sign in"`
	Devices   int64 `json:"devices" doc:"Enrolled"`
	Sessions  int64 `json:"sessions" doc:"Open"`
	QRTokens  int64 `json:"qr_tokens" doc:"Codes on tables"`
	Contacts  int64 `json:"contacts" doc:"Who came by this bar; they stay"`
}

// barAnswer is a bar, by whose ETag its next writer can say what they knew.
type barAnswer struct {
	ETag string `header:"ETag"`
	Body Bar
}

// ID is the part of an address that names something.
type ID struct {
	ID uuid.UUID `path:"id" format:"uuid"`
}

// Match is the condition of a change.
type Match struct {
	Match string `header:"If-Match" doc:"The ETag of what this is to replace; absent: whatever it is"`
}

// known is the version that the caller knew, nil when they do not say.
func (m Match) known() (*int64, error) {
	if m.Match == "" || m.Match == "*" {
		return nil, nil
	}
	n, err := strconv.ParseInt(strings.Trim(m.Match, `"`), 10, 64)
	if err != nil {
		return nil, domain.E(domain.Invalid, "bad_etag", "pass the ETag, unchanged").About("If-Match")
	}
	return &n, nil
}

func etag(version int64) string { return fmt.Sprintf("%q", strconv.FormatInt(version, 10)) }

func (s *server) bars() {
	tags := []string{"Bars and stations"}
	register(s, access.BarsRead, huma.Operation{OperationID: "list-bars", Method: http.MethodGet, Path: "/bars", Tags: tags,
		Summary: "List bars with their stations, by code"},
		func(ctx context.Context, in *struct {
			Search string `query:"search" maxLength:"100" doc:"What the code, name or address of the bar holds, or the code or name of one of its stations"`
			After  string `query:"after" maxLength:"20" doc:"The next of the page before"`
			Limit
		}) (*struct{ Body BarPage }, error) {
			all, err := s.Store.Bars(ctx, store.BarFilter{Search: strings.TrimSpace(in.Search)}, in.After, in.fetch())
			if err != nil {
				return nil, err
			}
			all, next := cut(all, in.Limit, func(b store.Bar) string { return b.Code })
			bars, err := s.withStations(ctx, all)
			return &struct{ Body BarPage }{BarPage{bars, next}}, err
		})
	register(s, access.BarsRead, huma.Operation{OperationID: "get-bar", Method: http.MethodGet, Path: "/bars/{id}", Tags: tags,
		Summary: "Get a bar", Description: "Its ETag is its version, for the If-Match of who changes it."},
		func(ctx context.Context, in *ID) (*barAnswer, error) { return s.bar(ctx)(s.Store.Bar(ctx, in.ID)) })
	register(s, access.BarsWrite, huma.Operation{OperationID: "add-bar", Method: http.MethodPost, Path: "/bars", Tags: tags,
		Summary: "Add a bar", DefaultStatus: http.StatusCreated},
		func(ctx context.Context, in *struct{ Body NewBar }) (*barAnswer, error) {
			return s.bar(ctx)(s.Store.AddBar(ctx, in.Body.Code, in.Body.facts()))
		})
	register(s, access.BarsWrite, huma.Operation{OperationID: "put-bar", Method: http.MethodPut, Path: "/bars/{id}", Tags: tags,
		Summary: "Change a bar", Description: "With If-Match it fails as `bar_changed`, status 412, when the bar is not any more what its caller knew. " +
			"A bar with stations keeps its country."},
		func(ctx context.Context, in *struct {
			ID
			Match
			Body BarFacts
		}) (*barAnswer, error) {
			known, err := in.known()
			if err != nil {
				return nil, err
			}
			return s.bar(ctx)(s.Store.ChangeBar(ctx, in.ID.ID, in.Body.facts(), known))
		})
	register(s, access.BarsRead, huma.Operation{OperationID: "get-bar-impact", Method: http.MethodGet, Path: "/bars/{id}/impact", Tags: tags,
		Summary: "Tell what deleting a bar would take along"},
		func(ctx context.Context, in *ID) (*struct{ Body Toll }, error) {
			if _, err := s.Store.Bar(ctx, in.ID); err != nil {
				return nil, err
			}
			i, err := s.Store.BarToll(ctx, in.ID)
			return &struct{ Body Toll }{Toll(i)}, err
		})
	register(s, access.BarsWrite, huma.Operation{OperationID: "delete-bar", Method: http.MethodDelete, Path: "/bars/{id}", Tags: tags,
		Summary: "Delete a bar", DefaultStatus: http.StatusNoContent,
		Description: "Its table codes end at once. A bar with live stations is `has_stations`, status 409, unless they are to be deleted with it. What was stays told; the code is not used again."},
		func(ctx context.Context, in *struct {
			ID
			Body *BarDeletion
		}) (*struct{}, error) {
			var why BarDeletion
			if in.Body != nil {
				why = *in.Body
			}
			return nil, s.Store.DeleteBar(ctx, in.ID.ID, why.WithStations, why.Reason)
		})
}

func (f BarFacts) facts() store.BarFacts {
	return store.BarFacts{Name: f.Name, Address: f.Address, Country: f.Country, Zone: f.Zone, Latitude: f.Latitude, Longitude: f.Longitude}
}

// bar is what the store returned, as an answer.
func (s *server) bar(ctx context.Context) func(store.Bar, error) (*barAnswer, error) {
	return func(b store.Bar, err error) (*barAnswer, error) {
		if err != nil {
			return nil, err
		}
		all, err := s.withStations(ctx, []store.Bar{b})
		if err != nil {
			return nil, err
		}
		return &barAnswer{etag(b.Version), all[0]}, nil
	}
}

// withStations are bars as they are shown. Of each bar's stations it tells the first thousand of all.
func (s *server) withStations(ctx context.Context, all []store.Bar) ([]Bar, error) {
	bars, at, ids := make([]Bar, len(all)), map[uuid.UUID]int{}, make([]uuid.UUID, len(all))
	for i, b := range all {
		bars[i] = Bar{ID: b.ID, Code: b.Code, Name: b.Name, Country: b.Country, Address: b.Address, Latitude: b.Latitude, Longitude: b.Longitude,
			Zone: b.Clock(), Currency: place.Currency(b.Country), Version: b.Version, CreatedAt: b.CreatedAt, UpdatedAt: b.UpdatedAt, Stations: []Station{}}
		at[b.ID], ids[i] = i, b.ID
	}
	if len(ids) == 0 {
		return bars, nil
	}
	stations, err := s.Store.Stations(ctx, store.StationFilter{Bars: ids}, "", 1000)
	for _, t := range stations {
		b := &bars[at[t.BarID]]
		b.Stations = append(b.Stations, shownStation(t))
	}
	return bars, err
}
