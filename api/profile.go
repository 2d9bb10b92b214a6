package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"lastcall/domain/access"
)

// Profile is what people change of their own account.
type Profile struct {
	Name string `json:"name" maxLength:"100"`
}

// PasswordChange is a new password, and the one that shows whose it is.
type PasswordChange struct {
	Current string `json:"current" maxLength:"1024"`
	New     string `json:"new" maxLength:"1024" doc:"At least 12 characters, and not the current one"`
}

func (s *server) profile() {
	tags := []string{"Session"}
	register(s, access.SignedIn, huma.Operation{OperationID: "put-profile", Method: http.MethodPut, Path: "/profile", Tags: tags,
		Summary: "Change one's own name"},
		func(ctx context.Context, in *struct{ Body Profile }) (*struct{ Body Account }, error) {
			v, err := signedIn(ctx)
			if err != nil {
				return nil, err
			}
			a, err := s.Store.RenameAccount(ctx, v.account.ID, in.Body.Name)
			return &struct{ Body Account }{accountOf(a)}, err
		})
	register(s, access.SignedIn, huma.Operation{OperationID: "put-password", Method: http.MethodPut, Path: "/profile/password", Tags: tags,
		Summary: "Change one's own password", DefaultStatus: http.StatusNoContent, MaxBodyBytes: credentialsEnough,
		Description: "Ends all other sessions of the account. A wrong current password counts as a failure to sign in does."},
		func(ctx context.Context, in *struct{ Body PasswordChange }) (*struct{}, error) {
			v, err := signedIn(ctx)
			if err != nil {
				return nil, err
			}
			return nil, s.Store.ChangePassword(ctx, v.account, v.session.ID, in.Body.Current, in.Body.New)
		})
}
