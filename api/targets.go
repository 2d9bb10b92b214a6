package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"lastcall/domain/access"
	"lastcall/domain/campaign"
	"lastcall/domain/contact"
	"lastcall/store"
)

// Target is one recipient of a campaign, with its happy path as times.
type Target struct {
	ID          int64                `json:"id"`
	Masked      string               `json:"masked" doc:"Its number, without the digits that tell whose it is; reveal-target shows it"`
	MSISDN      contact.MSISDN       `json:"msisdn,omitempty" doc:"Only where reveal asked for it"`
	State       campaign.TargetState `json:"state"`
	Reason      string               `json:"reason,omitempty" doc:"Why it is queued with not_before, failed or unknown"`
	ErrorCode   int                  `json:"error_code,omitempty" doc:"The provider's"`
	Attempt     int                  `json:"attempt" doc:"How often sending was begun"`
	NotBefore   *time.Time           `json:"not_before,omitempty"`
	ProviderID  string               `json:"provider_id,omitempty" doc:"The message's id at the provider"`
	SendingAt   *time.Time           `json:"sending_at,omitempty"`
	SentAt      *time.Time           `json:"sent_at,omitempty"`
	DeliveredAt *time.Time           `json:"delivered_at,omitempty"`
	ReadAt      *time.Time           `json:"read_at,omitempty"`
	EndedAt     *time.Time           `json:"ended_at,omitempty" doc:"When it failed, opted out, was cancelled or became unknown"`
}

// TargetPage is one page of targets, in the order of the file.
type TargetPage struct {
	Targets []Target `json:"targets"`
	Next    string   `json:"next,omitempty" doc:"Pass it as after for the next page; absent on the last"`
}

func (s *server) targets() {
	register(s, access.CampaignsRead, huma.Operation{OperationID: "list-targets", Method: http.MethodGet, Path: "/campaigns/{id}/targets", Tags: []string{"Campaigns"},
		Summary: "List a campaign's targets"},
		func(ctx context.Context, in *struct {
			CampaignPath
			State string `query:"state" enum:"queued,sending,sent,delivered,read,failed,opted_out,unknown,cancelled" doc:"Only those in this state"`
			After int64  `query:"after" minimum:"0" doc:"The next of the page before"`
			Reveal
			Limit
		}) (*struct{ Body TargetPage }, error) {
			all, err := s.Store.Targets(ctx, in.ID, campaign.TargetState(in.State), in.After, in.fetch())
			if err == nil {
				err = s.revealing(ctx, &in.Reveal, "campaign/"+in.ID.String()+"/targets", len(all))
			}
			if err != nil {
				return nil, err
			}
			all, next := cut(all, in.Limit, func(t store.Target) string { return strconv.FormatInt(t.ID, 10) })
			page := TargetPage{Targets: make([]Target, len(all)), Next: next}
			for i, t := range all {
				page.Targets[i] = target(t)
				if in.Wanted {
					page.Targets[i].MSISDN = t.MSISDN
				}
			}
			return &struct{ Body TargetPage }{page}, nil
		})
}

func target(t store.Target) Target {
	return Target{ID: t.ID, Masked: t.MSISDN.Masked(), State: t.State, Reason: value(t.Reason), ErrorCode: value(t.ErrorCode),
		Attempt: t.Attempt, NotBefore: t.NotBefore, ProviderID: value(t.ProviderID), SendingAt: t.SendingAt, SentAt: t.SentAt,
		DeliveredAt: t.DeliveredAt, ReadAt: t.ReadAt, EndedAt: t.EndedAt}
}

// value is what p points to, or nothing.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
