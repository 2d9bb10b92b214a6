package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/voucher"
	"lastcall/store"
)

// StationVoucher is a voucher as a station meets it: by its short code or by its QR code.
type StationVoucher struct {
	Code string `json:"code,omitempty" maxLength:"40" example:"K7QM-42XD" doc:"As typed: case, spaces and dashes do not matter"`
	QR   string `json:"qr,omitempty" maxLength:"400" doc:"What its QR code says"`
}

// NewRedemption is a request to redeem a voucher.
type NewRedemption struct {
	StationVoucher
	OfflineAt *time.Time `json:"offline_at,omitempty" doc:"When this device accepted it, by its own clock, without a connection; absent: now, with one"`
}

// StationLook is what a station is shown before it redeems.
type StationLook struct {
	VoucherID uuid.UUID        `json:"voucher_id" format:"uuid"`
	Amount    string           `json:"amount" example:"2000"`
	Currency  voucher.Currency `json:"currency" enum:"RWF,EUR"`
	MSISDN    string           `json:"msisdn" example:"+250 78• ••• 012" doc:"Masked"`
	Scope     voucher.Scope    `json:"scope" enum:"station,stations,all"`
	ExpiresAt time.Time        `json:"expires_at"`
}

// RedeemedBefore is when and where a voucher was redeemed that somebody wants to redeem again.
type RedeemedBefore struct {
	At      time.Time `json:"at"`
	Station string    `json:"station" example:"ENG-001, Counter"`
	MSISDN  string    `json:"msisdn" example:"+250 78• ••• 012" doc:"Whose it was, masked"`
}

// Redemption is a redemption as lists have it.
type Redemption struct {
	ID          uuid.UUID        `json:"id" format:"uuid"`
	VoucherID   uuid.UUID        `json:"voucher_id" format:"uuid"`
	CodeMasked  string           `json:"code_masked" example:"K7QM-••••"`
	MSISDN      string           `json:"msisdn" example:"+250 78• ••• 012" doc:"Masked; empty when its owner was forgotten"`
	CampaignID  *uuid.UUID       `json:"campaign_id,omitempty" format:"uuid"`
	StationID   uuid.UUID        `json:"station_id" format:"uuid"`
	StationCode string           `json:"station_code" example:"ENG-001"`
	StationName string           `json:"station_name"`
	Operator    string           `json:"operator"`
	Amount      string           `json:"amount" example:"2000"`
	Currency    voucher.Currency `json:"currency" enum:"RWF,EUR"`
	RedeemedAt  time.Time        `json:"redeemed_at"`
	OfflineAt   *time.Time       `json:"offline_at,omitempty" doc:"When the device accepted it without a connection, by its own clock"`
	SettledAt   *time.Time       `json:"settled_at,omitempty" doc:"When its station was paid"`
}

// RedemptionRefusalPage is one page of redemptions that did not happen, newest first.
type RedemptionRefusalPage struct {
	Refusals []RedemptionRefusal `json:"refusals"`
	Next     string              `json:"next,omitempty" doc:"Pass it as after for the next page; absent on the last"`
}

// RedemptionRefusal is a redemption that did not happen.
type RedemptionRefusal struct {
	ID        int64      `json:"id"`
	At        time.Time  `json:"at"`
	Kind      string     `json:"kind" enum:"business,system" doc:"The rules at work, or our fault"`
	Code      string     `json:"code" example:"already_redeemed"`
	VoucherID *uuid.UUID `json:"voucher_id,omitempty" format:"uuid" doc:"Absent when none was found"`
	StationID uuid.UUID  `json:"station_id" format:"uuid"`
	Station   string     `json:"station" example:"ENG-001"`
}

// RedemptionPage is one page of redemptions, newest first.
type RedemptionPage struct {
	Redemptions []Redemption `json:"redemptions"`
	Next        string       `json:"next,omitempty" doc:"Pass it as after for the next page; absent on the last"`
}

// StationBalance is what a station has redeemed.
type StationBalance struct {
	Zone     string       `json:"zone" doc:"IANA: of the days"`
	Redeemed []Balance    `json:"redeemed" doc:"Ever, by currency"`
	Days     []DayBalance `json:"days" doc:"Newest first: those of the last 31 on which something was redeemed"`
}

// Balance is a sum of one currency.
type Balance struct {
	Currency    voucher.Currency `json:"currency" enum:"RWF,EUR"`
	Redemptions int64            `json:"redemptions"`
	Amount      string           `json:"amount"`
	Pending     string           `json:"pending" doc:"Of the amount, what the station has not been paid yet"`
}

// DayBalance is the sum of a day.
type DayBalance struct {
	Day string `json:"day" format:"date"`
	Balance
}

// NewSettlement is a payment to a station for what it had redeemed.
type NewSettlement struct {
	Amount   string    `json:"amount" maxLength:"20" example:"24000" doc:"What was paid: it must be what is pending"`
	Currency string    `json:"currency" maxLength:"3" example:"RWF"`
	Before   time.Time `json:"before" doc:"For what was redeemed before then"`
}

// Settled is what was paid for.
type Settled struct {
	Redemptions int64 `json:"redemptions"`
}

// SupportTask is a voucher that a station accepted offline and that was refused when that came in. The guest has been served.
type SupportTask struct {
	ID          uuid.UUID  `json:"id" format:"uuid"`
	Code        string     `json:"code" doc:"Why it was refused"`
	Detail      string     `json:"detail" doc:"The same for people"`
	VoucherID   *uuid.UUID `json:"voucher_id,omitempty" format:"uuid" doc:"Absent: no voucher was found"`
	StationID   uuid.UUID  `json:"station_id" format:"uuid"`
	StationCode string     `json:"station_code"`
	Operator    string     `json:"operator"`
	OfflineAt   time.Time  `json:"offline_at" doc:"When it was accepted, by the device's clock"`
	CreatedAt   time.Time  `json:"created_at" doc:"When it came in"`
	ResolvedAt  *time.Time `json:"resolved_at,omitempty"`
	ResolvedBy  string     `json:"resolved_by,omitempty"`
	Note        string     `json:"note,omitempty"`
}

// SupportTaskPage is one page of tasks, oldest first.
type SupportTaskPage struct {
	Tasks []SupportTask `json:"tasks"`
	Next  string        `json:"next,omitempty" doc:"Pass it as after for the next page; absent on the last"`
}

// TaskNote is what somebody did about a task.
type TaskNote struct {
	Note string `json:"note" maxLength:"500"`
}

const refusalsDoc = "What the rules refuse: `wrong_code` and `wrong_qr` (404), `already_redeemed`, with when and where in `redeemed`, `voucher_expired`, `voucher_void` " +
	"and `wrong_station` (409). Five wrong codes within 15 minutes lock the device's code entry, `code_entry_locked` (429): QR codes still work. " +
	"While Ops has switched redemption off it is `station_redeem_off` (503)."

func (s *server) redemptions() {
	app, panel := []string{"Station app"}, []string{"Vouchers"}
	register(s, access.StationUse, huma.Operation{OperationID: "check-voucher", Method: http.MethodPost, Path: "/station/vouchers/check", Tags: app,
		Summary: "Look at a voucher before redeeming it", Description: "It changes nothing, but wrong codes count. " + refusalsDoc},
		func(ctx context.Context, in *struct{ Body StationVoucher }) (*struct{ Body StationLook }, error) {
			code, id, err := s.presented(in.Body)
			if err != nil {
				return nil, err
			}
			look, err := s.Store.LookAtVoucher(ctx, stationFrom(ctx), code, id)
			if err != nil {
				return nil, s.refusal(ctx, err)
			}
			return &struct{ Body StationLook }{StationLook{look.VoucherID, look.Money.Plain(), look.Money.Currency, look.MSISDN, look.Scope, look.ExpiresAt}}, nil
		})

	type receipt struct {
		Repeated bool `header:"Idempotency-Replayed" doc:"This request was answered before, and this is that answer"`
		Body     store.Redeemed
	}
	register(s, access.StationUse, huma.Operation{OperationID: "redeem-voucher", Method: http.MethodPost, Path: "/station/redemptions", Tags: app,
		Summary: "Redeem a voucher", DefaultStatus: http.StatusCreated,
		Description: "At most once. The same Idempotency-Key and body again get the same answer, for as long as the voucher is kept; with another body it is " +
			"`idempotency_key_reused` (422), without a key `idempotency_key_missing` (400). " + refusalsDoc + " With `offline_at` it is what this device accepted " +
			"without a connection: of QR codes of vouchers for this station only, with the station's lease, and no longer ago than the setting " +
			"offline_redemptions says; what is refused of that (`offline_…` or as above) is left to Support."},
		func(ctx context.Context, in *struct {
			IdempotencyKey string `header:"Idempotency-Key" doc:"Chosen by the device, once a redemption"`
			Body           NewRedemption
		}) (*receipt, error) {
			if in.IdempotencyKey == "" {
				return nil, &Problem{Title: http.StatusText(http.StatusBadRequest), Status: http.StatusBadRequest, Code: "idempotency_key_missing",
					Field: "Idempotency-Key", Detail: "send an Idempotency-Key, so that nothing is redeemed twice"}
			}
			if err := checkKey(in.IdempotencyKey); err != nil {
				return nil, err
			}
			by := stationFrom(ctx)
			hash, err := hashOf(struct {
				Station uuid.UUID
				Body    NewRedemption
			}{by.StationID, in.Body})
			if err != nil {
				return nil, err
			}
			r := store.Redemption{By: by, Key: in.IdempotencyKey, RequestHash: hash, OfflineAt: in.Body.OfflineAt}
			if r.Code, r.Voucher, err = s.presented(in.Body.StationVoucher); err != nil {
				return nil, s.Store.RedemptionFailed(ctx, r, err)
			}
			if s.Struck != nil {
				if f := s.Struck(ctx); f != nil {
					return nil, s.Store.RedemptionStruck(ctx, r, *f)
				}
			}
			done, repeated, err := s.Store.Redeem(ctx, r)
			if err != nil {
				return nil, s.refusal(ctx, err)
			}
			return &receipt{repeated, done}, nil
		})

	register(s, access.StationUse, huma.Operation{OperationID: "get-station-balance", Method: http.MethodGet, Path: "/station/balance", Tags: app,
		Summary: "What this station has redeemed, and has not been paid yet"},
		func(ctx context.Context, _ *struct{}) (*struct{ Body StationBalance }, error) {
			b, err := s.Store.StationBalance(ctx, stationFrom(ctx).StationID)
			out := StationBalance{Zone: b.Zone, Redeemed: make([]Balance, len(b.Redeemed)), Days: make([]DayBalance, len(b.Days))}
			for i, each := range b.Redeemed {
				out.Redeemed[i] = balanceOf(each)
			}
			for i, d := range b.Days {
				out.Days[i] = DayBalance{d.Day, balanceOf(d.Balance)}
			}
			return &struct{ Body StationBalance }{out}, err
		})

	register(s, access.StationUse, huma.Operation{OperationID: "list-station-history", Method: http.MethodGet, Path: "/station/history", Tags: app,
		Summary: "What this station has redeemed, newest first"},
		func(ctx context.Context, in *struct {
			After uuid.UUID `query:"after" format:"uuid" doc:"The next of the page before"`
			Limit
		}) (*struct{ Body RedemptionPage }, error) {
			all, err := s.Store.Redemptions(ctx, store.RedemptionFilter{Station: stationFrom(ctx).StationID}, in.After, in.fetch())
			return &struct{ Body RedemptionPage }{redemptionPage(all, in.Limit)}, err
		})

	register(s, access.StationUse, huma.Operation{OperationID: "get-station-redemption", Method: http.MethodGet, Path: "/station/history/{id}", Tags: app,
		Summary: "One of this station's redemptions"},
		func(ctx context.Context, in *VoucherPath) (*struct{ Body Redemption }, error) {
			r, err := s.Store.RedemptionAt(ctx, stationFrom(ctx).StationID, in.ID)
			return &struct{ Body Redemption }{redemptionOf(r)}, err
		})

	register(s, access.VouchersRead, huma.Operation{OperationID: "list-redemptions", Method: http.MethodGet, Path: "/redemptions", Tags: panel,
		Summary: "List redemptions, newest first", Description: "Rehearsed ones are not among them."},
		func(ctx context.Context, in *struct {
			Station  uuid.UUID `query:"station" format:"uuid"`
			Campaign uuid.UUID `query:"campaign" format:"uuid"`
			From     time.Time `query:"from" doc:"Redeemed then or later"`
			Before   time.Time `query:"before" doc:"Redeemed before then"`
			After    uuid.UUID `query:"after" format:"uuid" doc:"The next of the page before"`
			Limit
		}) (*struct{ Body RedemptionPage }, error) {
			all, err := s.Store.Redemptions(ctx, store.RedemptionFilter{Station: in.Station, Campaign: in.Campaign, From: in.From, Before: in.Before}, in.After, in.fetch())
			return &struct{ Body RedemptionPage }{redemptionPage(all, in.Limit)}, err
		})

	register(s, access.VouchersRead, huma.Operation{OperationID: "list-redemption-refusals", Method: http.MethodGet, Path: "/redemption-refusals", Tags: panel,
		Summary: "List redemptions that did not happen, newest first", Description: "`business` is the rules at work, `system` our fault. Rehearsals and drills are not among them."},
		func(ctx context.Context, in *struct {
			Kind  string    `query:"kind" enum:"business,system" doc:"Only these; absent: all"`
			From  time.Time `query:"from" doc:"Then or later"`
			After int64     `query:"after" minimum:"0" doc:"The next of the page before"`
			Limit
		}) (*struct{ Body RedemptionRefusalPage }, error) {
			all, err := s.Store.RedemptionRefusals(ctx, in.Kind, in.From, in.After, in.fetch())
			all, next := cut(all, in.Limit, func(r store.RedemptionRefusal) string { return strconv.FormatInt(r.ID, 10) })
			page := RedemptionRefusalPage{Refusals: make([]RedemptionRefusal, len(all)), Next: next}
			for i, r := range all {
				page.Refusals[i] = RedemptionRefusal(r)
			}
			return &struct{ Body RedemptionRefusalPage }{page}, err
		})

	register(s, access.PaymentsConfirm, huma.Operation{OperationID: "settle-station", Method: http.MethodPost, Path: "/stations/{id}/settlements", Tags: panel,
		Summary:     "Note that a station was paid for what it had redeemed",
		Description: "`amount_differs` when what it redeemed before then is worth something else, `nothing_pending` when there is nothing.", DefaultStatus: http.StatusCreated},
		func(ctx context.Context, in *struct {
			VoucherPath
			Body NewSettlement
		}) (*struct{ Body Settled }, error) {
			paid, err := voucher.ParsePayment(in.Body.Amount, in.Body.Currency)
			if err != nil {
				return nil, err
			}
			done, err := s.Store.SettleStation(ctx, in.ID, paid, in.Body.Before)
			return &struct{ Body Settled }{Settled{done.Redemptions}}, err
		})

	register(s, access.VouchersRead, huma.Operation{OperationID: "list-support-tasks", Method: http.MethodGet, Path: "/support/tasks", Tags: panel,
		Summary: "List what Support has to see to, oldest first", Description: "Vouchers that a station accepted offline and that were refused when that came in."},
		func(ctx context.Context, in *struct {
			All   bool      `query:"all" doc:"Resolved ones, too"`
			After uuid.UUID `query:"after" format:"uuid" doc:"The next of the page before"`
			Limit
		}) (*struct{ Body SupportTaskPage }, error) {
			all, err := s.Store.SupportTasks(ctx, in.All, in.After, in.fetch())
			all, next := cut(all, in.Limit, func(t store.SupportTask) string { return t.ID.String() })
			page := SupportTaskPage{Tasks: make([]SupportTask, len(all)), Next: next}
			for i, t := range all {
				page.Tasks[i] = taskOf(t)
			}
			return &struct{ Body SupportTaskPage }{page}, err
		})

	register(s, access.VouchersVoid, huma.Operation{OperationID: "resolve-support-task", Method: http.MethodPost, Path: "/support/tasks/{id}/resolve", Tags: panel,
		Summary: "Note what was done about a task"},
		func(ctx context.Context, in *struct {
			VoucherPath
			Body TaskNote
		}) (*struct{ Body SupportTask }, error) {
			t, err := s.Store.ResolveSupportTask(ctx, in.ID, in.Body.Note)
			return &struct{ Body SupportTask }{taskOf(t)}, err
		})
}

// presented is what a station holds in its hand: a code, or the voucher that a QR code names, which is nobody's when it is
// not signed by us. One that has expired is still a voucher: the store, by its own clock, says what has become of it.
func (s *server) presented(v StationVoucher) (code string, id uuid.UUID, err error) {
	if (v.Code == "") == (v.QR == "") {
		return "", uuid.Nil, domain.E(domain.Invalid, "code_or_qr", "send a code or what a QR code says")
	}
	if v.Code != "" {
		return v.Code, uuid.Nil, nil
	}
	keys, err := s.VoucherKeys()
	if err != nil {
		return "", uuid.Nil, err
	}
	claims, err := keys.Verify(v.QR, time.Now())
	if err != nil && !errors.Is(err, voucher.ErrTokenExpired) {
		return "", uuid.Nil, nil
	}
	return "", claims.Voucher, nil
}

// refusal is the problem of a redemption that did not happen.
func (s *server) refusal(ctx context.Context, err error) error {
	refused, ok := errors.AsType[*store.Refusal](err)
	if !ok || refused.RedeemedAt == nil {
		return err
	}
	p := s.problem(ctx, err)
	p.Redeemed = &RedeemedBefore{*refused.RedeemedAt, refused.Station, refused.MSISDN}
	return p
}

func redemptionPage(all []store.RedemptionEntry, l Limit) RedemptionPage {
	all, next := cut(all, l, func(r store.RedemptionEntry) string { return r.ID.String() })
	page := RedemptionPage{Redemptions: make([]Redemption, len(all)), Next: next}
	for i, r := range all {
		page.Redemptions[i] = redemptionOf(r)
	}
	return page
}

func redemptionOf(r store.RedemptionEntry) Redemption {
	out := Redemption{ID: r.ID, VoucherID: r.VoucherID, CodeMasked: r.Code.Masked(), CampaignID: r.CampaignID, StationID: r.StationID, StationCode: r.StationCode,
		StationName: r.StationName, Operator: r.Operator, Amount: voucher.Money{Amount: r.Amount, Currency: r.Currency}.Plain(), Currency: r.Currency,
		RedeemedAt: r.RedeemedAt, OfflineAt: r.OfflineAt, SettledAt: r.SettledAt}
	if r.MSISDN != "" {
		out.MSISDN = r.MSISDN.Masked()
	}
	return out
}

func balanceOf(b store.Balance) Balance {
	return Balance{b.Currency, b.Redemptions, voucher.Money{Amount: b.Amount, Currency: b.Currency}.Plain(), voucher.Money{Amount: b.Pending, Currency: b.Currency}.Plain()}
}

func taskOf(t store.SupportTask) SupportTask {
	return SupportTask{ID: t.ID, Code: t.Code, Detail: t.Detail, VoucherID: t.VoucherID, StationID: t.StationID, StationCode: t.StationCode, Operator: t.Operator,
		OfflineAt: t.OfflineAt, CreatedAt: t.CreatedAt, ResolvedAt: t.ResolvedAt, ResolvedBy: t.ResolvedBy, Note: t.Note}
}
