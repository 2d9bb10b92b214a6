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
	"lastcall/domain/contact"
	"lastcall/domain/voucher"
	"lastcall/store"
)

// Voucher is an amount that one guest redeems once.
type Voucher struct {
	ID                uuid.UUID        `json:"id" format:"uuid"`
	CodeMasked        string           `json:"code_masked" example:"K7QM-••••"`
	Code              string           `json:"code,omitempty" example:"K7QM-42XD" doc:"Only when it is issued and when it is revealed: whoever has it has the voucher"`
	MSISDN            string           `json:"msisdn" example:"+250 78• ••• 012" doc:"Masked; empty when its owner was forgotten"`
	ContactID         *uuid.UUID       `json:"contact_id,omitempty" format:"uuid"`
	Amount            string           `json:"amount" example:"2000" doc:"Digits, with all decimals of its currency"`
	Currency          voucher.Currency `json:"currency" enum:"RWF,EUR"`
	Scope             voucher.Scope    `json:"scope" enum:"station,stations,all"`
	Stations          []uuid.UUID      `json:"stations" doc:"That the scope names; none for all"`
	CampaignID        *uuid.UUID       `json:"campaign_id,omitempty" format:"uuid"`
	BatchID           *uuid.UUID       `json:"batch_id,omitempty" format:"uuid"`
	Reference         string           `json:"reference,omitempty" doc:"The issuer's own"`
	Status            voucher.Status   `json:"status" enum:"issued,sent,redeemed,expired,void"`
	ExpiresAt         time.Time        `json:"expires_at" doc:"Once it has passed nobody can redeem it; within a minute its status says so"`
	IssuedAt          time.Time        `json:"issued_at"`
	SentAt            *time.Time       `json:"sent_at,omitempty"`
	UndeliveredAt     *time.Time       `json:"undelivered_at,omitempty" doc:"Its message was taken and then did not arrive; absent when it did, or its guest was told in another way"`
	RedeemedAt        *time.Time       `json:"redeemed_at,omitempty"`
	RedeemedStationID *uuid.UUID       `json:"redeemed_station_id,omitempty" format:"uuid"`
	ExpiredAt         *time.Time       `json:"expired_at,omitempty"`
	VoidedAt          *time.Time       `json:"voided_at,omitempty"`
	VoidReason        string           `json:"void_reason,omitempty"`
}

// VoucherPage is one page of vouchers, newest first.
type VoucherPage struct {
	Vouchers []Voucher `json:"vouchers"`
	Next     string    `json:"next,omitempty" doc:"Pass it as after for the next page; absent on the last"`
}

// NewVoucher is what a voucher is made of.
type NewVoucher struct {
	MSISDN    string    `json:"msisdn" maxLength:"64" doc:"Whose it is"`
	Country   string    `json:"country,omitempty" maxLength:"2" doc:"Where a number without + is dialled: ISO 3166-1 alpha-2"`
	Amount    string    `json:"amount" maxLength:"20" example:"2000" doc:"Digits, with a point before decimals"`
	Currency  string    `json:"currency" maxLength:"3" example:"RWF" doc:"RWF, without decimals, or EUR, with two at most"`
	Stations  []string  `json:"stations,omitempty" maxItems:"100" example:"ENG-001" doc:"Codes of the stations where it may be redeemed; none: all"`
	ExpiresAt time.Time `json:"expires_at" doc:"The first moment at which it is worth nothing"`
	Reference string    `json:"reference,omitempty" maxLength:"100" pattern:"^[^\\x00-\\x1f\\x7f]*$" patternDescription:"one line of text" doc:"The issuer's own: a number gets one voucher of each"`
}

// RevealedVoucher is a voucher as it is told to its guest.
type RevealedVoucher struct {
	Voucher
	Number contact.MSISDN `json:"number" doc:"The whole number; empty when its owner was forgotten"`
	QR     string         `json:"qr,omitempty" doc:"What its QR code says; absent while there are no keys to sign it with"`
}

// VoucherReason is why somebody does something to a voucher.
type VoucherReason struct {
	Reason string `json:"reason" maxLength:"500" doc:"For the voucher and the audit log"`
}

// VoucherSearch is what to find vouchers by: one of the two.
type VoucherSearch struct {
	Code    string `json:"code,omitempty" maxLength:"40"`
	MSISDN  string `json:"msisdn,omitempty" maxLength:"64"`
	Country string `json:"country,omitempty" maxLength:"2" doc:"Where a number without + is dialled: ISO 3166-1 alpha-2"`
}

// VoucherEvents are what became of a voucher, oldest first.
type VoucherEvents struct {
	Events []VoucherEvent `json:"events"`
}

// VoucherEvent is a change of a voucher's state.
type VoucherEvent struct {
	At        time.Time      `json:"at"`
	Status    voucher.Status `json:"status" enum:"issued,sent,redeemed,expired,void" doc:"What it became"`
	By        string         `json:"by" doc:"Who did it; system: Lastcall itself"`
	StationID *uuid.UUID     `json:"station_id,omitempty" format:"uuid" doc:"Where it was redeemed"`
	Reason    string         `json:"reason,omitempty"`
}

// VoucherTotals are what vouchers are worth.
type VoucherTotals struct {
	Totals []VoucherTotal `json:"totals" doc:"By currency and state"`
}

// VoucherTotal is what the vouchers of one currency in one state are worth.
type VoucherTotal struct {
	Currency  voucher.Currency `json:"currency" enum:"RWF,EUR"`
	Status    voucher.Status   `json:"status" enum:"issued,sent,redeemed,expired,void"`
	Vouchers  int64            `json:"vouchers"`
	Amount    string           `json:"amount"`
	Due       int64            `json:"due" doc:"Of issued and sent ones, those whose time has passed: they expire within a minute"`
	DueAmount string           `json:"due_amount"`
}

// VoucherFilter says which vouchers; what is absent does not matter.
type VoucherFilter struct {
	Status        voucher.Status `query:"status" enum:"issued,sent,redeemed,expired,void"`
	Outstanding   bool           `query:"outstanding" doc:"Only those that can be redeemed now"`
	Campaign      uuid.UUID      `query:"campaign" format:"uuid"`
	Batch         uuid.UUID      `query:"batch" format:"uuid"`
	Contact       uuid.UUID      `query:"contact" format:"uuid"`
	Station       uuid.UUID      `query:"station" format:"uuid" doc:"Only those whose scope names it"`
	ExpiresFrom   time.Time      `query:"expires_from"`
	ExpiresBefore time.Time      `query:"expires_before"`
	IssuedFrom    time.Time      `query:"issued_from"`
	IssuedBefore  time.Time      `query:"issued_before"`
}

func (f VoucherFilter) filter() store.VoucherFilter {
	return store.VoucherFilter{Status: f.Status, Campaign: f.Campaign, Batch: f.Batch, Contact: f.Contact, Station: f.Station,
		ExpiresFrom: f.ExpiresFrom, ExpiresBefore: f.ExpiresBefore, IssuedFrom: f.IssuedFrom, IssuedBefore: f.IssuedBefore, OutstandingNow: f.Outstanding}
}

// VoucherPath is the part of an address that names a voucher.
type VoucherPath struct {
	ID uuid.UUID `path:"id" format:"uuid"`
}

type voucherOutput struct{ Body Voucher }

func (s *server) vouchers() {
	tags := []string{"Vouchers"}
	register(s, access.VouchersRead, huma.Operation{OperationID: "list-vouchers", Method: http.MethodGet, Path: "/vouchers", Tags: tags,
		Summary: "List vouchers, newest first"},
		func(ctx context.Context, in *struct {
			VoucherFilter
			After uuid.UUID `query:"after" format:"uuid" doc:"The next of the page before"`
			Limit
		}) (*struct{ Body VoucherPage }, error) {
			all, err := s.Store.Vouchers(ctx, in.filter(), in.After, in.fetch())
			return &struct{ Body VoucherPage }{voucherPage(all, in.Limit)}, err
		})

	register(s, access.VouchersIssue, huma.Operation{OperationID: "issue-voucher", Method: http.MethodPost, Path: "/vouchers", Tags: tags,
		Summary: "Issue a voucher", Description: "The answer holds its code. Nobody is told of it: sending it is another matter.", DefaultStatus: http.StatusCreated},
		func(ctx context.Context, in *struct {
			IdempotencyKey string `header:"Idempotency-Key" doc:"The same key again returns the same voucher"`
			Body           NewVoucher
		}) (*voucherOutput, error) {
			n, err := s.newVoucher(ctx, in.Body, in.IdempotencyKey)
			if err != nil {
				return nil, err
			}
			v, err := s.Store.IssueVoucher(ctx, n)
			out := voucherOf(v)
			out.Code = v.Code.String()
			return &voucherOutput{out}, err
		})

	register(s, access.VouchersRead, huma.Operation{OperationID: "find-vouchers", Method: http.MethodPost, Path: "/vouchers/find", Tags: tags,
		Summary: "Find vouchers by their code or number", Description: "A POST, because addresses hold neither. It changes nothing. At most 100, newest first."},
		func(ctx context.Context, in *struct{ Body VoucherSearch }) (*struct{ Body VoucherPage }, error) {
			f, err := in.Body.filter()
			if err != nil {
				return nil, err
			}
			const most = 100
			all, err := s.Store.Vouchers(ctx, f, uuid.Nil, most)
			return &struct{ Body VoucherPage }{voucherPage(all, Limit{most})}, err
		})

	register(s, access.VouchersTotals, huma.Operation{OperationID: "voucher-totals", Method: http.MethodGet, Path: "/vouchers/totals", Tags: tags,
		Summary: "Add vouchers up by currency and state"},
		func(ctx context.Context, in *struct{ VoucherFilter }) (*struct{ Body VoucherTotals }, error) {
			all, err := s.Store.VoucherTotals(ctx, in.filter())
			out := VoucherTotals{Totals: make([]VoucherTotal, len(all))}
			for i, t := range all {
				plain := voucher.Money{Amount: t.Amount, Currency: t.Currency}.Plain()
				out.Totals[i] = VoucherTotal{t.Currency, t.Status, t.Vouchers, plain, t.Due, voucher.Money{Amount: t.DueWorth, Currency: t.Currency}.Plain()}
			}
			return &struct{ Body VoucherTotals }{out}, err
		})

	register(s, access.VouchersRead, huma.Operation{OperationID: "get-voucher", Method: http.MethodGet, Path: "/vouchers/{id}", Tags: tags,
		Summary: "Get a voucher"},
		func(ctx context.Context, in *VoucherPath) (*voucherOutput, error) {
			v, err := s.Store.Voucher(ctx, in.ID)
			return &voucherOutput{voucherOf(v)}, err
		})

	register(s, access.VouchersRead, huma.Operation{OperationID: "list-voucher-events", Method: http.MethodGet, Path: "/vouchers/{id}/events", Tags: tags,
		Summary: "List what became of a voucher, oldest first"},
		func(ctx context.Context, in *VoucherPath) (*struct{ Body VoucherEvents }, error) {
			all, err := s.Store.VoucherEvents(ctx, in.ID)
			out := VoucherEvents{Events: make([]VoucherEvent, len(all))}
			for i, e := range all {
				by := e.Actor
				if e.ActorKind == "system" {
					by = "system"
				}
				out.Events[i] = VoucherEvent{e.At, e.Status, by, e.StationID, e.Reason}
			}
			return &struct{ Body VoucherEvents }{out}, err
		})

	register(s, access.VouchersIssue, huma.Operation{OperationID: "reveal-voucher", Method: http.MethodPost, Path: "/vouchers/{id}/reveal", Tags: tags,
		Summary: "Reveal a voucher's code and number", Description: "The audit log has that they were seen."},
		func(ctx context.Context, in *VoucherPath) (*struct{ Body RevealedVoucher }, error) {
			v, err := s.Store.RevealVoucher(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			out := RevealedVoucher{Voucher: voucherOf(v), Number: v.MSISDN}
			out.Code = v.Code.String()
			if keys, err := s.VoucherKeys(); err == nil {
				out.QR = keys.Sign(voucher.ClaimsOf(v.ID, v.Stations, v.ExpiresAt))
			}
			return &struct{ Body RevealedVoucher }{out}, nil
		})

	s.voucherSends(tags)

	register(s, access.VouchersVoid, huma.Operation{OperationID: "void-voucher", Method: http.MethodPost, Path: "/vouchers/{id}/void", Tags: tags,
		Summary: "Withdraw a voucher that has not been redeemed", Description: "It cannot be undone. `wrong_state` when it was redeemed, has expired or was withdrawn."},
		func(ctx context.Context, in *struct {
			VoucherPath
			Body VoucherReason
		}) (*voucherOutput, error) {
			v, err := s.Store.VoidVoucher(ctx, in.ID, in.Body.Reason)
			return &voucherOutput{voucherOf(v)}, err
		})
}

// newVoucher makes a voucher of what was asked for, or says everything that is wrong with it.
func (s *server) newVoucher(ctx context.Context, in NewVoucher, key string) (n store.NewVoucher, err error) {
	if err := checkKey(key); err != nil {
		return n, err
	}
	number, wrong := contact.ParseNumber(in.MSISDN, in.Country)
	money, worse := voucher.ParseMoney(in.Amount, in.Currency)
	if err := errors.Join(wrong, worse, voucher.CheckExpiry(in.ExpiresAt, time.Now())); err != nil {
		return n, err
	}
	n = store.NewVoucher{MSISDN: number.MSISDN, Money: money, ExpiresAt: in.ExpiresAt, Reference: in.Reference}
	if n.Stations, err = s.Store.StationIDs(ctx, in.Stations); err != nil || key == "" {
		return n, err
	}
	n.IdempotencyKey = key
	n.RequestHash, err = hashOf(in)
	return n, err
}

func (in VoucherSearch) filter() (f store.VoucherFilter, err error) {
	if (in.Code == "") == (in.MSISDN == "") {
		return f, domain.E(domain.Invalid, "code_or_number", "give a code or a number")
	}
	if in.Code != "" {
		f.Code, err = voucher.ParseCode(in.Code)
		return f, err
	}
	number, err := contact.ParseNumber(in.MSISDN, in.Country)
	f.MSISDN = number.MSISDN
	return f, err
}

func voucherPage(all []store.Voucher, l Limit) VoucherPage {
	all, next := cut(all, l, func(v store.Voucher) string { return v.ID.String() })
	page := VoucherPage{Vouchers: make([]Voucher, len(all)), Next: next}
	for i, v := range all {
		page.Vouchers[i] = voucherOf(v)
	}
	return page
}

func voucherOf(v store.Voucher) Voucher {
	out := Voucher{ID: v.ID, CodeMasked: v.Code.Masked(), ContactID: v.ContactID, Amount: v.Money.Plain(), Currency: v.Money.Currency, Scope: v.Scope,
		Stations: append([]uuid.UUID{}, v.Stations...), CampaignID: v.CampaignID, BatchID: v.BatchID, Reference: v.Reference, Status: v.Status,
		ExpiresAt: v.ExpiresAt, IssuedAt: v.IssuedAt, SentAt: v.SentAt, RedeemedAt: v.RedeemedAt, RedeemedStationID: v.RedeemedStationID,
		ExpiredAt: v.ExpiredAt, VoidedAt: v.VoidedAt, VoidReason: v.VoidReason,
		UndeliveredAt: v.UndeliveredAt}
	if v.MSISDN != "" {
		out.MSISDN = v.MSISDN.Masked()
	}
	return out
}
