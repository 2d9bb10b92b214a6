package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/campaign"
	"lastcall/domain/policy"
	"lastcall/store"
	"lastcall/workflows"
)

// Campaign is a campaign as people watch it. The states are exclusive: their counts add up to targets.
type Campaign struct {
	CampaignID      uuid.UUID         `json:"campaign_id" format:"uuid"`
	Name            string            `json:"name"`
	Template        string            `json:"template"`
	TemplateVersion int               `json:"template_version"`
	Variables       map[string]string `json:"variables" doc:"Values of template variables that hold for every target"`
	Kind            string            `json:"kind" enum:"message,voucher" doc:"voucher: each target gets a voucher, too"`
	Voucher         *CampaignOffer    `json:"voucher,omitempty" doc:"Which voucher each target gets"`
	Channel         string            `json:"channel"`
	Weight          int               `json:"weight" doc:"Its part of the channel where campaigns compete for it: twice the weight, twice the messages"`
	Status          campaign.Status   `json:"status" enum:"draft,scheduled,preflight,running,paused,settling,done,stopped,failed"`
	Gate            campaign.Gate     `json:"gate" enum:"open,paused,stopped" doc:"The last order, which holds from when it was given; the status follows"`
	Lines           int64             `json:"lines" doc:"Lines of all imports: invalid + duplicates + targets"`
	Invalid         int64             `json:"invalid"`
	Duplicates      int64             `json:"duplicates"`
	campaign.Counts
	Waits       map[policy.Reason]int64 `json:"waits" doc:"How many queued targets wait, by reason"`
	Waiting     []Waiting               `json:"waiting" doc:"What the queued targets wait for, and until when"`
	NeedsHuman  string                  `json:"needs_human,omitempty" doc:"What somebody must mend before it goes on"`
	SendAt      *time.Time              `json:"send_at,omitempty"`
	CreatedAt   time.Time               `json:"created_at"`
	UpdatedAt   time.Time               `json:"updated_at" doc:"When its status, orders or text last changed; of two answers the older one tells what was"`
	StartedAt   *time.Time              `json:"started_at,omitempty"`
	FinishesAt  *time.Time              `json:"finishes_at,omitempty" doc:"When everything will have gone, as things stand: the forecast by its cohorts alone; absent: never, or it is not at work"`
	FinishedAt  *time.Time              `json:"finished_at,omitempty"`
	Report      *store.Report           `json:"report,omitempty"`
	TemporalWeb string                  `json:"temporal_web,omitempty" doc:"Its workflow in Temporal Web"`
	Boundary    *Boundary               `json:"boundary,omitempty" doc:"Only in the answer to pause and stop"`
	Resend      int                     `json:"resend,omitempty" doc:"How often it was sent again"`
	Resent      *store.Resent           `json:"resent,omitempty" doc:"Only in the answer to resend: what it took up again"`
}

// Waiting is why some targets cannot go now, and until when.
type Waiting struct {
	Reason  policy.Reason `json:"reason"`
	Targets int64         `json:"targets"`
	Until   *time.Time    `json:"until,omitempty" doc:"Absent: until somebody changes something"`
	Why     string        `json:"why"`

	NeedsHuman bool `json:"needs_human,omitempty" doc:"Somebody has to mend something before it passes"`
}

// Boundary is where an order cut a campaign.
type Boundary struct {
	Accepted int64 `json:"accepted" doc:"Messages the provider has taken"`
	InFlight int64 `json:"in_flight" doc:"Messages that may be on their way; 0 once the order is in effect"`
}

// NewCampaign is what a campaign is made of.
type NewCampaign struct {
	Name      string            `json:"name" minLength:"1" maxLength:"200" pattern:"^[^\\x00-\\x1f\\x7f]*$" patternDescription:"one line of text"`
	Template  string            `json:"template" minLength:"1" maxLength:"512" doc:"A template's name, for its newest version that may be sent, or a version's id"`
	Variables map[string]string `json:"variables,omitempty" doc:"Values of template variables that hold for every target"`
	Weight    int               `json:"weight,omitempty" minimum:"1" maximum:"100" doc:"Its part of the channel where campaigns compete for it; absent: 1"`
	Voucher   *NewCampaignOffer `json:"voucher,omitempty" doc:"Gives each target a voucher; the template says its {{code}}, and may say {{amount}}, {{expiry}} and {{payment}}. Absent: a message, and no more"`
}

// CampaignChange is what of a campaign can be changed after it was made. What is absent stays.
type CampaignChange struct {
	Name      string            `json:"name,omitempty" minLength:"1" maxLength:"200" pattern:"^[^\\x00-\\x1f\\x7f]*$" patternDescription:"one line of text"`
	Template  string            `json:"template,omitempty" minLength:"1" maxLength:"512" doc:"A template's name, for its newest version that may be sent, or a version's id"`
	Variables map[string]string `json:"variables,omitempty" doc:"All values of template variables that hold for every target: one that is not here has none any more"`
	Weight    int               `json:"weight,omitempty" minimum:"1" maximum:"100" doc:"Its part of the channel where campaigns compete for it"`
	Voucher   *NewCampaignOffer `json:"voucher,omitempty" doc:"It becomes a campaign that gives each target this voucher"`
	Kind      string            `json:"kind,omitempty" enum:"message" doc:"message: it gives no vouchers any more"`
	Reason    string            `json:"reason,omitempty" maxLength:"500" doc:"Why, for the audit log"`
}

// CampaignPage is one page of campaigns, newest first.
type CampaignPage struct {
	Campaigns []Campaign `json:"campaigns"`
	Next      string     `json:"next,omitempty" doc:"Pass it as after for the next page; absent on the last"`
}

// CampaignPath is the part of an address that names a campaign.
type CampaignPath struct {
	ID uuid.UUID `path:"id" format:"uuid"`
}

type campaignOutput struct {
	Status int
	Body   Campaign
}

func (s *server) campaigns() {
	tags := []string{"Campaigns"}
	register(s, access.CampaignsRead, huma.Operation{OperationID: "list-campaigns", Method: http.MethodGet, Path: "/campaigns", Tags: tags,
		Summary: "List campaigns, newest first"},
		func(ctx context.Context, in *struct {
			After     uuid.UUID         `query:"after" format:"uuid" doc:"The next of the page before"`
			Status    []campaign.Status `query:"status,explode" enum:"draft,scheduled,preflight,running,paused,settling,done,stopped,failed" doc:"Only those in one of these; absent: all"`
			SentSince time.Time         `query:"sent_since" doc:"Only those of which messages were sent in the quarter of an hour of then, or later"`
			Limit
		}) (*struct{ Body CampaignPage }, error) {
			all, err := s.Store.Campaigns(ctx, store.CampaignFilter{Statuses: in.Status, SentSince: in.SentSince}, in.After, in.fetch())
			if err != nil {
				return nil, err
			}
			all, next := cut(all, in.Limit, func(p store.Progress) string { return p.ID.String() })
			page := CampaignPage{Campaigns: make([]Campaign, len(all)), Next: next}
			for i, p := range all {
				page.Campaigns[i] = s.campaign(p)
			}
			return &struct{ Body CampaignPage }{page}, nil
		})

	register(s, access.CampaignsWrite, huma.Operation{OperationID: "create-campaign", Method: http.MethodPost, Path: "/campaigns", Tags: tags,
		Summary: "Create a campaign", Description: "It is a draft without targets until an audience is imported and it is started.",
		DefaultStatus: http.StatusCreated},
		func(ctx context.Context, in *struct {
			IdempotencyKey string `header:"Idempotency-Key" doc:"The same key again returns the same campaign"`
			Body           NewCampaign
		}) (*campaignOutput, error) {
			if err := checkKey(in.IdempotencyKey); err != nil {
				return nil, err
			}
			var err error
			if in.Body.Name, err = campaignName(in.Body.Name); err != nil {
				return nil, err
			}
			t, err := s.templateOf(ctx, in.Body.Template)
			if err != nil {
				return nil, err
			}
			offer, err := s.offerOf(ctx, in.Body.Voucher)
			if err != nil {
				return nil, err
			}
			hash, err := hashOf(in.Body)
			if err != nil {
				return nil, err
			}
			made, err := s.Store.CreateCampaign(ctx, store.NewCampaign{Name: in.Body.Name, TemplateID: t.ID,
				Variables: in.Body.Variables, Voucher: offer, Weight: in.Body.Weight, IdempotencyKey: in.IdempotencyKey, RequestHash: hash})
			if err != nil {
				return nil, err
			}
			return s.answer(ctx, made.ID, http.StatusCreated)
		})

	register(s, access.CampaignsRead, huma.Operation{OperationID: "get-campaign", Method: http.MethodGet, Path: "/campaigns/{id}", Tags: tags,
		Summary: "Get a campaign"},
		func(ctx context.Context, in *CampaignPath) (*campaignOutput, error) {
			return s.answer(ctx, in.ID, http.StatusOK)
		})

	register(s, access.CampaignsWrite, huma.Operation{OperationID: "change-campaign", Method: http.MethodPatch, Path: "/campaigns/{id}", Tags: tags,
		Summary: "Change a campaign",
		Description: "The weight holds from the next permit on, for a campaign that is running too; everything else is changed of drafts only, while nothing is " +
			"imported into them. Once there is an audience the template stays, and a value that holds for all can become another but not none.", Errors: refusals},
		func(ctx context.Context, in *struct {
			CampaignPath
			Body CampaignChange
		}) (*campaignOutput, error) {
			change := store.CampaignChange{Variables: in.Body.Variables, NoVoucher: in.Body.Kind == kindMessage, Reason: in.Body.Reason}
			offer, err := s.offerOf(ctx, in.Body.Voucher)
			if err != nil {
				return nil, err
			}
			if change.Voucher = offer; offer != nil && change.NoVoucher {
				return nil, domain.E(domain.Invalid, "two_kinds", "it gives vouchers, or none: not both").About("kind")
			}
			if in.Body.Weight != 0 {
				change.Weight = &in.Body.Weight
			}
			if in.Body.Name != "" {
				name, err := campaignName(in.Body.Name)
				if err != nil {
					return nil, err
				}
				change.Name = &name
			}
			if in.Body.Template != "" {
				t, err := s.templateOf(ctx, in.Body.Template)
				if err != nil {
					return nil, err
				}
				change.TemplateID = &t.ID
			}
			if change.Name == nil && change.TemplateID == nil && change.Variables == nil && change.Weight == nil && offer == nil && !change.NoVoucher {
				return nil, domain.E(domain.Invalid, "nothing_to_change", "say what to change: name, template, variables, voucher or weight")
			}
			if err := s.Store.ChangeCampaign(ctx, in.ID, change); err != nil {
				return nil, err
			}
			return s.answer(ctx, in.ID, http.StatusOK)
		})
}

// campaignName is a name without the spaces around it; there must be something between them.
func campaignName(name string) (string, error) {
	if name = strings.TrimSpace(name); name == "" {
		return "", domain.E(domain.Invalid, "no_name", "a campaign needs a name").About("name")
	}
	return name, nil
}

// templateOf finds the template that a campaign names.
func (s *server) templateOf(ctx context.Context, ref string) (store.Template, error) {
	t, err := s.template(ctx, ref)
	if domain.KindOf(err) == domain.NotFound {
		err = domain.E(domain.Invalid, domain.CodeOf(err), "there is no such template").About("template")
	}
	return t, err
}

// answer is the campaign as it is now.
func (s *server) answer(ctx context.Context, id uuid.UUID, status int) (*campaignOutput, error) {
	p, err := s.Store.Progress(ctx, id)
	if err != nil {
		return nil, err
	}
	return &campaignOutput{status, s.campaign(p)}, nil
}

func (s *server) campaign(p store.Progress) Campaign {
	c := Campaign{CampaignID: p.ID, Name: p.Name, Template: p.Template, TemplateVersion: p.Version, Variables: p.Variables, Channel: p.Channel,
		Weight: p.Weight, Status: p.Status, Gate: p.Gate, Lines: p.Lines, Invalid: p.Invalid, Duplicates: p.Duplicates, Counts: p.Counts,
		Waits: map[policy.Reason]int64{}, Waiting: make([]Waiting, len(p.Waits)), NeedsHuman: p.NeedsHuman,
		SendAt: p.SendAt, CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt, StartedAt: p.StartedAt, FinishesAt: p.FinishesAt, FinishedAt: p.FinishedAt, Resend: p.Resend}
	c.Kind, c.Voucher = kindOf(p.Voucher)
	for i, w := range p.Waits {
		c.Waits[w.Reason] += w.Targets
		c.Waiting[i] = Waiting(w)
	}
	if len(p.Report) > 0 {
		c.Report = &store.Report{}
		if err := json.Unmarshal(p.Report, c.Report); err != nil {
			c.Report = nil
			s.Log.Error("stored report cannot be read", "campaign_id", p.ID, "error", err)
		}
	}
	if s.TemporalWebURL != "" && p.StartedAt != nil {
		c.TemporalWeb = strings.TrimRight(s.TemporalWebURL, "/") + "/namespaces/" + url.PathEscape(s.TemporalNamespace) +
			"/workflows/" + url.PathEscape(workflows.ResendID(p.ID, p.Resend))
	}
	return c
}
