package api

import (
	"context"

	"lastcall/domain/access"
	"lastcall/domain/audit"
	"lastcall/domain/contact"
)

// Revealed is a whole number.
type Revealed struct {
	MSISDN contact.MSISDN `json:"msisdn"`
}

// reveal tells a number to somebody who may see it, once the audit log has that they did.
func (s *server) reveal(ctx context.Context, number contact.MSISDN, of string) (*struct{ Body Revealed }, error) {
	if err := s.Store.Enter(ctx, audit.Entry{Action: "number.revealed", Target: of}); err != nil {
		return nil, err
	}
	return &struct{ Body Revealed }{Revealed{number}}, nil
}

// Reveal asks for whole numbers in a list.
type Reveal struct {
	Wanted bool `query:"reveal" doc:"Whole numbers too, for those whose role may see them; the audit log has that they were seen"`
}

// revealing grants or takes back what a list was asked to reveal of n people. What is granted is in the audit log.
func (s *server) revealing(ctx context.Context, r *Reveal, of string, n int) error {
	if r.Wanted = r.Wanted && n > 0 && may(ctx, access.ContactsReveal); !r.Wanted {
		return nil
	}
	return s.Store.Enter(ctx, audit.Entry{Action: "number.revealed", Target: of, Diff: map[string]int{"numbers": n}})
}
