package api

import (
	"context"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/campaign"
	"lastcall/store"
)

// StartOrder starts a campaign.
type StartOrder struct {
	SendAt *time.Time `json:"send_at,omitempty" doc:"Not before then; absent: now, or when it was approved for"`
}

// Order pauses, resumes or stops a campaign.
type Order struct {
	Reason string `json:"reason,omitempty" maxLength:"500" doc:"Why, for the audit log"`
}

func (s *server) orders() {
	tags := []string{"Campaigns"}
	const answers = "Answers 200 once it has taken effect; 202 when it is safely noted but has not taken effect within 5 s."
	register(s, access.CampaignsRun, huma.Operation{OperationID: "start-campaign", Method: http.MethodPost, Path: "/campaigns/{id}/start", Tags: tags,
		Summary: "Start a campaign", Description: "From then on its audience is fixed. What has to be approved and is not ends as `approval_required`, " +
			"status 409; with its approval it starts at the time that was approved. " + answers,
		Responses: s.accepted(), Errors: refusals},
		func(ctx context.Context, in *struct {
			CampaignPath
			Body *StartOrder
		}) (*campaignOutput, error) {
			var sendAt *time.Time
			if in.Body != nil {
				sendAt = in.Body.SendAt
			}
			if err := plausible(sendAt, "send_at"); err != nil {
				return nil, err
			}
			message, err := s.Store.StartCampaign(ctx, in.ID, sendAt)
			if err != nil {
				return nil, err
			}
			return s.effect(ctx, in.ID, message)
		})

	register(s, access.CampaignsRead, huma.Operation{OperationID: "preflight-campaign", Method: http.MethodGet, Path: "/campaigns/{id}/preflight", Tags: tags,
		Summary: "Check whether a campaign could start", Description: "Counts who will be left out, and says what keeps it from starting and what somebody should know first."},
		func(ctx context.Context, in *CampaignPath) (*struct{ Body store.Check }, error) {
			check, err := s.Store.Preflight(ctx, in.ID)
			return &struct{ Body store.Check }{check}, err
		})
	for _, order := range []struct {
		name, summary, description string
		gate                       campaign.Gate
	}{
		{"pause", "Pause a campaign", "Nothing goes until it is resumed. The boundary is exact once it is in effect. ", campaign.GatePaused},
		{"resume", "Resume a paused campaign", "It goes on where it was: nothing is skipped, nothing repeated. ", campaign.GateOpen},
		{"stop", "Stop a campaign for good", "What is queued is cancelled. ", campaign.GateStopped},
	} {
		register(s, access.CampaignsRun, huma.Operation{OperationID: order.name + "-campaign", Method: http.MethodPost,
			Path: "/campaigns/{id}/" + order.name, Tags: tags, Summary: order.summary, Description: order.description + answers,
			Responses: s.accepted(), Errors: refusals},
			func(ctx context.Context, in *struct {
				CampaignPath
				Body *Order
			}) (*campaignOutput, error) {
				var reason string
				if in.Body != nil {
					reason = in.Body.Reason
				}
				message, err := s.Store.Order(ctx, in.ID, order.gate, reason)
				if err != nil {
					return nil, err
				}
				out, err := s.effect(ctx, in.ID, message)
				if err == nil && order.gate != campaign.GateOpen {
					out.Body.Boundary = &Boundary{Accepted: out.Body.Accepted(), InFlight: out.Body.Sending}
				}
				return out, err
			})
	}
}

// refusals are how an order may be refused.
var refusals = []int{http.StatusUnauthorized, http.StatusNotFound, http.StatusConflict, http.StatusServiceUnavailable}

// accepted describes the answer to an order that has not taken effect yet.
func (s *server) accepted() map[string]*huma.Response {
	return s.acceptedAs(reflect.TypeFor[Campaign]())
}

// acceptedAs is accepted, of something else than a campaign.
func (s *server) acceptedAs(body reflect.Type) map[string]*huma.Response {
	schema := s.huma.OpenAPI().Components.Schemas.Schema(body, true, body.Name())
	return map[string]*huma.Response{"202": {Description: "Safely noted, not yet in effect",
		Content: map[string]*huma.MediaType{"application/json": {Schema: schema}}}}
}

// plausible refuses times that nobody means and with which nothing can reckon; nil is fine.
func plausible(at *time.Time, field string) error {
	const years = 10
	if at != nil && (at.Before(time.Now().AddDate(-years, 0, 0)) || at.After(time.Now().AddDate(years, 0, 0))) {
		return domain.E(domain.Invalid, "implausible_time", "is more than %d years away", years).About(field)
	}
	return nil
}

// effect waits until an order has reached the campaign's workflow and answers with the campaign.
func (s *server) effect(ctx context.Context, id uuid.UUID, message int64) (*campaignOutput, error) {
	wait, cancel := context.WithTimeout(ctx, s.EffectWithin)
	defer cancel()
	delivered, err := s.Store.AwaitDelivery(wait, message)
	if err != nil {
		return nil, err
	}
	if !delivered {
		return s.answer(ctx, id, http.StatusAccepted)
	}
	return s.answer(ctx, id, http.StatusOK)
}
