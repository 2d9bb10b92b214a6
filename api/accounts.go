package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"lastcall/domain/access"
	"lastcall/store"
)

// AccountEntry is an account as those see it who look after accounts.
type AccountEntry struct {
	Account
	CreatedAt  time.Time  `json:"created_at"`
	DisabledAt *time.Time `json:"disabled_at,omitempty" doc:"Absent: may sign in"`
	Sessions   int        `json:"sessions" doc:"Where it is signed in now; in lists only"`
	SeenAt     *time.Time `json:"seen_at,omitempty" doc:"Its last request from a session, to the minute; in lists only"`
}

// AccountPage is one page of accounts, oldest first.
type AccountPage struct {
	Accounts []AccountEntry `json:"accounts"`
	Next     string         `json:"next,omitempty" doc:"Pass it as after for the next page; absent on the last"`
}

// NewAccount is what an account is made of.
type NewAccount struct {
	Email    string `json:"email" maxLength:"254"`
	Name     string `json:"name" maxLength:"100"`
	Role     string `json:"role" enum:"admin,project_lead,ops,support,compliance,finance,viewer,station_operator"`
	Password string `json:"password" maxLength:"1024" doc:"At least 12 characters; to be changed by its owner"`
}

// NewPassword is a password that somebody chose for somebody else.
type NewPassword struct {
	Password string `json:"password" maxLength:"1024" doc:"At least 12 characters; to be changed by its owner"`
}

// NewRole is another role for an account.
type NewRole struct {
	Role string `json:"role" enum:"admin,project_lead,ops,support,compliance,finance,viewer,station_operator"`
}

// AccountID is the part of an address that names an account.
type AccountID struct {
	ID uuid.UUID `path:"id" format:"uuid"`
}

func (s *server) accounts() {
	tags := []string{"Accounts"}
	register(s, access.AccountsManage, huma.Operation{OperationID: "list-accounts", Method: http.MethodGet, Path: "/accounts", Tags: tags,
		Summary: "List accounts"},
		func(ctx context.Context, in *struct {
			After uuid.UUID `query:"after" format:"uuid" doc:"The next of the page before"`
			Limit
		}) (*struct{ Body AccountPage }, error) {
			all, err := s.Store.Accounts(ctx, in.After, in.fetch())
			if err != nil {
				return nil, err
			}
			all, next := cut(all, in.Limit, func(a store.Account) string { return a.ID.String() })
			ids := make([]uuid.UUID, len(all))
			for i, a := range all {
				ids[i] = a.ID
			}
			present, err := s.Store.Presences(ctx, ids)
			if err != nil {
				return nil, err
			}
			page := AccountPage{Accounts: make([]AccountEntry, len(all)), Next: next}
			for i, a := range all {
				page.Accounts[i] = entryOf(a)
				page.Accounts[i].Sessions, page.Accounts[i].SeenAt = present[a.ID].Sessions, present[a.ID].SeenAt
			}
			return &struct{ Body AccountPage }{page}, nil
		})
	register(s, access.AccountsManage, huma.Operation{OperationID: "add-account", Method: http.MethodPost, Path: "/accounts", Tags: tags,
		Summary: "Add an account", DefaultStatus: http.StatusCreated, MaxBodyBytes: credentialsEnough},
		func(ctx context.Context, in *struct{ Body NewAccount }) (*struct{ Body AccountEntry }, error) {
			a, err := s.Store.AddAccount(ctx, store.NewAccount(in.Body))
			return &struct{ Body AccountEntry }{entryOf(a)}, err
		})
	for path, disabled := range map[string]bool{"disable": true, "enable": false} {
		summary := map[bool]string{true: "Keep an account from signing in, and end its sessions", false: "Let an account sign in again"}[disabled]
		register(s, access.AccountsManage, huma.Operation{OperationID: path + "-account", Method: http.MethodPost, Path: "/accounts/{id}/" + path, Tags: tags,
			Summary: summary, Description: "Nobody does this to their own account, and one admin is always left."},
			func(ctx context.Context, in *AccountID) (*struct{ Body AccountEntry }, error) {
				a, err := s.Store.SetAccountDisabled(ctx, in.ID, disabled)
				return &struct{ Body AccountEntry }{entryOf(a)}, err
			})
	}
	register(s, access.AccountsManage, huma.Operation{OperationID: "put-account-role", Method: http.MethodPut, Path: "/accounts/{id}/role", Tags: tags,
		Summary:     "Give an account another role, and end its sessions",
		Description: "Nobody does this to their own account (`own_account`), and one admin is always left (`last_admin`)."},
		func(ctx context.Context, in *struct {
			AccountID
			Body NewRole
		}) (*struct{ Body AccountEntry }, error) {
			a, err := s.Store.SetRole(ctx, in.ID, in.Body.Role)
			return &struct{ Body AccountEntry }{entryOf(a)}, err
		})
	register(s, access.AccountsManage, huma.Operation{OperationID: "end-account-sessions", Method: http.MethodPost, Path: "/accounts/{id}/end-sessions", Tags: tags,
		Summary: "Sign somebody out everywhere"},
		func(ctx context.Context, in *AccountID) (*struct{ Body Ended }, error) {
			ended, err := s.Store.EndSessions(ctx, in.ID)
			return &struct{ Body Ended }{Ended{ended}}, err
		})
	register(s, access.AccountsManage, huma.Operation{OperationID: "reset-password", Method: http.MethodPut, Path: "/accounts/{id}/password", Tags: tags,
		Summary:      "Give an account another password, and end its sessions and its lock-out",
		MaxBodyBytes: credentialsEnough},
		func(ctx context.Context, in *struct {
			AccountID
			Body NewPassword
		}) (*struct{ Body AccountEntry }, error) {
			a, err := s.Store.ResetPassword(ctx, in.ID, in.Body.Password)
			return &struct{ Body AccountEntry }{entryOf(a)}, err
		})
}

func entryOf(a store.Account) AccountEntry {
	return AccountEntry{Account: accountOf(a), CreatedAt: a.CreatedAt, DisabledAt: a.DisabledAt}
}
