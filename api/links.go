package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"lastcall/domain/access"
	"lastcall/store"
)

// The links that people get by mail end in a token behind a #, which browsers send nowhere. The page puts it into the
// bodies of these calls: no address, and so no log, ever has one.

// Link is what a link ends in.
type Link struct {
	Token string `json:"token" maxLength:"100" doc:"What stands behind the # of the link"`
}

// Welcome is what an invitation offers.
type Welcome struct {
	Email     string      `json:"email"`
	Name      string      `json:"name"`
	Role      access.Role `json:"role" enum:"admin,project_lead,ops,support,compliance,finance,viewer,station_operator"`
	ExpiresAt time.Time   `json:"expires_at"`
}

// Acceptance accepts an invitation.
type Acceptance struct {
	Link
	Name     string `json:"name" maxLength:"100"`
	Password string `json:"password" maxLength:"1024" doc:"At least 12 characters"`
}

// ResetRequest is whose password is forgotten.
type ResetRequest struct {
	Email string `json:"email" maxLength:"254"`
}

// Reset chooses another password.
type Reset struct {
	Link
	Password string `json:"password" maxLength:"1024" doc:"At least 12 characters"`
}

func (s *server) links() {
	tags := []string{"Session"}
	const failures = "A link that does not lead there is `link_unknown`, `link_used`, `link_withdrawn` or `link_expired`."
	register(s, access.Everyone, huma.Operation{OperationID: "look-at-invitation", Method: http.MethodPost, Path: "/welcome", Tags: tags,
		Summary: "What an invitation offers", MaxBodyBytes: credentialsEnough, Description: failures},
		func(ctx context.Context, in *struct{ Body Link }) (*struct{ Body Welcome }, error) {
			i, err := s.Store.InvitationOf(ctx, in.Body.Token, visitFrom(ctx).address)
			if err != nil {
				return nil, err
			}
			return &struct{ Body Welcome }{Welcome{i.Email, i.Name, i.Role, *i.ExpiresAt}}, nil
		})
	register(s, access.Everyone, huma.Operation{OperationID: "accept-invitation", Method: http.MethodPut, Path: "/welcome", Tags: tags,
		Summary: "Accept an invitation", MaxBodyBytes: credentialsEnough,
		Description: "Makes the account and signs its owner in, as sign-in does. " + failures},
		func(ctx context.Context, in *struct{ Body Acceptance }) (*sessionOutput, error) {
			v := visitFrom(ctx)
			token, opened, account, err := s.Store.AcceptInvitation(ctx, store.Acceptance{Token: in.Body.Token, Name: in.Body.Name,
				Password: in.Body.Password, Address: v.address, Agent: v.agent, Replaces: v.session.ID})
			if err != nil {
				return nil, err
			}
			return &sessionOutput{s.cookie(token, opened.ExpiresAt), sessionOf(account, opened)}, nil
		})
	register(s, access.Everyone, huma.Operation{OperationID: "request-password-reset", Method: http.MethodPost, Path: "/password-resets", Tags: tags,
		Summary: "Ask for a link to choose another password", DefaultStatus: http.StatusAccepted, MaxBodyBytes: credentialsEnough,
		Description: "If the address has an account, a mail with a link goes there, good once and for an hour. Nobody is told whether it has: " +
			"the answer is the same. Too many requests, for an address or from one client, are `too_often`; Retry-After says when to go on."},
		func(ctx context.Context, in *struct{ Body ResetRequest }) (*struct{}, error) {
			if err := s.needMail(); err != nil {
				return nil, err
			}
			return nil, s.Store.RequestReset(ctx, in.Body.Email, visitFrom(ctx).address)
		})
	register(s, access.Everyone, huma.Operation{OperationID: "use-password-reset", Method: http.MethodPut, Path: "/password-resets", Tags: tags,
		Summary: "Choose another password by a link", DefaultStatus: http.StatusNoContent, MaxBodyBytes: credentialsEnough,
		Description: "Ends all sessions of the account, and its lock-out. " + failures},
		func(ctx context.Context, in *struct{ Body Reset }) (*struct{}, error) {
			return nil, s.Store.UseReset(ctx, in.Body.Token, in.Body.Password, visitFrom(ctx).address)
		})
}
