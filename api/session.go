package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"lastcall/domain"
	"lastcall/domain/access"
	"lastcall/store"
)

// sessionCookie is the cookie's name; behind https it has the prefix that binds it to this host.
const sessionCookie = "lastcall_session"

// Account is a person who may sign in.
type Account struct {
	ID    uuid.UUID   `json:"id" format:"uuid"`
	Email string      `json:"email"`
	Name  string      `json:"name"`
	Role  access.Role `json:"role" enum:"admin,project_lead,ops,support,compliance,finance,viewer,station_operator"`
}

// Session is who is signed in, and how long.
type Session struct {
	Account   Account             `json:"account"`
	May       []access.Permission `json:"may" doc:"The permissions of its role"`
	ExpiresAt time.Time           `json:"expires_at" doc:"When the session ends unless it is used before: 12 hours from now, and 7 days from sign-in at the latest"`
}

// Credentials are what people sign in with.
type Credentials struct {
	Email    string `json:"email" maxLength:"254"`
	Password string `json:"password" maxLength:"1024"`
}

const credentialsEnough = 16 << 10 // bytes for a body with passwords

type sessionOutput struct {
	SetCookie string `header:"Set-Cookie"`
	Body      Session
}

func (s *server) session() {
	tags := []string{"Session"}
	register(s, access.Everyone, huma.Operation{OperationID: "sign-in", Method: http.MethodPost, Path: "/session", Tags: tags,
		Summary: "Sign in", MaxBodyBytes: credentialsEnough,
		Description: "Sets the session's cookie and ends the session there was. What does not belong together is `wrong_credentials`, " +
			"whatever of it is wrong. After 5 failures in a row, of an account or from an address, tries are `locked_out`: for 30 s first, " +
			"twice as long after each further failure, 15 min at most; Retry-After says how long."},
		func(ctx context.Context, in *struct{ Body Credentials }) (*sessionOutput, error) {
			v := visitFrom(ctx)
			token, opened, account, err := s.Store.OpenSession(ctx, store.SignIn{Email: in.Body.Email, Password: in.Body.Password,
				Address: v.address, Agent: v.agent, Replaces: v.session.ID})
			if err != nil {
				return nil, err
			}
			return &sessionOutput{s.cookie(token, opened.ExpiresAt), sessionOf(account, opened)}, nil
		})
	register(s, access.SignedIn, huma.Operation{OperationID: "get-session", Method: http.MethodGet, Path: "/session", Tags: tags,
		Summary: "Who is signed in"},
		func(ctx context.Context, _ *struct{}) (*struct{ Body Session }, error) {
			v, err := signedIn(ctx)
			return &struct{ Body Session }{sessionOf(v.account, v.session)}, err
		})
	register(s, access.SignedIn, huma.Operation{OperationID: "sign-out", Method: http.MethodDelete, Path: "/session", Tags: tags,
		Summary: "Sign out", DefaultStatus: http.StatusNoContent},
		func(ctx context.Context, _ *struct{}) (*struct {
			SetCookie string `header:"Set-Cookie"`
		}, error) {
			v, err := signedIn(ctx)
			if err == nil {
				err = s.Store.CloseSession(ctx, v.session.ID)
			}
			return &struct {
				SetCookie string `header:"Set-Cookie"`
			}{s.cookie("", time.Unix(1, 0))}, err
		})
}

// signedIn is the visit of a person; domain.Forbidden for a token.
func signedIn(ctx context.Context) (visit, error) {
	v := visitFrom(ctx)
	if v.session.ID == uuid.Nil {
		return v, domain.E(domain.Forbidden, "no_session", "this takes signing in: a token has no session")
	}
	return v, nil
}

func (s *server) https() bool { return strings.HasPrefix(s.PublicURL, "https://") }

func (s *server) cookieName() string { return s.hostCookie(sessionCookie) }

// cookie is the Set-Cookie header that leaves token with the browser until then.
func (s *server) cookie(token string, until time.Time) string {
	c := http.Cookie{Name: s.cookieName(), Value: token, Path: "/", Expires: until, HttpOnly: true, Secure: s.https(), SameSite: http.SameSiteLaxMode}
	if token == "" {
		c.MaxAge = -1
	}
	return c.String()
}

func sessionOf(a store.Account, s store.Session) Session {
	return Session{accountOf(a), access.PermissionsOf(a.Role), s.Ends()}
}

func accountOf(a store.Account) Account {
	return Account{ID: a.ID, Email: a.Email, Name: a.Name, Role: a.Role}
}
