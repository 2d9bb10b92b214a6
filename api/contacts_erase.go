package api

import (
	"context"
	"net/http"
	"regexp"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/domain/contact"
	"lastcall/store"
)

// Erase says why a person is to be forgotten.
type Erase struct {
	Reason string `json:"reason" minLength:"1" maxLength:"500" doc:"Why, for the audit log; without number or name"`
}

// EraseNumber says whom to forget, and why.
type EraseNumber struct {
	ContactNumber
	Erase
}

type erased struct{ Body store.Erasure }

const eraseDoc = `The contact goes, with what they said about marketing. In campaigns the number becomes a pseudonym that leads nowhere, and values and
WhatsApp's ids of messages go; the counts stay true. What is still queued is cancelled. Vouchers stay, as nobody's. The keyed hash of who opted out stays, because it must be honoured
should anybody import the number again. While a message is on its way it fails as ` + "`being_sent`" + `, and while a file is imported that may hold the number
as ` + "`import_running`" + `; try again then. It cannot be undone.`

func (s *server) erasure() {
	tags := []string{"Contacts"}
	register(s, access.ContactsRead, huma.Operation{OperationID: "preview-erasure", Method: http.MethodGet, Path: "/contacts/{id}/erasure", Tags: tags,
		Summary: "See what erasing a contact would do"},
		func(ctx context.Context, in *ContactPath) (*erased, error) {
			e, err := s.Store.PreviewErasure(ctx, in.ID)
			return &erased{e}, err
		})
	register(s, access.ContactsErase, huma.Operation{OperationID: "erase-contact", Method: http.MethodPost, Path: "/contacts/{id}/erase", Tags: tags,
		Summary: "Erase a contact", Description: eraseDoc},
		func(ctx context.Context, in *struct {
			ContactPath
			Body Erase
		}) (*erased, error) {
			if err := in.Body.check(); err != nil {
				return nil, err
			}
			e, err := s.Store.EraseContact(ctx, in.ID, in.Body.Reason)
			return &erased{e}, err
		})
	register(s, access.ContactsErase, huma.Operation{OperationID: "erase-number", Method: http.MethodPost, Path: "/contacts/erase", Tags: tags,
		Summary: "Erase whoever has a number", Description: "Also where only campaigns know it. " + eraseDoc},
		func(ctx context.Context, in *struct{ Body EraseNumber }) (*erased, error) {
			if err := in.Body.check(); err != nil {
				return nil, err
			}
			number, err := contact.ParseNumber(in.Body.MSISDN, in.Body.Country)
			if err != nil {
				return nil, err
			}
			e, err := s.Store.Erase(ctx, number.MSISDN, in.Body.Reason)
			return &erased{e}, err
		})
}

// check refuses a reason that is blank, or that tells the number which is to be forgotten: the audit log keeps it.
func (e Erase) check() error {
	if numberLike.MatchString(e.Reason) {
		return domain.E(domain.Invalid, "number_in_reason", "the audit log keeps the reason: leave the number out of it").About("reason")
	}
	if strings.TrimSpace(e.Reason) == "" {
		return domain.E(domain.Invalid, "no_reason", "say why").About("reason")
	}
	return nil
}

// numberLike is what looks like a phone number and is no date: eight digits in a row, or nine however they are grouped.
var numberLike = regexp.MustCompile(`\d{8}|\d([ ().+/-]*\d){8}`)
