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

// Token is a token of one's own, which a program uses in one's place.
type Token struct {
	ID         uuid.UUID  `json:"id" format:"uuid"`
	Name       string     `json:"name"`
	Scopes     []string   `json:"scopes" doc:"The permissions it was given. Those that its owner's role has lost since do not count"`
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  time.Time  `json:"expires_at"`
	LastUsedAt *time.Time `json:"last_used_at,omitempty" doc:"To the minute; absent: never"`
}

// Tokens are one's own, newest first.
type Tokens struct {
	Tokens []Token `json:"tokens"`
}

// NewToken is what a token is made of.
type NewToken struct {
	Name   string              `json:"name" maxLength:"100" doc:"What uses it; no other token of yours has it"`
	Scopes []access.Permission `json:"scopes" maxItems:"100" doc:"Permissions that your role has"`
	Days   int                 `json:"days,omitempty" minimum:"1" maximum:"365" doc:"How long it lasts; 90 if left out"`
}

// CreatedToken is a new token, and the only time that it can be read.
type CreatedToken struct {
	Token
	Secret string `json:"token" doc:"Send it as Authorization: Bearer …; it is shown once"`
}

func (s *server) tokens() {
	tags := []string{"Session"}
	register(s, access.SignedIn, huma.Operation{OperationID: "list-own-tokens", Method: http.MethodGet, Path: "/profile/tokens", Tags: tags,
		Summary: "List one's own API tokens"},
		func(ctx context.Context, _ *struct{}) (*struct{ Body Tokens }, error) {
			v, err := somebody(ctx)
			if err != nil {
				return nil, err
			}
			found, err := s.Store.Tokens(ctx, v.account.ID)
			all := Tokens{Tokens: make([]Token, len(found))}
			for i, one := range found {
				all.Tokens[i] = tokenOf(one)
			}
			return &struct{ Body Tokens }{all}, err
		})
	register(s, access.SignedIn, huma.Operation{OperationID: "create-own-token", Method: http.MethodPost, Path: "/profile/tokens", Tags: tags,
		Summary: "Make an API token", DefaultStatus: http.StatusCreated,
		Description: "It may do what its scopes say, and of that what its owner's role may at the moment of each call. It ends when it is revoked, " +
			"after its days, and with its account. Only who is signed in makes one: a token makes no others."},
		func(ctx context.Context, in *struct{ Body NewToken }) (*struct{ Body CreatedToken }, error) {
			v, err := signedIn(ctx)
			if err != nil {
				return nil, err
			}
			secret, t, err := s.Store.CreateToken(ctx, v.account, store.NewToken{Name: in.Body.Name, Scopes: in.Body.Scopes,
				Lasts: time.Duration(in.Body.Days) * 24 * time.Hour})
			if err != nil {
				return nil, err
			}
			return &struct{ Body CreatedToken }{CreatedToken{tokenOf(t), secret}}, nil
		})
	register(s, access.SignedIn, huma.Operation{OperationID: "revoke-own-token", Method: http.MethodDelete, Path: "/profile/tokens/{id}", Tags: tags,
		Summary: "Revoke an API token of one's own", DefaultStatus: http.StatusNoContent, Description: "Its event streams end, too."},
		func(ctx context.Context, in *struct {
			ID uuid.UUID `path:"id" format:"uuid"`
		}) (*struct{}, error) {
			v, err := somebody(ctx)
			if err == nil {
				err = s.Store.RevokeToken(ctx, v.account.ID, in.ID)
			}
			return nil, err
		})
}

// somebody is the visit of a person, or of a token of theirs; domain.Forbidden for a token of the system.
func somebody(ctx context.Context) (visit, error) {
	v := visitFrom(ctx)
	if v.account.ID == uuid.Nil {
		return v, domain.E(domain.Forbidden, "no_account", "this token belongs to no account")
	}
	return v, nil
}

func tokenOf(t store.APIToken) Token {
	return Token{ID: t.ID, Name: t.Name, Scopes: t.Scopes, CreatedAt: t.CreatedAt, ExpiresAt: *t.ExpiresAt, LastUsedAt: t.LastUsedAt}
}
