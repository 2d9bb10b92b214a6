package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"lastcall/domain/access"
	"lastcall/domain/contact"
	"lastcall/domain/delivery"
)

// TargetQuery asks for the target with a number. Numbers are never part of an address: logs keep addresses.
type TargetQuery struct {
	MSISDN  string `json:"msisdn" doc:"With + and country code, or as dialled in country"`
	Country string `json:"country,omitempty" doc:"Where a number without + is dialled: ISO 3166-1 alpha-2"`
}

// TargetTimeline answers "why was this not sent?".
type TargetTimeline struct {
	CampaignID uuid.UUID `json:"campaign_id" format:"uuid"`
	Target     Target    `json:"target"`
	Country    string    `json:"country"`
	Zone       string    `json:"zone,omitempty" doc:"By which quiet hours are reckoned; absent: unknown"`
	Locale     string    `json:"locale,omitempty"`
	delivery.Timeline
}

func (s *server) timelines() {
	tags := []string{"Campaigns"}
	register(s, access.CampaignsRead, huma.Operation{OperationID: "find-target", Method: http.MethodPost, Path: "/campaigns/{id}/targets/find", Tags: tags,
		Summary: "Find the target with a number", Description: "Changes nothing. It is a POST so that no number stands in an address."},
		func(ctx context.Context, in *struct {
			CampaignPath
			Body TargetQuery
		}) (*struct{ Body Target }, error) {
			number, err := contact.ParseNumber(in.Body.MSISDN, in.Body.Country)
			if err != nil {
				return nil, err
			}
			t, err := s.Store.FindTarget(ctx, in.ID, number.MSISDN)
			return &struct{ Body Target }{target(t)}, err
		})

	register(s, access.ContactsReveal, huma.Operation{OperationID: "reveal-target", Method: http.MethodPost, Path: "/campaigns/{id}/targets/{target_id}/reveal", Tags: tags,
		Summary: "See a target's number", Description: "That it was seen is in the audit log."},
		func(ctx context.Context, in *struct {
			CampaignPath
			TargetID int64 `path:"target_id" minimum:"1"`
		}) (*struct{ Body Revealed }, error) {
			t, err := s.Store.Timeline(ctx, in.ID, in.TargetID)
			if err != nil {
				return nil, err
			}
			return s.reveal(ctx, t.Target.MSISDN, fmt.Sprintf("campaign/%s/target/%d", in.ID, in.TargetID))
		})

	register(s, access.CampaignsRead, huma.Operation{OperationID: "get-target-timeline", Method: http.MethodGet, Path: "/campaigns/{id}/targets/{target_id}/timeline", Tags: tags,
		Summary: "Why was this not sent?",
		Description: "All that happened to one target, oldest first: attempts, errors with advice, receipts, and what held it in the queue. " +
			"`now` answers the question; of a queued target it is what the engine that sends would decide this moment."},
		func(ctx context.Context, in *struct {
			CampaignPath
			TargetID int64 `path:"target_id" minimum:"1"`
		}) (*struct{ Body TargetTimeline }, error) {
			t, err := s.Store.Timeline(ctx, in.ID, in.TargetID)
			return &struct{ Body TargetTimeline }{TargetTimeline{in.ID, target(t.Target), t.Cohort.Country, t.Cohort.Zone, t.Cohort.Locale, t.Timeline}}, err
		})
}
