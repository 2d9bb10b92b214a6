package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"lastcall/domain/access"
)

// OwnSession is a place where one is signed in.
type OwnSession struct {
	ID        uuid.UUID `json:"id" format:"uuid"`
	Agent     string    `json:"agent" doc:"The browser's family"`
	CreatedAt time.Time `json:"created_at"`
	SeenAt    time.Time `json:"seen_at" doc:"Its last request, to the minute"`
	EndsAt    time.Time `json:"ends_at" doc:"Unless it is used before"`
	Current   bool      `json:"current" doc:"The one that asks"`
}

// OwnSessions are all places where one is signed in, the one used last first.
type OwnSessions struct {
	Sessions []OwnSession `json:"sessions"`
}

// Ended is how many sessions have ended.
type Ended struct {
	Ended int64 `json:"ended"`
}

func (s *server) sessions() {
	tags := []string{"Session"}
	register(s, access.SignedIn, huma.Operation{OperationID: "list-own-sessions", Method: http.MethodGet, Path: "/profile/sessions", Tags: tags,
		Summary: "Where one is signed in"},
		func(ctx context.Context, _ *struct{}) (*struct{ Body OwnSessions }, error) {
			v, err := signedIn(ctx)
			if err != nil {
				return nil, err
			}
			found, err := s.Store.Sessions(ctx, v.account.ID)
			all := OwnSessions{Sessions: make([]OwnSession, len(found))}
			for i, one := range found {
				all.Sessions[i] = OwnSession{one.ID, one.Agent, one.CreatedAt, one.SeenAt, one.Ends(), one.ID == v.session.ID}
			}
			return &struct{ Body OwnSessions }{all}, err
		})
	register(s, access.SignedIn, huma.Operation{OperationID: "end-own-session", Method: http.MethodDelete, Path: "/profile/sessions/{id}", Tags: tags,
		Summary: "Sign out elsewhere", DefaultStatus: http.StatusNoContent, Description: "Its event streams end, too."},
		func(ctx context.Context, in *struct {
			ID uuid.UUID `path:"id" format:"uuid"`
		}) (*struct{}, error) {
			v, err := signedIn(ctx)
			if err == nil {
				err = s.Store.EndSession(ctx, v.account.ID, in.ID)
			}
			return nil, err
		})
	register(s, access.SignedIn, huma.Operation{OperationID: "end-other-sessions", Method: http.MethodPost, Path: "/profile/sessions/end-others", Tags: tags,
		Summary: "Sign out everywhere else"},
		func(ctx context.Context, _ *struct{}) (*struct{ Body Ended }, error) {
			v, err := signedIn(ctx)
			if err != nil {
				return nil, err
			}
			ended, err := s.Store.EndOtherSessions(ctx, v.account, v.session.ID)
			return &struct{ Body Ended }{Ended{ended}}, err
		})
}
