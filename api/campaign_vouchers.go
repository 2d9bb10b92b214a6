package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/campaign"
	"lastcall/domain/delivery"
	"lastcall/domain/voucher"
	"lastcall/store"
)

// The kinds of campaigns.
const (
	kindMessage = "message"
	kindVoucher = "voucher"
)

// NewCampaignOffer is the voucher that a campaign is to give each of its targets.
type NewCampaignOffer struct {
	Amount       string     `json:"amount" maxLength:"20" example:"2000" doc:"Digits, with a point before decimals"`
	Currency     string     `json:"currency" maxLength:"3" example:"RWF" doc:"RWF, without decimals, or EUR, with two at most"`
	Stations     []string   `json:"stations,omitempty" maxItems:"100" example:"ENG-001" doc:"Codes of the stations where it may be redeemed; none: all"`
	ExpiresAt    *time.Time `json:"expires_at,omitempty" doc:"The first moment at which it is worth nothing; or"`
	ValidSeconds int64      `json:"valid_seconds,omitempty" minimum:"0" example:"604800" doc:"For so long it is good after its target's turn has come: 60 to three years"`
}

// CampaignOffer is the voucher that a campaign gives each of its targets.
type CampaignOffer struct {
	Amount       string           `json:"amount" example:"2000"`
	Currency     voucher.Currency `json:"currency" enum:"RWF,EUR"`
	Stations     []uuid.UUID      `json:"stations" doc:"Where it may be redeemed; none: everywhere"`
	ExpiresAt    *time.Time       `json:"expires_at,omitempty"`
	ValidSeconds int64            `json:"valid_seconds,omitempty"`
}

// UnsentVoucher is a voucher that its guest has not got, as far as anybody knows.
type UnsentVoucher struct {
	Voucher     Voucher              `json:"voucher"`
	TargetState campaign.TargetState `json:"target_state" enum:"failed,unknown,opted_out,cancelled" doc:"What became of the last message about it"`
	Reason      string               `json:"reason,omitempty"`
	ErrorCode   int                  `json:"error_code,omitempty" doc:"The provider's"`
	EndedAt     time.Time            `json:"ended_at" doc:"When it turned out so"`
	delivery.Diagnosis
}

// UnsentPage is one page of them, newest first.
type UnsentPage struct {
	Vouchers []UnsentVoucher `json:"vouchers"`
	Next     string          `json:"next,omitempty" doc:"Pass it as after for the next page; absent on the last"`
}

func (s *server) campaignVouchers() {
	register(s, access.CampaignsRead, huma.Operation{OperationID: "campaign-vouchers", Method: http.MethodGet, Path: "/campaigns/{id}/vouchers", Tags: []string{"Campaigns"},
		Summary:     "Count the vouchers of a campaign",
		Description: "As they are now; what they were when it ended is in its report. A campaign that gives none has no such figures: `no_vouchers`."},
		func(ctx context.Context, in *CampaignPath) (*struct{ Body store.CampaignVouchers }, error) {
			f, err := s.Store.CampaignVouchers(ctx, in.ID)
			if err == nil && f == nil {
				err = domain.E(domain.NotFound, "no_vouchers", "the campaign gives no vouchers")
			}
			if err != nil {
				return nil, err
			}
			return &struct{ Body store.CampaignVouchers }{*f}, nil
		})

	register(s, access.VouchersRead, huma.Operation{OperationID: "list-unsent-vouchers", Method: http.MethodGet, Path: "/vouchers/unsent", Tags: []string{"Vouchers"},
		Summary: "List the vouchers that did not come to their guests, newest first",
		Description: "Those that can still be redeemed and whose last message finally failed, or of which nobody knows. One leaves the list when it comes to its guest " +
			"after all, when it is noted that they were told, and when it is withdrawn, spent or out of date. Sending one again, or the campaign's failed ones, sends the same vouchers."},
		func(ctx context.Context, in *struct {
			Campaign uuid.UUID `query:"campaign" format:"uuid" doc:"Only those of one campaign"`
			After    uuid.UUID `query:"after" format:"uuid" doc:"The next of the page before"`
			Limit
		}) (*struct{ Body UnsentPage }, error) {
			all, err := s.Store.UnsentVouchers(ctx, in.Campaign, in.After, in.fetch())
			if err != nil {
				return nil, err
			}
			all, next := cut(all, in.Limit, func(u store.UnsentVoucher) string { return u.Voucher.ID.String() })
			page := UnsentPage{Vouchers: make([]UnsentVoucher, len(all)), Next: next}
			for i, u := range all {
				page.Vouchers[i] = UnsentVoucher{voucherOf(u.Voucher), u.State, u.Reason, u.ErrorCode, u.EndedAt, u.Diagnosis()}
			}
			return &struct{ Body UnsentPage }{page}, nil
		})
}

// offerOf makes an offer of what was asked for, nil of nil, or says everything that is wrong with it.
func (s *server) offerOf(ctx context.Context, in *NewCampaignOffer) (*voucher.Offer, error) {
	if in == nil {
		return nil, nil
	}
	money, err := voucher.ParseMoney(in.Amount, in.Currency)
	o := &voucher.Offer{Amount: money.Amount, Currency: money.Currency, ExpiresAt: in.ExpiresAt, ValidSeconds: in.ValidSeconds}
	if err := errors.Join(err, o.Check(time.Now())); err != nil {
		return nil, err
	}
	o.Stations, err = s.Store.StationIDs(ctx, in.Stations)
	return o, err
}

// kindOf says what a campaign does, and what it gives.
func kindOf(o *voucher.Offer) (string, *CampaignOffer) {
	if o == nil {
		return kindMessage, nil
	}
	return kindVoucher, &CampaignOffer{o.Money().Plain(), o.Currency, append([]uuid.UUID{}, o.Stations...), o.ExpiresAt, o.ValidSeconds}
}
