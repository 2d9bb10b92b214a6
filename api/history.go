package api

import (
	"context"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"lastcall/domain/access"
	"lastcall/store"
)

// HistoryPage is one page of a campaign's history, newest first.
type HistoryPage struct {
	Events []store.Event `json:"events"`
	Next   string        `json:"next,omitempty" doc:"Pass it as after for the next page; absent on the last"`
}

func (s *server) history() {
	register(s, access.CampaignsRead, huma.Operation{OperationID: "get-campaign-history", Method: http.MethodGet, Path: "/campaigns/{id}/history", Tags: []string{"Campaigns"},
		Summary:     "Tell what happened to a campaign",
		Description: "From the audit log, newest first: who ordered what and why, and which rule held whom back. What happened to one target is in its timeline."},
		func(ctx context.Context, in *struct {
			CampaignPath
			After int64 `query:"after" minimum:"0" doc:"The next of the page before"`
			Limit
		}) (*struct{ Body HistoryPage }, error) {
			all, err := s.Store.History(ctx, in.ID, in.After, in.fetch())
			if err != nil {
				return nil, err
			}
			all, next := cut(all, in.Limit, func(e store.Event) string { return strconv.FormatInt(e.ID, 10) })
			return &struct{ Body HistoryPage }{HistoryPage{all, next}}, nil
		})
}
