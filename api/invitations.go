package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/store"
)

// Invitation is an open invitation, as those see it who look after accounts. Its link is in its mail alone.
type Invitation struct {
	ID        uuid.UUID   `json:"id" format:"uuid"`
	Email     string      `json:"email"`
	Name      string      `json:"name"`
	Role      access.Role `json:"role" enum:"admin,project_lead,ops,support,compliance,finance,viewer,station_operator"`
	CreatedAt time.Time   `json:"created_at"`
	SentAt    *time.Time  `json:"sent_at,omitempty" doc:"When its newest mail was written; absent: in a moment"`
	ExpiresAt *time.Time  `json:"expires_at,omitempty" doc:"When the link in that mail ends"`
}

// InvitationPage is one page of open invitations, oldest first.
type InvitationPage struct {
	Invitations []Invitation `json:"invitations"`
	Next        string       `json:"next,omitempty" doc:"Pass it as after for the next page; absent on the last"`
}

// NewInvitation is whom to invite.
type NewInvitation struct {
	Email string `json:"email" maxLength:"254"`
	Name  string `json:"name" maxLength:"100" doc:"They may choose another when they accept"`
	Role  string `json:"role" enum:"admin,project_lead,ops,support,compliance,finance,viewer,station_operator"`
}

// InvitationPath is the part of an address that names an invitation.
type InvitationPath struct {
	ID uuid.UUID `path:"id" format:"uuid"`
}

type invitationOutput struct{ Body Invitation }

func (s *server) invitations() {
	tags := []string{"Accounts"}
	register(s, access.AccountsManage, huma.Operation{OperationID: "list-invitations", Method: http.MethodGet, Path: "/invitations", Tags: tags,
		Summary: "List open invitations"},
		func(ctx context.Context, in *struct {
			After uuid.UUID `query:"after" format:"uuid" doc:"The next of the page before"`
			Limit
		}) (*struct{ Body InvitationPage }, error) {
			all, err := s.Store.Invitations(ctx, in.After, in.fetch())
			if err != nil {
				return nil, err
			}
			all, next := cut(all, in.Limit, func(i store.Invitation) string { return i.ID.String() })
			page := InvitationPage{Invitations: make([]Invitation, len(all)), Next: next}
			for n, i := range all {
				page.Invitations[n] = invitationOf(i)
			}
			return &struct{ Body InvitationPage }{page}, nil
		})
	register(s, access.AccountsManage, huma.Operation{OperationID: "invite", Method: http.MethodPost, Path: "/invitations", Tags: tags,
		Summary: "Invite somebody", DefaultStatus: http.StatusCreated,
		Description: "Mails them a link that is good once and for 72 hours. Behind it they choose their password, and are signed in. " +
			"Without mail configured it is `no_mail`. Who invites too often is told when to go on, by Retry-After."},
		func(ctx context.Context, in *struct{ Body NewInvitation }) (*invitationOutput, error) {
			if err := s.needMail(); err != nil {
				return nil, err
			}
			i, err := s.Store.Invite(ctx, store.NewInvitation(in.Body))
			return &invitationOutput{invitationOf(i)}, err
		})
	register(s, access.AccountsManage, huma.Operation{OperationID: "resend-invitation", Method: http.MethodPost, Path: "/invitations/{id}/resend", Tags: tags,
		Summary: "Send an invitation again", Description: "With a new link, for another 72 hours; the one before ends."},
		func(ctx context.Context, in *InvitationPath) (*invitationOutput, error) {
			if err := s.needMail(); err != nil {
				return nil, err
			}
			i, err := s.Store.ResendInvitation(ctx, in.ID)
			return &invitationOutput{invitationOf(i)}, err
		})
	register(s, access.AccountsManage, huma.Operation{OperationID: "withdraw-invitation", Method: http.MethodPost, Path: "/invitations/{id}/withdraw", Tags: tags,
		Summary: "Withdraw an invitation", Description: "Its link ends at once."},
		func(ctx context.Context, in *InvitationPath) (*invitationOutput, error) {
			i, err := s.Store.WithdrawInvitation(ctx, in.ID)
			return &invitationOutput{invitationOf(i)}, err
		})
}

// needMail refuses what ends in a mail where none is sent.
func (s *server) needMail() error {
	if s.Mail {
		return nil
	}
	return domain.E(domain.Conflict, "no_mail", "this installation sends no mail: set mail.address, or have `lastcall accounts` set the password")
}

func invitationOf(i store.Invitation) Invitation {
	return Invitation{ID: i.ID, Email: i.Email, Name: i.Name, Role: i.Role, CreatedAt: i.CreatedAt, SentAt: i.SentAt, ExpiresAt: i.ExpiresAt}
}
