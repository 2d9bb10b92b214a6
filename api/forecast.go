package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"lastcall/domain/access"
	"lastcall/store"
)

func (s *server) forecasts() {
	register(s, access.CampaignsRead, huma.Operation{OperationID: "forecast-campaign", Method: http.MethodGet, Path: "/campaigns/{id}/forecast", Tags: []string{"Campaigns"},
		Summary: "Forecast who may be written to, when the waves go, and when it will have finished",
		Description: "Reckoned by the rules in force, with what the channel's ledger holds and the other campaigns at work. " +
			"A draft is reckoned from at, or from now; a campaign that has been started with what is left of it, from its send time or from now."},
		func(ctx context.Context, in *struct {
			CampaignPath
			At time.Time `query:"at" doc:"As if it began then; absent or past: now"`
		}) (*struct{ Body store.Forecast }, error) {
			var at *time.Time
			if !in.At.IsZero() {
				at = &in.At
			}
			if err := plausible(at, "at"); err != nil {
				return nil, err
			}
			f, err := s.Store.Forecast(ctx, in.ID, at)
			return &struct{ Body store.Forecast }{f}, err
		})
}
