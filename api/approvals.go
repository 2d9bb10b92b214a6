package api

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/approval"
	"lastcall/store"
)

// CampaignApproval is how it stands about the approval of a campaign.
type CampaignApproval struct {
	CampaignID uuid.UUID          `json:"campaign_id" format:"uuid"`
	State      string             `json:"state" enum:"not_needed,needed,waiting,changed,approved,rejected,void,cleared" doc:"needed: nobody has asked; changed: what was asked about is not what there is; void: the approval does not hold any more; cleared: it has begun to send"`
	Problem    string             `json:"problem,omitempty" doc:"Of void: why"`
	Rule       string             `json:"rule" enum:"never,always,above" doc:"When approval is needed, by the setting"`
	Above      int64              `json:"above,omitempty" doc:"Of above: with more targets than this"`
	MaxLate    string             `json:"max_late"`
	Lasts      string             `json:"lasts" doc:"How long an approval lets a campaign begin, from when it was given or from the time it is for, whichever is later"`
	Targets    int64              `json:"targets"`
	Digest     string             `json:"digest" doc:"SHA-256 of the campaign as it is now, in hex: audience, template, values, time, channel and policy revision"`
	SendAt     *time.Time         `json:"send_at,omitempty"`
	Approvers  []string           `json:"approvers" doc:"The roles that may approve"`
	Request    *ApprovalRequest   `json:"request,omitempty" doc:"What waits for a decision"`
	Decisions  []ApprovalDecision `json:"decisions" doc:"Newest first"`
}

// ApprovalRequest is a decision that somebody waits for.
type ApprovalRequest struct {
	ID          uuid.UUID            `json:"id" format:"uuid"`
	Kind        string               `json:"kind" enum:"campaign,override,template,rollback" doc:"What is decided about"`
	Subject     string               `json:"subject" doc:"Its id"`
	Digest      string               `json:"digest" doc:"SHA-256 of it as it was asked about, in hex: whoever decides sends it back"`
	Campaign    *store.CampaignFacts `json:"campaign,omitempty" doc:"Of a campaign: what it was then"`
	Template    *store.TemplateFacts `json:"template,omitempty" doc:"Of a version of a template: what it was then"`
	Override    *store.OverrideFacts `json:"override,omitempty" doc:"Of an override: what it was then"`
	Rollback    *store.RollbackFacts `json:"rollback,omitempty" doc:"Of a recovery from a rollback: what it was then"`
	Reason      string               `json:"reason,omitempty"`
	RequestedBy Somebody             `json:"requested_by"`
	RequestedAt time.Time            `json:"requested_at"`
	Changed     bool                 `json:"changed" doc:"It is not what was asked about any more: it must be asked about again"`
	MayDecide   bool                 `json:"may_decide" doc:"Whether whoever asks may decide"`
	WhyNot      string               `json:"why_not,omitempty" doc:"Why they may not"`
}

// ApprovalDecision is what somebody decided.
type ApprovalDecision struct {
	ID         uuid.UUID        `json:"id" format:"uuid"`
	Verdict    approval.Verdict `json:"verdict" enum:"approved,rejected"`
	Reason     string           `json:"reason,omitempty"`
	Digest     string           `json:"digest" doc:"SHA-256 of what was decided about, in hex"`
	By         Somebody         `json:"by"`
	Role       access.Role      `json:"role" doc:"Theirs at the time"`
	At         time.Time        `json:"at"`
	ExpiresAt  *time.Time       `json:"expires_at,omitempty"`
	VoidedAt   *time.Time       `json:"voided_at,omitempty"`
	VoidReason string           `json:"void_reason,omitempty" doc:"changed: it was changed since; superseded: it was asked about anew"`
}

// Somebody is the account of who did something.
type Somebody struct {
	ID    uuid.UUID `json:"id" format:"uuid"`
	Email string    `json:"email"`
	Name  string    `json:"name"`
}

// ApprovalPage is one page of what waits for a decision, newest first.
type ApprovalPage struct {
	Approvals []ApprovalRequest `json:"approvals"`
	Next      string            `json:"next,omitempty" doc:"Pass it as after for the next page; absent on the last"`
}

// NewApprovalRequest asks for approval.
type NewApprovalRequest struct {
	SendAt *time.Time `json:"send_at,omitempty" doc:"When the campaign is to begin; absent: when it is started"`
	Reason string     `json:"reason,omitempty" maxLength:"500" doc:"For whoever decides"`
}

// ApprovalVerdict decides.
type ApprovalVerdict struct {
	Verdict approval.Verdict `json:"verdict" enum:"approved,rejected"`
	Reason  string           `json:"reason,omitempty" maxLength:"500" doc:"A rejection needs one"`
	Digest  string           `json:"digest" pattern:"^[0-9a-f]{64}$" patternDescription:"64 hexadecimal digits" doc:"Of what you looked at"`
}

func (s *server) approvals() {
	tags := []string{"Approvals"}
	type output struct{ Body CampaignApproval }
	answer := func(ctx context.Context, id uuid.UUID) (*output, error) {
		c, err := s.Store.CampaignApproval(ctx, id)
		return &output{s.campaignApprovalOf(id, c)}, err
	}
	register(s, access.CampaignsRead, huma.Operation{OperationID: "list-approvals", Method: http.MethodGet, Path: "/approvals", Tags: tags,
		Summary: "List what waits for a decision", Description: "Newest first."},
		func(ctx context.Context, in *struct {
			After uuid.UUID `query:"after" format:"uuid" doc:"The next of the page before"`
			Limit
		}) (*struct{ Body ApprovalPage }, error) {
			all, err := s.Store.ApprovalsAsked(ctx, in.After, in.fetch())
			if err != nil {
				return nil, err
			}
			all, next := cut(all, in.Limit, func(a store.Asked) string { return a.ID.String() })
			page := ApprovalPage{Approvals: make([]ApprovalRequest, len(all)), Next: next}
			for i, a := range all {
				page.Approvals[i] = s.requestOf(a)
			}
			return &struct{ Body ApprovalPage }{page}, nil
		})
	register(s, access.CampaignsRead, huma.Operation{OperationID: "get-campaign-approval", Method: http.MethodGet, Path: "/campaigns/{id}/approvals", Tags: tags,
		Summary: "How it stands about the approval of a campaign"},
		func(ctx context.Context, in *CampaignPath) (*output, error) { return answer(ctx, in.ID) })
	register(s, access.CampaignsRun, huma.Operation{OperationID: "request-campaign-approval", Method: http.MethodPost, Path: "/campaigns/{id}/approval-request",
		Tags: tags, Summary: "Ask for the approval of a campaign", Errors: refusals,
		Description: "Of the campaign as it is now: whatever of it changes, or of the rules, the approval does not hold any more. What was asked or " +
			"approved before is superseded. It takes an account: a token asks for nothing."},
		func(ctx context.Context, in *struct {
			CampaignPath
			Body NewApprovalRequest
		}) (*output, error) {
			if err := plausible(in.Body.SendAt, "send_at"); err != nil {
				return nil, err
			}
			if _, err := s.Store.RequestCampaignApproval(ctx, in.ID, in.Body.SendAt, in.Body.Reason); err != nil {
				return nil, err
			}
			return answer(ctx, in.ID)
		})
	register(s, access.CampaignsApprove, huma.Operation{OperationID: "decide-campaign", Method: http.MethodPost, Path: "/campaigns/{id}/approvals",
		Tags: tags, Summary: "Approve or reject a campaign", Errors: append([]int{http.StatusForbidden, http.StatusPreconditionFailed}, refusals...),
		Description: "Fails as `approval_changed`, status 412, when the campaign is not any more what was looked at, and as `approval_own`, status 403, " +
			"for who asked for it or edited it last. A draft that is approved waits for its start; a campaign that waits for approval goes on by itself."},
		func(ctx context.Context, in *struct {
			CampaignPath
			Body ApprovalVerdict
		}) (*output, error) {
			seen, err := hex.DecodeString(in.Body.Digest)
			if err != nil {
				return nil, domain.E(domain.Invalid, "bad_digest", "use 64 hexadecimal digits").About("digest")
			}
			if _, _, err := s.Store.DecideCampaign(ctx, in.ID, in.Body.Verdict, in.Body.Reason, seen); err != nil {
				return nil, err
			}
			return answer(ctx, in.ID)
		})
}

func (s *server) campaignApprovalOf(id uuid.UUID, c store.CampaignApproval) CampaignApproval {
	out := CampaignApproval{CampaignID: id, State: c.State, Problem: c.Problem, Rule: c.Rules.Approval.Rule, Above: c.Rules.Approval.Above, MaxLate: c.Rules.MaxLate.String(),
		Lasts: c.Rules.ApprovalTTL.String(), Targets: c.Targets, Digest: hex.EncodeToString(c.Digest), SendAt: c.SendAt,
		Decisions: make([]ApprovalDecision, len(c.Decisions))}
	for _, r := range access.Roles {
		if access.May(r, access.CampaignsApprove) {
			out.Approvers = append(out.Approvers, string(r))
		}
	}
	if c.Request != nil {
		out.Request = new(s.requestOf(*c.Request))
	}
	for i, d := range c.Decisions {
		out.Decisions[i] = decisionOf(d)
	}
	return out
}

func decisionOf(d store.Decided) ApprovalDecision {
	out := ApprovalDecision{ID: d.ID, Verdict: d.Verdict, Reason: d.Reason, Digest: hex.EncodeToString(d.Digest), By: partyOf(d.Actor), Role: d.ActorRole,
		At: d.CreatedAt, ExpiresAt: d.ExpiresAt, VoidedAt: d.VoidedAt}
	if d.VoidReason != nil {
		out.VoidReason = *d.VoidReason
	}
	return out
}

func (s *server) requestOf(a store.Asked) ApprovalRequest {
	r := ApprovalRequest{ID: a.ID, Kind: a.SubjectKind, Subject: a.SubjectID, Digest: hex.EncodeToString(a.Digest), Reason: a.Reason,
		RequestedBy: partyOf(a.Requester), RequestedAt: a.CreatedAt, Changed: a.Changed, MayDecide: a.Refusal == nil}
	if a.Refusal != nil {
		r.WhyNot = a.Refusal.Error()
	}
	var facts any
	switch a.SubjectKind {
	case store.SubjectCampaign:
		facts = &r.Campaign
	case store.SubjectOverride:
		facts = &r.Override
	case store.SubjectTemplate:
		facts = &r.Template
	case store.SubjectRollback:
		facts = &r.Rollback
	}
	if err := json.Unmarshal(a.Facts, facts); err != nil {
		s.Log.Error("stored facts cannot be read", "request_id", a.ID, "error", err)
	}
	return r
}

func partyOf(p store.Party) Somebody { return Somebody{ID: p.ID, Email: p.Email, Name: p.Name} }
