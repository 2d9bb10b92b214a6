package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/campaign"
	"lastcall/store"
)

// Resend is an order to send again what failed or is unknown.
type Resend struct {
	States           []campaign.TargetState `json:"states" minItems:"1" maxItems:"2" enum:"failed,unknown" doc:"Whom to send to again"`
	Codes            []int                  `json:"codes,omitempty" maxItems:"100" doc:"Of those that failed only these of the provider's codes; absent: all"`
	Reason           string                 `json:"reason" minLength:"1" maxLength:"500" doc:"Why, for the audit log"`
	AcceptDuplicates bool                   `json:"accept_duplicates,omitempty" doc:"Needed for unknown: whoever was sent to after all gets the message twice"`
}

// Recovery is an order to restart a campaign whose workflow is gone.
type Recovery struct {
	Reason string `json:"reason" minLength:"1" maxLength:"500" doc:"Why, for the audit log"`
}

func (s *server) resends() {
	tags := []string{"Campaigns"}
	const answers = "Answers 200 once it has taken effect; 202 when it is safely noted but has not taken effect within 5 s."
	register(s, access.CampaignsRun, huma.Operation{OperationID: "resend-campaign", Method: http.MethodPost, Path: "/campaigns/{id}/resend", Tags: tags,
		Summary: "Send again what failed or is unknown",
		Description: "Of a campaign that has ended. The targets go back into its queue and it runs again, through all rules; `resent` tells how many. " +
			"A receipt that comes for an unknown target before its turn takes it out. Who has opted out is never sent to again. " + answers,
		Responses: s.accepted(), Errors: refusals},
		func(ctx context.Context, in *struct {
			CampaignPath
			IdempotencyKey string `header:"Idempotency-Key" doc:"The same key again sends nothing again and answers the same"`
			Body           Resend
		}) (*campaignOutput, error) {
			if err := checkKey(in.IdempotencyKey); err != nil {
				return nil, err
			}
			hash, err := hashOf(in.Body)
			if err != nil {
				return nil, err
			}
			resent, message, err := s.Store.Resend(ctx, in.ID, store.ResendOrder{ResendChoice: store.ResendChoice{States: in.Body.States, Codes: in.Body.Codes},
				Reason: in.Body.Reason, AcceptDuplicates: in.Body.AcceptDuplicates, IdempotencyKey: in.IdempotencyKey, RequestHash: hash})
			if err != nil {
				return nil, err
			}
			var out *campaignOutput
			if message == 0 {
				out, err = s.answer(ctx, in.ID, http.StatusOK)
			} else {
				out, err = s.effect(ctx, in.ID, message)
			}
			if err == nil {
				out.Body.Resent = &resent
			}
			return out, err
		})

	register(s, access.CampaignsRead, huma.Operation{OperationID: "preview-resend", Method: http.MethodGet, Path: "/campaigns/{id}/resend", Tags: tags,
		Summary: "Tell what a resend would do", Description: "Changes nothing. Counts by what became of the targets, with advice, and says what keeps it from being sent again and what somebody should know first."},
		func(ctx context.Context, in *struct {
			CampaignPath
			States []campaign.TargetState `query:"states" required:"true" enum:"failed,unknown" doc:"Separated by commas"`
			Codes  []int                  `query:"codes" doc:"Of those that failed only these of the provider's codes, separated by commas"`
		}) (*struct{ Body store.ResendPreview }, error) {
			p, err := s.Store.PreviewResend(ctx, in.ID, store.ResendChoice{States: in.States, Codes: in.Codes})
			return &struct{ Body store.ResendPreview }{p}, err
		})

	register(s, access.CampaignsRun, huma.Operation{OperationID: "recover-campaign", Method: http.MethodPost, Path: "/campaigns/{id}/recover", Tags: tags,
		Summary: "Restart a campaign whose workflow is gone",
		Description: "Of one that should be at work and whose workflow somebody terminated in Temporal, or that failed in its middle. A new run is checked and goes on " +
			"with what is queued, paused or stopping if the last order says so; nobody is sent to twice. " + answers,
		Responses: s.accepted(), Errors: refusals},
		func(ctx context.Context, in *struct {
			CampaignPath
			Body Recovery
		}) (*campaignOutput, error) {
			c, err := s.Store.Campaign(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			if err := campaign.CheckRecover(c.Status); err != nil {
				return nil, err
			}
			open, err := s.WorkflowOpen(ctx, c.ID, c.Resend)
			if err != nil {
				return nil, err
			}
			if open {
				return nil, domain.E(domain.Conflict, "workflow_open", "cannot recover: the campaign's workflow is at work")
			}
			message, err := s.Store.Recover(ctx, in.ID, in.Body.Reason)
			if err != nil {
				return nil, err
			}
			return s.effect(ctx, in.ID, message)
		})
}
