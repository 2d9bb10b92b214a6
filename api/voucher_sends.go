package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/contact"
	"lastcall/store"
)

// VoucherResend is an order to send a voucher to its guest again.
type VoucherResend struct {
	Template        string            `json:"template,omitempty" maxLength:"512" doc:"A name, for its newest version that may be sent, or a version's id; absent: that of the voucher's campaign. Its text must say {{code}}"`
	Variables       map[string]string `json:"variables,omitempty" doc:"What the template asks for besides what the voucher says; absent: as its campaign had them"`
	Locale          string            `json:"locale,omitempty" doc:"Of the text, BCP 47; absent: the guest's"`
	WhenAllowed     bool              `json:"when_allowed,omitempty" doc:"Blocked, it waits until the rules let it go; else it fails at once"`
	AcceptDuplicate bool              `json:"accept_duplicate,omitempty" doc:"That the guest may get it twice is known"`
	Reason          string            `json:"reason,omitempty" maxLength:"500" doc:"Why, for the audit log"`
}

// VoucherNote says how a voucher's guest was told of it.
type VoucherNote struct {
	Note string `json:"note,omitempty" maxLength:"500" doc:"For the audit log; no number and no code"`
}

func (s *server) voucherSends(tags []string) {
	register(s, access.VouchersIssue, huma.Operation{OperationID: "resend-voucher", Method: http.MethodPost, Path: "/vouchers/{id}/resend", Tags: tags,
		Summary: "Send a voucher to its guest again",
		Description: "The same voucher with the same code, in a single message that obeys every rule; the answers are those of sending a message. For one that was never " +
			"sent, too. `still_sending` while a message about it is on its way; `may_be_duplicate` when the guest may have it already, unless `accept_duplicate`.",
		Responses: s.sendAnswers(), Errors: refusals, DefaultStatus: http.StatusCreated},
		func(ctx context.Context, in *struct {
			VoucherPath
			IdempotencyKey string `header:"Idempotency-Key" doc:"The same key again sends nothing again and returns the same message"`
			Body           VoucherResend
		}) (*sendOutput, error) {
			o, err := s.voucherOrder(ctx, in.Body, in.IdempotencyKey)
			if err != nil {
				return nil, err
			}
			o.Voucher = in.ID
			if o.RequestHash, err = hashOf(struct {
				ID   string
				Body VoucherResend
			}{in.ID.String(), in.Body}); err != nil {
				return nil, err
			}
			one, err := s.Store.SendVoucher(ctx, o)
			if err != nil {
				return nil, err
			}
			return s.sendEffect(ctx, one, http.StatusCreated)
		})

	register(s, access.VouchersIssue, huma.Operation{OperationID: "mark-voucher-sent", Method: http.MethodPost, Path: "/vouchers/{id}/sent", Tags: tags,
		Summary:     "Note that a voucher's guest was told of it",
		Description: "In another way than by a message that arrived, as by Support, on the phone. `wrong_state` for one that was sent and not reported as undelivered."},
		func(ctx context.Context, in *struct {
			VoucherPath
			Body *VoucherNote
		}) (*voucherOutput, error) {
			var note VoucherNote
			if in.Body != nil {
				note = *in.Body
			}
			v, err := s.Store.MarkVoucherSent(ctx, in.ID, note.Note)
			return &voucherOutput{voucherOf(v)}, err
		})
}

func (s *server) voucherOrder(ctx context.Context, in VoucherResend, key string) (o store.VoucherOrder, err error) {
	if err := checkKey(key); err != nil {
		return o, err
	}
	o = store.VoucherOrder{Variables: in.Variables, Reason: in.Reason, AcceptDuplicate: in.AcceptDuplicate, WhenAllowed: in.WhenAllowed, IdempotencyKey: key}
	if in.Locale != "" {
		var ok bool
		if o.Locale, ok = contact.ParseLocale(in.Locale); !ok {
			return o, domain.E(domain.Invalid, "bad_locale", "use BCP 47, like rw-RW or en-MT").About("locale")
		}
	}
	if in.Template != "" {
		t, err := s.templateOf(ctx, in.Template)
		if err != nil {
			return o, err
		}
		o.TemplateID = t.ID
	}
	return o, nil
}
