package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"lastcall/domain/access"
	"lastcall/domain/payment"
	"lastcall/store"
)

// PaymentRevision is one saved version of the payment settings.
type PaymentRevision struct {
	Revision    int64         `json:"revision"`
	Value       payment.Terms `json:"value"`
	State       payment.State `json:"state" enum:"draft,confirmed"`
	Reason      string        `json:"reason"`
	Author      string        `json:"author"`
	CreatedAt   time.Time     `json:"created_at"`
	ConfirmedBy string        `json:"confirmed_by,omitempty"`
	ConfirmedAt *time.Time    `json:"confirmed_at,omitempty"`
	Mine        bool          `json:"mine" doc:"Whoever asks wrote it, and so may not confirm it"`
}

// Payments are how Finance wants to be paid: what is in force, and what waits for somebody to confirm it.
type Payments struct {
	Current *PaymentRevision  `json:"current,omitempty" doc:"The newest confirmed one, which is in force; absent: none"`
	Draft   *PaymentRevision  `json:"draft,omitempty" doc:"A newer one, to be confirmed by somebody who did not write it"`
	History []PaymentRevision `json:"history" doc:"Newest first"`
	Next    string            `json:"next,omitempty" doc:"Pass it as after for the next page of the history; absent on the last"`
}

// NewPayments are payment settings to be confirmed.
type NewPayments struct {
	Value  payment.Terms `json:"value"`
	Reason string        `json:"reason,omitempty" maxLength:"500" doc:"Why, for the history"`
}

type paymentAnswer struct {
	ETag string `header:"ETag"`
	Body PaymentRevision
}

func (s *server) payments() {
	tags := []string{"Payments"}
	register(s, access.PaymentsRead, huma.Operation{OperationID: "get-payments", Method: http.MethodGet, Path: "/payments", Tags: tags,
		Summary: "Tell how to pay, and how that was", Description: "Its ETag is the newest revision, for the If-Match of who changes it."},
		func(ctx context.Context, in *struct {
			After int64 `query:"after" minimum:"1" doc:"The next of the page before"`
			Limit
		}) (*struct {
			ETag string `header:"ETag"`
			Body Payments
		}, error) {
			inForce, newest, err := s.Store.Payments(ctx)
			if err != nil {
				return nil, err
			}
			all, err := s.Store.PaymentHistory(ctx, in.After, in.fetch())
			if err != nil {
				return nil, err
			}
			all, next := cut(all, in.Limit, func(p store.PaymentRevision) string { return strconv.FormatInt(p.Revision, 10) })
			out := Payments{History: make([]PaymentRevision, len(all)), Next: next}
			for i, p := range all {
				out.History[i] = shownPayment(ctx, p)
			}
			var version int64
			if newest != nil {
				version = newest.Revision
				if shown := shownPayment(ctx, *newest); newest.State == payment.Draft {
					out.Draft = &shown
				}
			}
			if inForce != nil {
				shown := shownPayment(ctx, *inForce)
				out.Current = &shown
			}
			return &struct {
				ETag string `header:"ETag"`
				Body Payments
			}{etag(version), out}, nil
		})
	register(s, access.PaymentsWrite, huma.Operation{OperationID: "put-payments", Method: http.MethodPut, Path: "/payments", Tags: tags,
		Summary: "Write how to pay", Description: "Saves a draft, which is in force once somebody else has confirmed it. With If-Match it fails as " +
			"`payments_changed`, status 412, when the newest revision is not the one its caller knew."},
		func(ctx context.Context, in *struct {
			Match
			Body NewPayments
		}) (*paymentAnswer, error) {
			known, err := in.known()
			if err != nil {
				return nil, err
			}
			p, err := s.Store.SavePayments(ctx, in.Body.Value, in.Body.Reason, known)
			return &paymentAnswer{etag(p.Revision), shownPayment(ctx, p)}, err
		})
	register(s, access.PaymentsConfirm, huma.Operation{OperationID: "confirm-payments", Method: http.MethodPost, Path: "/payments/{revision}/confirm", Tags: tags,
		Summary: "Put a draft in force", Description: "The newest only, and by an account that did not write it: else `four_eyes`, status 403."},
		func(ctx context.Context, in *struct {
			Revision int64 `path:"revision" minimum:"1"`
		}) (*paymentAnswer, error) {
			p, err := s.Store.ConfirmPayments(ctx, in.Revision)
			return &paymentAnswer{etag(p.Revision), shownPayment(ctx, p)}, err
		})
}

func shownPayment(ctx context.Context, p store.PaymentRevision) PaymentRevision {
	out := PaymentRevision{Revision: p.Revision, Value: p.Value, State: p.State, Reason: p.Reason, Author: p.Author, CreatedAt: p.CreatedAt,
		ConfirmedAt: p.ConfirmedAt, Mine: p.AuthorID != nil && *p.AuthorID == visitFrom(ctx).account.ID}
	if p.ConfirmedBy != nil {
		out.ConfirmedBy = *p.ConfirmedBy
	}
	return out
}
