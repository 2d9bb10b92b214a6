package api

import (
	"context"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/approval"
	"lastcall/domain/campaign"
	"lastcall/domain/override"
	"lastcall/store"
	"lastcall/workflows"
)

// Override lets something go on that a rule holds back, for a bounded time.
type Override struct {
	ID             uuid.UUID         `json:"override_id" format:"uuid"`
	Kind           override.Kind     `json:"kind" enum:"quiet_hours,production_drill"`
	State          override.State    `json:"state" enum:"requested,approved,active,ended,rejected,expired,cancelled" doc:"approved: and waits for its start; expired: nobody decided in time"`
	CampaignID     *uuid.UUID        `json:"campaign_id,omitempty" format:"uuid" doc:"Of quiet_hours: the campaign that it is for, if not a message"`
	Campaign       string            `json:"campaign,omitempty" doc:"Its name"`
	CampaignStatus campaign.Status   `json:"campaign_status,omitempty"`
	Send           *OverriddenSend   `json:"send,omitempty" doc:"Of quiet_hours: the single message that it is for, if not a campaign"`
	StartsAt       time.Time         `json:"starts_at"`
	EndsAt         time.Time         `json:"ends_at" doc:"Nothing is sent by it from then on"`
	Reason         string            `json:"reason"`
	RequestedBy    Somebody          `json:"requested_by"`
	RequestedAt    time.Time         `json:"requested_at"`
	AskUntil       time.Time         `json:"ask_until" doc:"Undecided then, it expires"`
	Decision       *OverrideDecision `json:"decision,omitempty"`
	DecidedAt      *time.Time        `json:"decided_at,omitempty" doc:"When the decision took effect"`
	ActiveAt       *time.Time        `json:"active_at,omitempty"`
	EndedAt        *time.Time        `json:"ended_at,omitempty" doc:"When it was over, in whichever state"`
	EndReason      string            `json:"end_reason,omitempty" doc:"Of one that was cancelled"`
	MayDecide      bool              `json:"may_decide" doc:"Whether whoever asks may decide"`
	WhyNot         string            `json:"why_not,omitempty" doc:"Why they may not"`
	MayCancel      bool              `json:"may_cancel" doc:"Whether whoever asks may cancel it"`
	Now            time.Time         `json:"now" doc:"The server's time, by which it begins and ends"`
	TemporalWeb    string            `json:"temporal_web,omitempty" doc:"Its workflow in Temporal Web"`
	History        []OverrideMoment  `json:"history,omitempty" doc:"Of one override alone: what the audit log tells, oldest first"`
}

// OverriddenSend is the single message that an override is for.
type OverriddenSend struct {
	ID       uuid.UUID            `json:"send_id" format:"uuid"`
	MSISDN   string               `json:"msisdn" doc:"Masked"`
	Template string               `json:"template" doc:"Its name"`
	State    campaign.TargetState `json:"state" enum:"queued,sending,sent,delivered,read,failed,opted_out,unknown,cancelled"`
}

// OverrideDecision is what somebody decided about an override.
type OverrideDecision struct {
	ID      uuid.UUID        `json:"id" format:"uuid"`
	Verdict approval.Verdict `json:"verdict" enum:"approved,rejected"`
	Reason  string           `json:"reason,omitempty"`
	By      Somebody         `json:"by"`
	Role    access.Role      `json:"role" doc:"Theirs at the time"`
	At      time.Time        `json:"at"`
}

// OverrideMoment is one thing that happened to an override.
type OverrideMoment struct {
	At     time.Time `json:"at"`
	What   string    `json:"what" doc:"The audit log's action, like override.active"`
	By     string    `json:"by,omitempty" doc:"Who did it; absent: Lastcall itself"`
	Reason string    `json:"reason,omitempty" doc:"In that person's words"`
	Code   string    `json:"code,omitempty" doc:"Of a refusal"`
}

// OverridePage is one page of overrides, newest first.
type OverridePage struct {
	Overrides []Override `json:"overrides"`
	Next      string     `json:"next,omitempty" doc:"Pass it as after for the next page; absent on the last"`
}

// NewOverride asks for an override.
type NewOverride struct {
	Kind       override.Kind `json:"kind,omitempty" enum:"quiet_hours,production_drill" doc:"Absent: quiet_hours"`
	CampaignID *uuid.UUID    `json:"campaign_id,omitempty" format:"uuid" doc:"Of quiet_hours: the campaign that is to send; or send_id"`
	SendID     *uuid.UUID    `json:"send_id,omitempty" format:"uuid" doc:"Of quiet_hours: the single message that is to go; one that waits"`
	StartsAt   *time.Time    `json:"starts_at,omitempty" doc:"Absent: as soon as it is approved"`
	EndsAt     time.Time     `json:"ends_at"`
	Reason     string        `json:"reason" minLength:"1" maxLength:"500" doc:"For whoever decides"`
}

// OverrideVerdict decides.
type OverrideVerdict struct {
	Verdict approval.Verdict `json:"verdict" enum:"approved,rejected"`
	Reason  string           `json:"reason,omitempty" maxLength:"500" doc:"A rejection needs one"`
}

// OverrideCancel says why an override is cancelled.
type OverrideCancel struct {
	Reason string `json:"reason,omitempty" maxLength:"500" doc:"For the audit log"`
}

// OverridePath is the part of an address that names an override.
type OverridePath struct {
	ID uuid.UUID `path:"id" format:"uuid"`
}

type overrideOutput struct {
	Status int
	Body   Override
}

func (s *server) overrides() {
	tags := []string{"Overrides"}
	register(s, access.OverridesRead, huma.Operation{OperationID: "list-overrides", Method: http.MethodGet, Path: "/overrides", Tags: tags,
		Summary: "List overrides, newest first"},
		func(ctx context.Context, in *struct {
			CampaignID uuid.UUID        `query:"campaign_id" format:"uuid" doc:"Only those of this campaign"`
			SendID     uuid.UUID        `query:"send_id" format:"uuid" doc:"Only those of this single message"`
			State      []override.State `query:"state,explode" enum:"requested,approved,active,ended,rejected,expired,cancelled" doc:"Only those in one of these; absent: all"`
			After      uuid.UUID        `query:"after" format:"uuid" doc:"The next of the page before"`
			Limit
		}) (*struct{ Body OverridePage }, error) {
			all, err := s.Store.Overrides(ctx, store.OverrideFilter{Campaign: in.CampaignID, Send: in.SendID, States: in.State, Before: in.After, Limit: in.fetch()})
			if err != nil {
				return nil, err
			}
			all, next := cut(all, in.Limit, func(v store.OverrideView) string { return v.ID.String() })
			page := OverridePage{Overrides: make([]Override, len(all)), Next: next}
			for i, v := range all {
				page.Overrides[i] = s.overrideOf(v, nil)
			}
			return &struct{ Body OverridePage }{page}, nil
		})
	register(s, access.OverridesRead, huma.Operation{OperationID: "get-override", Method: http.MethodGet, Path: "/overrides/{id}", Tags: tags,
		Summary: "Get an override with its history"},
		func(ctx context.Context, in *OverridePath) (*overrideOutput, error) {
			return s.override(ctx, in.ID, http.StatusOK)
		})
	register(s, access.OverridesRequest, huma.Operation{OperationID: "request-override", Method: http.MethodPost, Path: "/overrides", Tags: tags,
		Summary: "Ask for an override", DefaultStatus: http.StatusCreated, Errors: refusals,
		Description: "A project lead who is somebody else decides. It lifts quiet hours for one campaign, or one message that waits, for a bounded time: " +
			"opt-outs, consent, the frequency cap and throttles hold. Each has one at a time. How long it may last, and how long a request waits, the setting `overrides` says. " +
			"It takes an account: a token that is nobody's asks for nothing."},
		func(ctx context.Context, in *struct {
			IdempotencyKey string `header:"Idempotency-Key" doc:"The same key again returns the same override"`
			Body           NewOverride
		}) (*overrideOutput, error) {
			if err := checkKey(in.IdempotencyKey); err != nil {
				return nil, err
			}
			if in.Body.Reason = strings.TrimSpace(in.Body.Reason); in.Body.Reason == "" {
				return nil, domain.E(domain.Invalid, "no_reason", "say what it is for").About("reason")
			}
			if err := plausible(in.Body.StartsAt, "starts_at"); err != nil {
				return nil, err
			}
			if err := plausible(&in.Body.EndsAt, "ends_at"); err != nil {
				return nil, err
			}
			if in.Body.Kind == "" {
				in.Body.Kind = override.QuietHours
			}
			hash, err := hashOf(in.Body)
			if err != nil {
				return nil, err
			}
			o, err := s.Store.RequestOverride(ctx, store.NewOverride{Kind: in.Body.Kind, CampaignID: in.Body.CampaignID, SendID: in.Body.SendID, StartsAt: in.Body.StartsAt,
				EndsAt: in.Body.EndsAt, Reason: in.Body.Reason, IdempotencyKey: in.IdempotencyKey, RequestHash: hash})
			if err != nil {
				return nil, err
			}
			return s.override(ctx, o.ID, http.StatusCreated)
		})
	const answers = "Answers 200 once it has taken effect; 202 when it is safely noted but has not taken effect within 5 s."
	deciding := append([]int{http.StatusForbidden, http.StatusNotFound}, refusals...)
	register(s, access.OverridesDecide, huma.Operation{OperationID: "decide-override", Method: http.MethodPost, Path: "/overrides/{id}/decide", Tags: tags,
		Summary: "Approve or reject an override", Errors: deciding, Responses: s.acceptedAs(reflect.TypeFor[Override]()),
		Description: "The decision is written with its audit entry; the override's workflow gets its id and looks it up. An approved override begins at its " +
			"time, or at once. Fails as `approval_own`, status 403, for who asked for it, and as `override_expired`, `override_state`, `approval_not_asked`, `campaign_ended` or `send_ended`, " +
			"status 409, when there is nothing to decide any more. " + answers},
		func(ctx context.Context, in *struct {
			OverridePath
			Body OverrideVerdict
		}) (*overrideOutput, error) {
			message, err := s.Store.DecideOverride(ctx, in.ID, in.Body.Verdict, in.Body.Reason)
			if err != nil {
				return nil, err
			}
			wait, cancel := context.WithTimeout(ctx, s.EffectWithin)
			defer cancel()
			done, err := s.Store.AwaitDelivery(wait, message)
			if err == nil && done {
				done, err = s.Store.AwaitOverride(wait, in.ID, override.Requested)
			}
			if err != nil {
				return nil, err
			}
			if !done {
				return s.override(ctx, in.ID, http.StatusAccepted)
			}
			return s.override(ctx, in.ID, http.StatusOK)
		})
	register(s, access.OverridesRequest, huma.Operation{OperationID: "cancel-override", Method: http.MethodPost, Path: "/overrides/{id}/cancel", Tags: tags,
		Summary: "Cancel an override", Errors: deciding,
		Description: "At once: nothing more is sent by it. Who asked for it may, and who may decide; others fail as `override_not_yours`, status 403."},
		func(ctx context.Context, in *struct {
			OverridePath
			Body OverrideCancel
		}) (*overrideOutput, error) {
			if _, err := s.Store.CancelOverride(ctx, in.ID, in.Body.Reason); err != nil {
				return nil, err
			}
			return s.override(ctx, in.ID, http.StatusOK)
		})
}

func (s *server) override(ctx context.Context, id uuid.UUID, status int) (*overrideOutput, error) {
	v, history, err := s.Store.OverrideOf(ctx, id)
	if err != nil {
		return nil, err
	}
	return &overrideOutput{status, s.overrideOf(v, history)}, nil
}

func (s *server) overrideOf(v store.OverrideView, history []store.OverrideMoment) Override {
	o := Override{ID: v.ID, Kind: v.Kind, State: v.State, CampaignID: v.CampaignID, Campaign: v.Campaign, CampaignStatus: v.CampaignStatus,
		StartsAt: v.StartsAt, EndsAt: v.EndsAt, Reason: v.Reason, RequestedBy: partyOf(v.Requester), RequestedAt: v.CreatedAt, AskUntil: v.AskUntil,
		DecidedAt: v.DecidedAt, ActiveAt: v.ActiveAt, EndedAt: v.EndedAt, EndReason: v.EndReason, MayDecide: v.Refusal == nil, MayCancel: v.MayCancel,
		Now: v.Now}
	if s.TemporalWebURL != "" {
		o.TemporalWeb = strings.TrimRight(s.TemporalWebURL, "/") + "/namespaces/" + url.PathEscape(s.TemporalNamespace) +
			"/workflows/" + url.PathEscape(workflows.OverrideID(v.ID))
	}
	if m := v.Send; m != nil {
		o.Send = &OverriddenSend{ID: *v.SendID, MSISDN: m.MSISDN.Masked(), Template: m.Template, State: m.State}
	}
	if v.Refusal != nil {
		o.WhyNot = v.Refusal.Error()
	}
	if d := v.Decision; d != nil {
		o.Decision = &OverrideDecision{ID: d.ID, Verdict: d.Verdict, Reason: d.Reason, By: partyOf(d.Actor), Role: d.ActorRole, At: d.CreatedAt}
	}
	for _, m := range history {
		told := OverrideMoment{At: m.At, What: m.Action, Reason: m.Reason, Code: m.Code}
		if m.Kind != "system" {
			told.By = m.Actor
		}
		o.History = append(o.History, told)
	}
	return o
}
